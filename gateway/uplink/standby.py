"""How the outbox sleeps: until it is woken, until a time, or until there is a new record."""

import asyncio
from collections.abc import Collection, Coroutine, Mapping
from typing import Any, Protocol, Self

from gateway.contract import Clock, Stream


class News(Protocol):
    """What this needs of the store."""

    async def wait(self, streams: Collection[Stream], after: Mapping[Stream, int], timeout: float) -> bool:
        """Wait for a record behind ``after`` in any of the streams."""


class Standby:
    """Sets ``wake`` when it is time or there is news; what it waits with lasts, since a drain rests very often."""

    def __init__(self, store: News, clock: Clock, wake: asyncio.Event) -> None:
        self._store, self._clock, self._wake = store, clock, wake
        self._tasks: dict[str, asyncio.Task[object]] = {}
        self._until = 0.0
        self._after: Mapping[Stream, int] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def wait(self, until: float, after: Mapping[Stream, int]) -> None:
        """Sleep until ``wake``, the monotonic time ``until`` or a record behind ``after``; perhaps less long.

        Raises what the store's ``wait`` does.
        """
        nap = max(0.0, until - self._clock.monotonic())
        if "time" not in self._tasks or until < self._until:
            await self._drop("time")
            self._until = until
            self._begin("time", self._clock.sleep(nap))
        if "news" not in self._tasks or after != self._after:
            await self._drop("news")
            self._after = dict(after)
            if after:
                self._begin("news", self._store.wait(after.keys(), self._after, nap))
        await self._wake.wait()
        for name in [name for name, task in self._tasks.items() if task.done()]:
            self._tasks.pop(name).result()  # what failed while waiting must be heard

    def _begin(self, name: str, work: Coroutine[Any, Any, object]) -> None:
        task = self._tasks[name] = asyncio.ensure_future(work)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[object]) -> None:
        if not task.cancelled():
            self._wake.set()

    async def _drop(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
