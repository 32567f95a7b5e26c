"""What every device of the gateway has, polled or heard: its points, and a state whose changes are told once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal

from gateway.contract import Clock, CommandError, PointValue, Put, SourceState, StateChange
from gateway.metrics import DEVICE_UP
from gateway.settings.nearest import did_you_mean
from gateway.settings.resolve import ResolvedDevice
from gateway.sources.advice import WITHOUT_VALUE
from gateway.sources.report import shown
from gateway.sources.writing import shape

log = logging.getLogger("linli.sources")

EMPTY = 2  # reads in a row without any value: once may be chance
NO_VALUE = "no_value"
Dated = tuple[PointValue, int, float]  # a value with its time, wall and monotonic


class Watched:
    """One configured device; ``Source`` asks it, ``Station`` hears it."""

    def __init__(self, device: ResolvedDevice, clock: Clock, put: Put, sentence: str) -> None:
        self.name = device.name
        self.state = SourceState.STARTING
        self._device, self._clock, self._put = device, clock, put
        self._points = frozenset(device.spec.points)
        self._units = {name: point.unit for name, point in device.spec.points.items()}
        self._reason, self._sentence = "starting", sentence
        self._since = clock.wall()
        self._up = DEVICE_UP.labels(self.name)
        self._empty = 0

    def unit(self, point: str) -> str:
        """The unit of a point, "" for none."""
        return self._units.get(point, "")

    def shape(self, point: str) -> Literal["bool", "number", "text"]:
        """What values of a point look like; of an unknown point: text."""
        return shape(self._device.spec.points.get(point))

    async def _begin(self) -> None:
        self._up.set(0)
        await self._change(SourceState.STARTING, "starting", self._sentence, force=True)

    def _wanted(self, points: frozenset[str] | None) -> frozenset[str]:
        """The points of a command, all when it names none; CommandError 404 for what is not there."""
        wanted = self._points if points is None else points
        unknown = sorted(wanted - self._points)
        if unknown:
            hint = did_you_mean(unknown[0], self._points)
            raise CommandError(f"{self.name} has no point {unknown[0][:80]!r}; {hint}", status=404)
        return wanted

    def _no_value(self, values: Mapping[str, PointValue]) -> tuple[str, str] | None:
        """Why a device that answers is of no use, if all its points have been bad for more than one read."""
        for value in values.values():
            if value[1] != "bad":
                self._empty = 0
                return None
        if len(values) < len(self._points) or not values:
            return None
        self._empty += 1
        if self._empty < EMPTY:
            return None
        why = ", ".join(sorted({value.reason or "" for value in values.values()}))
        return NO_VALUE, f"answers, but none of its values can be used ({why}); {WITHOUT_VALUE}"

    def _view(self, line: str, last: dict[str, Dated], every: float) -> dict[str, Any]:
        now, rfc3339 = self._clock.monotonic(), self._clock.rfc3339
        return {
            "name": self.name,
            "model": self._device.model,
            "line": line,
            "address": self._device.spec.address,
            "state": self.state.value,
            "reason": self._reason,
            "sentence": self._sentence,
            "since": rfc3339(self._since),
            "last": {  # as the configuration or profile has them: what matters most stands first there
                name: shown(last[name][0], unit, rfc3339(last[name][1]), now - last[name][2])
                for name, unit in self._units.items()
                if name in last
            },
            "every_s": every,
        }

    async def _change(self, state: SourceState, reason: str, sentence: str, *, force: bool = False) -> None:
        self._sentence = sentence
        if (state, reason) == (self.state, self._reason) and not force:
            return
        self.state, self._reason, self._since = state, reason, self._clock.wall()
        level = logging.INFO if state in (SourceState.ONLINE, SourceState.STARTING) else logging.WARNING
        log.log(level, "device %s is %s: %s", self.name, state.value, sentence)
        await self._put(StateChange("device", self.name, state, reason, sentence, self._since, self._clock.monotonic()))
