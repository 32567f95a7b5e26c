"""A TEST TOOL: a TCP proxy on loopback that delays, stalls, throttles, cuts, flaps and swallows without a word."""

import asyncio
import contextlib
from collections import deque
from types import TracebackType
from typing import Self

CHUNK = 32 * 1024
# What a direction may hold back: as much as a slow router would, so that the sender feels the slow link.
HELD_BYTES = 128 * 1024


class _Direction:
    """One way of one connection: bytes wait here until they are due."""

    def __init__(self, proxy: "FaultProxy", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy, self._reader, self._writer = proxy, reader, writer
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._held = 0
        self._changed, self._gone = asyncio.Event(), asyncio.Event()
        self._free_at = 0.0
        self.swallowing = False

    async def take(self) -> None:
        """Read until the end, and note when each chunk is due."""
        loop = asyncio.get_running_loop()
        while True:
            data = await self._reader.read(CHUNK)
            if self.swallowing:
                if not data:
                    await asyncio.Event().wait()  # not even the end gets through
                self._proxy.swallowed += len(data)
                continue
            self._waiting.append((loop.time() + self._proxy.delay, data))
            self._held += len(data)
            self._changed.set()
            if not data:
                return
            while self._held > HELD_BYTES + self._proxy.delay * self._proxy.line_rate:
                self._gone.clear()
                await self._gone.wait()

    async def give(self) -> None:
        """Write each chunk when it is due, nothing while the link stalls, and no faster than it carries."""
        loop = asyncio.get_running_loop()
        while True:
            while not self._waiting:
                self._changed.clear()
                await self._changed.wait()
            due, data = self._waiting.popleft()
            await asyncio.sleep(max(0.0, due - loop.time()))
            for start in range(0, len(data), self._proxy.piece):
                piece = data[start : start + self._proxy.piece]
                await self._pace(len(piece))
                await self._proxy.moving.wait()
                if self.swallowing:
                    self._proxy.swallowed += len(piece)
                else:
                    self._writer.write(piece)
                    await self._writer.drain()
            self._held -= len(data)
            self._gone.set()
            if not data:
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                return

    async def _pace(self, size: int) -> None:
        if self._proxy.rate is None:
            return
        loop = asyncio.get_running_loop()
        self._free_at = max(self._free_at, loop.time()) + size / self._proxy.rate
        await asyncio.sleep(self._free_at - loop.time())


class FaultProxy:
    """Stands between a client and ``host:port``. Set an attribute or call a method, and the link is so from then on.

    ``delay``: seconds added each way. ``rate``: bytes a second each way, None for as fast as it goes. ``up``: whether
    new connections are taken; while it is False they are cut at once, as by a broker that is gone.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._host, self._upstream = host, port
        self.delay, self.up = 0.0, True
        self.rate: int | None = None
        self.moving = asyncio.Event()
        self.moving.set()
        self.connections, self.swallowed = 0, 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: dict[asyncio.StreamWriter, tuple[_Direction, ...]] = {}

    @property
    def port(self) -> int:
        """Where clients connect."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """The same as a broker's address."""
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def piece(self) -> int:
        """Bytes written at once: a tenth of a second's worth on a slow link."""
        return CHUNK if self.rate is None else max(64, min(CHUNK, self.rate // 10))

    @property
    def line_rate(self) -> float:
        """Bytes a second that a delayed link carries without a throttle."""
        return 1e9 if self.rate is None else float(self.rate)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    # ------------------------------------------------------------------------------------------------ faults

    def cut(self) -> None:
        """End every connection with a reset."""
        for writer in list(self._open):
            writer.transport.abort()

    def half_open(self) -> None:
        """From now on, swallow what existing connections carry: no reset, no end. New ones work."""
        for directions in self._open.values():
            for direction in directions:
                direction.swallowing = True

    def stall(self) -> None:
        """Carry nothing, lose nothing."""
        self.moving.clear()

    def resume(self) -> None:
        """Carry on after a stall."""
        self.moving.set()

    async def flap(self, every: float) -> None:
        """Cut all connections every ``every`` seconds, until cancelled."""
        while True:
            await asyncio.sleep(every)
            self.cut()

    # ------------------------------------------------------------------------------------------------ connections

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        far: asyncio.StreamWriter | None = None
        try:
            if not self.up:
                return
            self.connections += 1
            far_reader, far = await asyncio.open_connection(self._host, self._upstream)
            out, back = _Direction(self, reader, far), _Direction(self, far_reader, writer)
            self._open[writer] = self._open[far] = (out, back)
            await self._carry(out, back)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in (writer, far):
                if one is not None:
                    self._open.pop(one, None)
                    one.transport.abort()
            self._tasks.discard(task)

    @staticmethod
    async def _carry(*directions: _Direction) -> None:
        """Until both ways have ended, or one breaks."""
        gives = [asyncio.ensure_future(direction.give()) for direction in directions]
        takes = [asyncio.ensure_future(direction.take()) for direction in directions]
        pending: set[asyncio.Future[None]] = {*gives, *takes}
        try:
            while not all(give.done() for give in gives):
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in (*gives, *takes):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*gives, *takes, return_exceptions=True)
