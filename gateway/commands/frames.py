"""The bytes on the lines for whoever watches: taps lines only while somebody does, and keeps the newest."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.contract import Clock, CommandError, LineKind
from gateway.settings.nearest import did_you_mean

if TYPE_CHECKING:
    from gateway.links import AnyLine

KEPT = 4000  # rows
KEPT_BYTES = 1 << 20
FORGOTTEN_AFTER = 15.0  # seconds after the last look


class Row(NamedTuple):
    """Bytes that went or came at once: ``wall`` nanoseconds since 1970, ``monotonic`` seconds."""

    number: int
    line: str
    direction: str
    wall: int
    monotonic: float
    data: bytes


class Frames:
    """Shows what is on the wire. Nobody watches: nothing is tapped."""

    def __init__(self, lines: Iterable[AnyLine], clock: Clock) -> None:
        self._lines = {line.name: line for line in lines}
        self._clock = clock
        self._rows: deque[Row] = deque(maxlen=KEPT)
        self._bytes = 0
        self._number = 0
        self._holders: Counter[str] = Counter()
        self._news = asyncio.Event()
        self._watching: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def during(self, line: str) -> Iterator[list[Row]]:
        """Collect what is on a line while the block runs; the list is filled when it ends."""
        rows: list[Row] = []
        begin = self._number
        held = [line] if line in self._lines else []
        self._hold(held)
        try:
            yield rows
        finally:
            rows += [row for row in self._rows if row.number > begin and row.line == line]
            self._release(held)

    async def recent(self, line: str | None, after: int | None, wait: float) -> dict[str, Any]:
        """Rows behind number ``after``, waiting up to ``wait`` seconds for the first; without it: from now on."""
        if line is not None and line not in self._lines:
            raise CommandError(f'no line "{line[:80]}" that can be watched; {did_you_mean(line, self._lines)}', 404)
        self._keep_watching()
        begin = self._number if after is None else after
        if not self._behind(line, begin):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    while not self._behind(line, begin):
                        self._news.clear()
                        await self._news.wait()
        rows = self._behind(line, begin)
        oldest = self._rows[0].number if self._rows else self._number + 1
        return {
            "frames": [self.shown(row) for row in rows],
            "next": self._number,
            "missed": max(0, oldest - 1 - begin) if self._rows else 0,
        }

    def shown(self, row: Row) -> dict[str, Any]:
        """A row ready for JSON."""
        return {
            "line": row.line,
            "direction": row.direction,
            "time": self._clock.rfc3339(row.wall),
            "monotonic": round(row.monotonic, 6),
            "data": row.data.hex(),
            "called": self._lines[row.line].kind is LineKind.LISTEN,
        }

    def _behind(self, line: str | None, number: int) -> list[Row]:
        return [row for row in self._rows if row.number > number and line in (None, row.line)]

    def _keep_watching(self) -> None:
        if self._watching is None:
            self._hold(self._lines)
        else:
            self._watching.cancel()
        self._watching = asyncio.get_running_loop().call_later(FORGOTTEN_AFTER, self._forget)

    def _forget(self) -> None:
        self._watching = None
        self._release(self._lines)

    def _hold(self, names: Iterable[str]) -> None:
        for name in names:
            self._holders[name] += 1
            if self._holders[name] == 1:
                self._lines[name].tap(partial(self._take, name))

    def _release(self, names: Iterable[str]) -> None:
        for name in names:
            self._holders[name] -= 1
            if not self._holders[name]:
                self._lines[name].tap(None)
        if not any(self._holders.values()):
            self._rows.clear()
            self._bytes = 0

    def _take(self, line: str, direction: str, data: bytes, monotonic: float) -> None:
        self._number += 1
        while self._rows and (len(self._rows) == KEPT or self._bytes + len(data) > KEPT_BYTES):
            self._bytes -= len(self._rows.popleft().data)
        self._rows.append(Row(self._number, line, direction, self._clock.wall(), monotonic, bytes(data)))
        self._bytes += len(data)
        self._news.set()
