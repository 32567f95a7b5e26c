"""A pipe to simulated meters without a line between, and what they hold; the meters are those of `linli simulate`."""

from collections.abc import Callable

from gateway.cli.simulate.checks import crc16, digits
from gateway.cli.simulate.cjt188 import CjtMeter
from gateway.cli.simulate.dlt645 import DltMeter, sealed
from gateway.contract import DeviceSilentError
from tests.modbus_farm import Slave

__all__ = ["CjtMeter", "DltMeter", "Hear", "Wire", "digits", "modbus_ear", "sealed", "water"]

Hear = Callable[[bytes], bytes]


def modbus_ear(unit: int, slave: Slave) -> Hear:
    """A Modbus RTU slave on the same wire."""

    def hear(sent: bytes) -> bytes:
        if len(sent) != 8 or sent[0] != unit or crc16(sent[:6]) != sent[6:]:
            return b""
        body = sent[:1] + (slave.answer(sent[1:6]) or b"")
        return body + crc16(body)

    return hear


def water(total: int = 12345, *, unit: int = 0x2C, status: bytes = b"\0\0", clock: str = "20261121082530") -> bytes:
    """The data of 901F of a water or gas meter."""
    return digits(total, 4) + bytes([unit]) + digits(12000, 4) + bytes([unit]) + bytes.fromhex(clock)[::-1] + status


class Wire:
    """A pipe to slaves: ``spoil`` turns (question, true answer) into the chunks that arrive; then silence."""

    def __init__(self, *ears: Hear) -> None:
        self.ears = ears
        self.spoil = lambda _question, answer: [answer]
        self.questions: list[bytes] = []
        self.chunks: list[bytes] = []

    async def write(self, data: bytes) -> None:
        self.questions.append(data)
        answer = b"".join(ear(data) for ear in self.ears)
        self.chunks += [chunk for chunk in self.spoil(data, answer) if chunk]

    async def read(self, at_most: int = 4096) -> bytes:
        if not self.chunks:
            raise DeviceSilentError("silence")
        chunk, rest = self.chunks[0][:at_most], self.chunks[0][at_most:]
        self.chunks[:1] = [rest] if rest else []
        return chunk

    async def drain_input(self) -> bytes:
        stale, self.chunks = b"".join(self.chunks), []
        return stale
