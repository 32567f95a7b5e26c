"""UDP lines: real sockets; an answer, a lost datagram, a peer that is not there and comes back."""

import asyncio

import pytest

from gateway.clock import SystemClock
from gateway.contract import DeviceSilentError, LinkError
from gateway.links import Line
from gateway.links.udp import open_udp
from gateway.settings import LineSettings
from tests.drivers.spoken import make
from tests.links.test_line import running
from tests.modbus_farm import Slave

POINTS = {"a": {"at": "holding:0"}, "b": {"at": "holding:1"}}


class Device(asyncio.DatagramProtocol):
    """A Modbus device on UDP; ``copies`` of each answer leave, none when a datagram gets lost."""

    def __init__(self) -> None:
        self.slave = Slave({0: 7, 1: 8})
        self.copies = 1

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, peer) -> None:
        pdu = self.slave.answer(data[7:]) or b""
        for _ in range(self.copies):
            self.transport.sendto(data[:4] + (len(pdu) + 1).to_bytes(2) + data[6:7] + pdu, peer)


async def serve(port: int = 0) -> tuple[Device, int]:
    loop = asyncio.get_running_loop()
    transport, device = await loop.create_datagram_endpoint(Device, local_addr=("127.0.0.1", port))
    return device, transport.get_extra_info("sockname")[1]


async def test_modbus_over_udp_with_lost_and_doubled_datagrams():
    far, port = await serve()
    driver = make("modbus", POINTS, framing="tcp")
    line = Line(LineSettings(name="udp", udp=f"127.0.0.1:{port}"), SystemClock())

    async def read(timeout: float = 5) -> dict:
        values = await line.transact(lambda pipe: driver.read(pipe, frozenset(POINTS)), deadline=0, timeout=timeout)
        return {name: value.value for name, value in values.items()}

    async with running(line):
        assert line.view()["address"] == f"127.0.0.1:{port}"
        assert await read() == {"a": 7, "b": 8}
        far.copies = 2
        assert await read() == {"a": 7, "b": 8}
        far.slave.registers[0] = 9
        assert await read() == {"a": 9, "b": 8}
        far.copies = 0
        with pytest.raises(DeviceSilentError):
            await read(0.05)
        far.transport.abort()
        await asyncio.sleep(0.01)
        for _ in range(2):
            with pytest.raises(DeviceSilentError):  # refused by ICMP: silence, and the line stays open
                await read(0.05)
        far, _ = await serve(port)
        assert await read() == {"a": 7, "b": 8}
        assert line.state == "open"
    far.transport.abort()
    await asyncio.sleep(0)


async def test_an_address_that_cannot_be_used_is_explained():
    with pytest.raises(LinkError, match="not host:port"):
        await open_udp("nowhere", 0.0, SystemClock())
