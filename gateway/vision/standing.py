"""How a camera stands: its state, why and since when; each change is logged once and becomes a record."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from gateway.contract import Clock, Put, SourceState, StateChange
from gateway.vision.troubles import Trouble

log = logging.getLogger("linli.vision")


class Standing:
    """Of one camera; ``put`` takes what is to be recorded."""

    def __init__(self, name: str, clock: Clock, put: Put) -> None:
        self.state = SourceState.STARTING
        self.reason = "starting"
        self.sentence = "the camera is being opened"
        self._name, self._clock, self._put = name, clock, put
        self._since = clock.wall()
        self._troubles: dict[Trouble, int] = {}  # and since when

    @property
    def gives(self) -> bool:
        """Whether the camera gives pictures now; a lost one keeps its worker as long as that makes clips."""
        return self.state in (SourceState.ONLINE, SourceState.DEGRADED)

    def view(self, stamp: Callable[[int], str]) -> dict[str, Any]:
        """How it is now, as JSON values; ``stamp`` turns ns since 1970 into RFC 3339.

        ``troubles`` are all that lessen it, the most serious first: that one is its reason.
        """
        troubles = [{"reason": one[0], "sentence": one[1], "since": stamp(at)} for one, at in self._troubles.items()]
        return {
            "state": self.state.value,
            "reason": self.reason,
            "text": self.sentence,
            "since": stamp(self._since),
            "troubles": troubles,
        }

    async def become(self, state: SourceState, reason: str, sentence: str, besides: Sequence[Trouble] = ()) -> None:
        """It is so from now on; what was so before is no change. ``besides`` lessen it, too."""
        before = self.state, self.reason, self._besides
        self.state, self.reason, self.sentence = state, reason, sentence
        self._keep([(reason, sentence), *besides] if state is SourceState.DEGRADED else [])
        if (state, reason) != before[:2]:
            self._since = self._clock.wall()
            level = logging.WARNING if state in (SourceState.OFFLINE, SourceState.DEGRADED) else logging.INFO
            log.log(level, "camera %s is %s: %s", self._name, state.value, sentence)
        if (state, reason, self._besides) != before:
            await self.emit()

    @property
    def _besides(self) -> tuple[str, ...]:
        """Codes of all that lessens it but its reason, each once: alarms wait for any of them."""
        return tuple(sorted({reason for reason, _ in self._troubles} - {self.reason}))

    def _keep(self, troubles: Sequence[Trouble]) -> None:
        """Keep since when each holds: its sentence may change, and what is one of two is known by it."""
        before, now = self._troubles, self._clock.wall()
        began = {reason: at for (reason, _), at in reversed(before.items())}
        known = {reason for reason, _ in before}
        self._troubles = {one: before.get(one, began.get(one[0], now)) for one in troubles}
        for reason, sentence in troubles[1:]:
            if reason not in known:
                log.warning("camera %s besides: %s", self._name, sentence)

    async def emit(self) -> None:
        """Put on record how it is."""
        wall, monotonic = self._clock.wall(), self._clock.monotonic()
        told = self.state, self.reason, self.sentence, wall, monotonic, self._besides
        await self._put(StateChange("camera", self._name, *told))
