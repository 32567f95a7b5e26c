"""The clips that a camera could not make of late, or media not stored: how many, since when, why the last of them."""

from collections.abc import Callable
from typing import Any

from gateway.contract import Clock

REMEMBERED = 24 * 3600.0  # seconds after the last one


class Unmade:
    """Of one camera."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = 0
        self._since = self._wall = 0
        self._last = 0.0
        self._sentence = ""

    def add(self, sentence: str) -> bool:
        """Another one, and why; whether that is news: the first of late, or for another reason than the last."""
        self._forget()
        news = sentence != self._sentence
        self._last, self._wall = self._clock.monotonic(), self._clock.wall()
        self._since = self._since if self._count else self._wall
        self._count, self._sentence = self._count + 1, sentence
        return news

    def view(self, stamp: Callable[[int], str]) -> dict[str, Any] | None:
        """What the status says of them, as JSON values; None when there were none within ``REMEMBERED``."""
        self._forget()
        if not self._count:
            return None
        since, last = stamp(self._since), stamp(self._wall)
        return {"count": self._count, "since": since, "last": last, "text": self._sentence}

    def _forget(self) -> None:
        if self._count and self._clock.monotonic() - self._last > REMEMBERED:
            self._count, self._sentence = 0, ""
