"""Simulated Modbus slaves: registers and bits out of values, in RTU, ASCII and TCP (application protocol 1.1b3)."""

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

from gateway.cli.simulate.checks import crc16, lrc
from gateway.cli.simulate.gauge import Grid, Moment, Values, grid_of
from gateway.cli.simulate.slave import Asked
from gateway.contract import DeviceSpec, Point, Scalar

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, BUSY = 1, 2, 3, 6
TABLES = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}  # and the functions that read them
MOST = {1: 2000, 2: 2000, 3: 125, 4: 125}
WRITES = {5: 1, 6: 3, 15: 1, 16: 3}  # functions that write, and the table
PACKED = {
    "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "uint64": ">Q", "float32": ">f",
    "float64": ">d",
}  # fmt: skip
HOLE = 32  # registers without a point that are still there, and 0
SHORTEST_RTU = 4
MBAP = struct.Struct(">HHHB")


class Bank(Protocol):
    """The registers and bits of one unit."""

    def read(self, table: int, start: int, count: int) -> list[int] | None:
        """What stands there, None when some of it does not exist."""

    def write(self, table: int, start: int, words: list[int]) -> bool:
        """Set it; False when it may not be set."""


class Tables(NamedTuple):
    """A Bank that is written down, by wire address (0-based): bits are 0 or 1, registers 0 to 65535."""

    coil: Mapping[int, int] = {}
    discrete: Mapping[int, int] = {}
    holding: Mapping[int, int] = {}
    input: Mapping[int, int] = {}

    def read(self, table: int, start: int, count: int) -> list[int] | None:
        """See ``Bank``."""
        there = self[table - 1]
        words = [there.get(address) for address in range(start, start + count)]
        return None if None in words else [word for word in words if word is not None]

    def write(self, _table: int, _start: int, _words: list[int]) -> bool:
        """See ``Bank``: nothing may be set."""
        return False


def respond(bank: Bank, request: bytes, *, most: int | None = None) -> bytes:
    """Answer one request PDU, or refuse it with an exception; ``most``: words in one read."""
    function = request[0] if request else 0
    if function in MOST:
        if len(request) != 5:
            return bytes((function | 0x80, ILLEGAL_VALUE))
        start, count = struct.unpack(">HH", request[1:])
        if not 1 <= count <= min(MOST[function], most or 2000):
            return bytes((function | 0x80, ILLEGAL_VALUE))
        words = bank.read(function, start, count)
        if words is None:
            return bytes((function | 0x80, ILLEGAL_ADDRESS))
        if function < 3:
            data = sum(word << place for place, word in enumerate(words)).to_bytes((count + 7) // 8, "little")
        else:
            data = b"".join(word.to_bytes(2, "big") for word in words)
        return bytes((function, len(data))) + data
    if function in WRITES and len(request) >= 5:
        words = _written(function, request)
        if words is None:
            return bytes((function | 0x80, ILLEGAL_VALUE))
        if not bank.write(WRITES[function], int.from_bytes(request[1:3], "big"), words):
            return bytes((function | 0x80, ILLEGAL_ADDRESS))
        return request[:5]
    return bytes((function | 0x80, ILLEGAL_FUNCTION))


def _written(function: int, request: bytes) -> list[int] | None:
    """The words that a write sets, None when it is malformed."""
    value = int.from_bytes(request[3:5], "big")
    if function == 5:
        return [value >> 15] if value in (0, 0xFF00) and len(request) == 5 else None
    if function == 6:
        return [value] if len(request) == 5 else None
    data = request[6:]
    wide = (value + 7) // 8 if function == 15 else 2 * value
    if not value or len(request) < 6 or request[5] != wide or len(data) != wide:
        return None
    if function == 15:
        number = int.from_bytes(data, "little")
        return [number >> place & 1 for place in range(value)]
    return list(struct.unpack(f">{value}H", data))


class _Place(NamedTuple):
    table: int
    start: int
    size: int


class PointBank:
    """A Bank made of points."""

    def __init__(self, points: Mapping[str, Point], values: Values, now: Moment) -> None:
        self._points = points
        self._places = {name: place_of(point) for name, point in points.items()}
        self._values = values
        self._now = now

    def read(self, table: int, start: int, count: int) -> list[int] | None:
        """See ``Bank``."""
        places = [place for place in self._places.values() if place.table == table]
        words: list[int] = []
        for address in range(start, start + count):
            before = max((place.start + place.size for place in places if place.start <= address), default=None)
            after = min((place.start for place in places if place.start > address), default=None)
            inside = before is not None and address < before
            between = before is not None and after is not None and after - before <= HOLE
            if not inside and not between:
                return None
            words.append(0)
        for name, place in self._places.items():
            if place.table == table and place.start < start + count and start < place.start + place.size:
                for offset, word in enumerate(self._words(name, place)):
                    at = place.start + offset - start
                    if 0 <= at < count:
                        words[at] |= word
        return words

    def write(self, table: int, start: int, words: list[int]) -> bool:
        """See ``Bank``: whole points that are writable may be set."""
        for name, place in self._places.items():
            if (place.table, place.start, place.size) == (table, start, len(words)) and self._points[name].write:
                self._values.written[name] = _unword(self._points[name], words)
                return True
        return False

    def _words(self, name: str, place: _Place) -> list[int]:
        point, raw = self._points[name], self._now.raw(name)
        if raw is None:
            raw = _absent(point, place)
        if place.table < 3:
            number = int(bool(raw)) if point.type == "bool" else int(raw)
            return [number >> bit & 1 for bit in range(place.size)]
        if point.type == "bool":
            return [int(bool(raw)) << (point.bit or 0)]
        return list(struct.unpack(f">{place.size}H", _ordered(_packed(point, raw, 2 * place.size), point.order)))


def place_of(point: Point) -> _Place:
    """Where a point lies."""
    table, _, address = point.at.replace(" ", "").lower().partition(":")
    size = struct.calcsize(PACKED[point.type]) // 2 if point.type in PACKED else point.length or 1
    return _Place(TABLES[table], int(address, 0), 1 if point.type == "bool" else size)


def _packed(point: Point, raw: Scalar, size: int) -> bytes:
    if isinstance(raw, str):
        return raw.encode()[:size].ljust(size, b"\0")
    if point.type in PACKED:
        return struct.pack(PACKED[point.type], raw)
    if point.type == "bcd":
        return bytes.fromhex(f"{int(raw):0{2 * size}d}")
    return int(raw).to_bytes(size, "big")


def _ordered(data: bytes, order: str) -> bytes:
    """Bytes in the device's order, from those with the high byte first."""
    words = [data[at : at + 2] for at in range(0, len(data), 2)]
    if order in ("CDAB", "DCBA"):
        words.reverse()
    return b"".join(word[::-1] if order in ("BADC", "DCBA") else word for word in words)


def _unword(point: Point, words: list[int]) -> Scalar:
    if point.type == "bool":
        return bool(words[0] >> (point.bit or 0) & 1)
    if TABLES[point.at.partition(":")[0].strip().lower()] < 3:
        return sum(word << place for place, word in enumerate(words))
    data = _ordered(struct.pack(f">{len(words)}H", *words), point.order)
    if point.type in PACKED:
        value: float = struct.unpack(PACKED[point.type], data)[0]
        return value
    if point.type == "string":
        return data.rstrip(b"\0").decode("ascii", "replace")
    return int(data.hex()) if point.type == "bcd" else int.from_bytes(data, "big")


def _absent(point: Point, place: _Place) -> Scalar:
    """What a device shows that has no value: its first code for it, or what is none in its type."""
    if point.na:
        code = point.na[0]
        if point.type.startswith("float"):
            return code
        bits = 16 * place.size
        # Codes of 64 bits come rounded out of the settings: 2**64 is meant as all ones.
        whole = min(int(code), (1 << bits) - 1)
        return whole - (1 << bits) if point.type.startswith("int") and whole >= 1 << bits - 1 else whole
    if point.type in ("float32", "float64"):
        return float("nan")
    return "\x01" if point.type == "string" else 0


class ModbusSlave(Asked):
    """One unit. ``most``: words that it gives in one read."""

    busy_code: int | None = BUSY

    def __init__(self, spec: DeviceSpec, values: Values) -> None:
        super().__init__(values)
        self.unit = int(spec.address)
        self.framing = str(spec.options.get("framing", "rtu"))
        self.checked = self.framing != "tcp"
        self._most = spec.options.get("max_read")
        self._points = spec.points

    def hear(self, question: bytes, now: Moment) -> bytes:
        """See ``Slave``."""
        return FRAMINGS[self.framing](question, lambda unit, pdu: self._answer(unit, pdu, now))

    def break_check(self, answer: bytes) -> bytes:
        """See ``Slave``."""
        if self.framing == "ascii":
            wrong = b"0" if answer[-3:-2] != b"0" else b"1"
            return answer[:-3] + wrong + answer[-2:]
        return answer[:-1] + bytes((answer[-1] ^ 0x5A,))

    def _answer(self, unit: int, request: bytes, now: Moment) -> bytes | None:
        if unit != self.unit or not request:
            return None
        if self.refusal is not None:
            return bytes((request[0] | 0x80, self.refusal))
        return respond(PointBank(self._points, self.values, now), request, most=self._most)


class Units(Asked):
    """Any number of units at one end of a line, whose banks ``there`` finds; None: nobody answers there now."""

    def __init__(self, framing: str, there: Callable[[int], Bank | None]) -> None:
        super().__init__(Values("", {}, {}, 0))
        self.framing = framing
        self._there = there

    def hear(self, question: bytes, now: Moment) -> bytes:
        """See ``Slave``."""
        return FRAMINGS[self.framing](question, self._answer)

    def _answer(self, unit: int, request: bytes) -> bytes | None:
        bank = self._there(unit)
        return None if bank is None else respond(bank, request)


def grid(point: Point, _spec: DeviceSpec) -> Grid:
    """The raw values that a point can have."""
    return grid_of(point, 4 * (point.length or 1))


# ---- frames; ``ask`` answers a request of a unit, None: there is no such unit

Ask = Callable[[int, bytes], bytes | None]


def hear_rtu(sent: bytes, ask: Ask) -> bytes:
    """Answer the RTU request in what came until the line fell silent, whatever noise stands around it."""
    for frame in _rtu_frames(sent):
        answer = ask(frame[0], frame[1:-2])
        if answer is not None:
            return frame[:1] + answer + crc16(frame[:1] + answer)
    return b""


def _rtu_frames(sent: bytes) -> Iterator[bytes]:
    if len(sent) >= SHORTEST_RTU and crc16(sent[:-2]) == sent[-2:]:
        yield sent
        return
    for begin in range(len(sent) - 7):
        size = 8 if sent[begin + 1] not in (15, 16) else 9 + sent[begin + 6]
        frame = sent[begin : begin + size]
        if len(frame) == size and crc16(frame[:-2]) == frame[-2:]:
            yield frame


def hear_ascii(sent: bytes, ask: Ask) -> bytes:
    """Answer the first request among lines of hexadecimal digits."""
    for match in re.finditer(rb":((?:[0-9A-Fa-f]{2})+)\r\n", sent):
        frame = bytes.fromhex(match[1].decode())
        if len(frame) >= 3 and sum(frame) % 256 == 0:
            answer = ask(frame[0], frame[1:-1])
            if answer is not None:
                body = frame[:1] + answer
                return b":" + (body + lrc(body)).hex().upper().encode() + b"\r\n"
    return b""


def hear_mbap(sent: bytes, ask: Ask) -> bytes:
    """Answer every request in a piece of a TCP stream that ends where a request ends."""
    answers = b""
    while len(sent) > MBAP.size:
        transaction, protocol, length, unit = MBAP.unpack_from(sent)
        request, sent = sent[MBAP.size : 6 + length], sent[6 + length :]
        answer = ask(unit, request) if protocol == 0 and length == len(request) + 1 else None
        if answer is not None:
            answers += MBAP.pack(transaction, 0, len(answer) + 1, unit) + answer
    return answers


def whole_mbap(buffer: bytes) -> int:
    """How many bytes of a stream are whole requests; all of it when it is no Modbus TCP."""
    end = 0
    while len(buffer) - end >= 6:
        _, protocol, length = struct.unpack_from(">HHH", buffer, end)
        if protocol != 0 or not 2 <= length <= 254:
            return len(buffer)
        if len(buffer) - end < 6 + length:
            break
        end += 6 + length
    return end


FRAMINGS: dict[str, Callable[[bytes, Ask], bytes]] = {"rtu": hear_rtu, "ascii": hear_ascii, "tcp": hear_mbap}
