"""A peer that never stops talking: the search for an answer ends, whatever comes, and costs little."""

import asyncio

import pytest

from drivers.modbus.address import Span, Table
from drivers.modbus.framing import MOST_HEARD, READ, AsciiFraming, Framing, Order, RtuFraming
from gateway.contract import DeviceError

SPAN = Span(Table.HOLDING, 0, 2)
ORDER = Order(SPAN, bytes.fromhex("0600000001"), bytes.fromhex("0600000001"))


class Torrent:
    """A pipe that always has more, without ever giving the event loop a turn."""

    def __init__(self, junk: bytes) -> None:
        self.junk, self.taken = junk, 0

    async def write(self, data: bytes) -> None:
        pass

    async def read(self, at_most: int = 4096) -> bytes:
        self.taken += at_most
        assert self.taken < 10 * MOST_HEARD, "it reads for ever"
        return (self.junk * (at_most // len(self.junk) + 1))[:at_most]

    async def drain_input(self) -> bytes:
        return b""


@pytest.mark.parametrize("framing", [RtuFraming, AsciiFraming])
@pytest.mark.parametrize("junk", [b"\x55", b"\x01\x03\x04", b":0103", b"\r\n", b":\r\n"])
async def test_a_flood_is_named_soon(framing: type[Framing], junk: bytes) -> None:
    for ask in (lambda pipe: framing(1).ask(pipe, SPAN), lambda pipe: framing(1).tell(pipe, ORDER)):
        pipe = Torrent(junk)
        async with asyncio.timeout(20):
            with pytest.raises(DeviceError) as caught:
                await ask(pipe)
        assert caught.value.reason in ("damaged", "crc")
        assert pipe.taken <= MOST_HEARD + 2 * READ
