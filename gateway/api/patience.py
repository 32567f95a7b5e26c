"""Patience with wrong tokens: who sends too many is slowed down, and a management record tells of it."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.contract import Clock, Draft, record_id

WRONG_PER_MINUTE = 10
MINUTE = 60.0
LONGEST = 3600.0  # seconds; a slowdown lasts a minute at first, and twice as long each time its source goes on
SOURCES = 1024  # remembered at once; who was quiet for longest is forgotten first
TOLD_PER_HOUR = 20  # records, and lines of the log, about all sources together: strangers must not fill the disk
NAMED = 5  # strangers that a status shows
REFUSED = "linli.api.refused.v1"

log = logging.getLogger("linli.api")

Tell = Callable[[Draft], Awaitable[None]]


@dataclass(slots=True)
class _Source:
    """Wrong tokens of one source: ``count`` since ``since``, ``untold`` since ``began`` (monotonic seconds)."""

    began: float
    since: float
    until: float
    count: int = 0
    untold: int = 0
    slowed: bool = False
    pause: float = MINUTE


class _Allowance:
    """So many of something in an hour."""

    def __init__(self) -> None:
        self._since = -LONGEST
        self._left = 0

    def take(self, now: float) -> bool:
        if now - self._since >= LONGEST:
            self._since, self._left = now, TOLD_PER_HOUR
        self._left -= 1
        return self._left >= 0


class Patience:
    """Counts wrong tokens by source. ``tell`` takes the drafts of ``linli.api.refused.v1``."""

    def __init__(self, gateway: str, clock: Clock, tell: Tell) -> None:
        self._gateway, self._clock, self._tell = gateway, clock, tell
        self._sources: dict[str, _Source] = {}
        self._lines, self._records = _Allowance(), _Allowance()
        self._left_out = 0

    async def wrong(self, origin: str) -> float:
        """Count one wrong token of this source; returns how many seconds it should wait, 0 for none."""
        now = self._clock.monotonic()
        source = self._sources.pop(origin, None)
        if source is None or now - source.until >= LONGEST:
            source = _Source(now, now, now + MINUTE)
            if self._lines.take(now):
                log.warning("a wrong token came from %s", origin)
        elif now >= source.until:
            if not source.slowed:
                source.pause = MINUTE
            source.since, source.until, source.count, source.slowed = now, now + MINUTE, 0, False
        while len(self._sources) >= SOURCES:
            del self._sources[next(iter(self._sources))]
        self._sources[origin] = source
        source.count += 1
        source.untold += 1
        if source.count <= WRONG_PER_MINUTE:
            return 0.0
        if not source.slowed:
            source.slowed = True
            source.until = now + source.pause
            source.pause = min(2 * source.pause, LONGEST)
            await self._slowed(origin, source, now)
        return source.until - now

    def strangers(self) -> list[dict[str, object]]:
        """Who is slowed down now: ``address``, ``count`` of wrong tokens, ``since`` and ``until`` (RFC 3339)."""
        now, wall, stamp = self._clock.monotonic(), self._clock.wall(), self._clock.rfc3339
        return [
            {
                "address": origin,
                "count": source.count,
                "since": stamp(wall - round((now - source.since) * 1e9)),
                "until": stamp(wall + round((source.until - now) * 1e9)),
            }
            for origin, source in self._sources.items()
            if source.slowed and now < source.until
        ][:NAMED]

    async def _slowed(self, origin: str, source: _Source, now: float) -> None:
        if not self._records.take(now):
            self._left_out += 1
            return
        wall, stamp = self._clock.wall(), self._clock.rfc3339
        seconds = round(source.until - now)
        data = {
            "address": origin,
            "count": source.untold,
            "since": stamp(wall - round((now - source.began) * 1e9)),
            "until": stamp(wall + round((source.until - now) * 1e9)),
            "text": f"{source.untold} wrong tokens came from {origin}: it is slowed down for {seconds} s",
            "others": self._left_out,
        }
        self._left_out = source.untold = 0
        source.began = now
        log.warning("more than %d wrong tokens in a minute from %s: slowed down", WRONG_PER_MINUTE, origin)
        await self._tell(Draft("management", REFUSED, "", self._gateway, wall, data, record_id(wall), monotonic=now))
