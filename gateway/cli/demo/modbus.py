"""A small Modbus slave of our own: answers read requests from tables, over TCP and as RTU on a pseudo-terminal."""

import asyncio
import contextlib
import os
import pty
import struct
import tty
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
MOST_REGISTERS, MOST_BITS = 125, 2000
RTU_REQUEST = 8  # address, function, start, count, CRC
CHARACTER_SECONDS = 10 / 9600  # 8N1 at 9600 baud
TURNAROUND_SECONDS = 0.005
MBAP = struct.Struct(">HHHB")


@dataclass(frozen=True, slots=True)
class Tables:
    """What one unit holds now, by wire address (0-based): bits are 0 or 1, registers 0 to 65535."""

    discrete: Mapping[int, int] = field(default_factory=dict)
    holding: Mapping[int, int] = field(default_factory=dict)
    input: Mapping[int, int] = field(default_factory=dict)


# None: there is no such unit now, or it does not feel like answering.
Ask = Callable[[int], Tables | None]


def answer(tables: Tables, request: bytes) -> bytes:
    """Answer one request PDU (Modbus Application Protocol 1.1b3, 6.2 to 6.4), or refuse it with an exception."""
    function = request[0] if request else 0
    table = {2: tables.discrete, 3: tables.holding, 4: tables.input}.get(function)
    if table is None:
        return bytes((function | 0x80, ILLEGAL_FUNCTION))
    if len(request) != 5:
        return bytes((function | 0x80, ILLEGAL_VALUE))
    start, count = struct.unpack(">HH", request[1:])
    if not 1 <= count <= (MOST_BITS if function == 2 else MOST_REGISTERS):
        return bytes((function | 0x80, ILLEGAL_VALUE))
    try:
        values = [table[address] for address in range(start, start + count)]
    except KeyError:
        return bytes((function | 0x80, ILLEGAL_ADDRESS))
    if function == 2:
        packed = sum(value << place for place, value in enumerate(values)).to_bytes((count + 7) // 8, "little")
        return bytes((function, len(packed))) + packed
    return struct.pack(f">BB{count}H", function, 2 * count, *values)


def crc16(frame: bytes) -> bytes:
    """The check of RTU (polynomial A001, start FFFF; Modbus over Serial Line 1.02, 6.2.2), low byte first."""
    crc = 0xFFFF
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc.to_bytes(2, "little")


class TcpSlave:
    """Serves units over Modbus TCP on a free port of the loopback interface."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._open.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the master left, or the demo ends: a slave has nothing to mourn
        finally:
            self._open.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            transaction, protocol, length, unit = MBAP.unpack(await reader.readexactly(MBAP.size))
            if protocol != 0 or not 2 <= length <= 254:
                return
            request = await reader.readexactly(length - 1)
            tables = self._ask(unit)
            if tables is None:
                continue
            reply = answer(tables, request)
            writer.write(MBAP.pack(transaction, 0, len(reply) + 1, unit) + reply)
            await writer.drain()


class RtuSlave:
    """Serves units as RTU slaves on a real pseudo-terminal, at about the pace of 9600 baud."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._wire = self._terminal = -1
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._came = asyncio.Event()

    def start(self) -> str:
        """Open the pseudo-terminal; returns the name under which a master opens it."""
        self._wire, self._terminal = pty.openpty()
        tty.setraw(self._terminal)  # no echo, no line editing; our own open end keeps it alive between masters
        os.set_blocking(self._wire, False)
        asyncio.get_running_loop().add_reader(self._wire, self._readable)
        self._task = asyncio.create_task(self._serve(), name="rtu slave")
        return os.ttyname(self._terminal)

    async def stop(self) -> None:
        """Close both ends."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            asyncio.get_running_loop().remove_reader(self._wire)
            os.close(self._wire)
            os.close(self._terminal)
            self._task = None

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._buffer += os.read(self._wire, 4096)
            self._came.set()

    async def _serve(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            while (frame := take_frame(self._buffer)) is not None:
                tables = self._ask(frame[0])
                if tables is None:
                    continue
                reply = frame[:1] + answer(tables, frame[1:-2])
                reply += crc16(reply)
                await asyncio.sleep(TURNAROUND_SECONDS + (len(frame) + len(reply)) * CHARACTER_SECONDS)
                with contextlib.suppress(BlockingIOError):  # nobody reads: a wire has no memory either
                    os.write(self._wire, reply)


def take_frame(buffer: bytearray) -> bytes | None:
    """Take one whole read request off the front of ``buffer``, past whatever is none; None when there is none yet."""
    while len(buffer) >= RTU_REQUEST:
        frame = bytes(buffer[:RTU_REQUEST])
        if crc16(frame[:-2]) == frame[-2:]:
            del buffer[:RTU_REQUEST]
            return frame
        del buffer[0]
    return None
