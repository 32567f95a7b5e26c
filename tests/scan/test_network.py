"""Searches of TCP lines: Modbus TCP, RTU through a serial server, and a server that answers to every unit."""

import asyncio
import socket

import pytest
from pyModbusTCP.server import ModbusServer

from gateway.clock import SystemClock
from gateway.scan.paste import Surroundings, toml
from gateway.scan.search import Search, Wanted
from gateway.scan.wire import OwnWire
from gateway.settings import LineSettings
from tests.modbus_farm import Slave, TcpFarm
from tests.scan.sites import SHEETS, run

FEW = [sheet for sheet in SHEETS if sheet.name in ("qdy30a", "renke-rs-ws-n01")]


def search_of(port: int, *units: int, protocols: tuple[str, ...] = ("modbus",)) -> Search:
    line, clock = LineSettings(name="plant", tcp=f"127.0.0.1:{port}"), SystemClock()
    search = Search(OwnWire(line, clock), clock, Wanted(units=units, protocols=protocols), FEW)
    search._modbus_patience.first = search._modbus_patience.least = 0.1
    search._meter_wait = search._mbus_wait = 0.1
    return search


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
async def test_units_behind_a_server_in_its_own_framing(framing: str) -> None:
    async with TcpFarm({3: Slave({3: 2, 4: 182}), 5: Slave()}, framing=framing) as farm:
        if framing == "rtu":
            # A serial server passes on whatever comes: the slaves do not understand the other framing.
            farm._answer = deaf_to_mbap(farm)  # type: ignore[method-assign]
        search = await run(search_of(farm.port, 3, 4, 5))
    assert [(found.address, found.framing) for found in search.found] == [(3, framing), (5, framing)]
    text = toml(search.found, Surroundings(LineSettings(name="plant", tcp="a:1"), is_new_line=False))
    assert ('framing = "rtu"' in text) == (framing == "rtu")
    assert "serial" not in text


def deaf_to_mbap(farm: TcpFarm):
    async def answer(reader: asyncio.StreamReader) -> bytes | None:
        data = await reader.read(64)
        if not data:
            raise asyncio.IncompleteReadError(b"", 8)
        if len(data) != 8:
            return None
        feed = asyncio.StreamReader()
        feed.feed_data(data)
        return await TcpFarm._answer(farm, feed)

    return answer


async def test_one_device_that_answers_to_every_unit_is_one() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ModbusServer("127.0.0.1", port, no_block=True)
    server.start()
    try:
        search = await run(search_of(port, 1, 2, 3))
    finally:
        server.stop()
    (found,) = search.found
    assert found.address == 1
    assert "answers to every unit number: it is one device" in found.remarks


async def test_a_peer_that_hangs_up_on_every_question_is_searched_to_the_end() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        search = await run(search_of(port, 1, 2, protocols=("modbus", "dlt645", "cjt188", "mbus")))
    assert search.complete
    assert (search.found, search.clashes) == ([], [])
