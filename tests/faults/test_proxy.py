"""The fault proxy itself: a tool that does not do what it says would prove nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.proxy import FaultProxy


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A server that sends back what it gets."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    server = await asyncio.start_server(client, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.sleep(0.05)


@asynccontextmanager
async def linked(**faults: object) -> AsyncIterator[tuple[FaultProxy, asyncio.StreamReader, asyncio.StreamWriter]]:
    async with echo() as port, FaultProxy(port) as proxy:
        for name, value in faults.items():
            setattr(proxy, name, value)
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        yield proxy, reader, writer
        writer.transport.abort()


async def test_without_a_fault_every_byte_goes_through() -> None:
    data = bytes(range(256)) * 4096
    async with linked() as (proxy, reader, writer):
        writer.write(data)
        assert await reader.readexactly(len(data)) == data
        writer.write_eof()
        assert await reader.read() == b""
        assert proxy.connections == 1


async def test_a_delay_counts_both_ways() -> None:
    loop = asyncio.get_running_loop()
    async with linked(delay=0.1) as (_, reader, writer):
        began = loop.time()
        writer.write(b"x")
        await reader.readexactly(1)
        assert loop.time() - began >= 0.2


async def test_a_throttle_carries_what_it_says() -> None:
    loop = asyncio.get_running_loop()
    async with linked(rate=20_000) as (_, reader, writer):
        began = loop.time()
        writer.write(b"x" * 10_000)
        await reader.readexactly(10_000)
        assert loop.time() - began >= 0.45


async def test_a_stall_keeps_everything_and_goes_on() -> None:
    async with linked() as (proxy, reader, writer):
        proxy.stall()
        writer.write(b"kept")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(1), 0.2)
        proxy.resume()
        assert await reader.readexactly(4) == b"kept"


async def test_a_cut_is_felt_at_once_and_new_connections_work() -> None:
    async with linked() as (proxy, reader, writer):
        writer.write(b"x")
        await reader.readexactly(1)
        proxy.cut()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        second, out = await asyncio.open_connection("127.0.0.1", proxy.port)
        out.write(b"y")
        assert await second.readexactly(1) == b"y"
        out.transport.abort()


async def test_half_open_swallows_without_a_word() -> None:
    async with linked() as (proxy, reader, writer):
        writer.write(b"x")
        await reader.readexactly(1)
        proxy.half_open()
        writer.write(b"gone")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        assert proxy.swallowed == 4
        assert not reader.at_eof()


async def test_a_broker_that_is_gone_takes_nobody() -> None:
    async with linked(up=False) as (proxy, reader, _):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        assert proxy.connections == 0
