"""Which plates went into an area last and which out, over all its gates; remembers keyed hashes, no plates."""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Sequence

from gateway.settings import CameraSettings, LaneSettings

INSIDE, OUTSIDE = "already-in", "already-out"
REMEMBERED = 20_000  # plates


class Presence:
    """All areas of one gateway. Until a plate has passed, or was recalled from the records, nothing is said of it."""

    def __init__(self) -> None:
        self._key = os.urandom(16)
        self._last: OrderedDict[bytes, str] = OrderedDict()

    def passes(self, area: str, plate: str, direction: str) -> str:
        """Note a plate that goes ``in`` or ``out``; the mark of one that does what it did last, else nothing."""
        name = self._name(area, plate)
        before = self._last.pop(name, None)
        self._last[name] = direction
        while len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        if before != direction:
            return ""
        return INSIDE if direction == "in" else OUTSIDE

    @property
    def full(self) -> bool:
        """Whether no older plate could be recalled."""
        return len(self._last) >= REMEMBERED

    def recall(self, area: str, plate: str, direction: str) -> None:
        """Note how a plate passed long ago; what it has done since counts more."""
        name = self._name(area, plate)
        if name not in self._last and not self.full:
            self._last[name] = direction
            self._last.move_to_end(name, last=False)

    def forget(self, area: str, plate: str) -> None:
        """Know nothing of a plate any more."""
        self._last.pop(self._name(area, plate), None)

    def inside(self, area: str, plate: str) -> bool:
        """Whether a plate went in last."""
        return self._last.get(self._name(area, plate)) == "in"

    def _name(self, area: str, plate: str) -> bytes:
        return hashlib.blake2b(f"{area} {plate}".encode(), key=self._key, digest_size=12).digest()


def area_of(camera: CameraSettings) -> str:
    """The area that a camera's gate leads into, where passages in and out are to alternate; empty where not."""
    vehicles = camera.vehicles
    if vehicles is None or vehicles.passback == "off" or (vehicles.area is None and vehicles.spaces is None):
        return ""
    return vehicles.area or camera.name


def leads_in(lanes: Sequence[LaneSettings], way: str) -> bool:
    """Whether a vehicle that moves ``toward`` the camera or ``away`` from it is on its way in, in every lane."""
    return {lane.enter for lane in lanes} == {{"toward": "down", "away": "up"}.get(way, "")}
