"""What the rules remember of the outside: the last value of every point they use, its history, camera events."""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from gateway.contract import PointValue, Quality, Scalar

EVENT_HOLDS = 60.0  # seconds that event(…) stays true after its last event
SAMPLES = 256  # a rate's window is kept in at most about twice as many samples, whatever the pace of the device


@dataclass(slots=True)
class Moment:
    """The time of the evaluation that is going on, and of the engine's start; monotonic seconds."""

    now: float = 0.0
    start: float | None = None


class History:
    """Good samples of one point, enough to know its change over ``window`` seconds."""

    def __init__(self, window: float) -> None:
        self.window = window
        self._samples: deque[tuple[float, float]] = deque()
        self._newest: tuple[float, float] | None = None

    def take(self, monotonic: float, value: float) -> None:
        """Add a good sample."""
        self._newest = (monotonic, value)
        samples = self._samples
        if not samples or monotonic - samples[-1][0] >= self.window / SAMPLES:
            samples.append(self._newest)
        while len(samples) > 1 and samples[1][0] <= monotonic - self.window:
            samples.popleft()

    def rate(self) -> float | None:
        """Change per second from the sample before the window's start to the newest.

        None until the window is covered, or when that first sample is older than twice the window.
        """
        if self._newest is None:
            return None
        now, value = self._newest
        then, before = self._samples[0]
        if not self.window <= now - then <= 2 * self.window:
            return None
        return (value - before) / (now - then)


@dataclass(slots=True)
class PointCell:
    """The last read of one point. ``value`` is None while it is bad or was never read."""

    name: str
    value: Scalar | None = None
    quality: Quality = "bad"
    reason: str | None = "never_read"
    unit: str = ""
    time: int | None = None
    good_at: float | None = None
    histories: list[History] = field(default_factory=list)

    def take(self, point: PointValue, unit: str, time: int, monotonic: float) -> None:
        """Take over a read; ``stale`` counts from good ones only."""
        value = point.value
        if isinstance(value, float) and not math.isfinite(value):
            value = None
        self.value, self.unit, self.time = value, unit, time
        self.quality = point.quality if value is not None else "bad"
        self.reason = point.reason if value is not None else point.reason or "no_value"
        if self.quality == "good":
            self.good_at = monotonic
        if value is not None and not isinstance(value, str):
            for history in self.histories:
                history.take(monotonic, float(value))

    def shown(self) -> dict[str, Any]:
        """The point as it stands in an alarm's ``points``; ``time`` still in nanoseconds."""
        shown: dict[str, Any] = {"value": self.value, "unit": self.unit, "quality": self.quality}
        if self.reason is not None:
            shown["reason"] = self.reason
        if self.time is not None:
            shown["time"] = self.time
        return shown


@dataclass(slots=True)
class EventCell:
    """The last event of one kind of one camera; ``lasts``: a fault that is not over."""

    name: str
    at: float | None = None
    time: int | None = None
    lasts: bool = False

    def shown(self) -> dict[str, Any]:
        """The event as it stands in an alarm's ``points``; ``time`` still in nanoseconds."""
        if self.time is None:
            return {"value": False, "unit": "", "quality": "good"}
        return {"value": True, "unit": "", "quality": "good", "time": self.time}


class Inputs:
    """Every point and camera event that some expression uses, by name."""

    def __init__(self) -> None:
        self.moment = Moment()
        self.points: dict[str, dict[str, PointCell]] = {}
        self.events: dict[str, dict[str, EventCell]] = {}

    def point(self, device: str, point: str) -> PointCell:
        """The cell of a point, made on first use."""
        return self.points.setdefault(device, {}).setdefault(point, PointCell(f"{device}.{point}"))

    def event(self, camera: str, word: str) -> EventCell:
        """The cell of a camera's event, made on first use."""
        return self.events.setdefault(camera, {}).setdefault(word, EventCell(f"{camera}.{word}"))
