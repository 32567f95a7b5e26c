"""When a device is due: slots aligned with its phase, back-off while it is silent. Pure: time is passed in."""

from __future__ import annotations

import math
import random

GOLDEN = 0.6180339887498949  # its multiples fall evenly into 0..1, however many devices a line has
FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 10.0  # a line's budget for silent devices stretches this where others would suffer
# Event loops round timers to milliseconds and may wake early: such a poll belongs to the slot it was meant for.
EARLY = 0.002


class Pace:
    """Slots of ``every`` seconds. A poll belongs to the slot in which it was started; a slot without one is missed."""

    def __init__(self, every: float, place: int) -> None:
        self._every = every
        self._early = min(EARLY, every / 2)
        self._phase = (place * GOLDEN) % 1.0 * every
        self._last: int | None = None

    def due(self, now: float) -> float:
        """Time of the next poll; not later than ``now`` when it is due."""
        if self._last is None:
            return now
        return self._phase + (self._last + 1) * self._every

    def start(self, now: float) -> int:
        """A poll starts now; returns how many slots were missed before it."""
        slot = math.floor((now + self._early - self._phase) / self._every)
        missed = 0 if self._last is None else max(0, slot - self._last - 1)
        self._last = slot
        return missed

    def deadline(self, now: float) -> float:
        """When a poll started now should be done: the end of its slot."""
        return now + self._every

    def restart(self) -> None:
        """Poll as soon as possible, and count nothing that lies between as missed."""
        self._last = None


class Backoff:
    """Growing waits, jittered so that devices that died together are not probed together."""

    def __init__(self, first: float = FIRST_BACKOFF, longest: float = LONGEST_BACKOFF) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def wait(self) -> float:
        """Return the next wait in seconds."""
        now, self._next = self._next, min(2 * self._next, self._longest)
        return now * random.uniform(0.75, 1.0)  # noqa: S311 - spreads probes, no secret

    def reset(self) -> None:
        """Start again with the shortest wait."""
        self._next = self._first
