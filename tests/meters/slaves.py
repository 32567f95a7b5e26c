"""Simulated meters for tests: written from the fact sheets, sharing no code with the drivers."""

from collections.abc import Callable

from gateway.contract import DeviceSilentError
from tests.modbus_farm import Slave, crc16

Hear = Callable[[bytes], bytes]


def sealed(body: bytes) -> bytes:
    total = 0
    for byte in body:
        total = (total + byte) % 256
    return body + bytes([total, 0x16])


def digits(number: int, size: int, *, signed: bool = False) -> bytes:
    """Packed BCD, low byte first."""
    data = bytearray(bytes.fromhex(f"{abs(number):0{2 * size}d}")[::-1])
    if signed and number < 0:
        data[-1] |= 0x80
    return bytes(data)


class DltMeter:
    """A DL/T 645 meter: ``data`` by identifier in capital hex. ``pieces``: bytes in one frame, the rest follows."""

    def __init__(self, address: str, data: dict[str, bytes], *, edition: int = 2007) -> None:
        self.address = address
        self.data = data
        self.edition = edition
        self.pieces = 196
        self.wake = 4
        self.word = 0  # error word for everything, if not 0
        self.deaf: set[str] = set()  # identifiers that it ignores
        self.asked: list[tuple[int, str]] = []

    def hear(self, sent: bytes) -> bytes:
        """Answer one question as it stood on the wire, or b"" when it is for somebody else."""
        frame = sent.lstrip(b"\xfe")
        if len(frame) < 12 or frame[0] != 0x68 or frame[7] != 0x68 or sealed(frame[:-2]) != frame:
            return b""
        control, data = frame[8], bytes((byte - 0x33) % 256 for byte in frame[10:-2])
        to = frame[6:0:-1].hex()
        if to not in (self.address, "a" * 12):
            return b""
        assert control in ((0x11, 0x12, 0x13) if self.edition == 2007 else (0x01, 0x02)), f"asked {control:02X}"
        if control == 0x13:
            return self._say(0x93, bytes.fromhex(self.address)[::-1])
        width = 4 if self.edition == 2007 else 2
        ident = data[:width][::-1].hex().upper()
        self.asked.append((control, ident))
        if ident in self.deaf:
            return b""
        if self.word or ident not in self.data:
            return self._say(control | 0xC0, bytes([self.word or 2]))
        number = 0
        if control & 2:
            number = data[width] if self.edition == 2007 else self._next
        self._next = number + 1
        rest = self.data[ident][number * self.pieces :]
        more = 0x20 if len(rest) > self.pieces else 0
        end = bytes([number]) if number and self.edition == 2007 else b""
        return self._say(control | 0x80 | more, data[:width] + rest[: self.pieces] + end)

    def _say(self, control: int, data: bytes) -> bytes:
        body = b"\x68" + bytes.fromhex(self.address)[::-1] + b"\x68" + bytes([control, len(data)])
        return b"\xfe" * self.wake + sealed(body + bytes((byte + 0x33) % 256 for byte in data))


class CjtMeter:
    """A CJ/T 188 meter: ``data`` by identifier (901F), what follows the serial number. ``order``: low, high, any."""

    def __init__(self, address: str, data: dict[str, bytes], *, type_: int = 0x10, order: str = "any") -> None:
        self.address = address
        self.data = data
        self.type = type_
        self.order = order
        self.refusal = b""
        self.asked: list[bytes] = []

    def hear(self, sent: bytes) -> bytes:
        """As ``DltMeter.hear``."""
        frame = sent.lstrip(b"\xfe")
        if len(frame) != 16 or frame[0] != 0x68 or sealed(frame[:-2]) != frame or frame[1] not in (self.type, 0xAA):
            return b""
        if frame[8:1:-1].hex() not in (self.address, "a" * 14):
            return b""
        assert frame[9] == 0x01, f"asked {frame[9]:02X}"
        said = frame[11:13]
        self.asked.append(said)
        low = said[::-1].hex().upper() in self.data
        if not low and said.hex().upper() not in self.data:
            return b""
        if self.order != "any" and low != (self.order == "low"):
            return b""
        if self.refusal:
            return self._say(0xC1, self.refusal)
        ident = (said[::-1] if low else said).hex().upper()
        return self._say(0x81, said + frame[13:14] + self.data[ident])

    def _say(self, control: int, data: bytes) -> bytes:
        to = bytes.fromhex(self.address)[::-1]
        return b"\xfe\xfe" + sealed(bytes([0x68, self.type]) + to + bytes([control, len(data)]) + data)


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
