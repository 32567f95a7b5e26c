"""Simulated M-Bus meters (EN 13757-2 and -3): primary and secondary address, telegrams that follow one another."""

import math
from typing import NamedTuple

from gateway.cli.simulate.checks import byte_sum, digits
from gateway.cli.simulate.gauge import Grid, Moment, Text, Values
from gateway.cli.simulate.slave import Asked
from gateway.contract import DeviceSpec, Point, Scalar

ACK = b"\xe5"
RESET, SELECT, APPLICATION_BUSY = 0x40, 0x52, 8
REQUESTS = (0x5B, 0x7B)
SELECTED, ANYONE, TEST = 0xFD, 0xFF, 0xFE
MOST_RECORDS = 200  # bytes in one telegram
MORE_FOLLOWS = 0x1F
MAKER = "SIM"
FUNCTIONS = {"now": 0x00, "max": 0x10, "min": 0x20, "error": 0x30}
FLAGS = {"power-low": 0x04, "permanent-error": 0x08, "temporary-error": 0x10}
HEAD = ("version", "medium", "access-number", "status")
HEAT, WATER = 0x04, 0x07
TEXTS = {"date": "2026-10-31", "date-time": "2026-11-21T08:25"}


class Coding(NamedTuple):
    """The bytes that say what a record is, and how many of the driver's units (Wh, W, m3, s, bar …) one of it is."""

    vif: bytes
    step: float


CODINGS = {
    "energy": Coding(b"\x06", 1000), "energy-joule": Coding(b"\x0e", 1e6), "volume": Coding(b"\x13", 0.001),
    "mass": Coding(b"\x1b", 1), "on-time": Coding(b"\x20", 1), "operating-time": Coding(b"\x24", 1),
    "power": Coding(b"\x2b", 1), "power-joule": Coding(b"\x33", 1000), "volume-flow": Coding(b"\x3b", 0.001),
    "mass-flow": Coding(b"\x53", 1), "flow-temperature": Coding(b"\x59", 0.01),
    "return-temperature": Coding(b"\x5d", 0.01), "temperature-difference": Coding(b"\x61", 0.01),
    "external-temperature": Coding(b"\x65", 0.01), "pressure": Coding(b"\x69", 0.01), "heat-cost": Coding(b"\x6e", 1),
    "fabrication-number": Coding(b"\x78", 1), "humidity": Coding(b"\xfb\x1a", 0.1), "voltage": Coding(b"\xfd\x48", 0.1),
    "current": Coding(b"\xfd\x59", 0.001), "error-flags": Coding(b"\xfd\x17", 1),
    "digital-input": Coding(b"\xfd\x1b", 1),
}  # fmt: skip
NO_INTEGER = -(1 << 31)


class MbusSlave(Asked):
    """A meter whose records are the points of a device."""

    busy_code: int | None = APPLICATION_BUSY

    def __init__(self, spec: DeviceSpec, values: Values) -> None:
        super().__init__(values)
        address = str(spec.address).strip().upper()
        self.primary = int(address) if len(address) <= 3 else 0
        self._identity = _identity(spec)
        self._points = spec.points
        self._selected = False
        self._last = 0
        self._telegram = 0
        self._accessed = 0

    def hear(self, question: bytes, now: Moment) -> bytes:
        """See ``Slave``."""
        for begin, byte in enumerate(question):
            rest = question[begin:]
            if byte == 0x10 and len(rest) >= 5 and rest[4] == 0x16 and rest[3] == (rest[1] + rest[2]) % 256:
                return self._short(rest[1], rest[2], now)
            if byte == 0x68 and len(rest) >= 6 and rest[1] == rest[2] and rest[3] == 0x68:
                body = rest[4 : 4 + rest[1]]
                if len(rest) >= rest[1] + 6 and rest[4 + rest[1]] == sum(body) % 256:
                    return self._long(body)
        return b""

    def break_check(self, answer: bytes) -> bytes:
        """See ``Slave``; an acknowledgement is one byte and has no checksum."""
        return super().break_check(answer) if len(answer) > 1 else answer

    def _short(self, control: int, address: int, now: Moment) -> bytes:
        if address not in (self.primary, TEST) and not (address == SELECTED and self._selected):
            return b""
        if control == RESET:
            self._last = self._telegram = 0
            self._selected = self._selected and address != SELECTED
            return ACK
        if control not in REQUESTS:
            return b""
        telegrams = self._telegrams(now)
        if self._last not in (0, control):
            self._telegram = (self._telegram + 1) % len(telegrams)
        self._last = control
        self._accessed = (self._accessed + 1) % 256
        if self.refusal is not None:
            return _long_frame(bytes((0x08, self.primary, 0x70, self.refusal)))
        records = telegrams[self._telegram]
        more = bytes((MORE_FOLLOWS,)) if self._telegram + 1 < len(telegrams) else b""
        return _long_frame(bytes((0x08, self.primary, 0x72)) + self._head(now) + records + more)

    def _long(self, body: bytes) -> bytes:
        if len(body) == 11 and body[1:3] == bytes((SELECTED, SELECT)):
            self._selected = _fits(body[3:], self._identity)
            self._last = self._telegram = 0
            return ACK if self._selected else b""
        return b""

    def _head(self, now: Moment) -> bytes:
        number = bytearray(self._identity + bytes((self._accessed, 0, 0, 0)))
        for name, point in self._points.items():
            word = point.at.split()[0]
            raw = now.raw(name)
            if word in HEAD and raw is not None:
                number[6 + HEAD.index(word)] = int(raw)
            elif word in FLAGS and raw:
                number[9] |= FLAGS[word]
        return bytes(number)

    def _telegrams(self, now: Moment) -> list[bytes]:
        telegrams = [b""]
        for name, point in self._points.items():
            word = point.at.split()[0]
            if word in CODINGS or word in TEXTS:
                record = _record(point, now.raw(name))
                if len(telegrams[-1]) + len(record) > MOST_RECORDS:
                    telegrams.append(b"")
                telegrams[-1] += record
        return telegrams


def _long_frame(body: bytes) -> bytes:
    return bytes((0x68, len(body), len(body), 0x68)) + body + byte_sum(body) + b"\x16"


def _identity(spec: DeviceSpec) -> bytes:
    """Number, maker, version and medium as they are sent (8 bytes)."""
    address = str(spec.address).strip().upper()
    letters = [ord(letter) - 64 for letter in MAKER]
    maker = (letters[0] << 10 | letters[1] << 5 | letters[2]).to_bytes(2, "little")
    if len(address) == 16:
        return bytes.fromhex(address[:8])[::-1] + bytes.fromhex(address[8:])
    medium = HEAT if any(point.at.startswith(("energy", "power")) for point in spec.points.values()) else WATER
    number = int(address) if len(address) == 8 else 10_000_000 + sum(spec.name.encode()) * 977 % 89_999_999
    return digits(number, 4) + maker + bytes((1, medium))


def _fits(asked: bytes, identity: bytes) -> bool:
    """Whether a selection means this meter; F digits of the number and FF bytes mean any."""
    number = zip(asked[3::-1].hex(), identity[3::-1].hex(), strict=True)
    rest = zip(asked[4:], identity[4:], strict=True)
    return all(a in ("f", b) for a, b in number) and all(a in (ANYONE, b) for a, b in rest)


def _record(point: Point, raw: Scalar | None) -> bytes:
    word, *more = point.at.split()
    function, numbers = 0, {"storage": 0, "tariff": 0, "device": 0}
    for part in more:
        key, _, number = part.partition("=")
        if part in FUNCTIONS:
            function = FUNCTIONS[part]
        else:
            numbers[key] = int(number)
    if word in TEXTS:
        coding, vif, data = _date(str(raw) if raw is not None else "", word)
    else:
        vif, step = CODINGS[word]
        count = NO_INTEGER if raw is None else math.floor(float(raw) / step + 0.5)
        coding, data = 0x04, count.to_bytes(4, "little", signed=True)
    return _dib(coding | function, **numbers) + vif + data


def _dib(first: int, storage: int, tariff: int, device: int) -> bytes:
    """DIF and as many DIFE as the numbers need."""
    block = [first | (storage & 1) << 6]
    storage >>= 1
    while storage or tariff or device:
        block[-1] |= 0x80
        block.append((storage & 0x0F) | (tariff & 3) << 4 | (device & 1) << 6)
        storage, tariff, device = storage >> 4, tariff >> 2, device >> 1
    return bytes(block)


def _date(text: str, word: str) -> tuple[int, bytes, bytes]:
    """Coding, VIF and bytes of a date (type G) or of a date with time (type F)."""
    day, _, time = text.partition("T")
    year, month, date = (int(part) for part in day.split("-")) if day else (2127, 15, 31)
    short = year - 2000
    packed = bytes((date | (short & 7) << 5, month | (short >> 3) << 4))
    if word == "date":
        return 0x02, b"\x6c", packed
    hour, minute = (int(part) for part in time.split(":")) if time else (0, 0x80)
    return 0x04, b"\x6d", bytes((minute, hour)) + packed


def text_of(spec: DeviceSpec) -> Text:
    """Make what says the texts of this meter."""
    identity = _identity(spec)
    maker = int.from_bytes(identity[4:6], "little")
    texts = {
        "id": identity[3::-1].hex(),
        "manufacturer": "".join(chr((maker >> shift & 31) + 64) for shift in (10, 5, 0)),
        **TEXTS,
    }
    return lambda point, _now: texts[point.at.split()[0]]


def grid(point: Point, spec: DeviceSpec) -> Grid:
    """The raw values that a point can have."""
    word = point.at.split()[0]
    if word in HEAD:
        if word in ("version", "medium"):
            fixed = _identity(spec)[6 + HEAD.index(word)]
            return Grid(fixed, fixed)
        return Grid(0, 0)
    step = CODINGS[word].step if word in CODINGS else 1
    return Grid(0, 1_900_000_000 * step, step)
