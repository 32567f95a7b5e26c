"""Opens gates for plates of the allow list that were read surely, once each; whatever is in doubt stays shut."""

import hashlib
import logging
import os
from collections.abc import Callable, Mapping

from gateway.contract import Clock, VisionEvent
from gateway.daemon.actions import Actions
from gateway.settings.parking import GateAction

STALE = 3.0  # seconds from the frame's arrival to here: later another car may stand there

INSIDE = "not opened for a plate that is in already; open it by hand, or set passback back to mark"
TIMELESS = "not opened for a plate that may pass at certain times only, while the time is not known; set the clock"

log = logging.getLogger("linli.gates")


class Gates:
    """Which camera opens what; remembers hashes of the plates that it was opened for, not the plates."""

    def __init__(
        self,
        gates: Mapping[str, GateAction],
        actions: Actions,
        clock: Clock,
        refused: Callable[[VisionEvent], bool] = lambda _: False,
    ) -> None:
        """``refused`` says of which early words the gate stays shut although the plate is on the list."""
        self._gates, self._actions, self._clock, self._is_refused = gates, actions, clock, refused
        self._key = os.urandom(16)
        self._opened: dict[tuple[str, bytes], float] = {}
        self._refused: dict[str, str] = {}

    def take(self, event: VisionEvent) -> None:
        """An early word of a camera: a plate on a list, still in front of it."""
        gate = self._gates.get(event.camera)
        if gate is None or event.type or event.event != "allow":
            return
        now = self._clock.monotonic()
        way = str(event.data.get("way"))
        seen = event.monotonic - float(event.data.get("age", 0.0))  # a worker that lags tells late of what it saw
        if now - seen > STALE or (gate.way != "any" and way != gate.way):
            return
        plate = hashlib.blake2b(str(event.data.get("plate")).encode(), key=self._key, digest_size=12).digest()
        self._opened = {key: at for key, at in self._opened.items() if now - at < self._gates[key[0]].again}
        if (event.camera, plate) in self._opened:
            return
        why = self._shut(event) or self._actions.open(event.camera)
        if not why:
            self._opened[event.camera, plate] = now
        if why != self._refused.get(event.camera, ""):
            level = logging.WARNING if why else logging.INFO
            log.log(level, "gate of camera %s: %s", event.camera, why or "opens again")
        self._refused[event.camera] = why

    def _shut(self, event: VisionEvent) -> str:
        """Why it stays shut for this one although its plate is on the list; "" when nothing speaks against it."""
        if event.data.get("limited") and self._clock.quality() == "unknown":
            return TIMELESS
        return INSIDE if self._is_refused(event) else ""
