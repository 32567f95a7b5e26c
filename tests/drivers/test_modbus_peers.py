"""Every way of Modbus against a server that is not ours: pymodbus, over TCP, RTU over TCP, ASCII over TCP, and UDP."""

import asyncio
import socket

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer, ModbusUdpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.clock import SystemClock
from gateway.contract import DeviceSilentError
from gateway.links import Line
from gateway.settings import LineSettings
from tests.drivers.spoken import make
from tests.links.test_line import running

POINTS = {"a": {"at": "holding:0"}, "b": {"at": "holding:1"}, "far": {"at": "holding:40"}}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("kind", "framing", "framer"),
    [
        ("tcp", "tcp", FramerType.SOCKET),
        ("tcp", "rtu", FramerType.RTU),
        ("tcp", "ascii", FramerType.ASCII),
        ("udp", "tcp", FramerType.SOCKET),
        ("udp", "rtu", FramerType.RTU),
    ],
)
async def test_a_pymodbus_server_is_read(kind, framing, framer):
    port = free_port()
    registers = SimData(0, values=[number * 11 for number in range(30)], datatype=DataType.REGISTERS)
    server_of = ModbusTcpServer if kind == "tcp" else ModbusUdpServer
    server = server_of([SimDevice(7, simdata=[registers])], framer=framer, address=("127.0.0.1", port))
    task = asyncio.create_task(server.serve_forever())
    line = Line(LineSettings(name="peer", **{kind: f"127.0.0.1:{port}"}), SystemClock())
    driver = make("modbus", POINTS, 7, framing=framing)
    try:
        async with running(line):
            while line.state != "open":
                await line.changed()

            async def read(timeout: float = 5.0):
                while True:
                    try:
                        return await line.transact(
                            lambda pipe: driver.read(pipe, frozenset(POINTS)), deadline=0, timeout=timeout
                        )
                    except DeviceSilentError:  # a datagram that came before the server listened
                        if kind == "tcp":
                            raise
                        timeout = 5.0

            values = await read(0.2 if kind == "udp" else 5.0)
            assert {name: value.value for name, value in values.items()} == {"a": 0, "b": 11, "far": None}
            assert values["far"].reason == "illegal_address"
    finally:
        await server.shutdown()
        await asyncio.gather(task, return_exceptions=True)
