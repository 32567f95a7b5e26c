"""Simulated Modbus slaves for tests: written from the standard, sharing no code with the driver or pymodbus."""

import asyncio
import contextlib
import os
import pty
import struct
import tty
from collections.abc import Callable

from gateway.cli.simulate.checks import crc16

WRITES = (5, 6, 15, 16, 22)


def rtu(body: bytes) -> bytes:
    return body + crc16(body)


def rtu_length(begin: bytes) -> int:
    """Bytes of the RTU question that begins so (at least 7 of it)."""
    return {15: 9 + begin[6], 16: 9 + begin[6], 22: 10}.get(begin[1], 8)


class Slave:
    """Registers and bits of one unit; what is not there answers exception 2. ``most``: longest read it takes."""

    def __init__(self, registers: dict[int, int] | None = None, bits: dict[int, bool] | None = None) -> None:
        self.registers = registers if registers is not None else {}
        self.bits = bits if bits is not None else {}
        self.most = 125
        self.exception = 0
        self.silent = False
        self.asked: list[tuple[int, int, int]] = []
        self.refused: dict[int, int] = {}  # exception code by function
        self.mute: set[int] = set()  # functions that are carried out without a word
        self.stuck = False  # writes are taken, and change nothing
        self.written: list[bytes] = []

    def answer(self, pdu: bytes) -> bytes | None:
        if pdu[0] in self.refused:
            return bytes((pdu[0] | 0x80, self.refused[pdu[0]]))
        if pdu[0] in WRITES and not self.silent:
            self.written.append(pdu)
            done = self.write(pdu)
            return None if pdu[0] in self.mute else done
        function, start, count = struct.unpack(">BHH", pdu)
        self.asked.append((function, start, count))
        if self.silent:
            return None
        if self.exception:
            return bytes((function | 0x80, self.exception))
        if function in (1, 2):
            bits = [self.bits.get(at) for at in range(start, start + count)]
            if None in bits:
                return bytes((function | 0x80, 2))
            data = bytearray((count + 7) // 8)
            for at, bit in enumerate(bits):
                data[at >> 3] |= bool(bit) << (at & 7)
            return bytes((function, len(data))) + data
        assert function in (3, 4), f"the gateway asked function {function}"
        words = [self.registers.get(at) for at in range(start, start + count)]
        if None in words or count > self.most:
            return bytes((function | 0x80, 2))
        return bytes((function, 2 * count)) + struct.pack(f">{count}H", *words)

    def write(self, pdu: bytes) -> bytes:
        """Carry out functions 5, 6, 15, 16 and 22 (Modbus application protocol 1.1b3)."""
        function, start, value = struct.unpack(">BHH", pdu[:5])
        registers, bits = dict(self.registers), dict(self.bits)
        if function == 5:
            assert value in (0, 0xFF00)
            bits[start] = value == 0xFF00
        elif function == 6:
            registers[start] = value
        elif function == 15:
            assert pdu[5] == (value + 7) // 8 == len(pdu) - 6
            bits |= {start + at: bool(pdu[6 + at // 8] >> at % 8 & 1) for at in range(value)}
        elif function == 16:
            assert pdu[5] == 2 * value == len(pdu) - 6
            registers |= {start + at: word for at, word in enumerate(struct.unpack(f">{value}H", pdu[6:]))}
        else:
            (set_to,) = struct.unpack(">H", pdu[5:])
            registers[start] = registers[start] & value | set_to & ~value & 0xFFFF
        if registers.keys() != self.registers.keys() or bits.keys() != self.bits.keys():
            return bytes((function | 0x80, 2))
        if not self.stuck:
            self.registers.update(registers)
            self.bits.update(bits)
        return pdu[:5] if function in (15, 16) else pdu


class TcpFarm:
    """Modbus TCP (or RTU over TCP) server of any number of units on one port."""

    def __init__(self, slaves: dict[int, Slave], *, framing: str = "tcp") -> None:
        self.slaves = slaves
        self.framing = framing
        self.port = 0
        self.spoil: Callable[[bytes], bytes] = lambda frame: frame
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "TcpFarm":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0.01)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                frame = await self._answer(reader)
                if frame is not None:
                    writer.write(self.spoil(frame))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes | None:
        if self.framing == "rtu":
            request = await reader.readexactly(7)
            request += await reader.readexactly(rtu_length(request) - 7)
            assert request[-2:] == crc16(request[:-2])
            slave = self.slaves.get(request[0])
            pdu = slave.answer(request[1:-2]) if slave else None
            return None if pdu is None else rtu(request[:1] + pdu)
        request = await reader.readexactly(6)
        request += await reader.readexactly(int.from_bytes(request[4:6]))
        slave = self.slaves.get(request[6])
        pdu = slave.answer(request[7:]) if slave else None
        return None if pdu is None else request[:4] + struct.pack(">HB", len(pdu) + 1, request[6]) + pdu


class PtyBus:
    """An RS-485 bus on a real pseudo-terminal: the gateway opens ``path``, the slaves listen at the other end."""

    def __init__(self, slaves: dict[int, Slave]) -> None:
        self.slaves = slaves
        self.spoil: Callable[[bytes, bytes], list[tuple[float, bytes]]] = lambda _request, frame: [(0.0, frame)]
        self.requests: list[bytes] = []
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        os.set_blocking(self._master, False)
        self._loop.add_reader(self._master, self._heard)

    def unplug(self) -> None:
        if self._master >= 0:
            self._loop.remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = -1

    def send(self, data: bytes) -> None:
        if self._master >= 0:
            os.write(self._master, data)

    def _heard(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._buffer += os.read(self._master, 4096)
        while len(self._buffer) >= 8 and len(self._buffer) >= (length := rtu_length(self._buffer)):
            request, self._buffer = self._buffer[:length], self._buffer[length:]
            assert request[-2:] == crc16(request[:-2]), f"the gateway sent {request.hex(' ')}"
            self.requests.append(request)
            slave = self.slaves.get(request[0])
            pdu = slave.answer(request[1:-2]) if slave else None
            for delay, data in self.spoil(request, b"" if pdu is None else rtu(request[:1] + pdu)):
                if delay:
                    self._loop.call_later(delay, self.send, data)
                elif data:
                    self.send(data)
