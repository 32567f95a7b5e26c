"""Simulated electricity meters of DL/T 645-2007 and -1997: identifiers, blocks, following frames, address read."""

from collections.abc import Callable, Mapping

from gateway.cli.simulate.checks import byte_sum, digits
from gateway.cli.simulate.gauge import Grid, Moment, Values, grid_of
from gateway.cli.simulate.slave import Asked
from gateway.contract import DeviceSpec, Point, Scalar

MASK = 0x33
ANYONE = 0xAA
EVERYONE, SET_TIME = b"\x99" * 6, 0x08
OTHER_ERROR, NO_SUCH_DATA = 1, 2
MOST_DATA = 196
# The first member of a block: energies and powers begin with the total, voltages and currents with phase A.
FIRST_MEMBER = {"0201": 1, "0202": 1, "0207": 1, "B61": 1, "B62": 1}
Data = Callable[[str], bytes | None]


def sealed(body: bytes) -> bytes:
    """Append byte sum and end mark to everything from 68H on."""
    return body + byte_sum(body) + b"\x16"


class DltMeter:
    """The meter itself. ``data``: what belongs to an identifier in capital hex, None when there is no such data.

    ``pieces``: bytes in one frame, the rest follows. ``word``: error word for everything, if not 0.
    """

    def __init__(self, address: str, data: Mapping[str, bytes] | Data, *, edition: int = 2007) -> None:
        self.address = address
        self.data = data
        self.edition = edition
        self.pieces = MOST_DATA
        self.wake = 4
        self.word = 0
        self.deaf: set[str] = set()  # identifiers that it ignores
        self.asked: list[tuple[int, str]] = []
        self.forbidden = 0  # questions that were no reads
        self.told = ""  # the time that was broadcast last, as YYMMDDhhmmss
        self._next = 1

    def hear(self, sent: bytes) -> bytes:
        """Answer one question as it stood on the wire, or b"" when it is for somebody else."""
        frame = sent[max(sent.find(b"\x68"), 0) :]
        frame = frame[: 12 + frame[9]] if len(frame) > 9 else frame
        if len(frame) < 12 or frame[0] != 0x68 or frame[7] != 0x68 or sealed(frame[:-2]) != frame:
            return b""
        if frame[1:7] == EVERYONE and frame[8] == SET_TIME:
            self.told = bytes((byte - MASK) % 256 for byte in frame[10:-2])[::-1].hex()
            return b""
        own = bytes.fromhex(self.address)[::-1]
        if any(asked not in (there, ANYONE) for asked, there in zip(frame[1:7], own, strict=True)):
            return b""
        control, data = frame[8], bytes((byte - MASK) % 256 for byte in frame[10:-2])
        if control == 0x13 and self.edition == 2007:
            return self._say(0x93, own)
        if control not in ((0x11, 0x12) if self.edition == 2007 else (0x01, 0x02)):
            self.forbidden += 1
            return b"" if self.edition == 1997 else self._say(control | 0xC0, bytes((OTHER_ERROR,)))
        return self._read(control, data)

    def _read(self, control: int, data: bytes) -> bytes:
        width = 4 if self.edition == 2007 else 2
        ident = data[:width][::-1].hex().upper()
        self.asked.append((control, ident))
        del self.asked[:-1000]
        if ident in self.deaf:
            return b""
        whole = self.data(ident) if callable(self.data) else self.data.get(ident)
        if self.word or whole is None or len(data) < width:
            return self._say(control | 0xC0, bytes((self.word or NO_SUCH_DATA,)))
        number = 0
        if control & 2:
            number = data[width] if self.edition == 2007 and len(data) > width else self._next
        self._next = number + 1
        rest = whole[number * self.pieces :]
        more = 0x20 if len(rest) > self.pieces else 0
        end = bytes((number,)) if number and self.edition == 2007 else b""
        return self._say(control | 0x80 | more, data[:width] + rest[: self.pieces] + end)

    def _say(self, control: int, data: bytes) -> bytes:
        body = b"\x68" + bytes.fromhex(self.address)[::-1] + b"\x68" + bytes((control, len(data)))
        return b"\xfe" * self.wake + sealed(body + bytes((byte + MASK) % 256 for byte in data))


class DltSlave(Asked):
    """A meter whose data are the points of a device."""

    busy_code: int | None = OTHER_ERROR

    def __init__(self, spec: DeviceSpec, values: Values) -> None:
        super().__init__(values)
        self._points = spec.points
        self._places = {name: place_of(point) for name, point in spec.points.items()}
        edition = 1997 if all(len(ident) == 4 for ident, _, _ in self._places.values()) else 2007
        self._now: Moment | None = None
        self.meter = DltMeter(str(spec.address), self._data, edition=edition)

    def hear(self, question: bytes, now: Moment) -> bytes:
        """See ``Slave``."""
        self._now = now
        self.meter.word = self.refusal or 0
        return self.meter.hear(question)

    def _data(self, ident: str) -> bytes | None:
        parts = {name: place for name, place in self._places.items() if place[0] == ident}
        if parts:
            data = bytearray(max((offset or 0) + size for _, offset, size in parts.values()))
            for name, (_, offset, size) in parts.items():
                for at, byte in enumerate(self._bytes(name, size), offset or 0):
                    data[at] |= byte
            return bytes(data)
        return self._block(ident)

    def _block(self, ident: str) -> bytes | None:
        """All values of one kind, when this meter has more than one of them."""
        if ident[4:] == "FF00" and len(ident) == 8:
            kind, behind, shape = ident[:4], "00", "{:s}{:02X}{:s}"
        elif len(ident) == 4 and ident[3] == "F":
            kind, behind, shape = ident[:3], "", "{:s}{:X}{:s}"
        else:
            return None
        first = FIRST_MEMBER.get(kind, 0)
        have = {place[0]: (name, place[2]) for name, place in self._places.items() if place[1] is None}
        idents = [shape.format(kind, member, behind) for member in range(first, 15)]
        there = [at for at, each in enumerate(idents) if each in have]
        if len(there) < 2:
            return None
        size = have[idents[there[0]]][1]
        return b"".join(self._bytes(*have[each]) if each in have else bytes(size) for each in idents[: max(there) + 1])

    def _bytes(self, name: str, size: int) -> bytes:
        raw: Scalar | None = self._now.raw(name) if self._now is not None else None
        point = self._points[name]
        if raw is None:
            return b"\xff" * size
        if point.type == "bool":
            return (int(raw) << (point.bit or 0)).to_bytes(size, "little")
        if point.type == "bits":
            return int(raw).to_bytes(size, "little")
        if isinstance(raw, str):
            return bytes.fromhex("".join(filter(str.isdecimal, raw)).zfill(2 * size)[-2 * size :])[::-1]
        return digits(int(raw), size, signed=point.type == "sbcd")


def place_of(point: Point) -> tuple[str, int | None, int]:
    """Identifier in capital hex, first byte in its data (None: all of it), number of bytes."""
    ident, _, offset = point.at.upper().replace("-", "").replace(" ", "").partition("+")
    return ident, int(offset) if offset else None, point.length or 2


def grid(point: Point, _spec: DeviceSpec) -> Grid:
    """The raw values that a point can have."""
    return grid_of(point, 2 * (point.length or 2))


def text(point: Point, _now: float) -> str:
    """What a text of such a meter says: digits."""
    size = 2 * (point.length or 2)
    return "260011223344556677"[-size:].zfill(size)
