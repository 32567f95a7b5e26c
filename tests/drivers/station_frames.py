"""Fire and environment stations for tests: frames as they send them, and clients that call over real TCP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from drivers.hj212.packet import build

SOURCE = bytes.fromhex("790300000000")
CENTRE = bytes.fromhex("385b01000000")
TIME = bytes.fromhex("1e1908150b1a")  # 2026-11-21 08:25:30
MN = "010000A8900016F000169DC0"
FIRE, FAULT, NORMAL = 0b11, 0b101, 0b1


def frame(serial: int, unit: bytes = b"", command: int = 2, source: bytes = SOURCE, time: bytes = TIME) -> bytes:
    """A frame of GB/T 26875.3, put together here and not by the code under test."""
    body = serial.to_bytes(2, "little") + b"\x01\x00" + time + source + CENTRE
    body += len(unit).to_bytes(2, "little") + bytes((command,)) + unit
    return b"@@" + body + bytes((sum(body) % 256,)) + b"##"


def component(
    state: int, circuit: int = 10, number: int = 2, note: str = "", system: int = 1, kind: int = 40, time: bytes = TIME
) -> bytes:
    """The unit of one component's state (type 2)."""
    return b"\x02\x01" + component_object(state, circuit, number, note, system, kind, time)


def component_object(
    state: int, circuit: int = 10, number: int = 2, note: str = "", system: int = 1, kind: int = 40, time: bytes = TIME
) -> bytes:
    text = note.encode("gb18030").ljust(31, b"\0")
    place = circuit.to_bytes(2, "little") + number.to_bytes(2, "little")
    return bytes((system, 1, kind)) + place + state.to_bytes(2, "little") + text + time


def system_state(state: int, system: int = 1, time: bytes = TIME) -> bytes:
    return b"\x01\x01" + bytes((system, 1)) + state.to_bytes(2, "little") + time


def device_state(state: int, time: bytes = TIME) -> bytes:
    return b"\x15\x01" + bytes((state,)) + time


def operation(flags: int, operator: int = 7, time: bytes = TIME) -> bytes:
    """An operation at the station itself (type 24)."""
    return b"\x18\x01" + bytes((flags, operator)) + time


def panel_operation(flags: int, system: int = 1, operator: int = 7, time: bytes = TIME) -> bytes:
    return b"\x04\x01" + bytes((system, 1, flags, operator)) + time


def analogue(kind: int, raw: int, circuit: int = 10, number: int = 2, time: bytes = TIME) -> bytes:
    place = circuit.to_bytes(2, "little") + number.to_bytes(2, "little")
    return b"\x03\x01\x01\x01\x5c" + place + bytes((kind,)) + raw.to_bytes(2, "little", signed=True) + time


def packet(
    content: str,
    command: int = 2011,
    number: str = "20261121082530123",
    flag: int | None = 5,
    password: str = "123456",
    more: str = "",
) -> bytes:
    """A packet of HJ 212-2017; the checksum is checked against the standard's own example elsewhere."""
    head = f"QN={number};" if number else ""
    head += f"ST=39;CN={command};PW={password};MN={MN};" + (f"Flag={flag};" if flag is not None else "") + more
    return build(f"{head}CP=&&{content}&&")


class Caller:
    """A station's own TCP client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def frame(self) -> bytes:
        """The next frame of GB/T 26875.3 that comes back."""
        head = await self.reader.readexactly(27)
        return head + await self.reader.readexactly(int.from_bytes(head[24:26], "little") + 3)

    async def line(self) -> bytes:
        return await self.reader.readline()

    async def ask(self, data: bytes) -> bytes:
        await self.say(data)
        return await self.frame()

    async def is_hung_up_on(self) -> bool:
        """Wait for the end of the connection."""
        try:
            while await self.reader.read(4096):
                pass
        except ConnectionError:
            pass
        return True


@asynccontextmanager
async def calling(port: int, host: str = "127.0.0.1") -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.transport.abort()
