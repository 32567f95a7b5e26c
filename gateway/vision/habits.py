"""What is unusual about a passage: the wrong way, the same way again, in while in. Remembers hashes, no plates."""

import hashlib
import os
from collections import OrderedDict

from gateway.settings import VehicleSettings
from gateway.vision.messages import Passage
from gateway.vision.presence import Presence

WRONG_WAY, REPEAT = "wrong-way", "repeat"
REMEMBERED = 20_000  # plates


class Habits:
    """The passages of one camera so far, as far as their marks need them."""

    def __init__(self, vehicles: VehicleSettings | None, area: str = "", presence: Presence | None = None) -> None:
        """``presence`` knows who went in and out of ``area``, at this gate and others."""
        self._area, self._presence = area, presence or Presence()
        lanes = vehicles.lanes if vehicles else ()
        self._ways = {lane.name: lane.one_way for lane in lanes if lane.one_way is not None}
        self._window = (vehicles.repeat if vehicles else None) or 0.0
        self._key = os.urandom(16)
        self._last: OrderedDict[bytes, tuple[str, int]] = OrderedDict()

    def marks(self, passage: Passage) -> tuple[str, ...]:
        """``wrong-way``, ``repeat``, ``already-in`` or ``already-out``; the last three only of plates read surely."""
        found = []
        allowed = self._ways.get(passage.lane)
        if allowed is not None and passage.direction in ("in", "out") and passage.direction != allowed:
            found.append(WRONG_WAY)
        if self._window and passage.status == "accepted" and passage.direction != "none" and self._again(passage):
            found.append(REPEAT)
        if self._area and passage.status == "accepted" and passage.direction in ("in", "out"):
            found += filter(None, [self._presence.passes(self._area, passage.text, passage.direction)])
        return tuple(found)

    def forget(self, plate: str) -> None:
        """Know nothing of a plate any more."""
        self._last.pop(self._name(plate), None)
        if self._area:
            self._presence.forget(self._area, plate)

    def _name(self, plate: str) -> bytes:
        return hashlib.blake2b(plate.encode(), key=self._key, digest_size=12).digest()

    def _again(self, passage: Passage) -> bool:
        name = self._name(passage.text)
        before = self._last.pop(name, None)
        self._last[name] = (passage.direction, passage.time)
        while len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        if before is None or before[0] != passage.direction:
            return False
        return 0 <= passage.time - before[1] <= self._window * 1e9
