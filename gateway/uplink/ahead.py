"""Runs of one stream, read and unpacked in the store's thread before they are needed."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from gateway.contract import Run, Stream

LOW_BYTES = 1024 * 1024


class Runs(Protocol):
    """What this needs of the store."""

    @property
    def erasures(self) -> int:
        """How often records were erased on demand: what was read before may hold them."""

    async def runs(self, stream: Stream, after: int, limit: int, max_bytes: int) -> Sequence[Run]:
        """Committed records behind ``after``, as some runs; at least one, if there is any record."""


class Ahead:
    """Gives out a stream in order; holds what the store reads in one go, twice at most."""

    def __init__(self, store: Runs, stream: Stream) -> None:
        self._store, self._stream = store, stream
        self._ready: deque[Run] = deque()
        self._reading: asyncio.Task[Sequence[Run]] | None = None
        self._erasures = store.erasures

    async def next(self, after: int, limit: int, size: int, end: int) -> Run | None:
        """Return what follows ``after``: at most ``limit`` records and about ``size`` bytes, or a single record.

        ``end`` is the last sequence that there is. None when it cannot be had now; CommandError as the store's.
        """
        if self._erasures != self._store.erasures:  # on a stream that is held, it may have been read long ago
            self._erasures = self._store.erasures
            await self.stop()
        run = self._fitting(after, limit, size)
        if run is None and self._reading is not None:
            try:
                self._ready.extend(await self._reading)
            finally:
                self._reading = None
            run = self._fitting(after, limit, size)
        if run is None:
            self._ready.extend(await self._store.runs(self._stream, after, limit, size))
            run = self._ready.popleft() if self._ready else None
        if run is not None and self._reading is None and sum(len(each.json) for each in self._ready) < LOW_BYTES:
            reached = self._ready[-1].last if self._ready else run.last
            if reached < end:
                self._reading = asyncio.create_task(self._store.runs(self._stream, reached, limit, size))
        return run

    async def stop(self) -> None:
        """Forget what was read."""
        self._ready.clear()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
            if not self._reading.cancelled():
                self._reading.exception()  # seen: nobody waits for it any more
            self._reading = None

    def _fitting(self, after: int, limit: int, size: int) -> Run | None:
        """Take the first run if it follows ``after`` and is not too large by now; else all were read in vain."""
        if not self._ready:
            return None
        first = self._ready[0]
        if first.after == after and (first.records == 1 or (first.records <= limit and len(first.json) <= size + 2)):
            return self._ready.popleft()
        self._ready.clear()
        return None
