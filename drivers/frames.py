"""Devices that send binary frames of one length, by themselves or when asked: declared in ``options``, not coded."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drivers._checksums import CHECKSUMS, Checksum
from drivers._listening import Ear, nothing_good
from drivers._options import Options
from drivers._points import PointError, Raw, check_meaning, finisher
from gateway.contract import ConfigError, DeviceSilentError, DeviceSpec, Pipe, Point, PointValue

FORMATS = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q",
    "float32": "f", "float64": "d",
}  # fmt: skip
OF_LENGTH = {"bits": 8, "bcd": 8, "string": 64}  # and the most bytes they take
LEAST_FOR_MIDDLE = 3
ORDERS = ("ABCD", "DCBA")
Decode = Callable[[bytes], PointValue]


@dataclass(frozen=True, slots=True)
class Form:
    """How a frame is built: ``begin`` to ``sum_at`` is what the checksum covers."""

    header: bytes
    length: int
    checksum: Checksum
    begin: int
    sum_at: int


class FramesDevice:
    """A Driver (see contract). The newest good frame of a read counts."""

    def __init__(
        self,
        form: Form,
        request: bytes,
        median: int,
        points: Mapping[str, Point],
    ) -> None:
        self.free_running = not request
        self._form = form
        self._request = request
        self._median = median
        self._decode = {name: _decoder(point) for name, point in points.items()}
        self._ear = Ear(self._cut, form.length)
        self._damaged: bytes | None = None

    async def read(self, pipe: Pipe, points: frozenset[str]) -> Mapping[str, PointValue]:
        """Read these points once; DeviceError when no good frame comes in time."""
        if self._request:
            await self._ear.ask(pipe, self._request)
        else:
            await self._ear.begin(pipe)
        self._damaged = None
        frames: list[bytes] = []
        while len(frames) < self._median:
            try:
                frames += await self._ear.messages(pipe)
            except DeviceSilentError as error:
                raise nothing_good(error, self._ear, self._damaged) from None
        newest = frames[-self._median :]
        return {name: _middle([self._decode[name](frame) for frame in newest]) for name in points}

    def _cut(self, data: bytes, _aligned: bool) -> tuple[list[bytes], bytes, bool]:
        """Find frames by header and checksum: a header inside a value does not pass for the beginning of a frame."""
        form, at = self._form, 0
        frames: list[bytes] = []
        while True:
            at = data.find(form.header, at)
            if at < 0:
                # The beginning of a header may stand at the end.
                return frames, data[len(data) - len(form.header) + 1 :], True
            frame = data[at : at + form.length]
            if len(frame) < form.length:
                return frames, data[at:], True
            if form.checksum(frame[form.begin : form.sum_at]) == frame[form.sum_at :]:
                frames.append(frame)
                at += form.length
            else:
                self._damaged = frame
                at += 1


def make(spec: DeviceSpec) -> FramesDevice:
    """Build the driver of one device; ConfigError with one sentence ``key: what; fix`` for each mistake."""
    options = Options(spec)
    header = options.hexadecimal("header")
    length = options.number("length", 0, 2, 256)
    checksum = CHECKSUMS.get(options.word("checksum", "", CHECKSUMS))
    begin = options.number("checksum_from", 0, 0, 255)
    request = options.hexadecimal("request")
    median = options.number("median", 1, 1, 9)
    problems = options.finish()
    if checksum is None:
        raise ConfigError(*problems)
    end = length - len(checksum(b""))
    if len(header) < (2 if end == length else 1):
        problems.append("options.header: is too short to find frames by; without a checksum give at least two bytes")
    if request and median > 1:
        problems.append("options.median: a device that is asked gives one frame; leave median or request out")
    if median % 2 == 0:
        problems.append("options.median: an even number has no middle; write 3, 5, 7 or 9")
    if end <= max(len(header), begin):
        problems.append("options.length: leaves no byte before the checksum; count the whole frame")
    if not spec.points:
        problems.append("points: this device needs at least one point, or a profile that has them")
    for name, point in spec.points.items():
        try:
            _check(point, end, spec.points)
        except PointError as error:
            problems.append(f"points.{name}.{error.key}: {error}")
    if problems:
        raise ConfigError(*problems)
    return FramesDevice(Form(header, length, checksum, begin, end), request, median, spec.points)


def _middle(values: list[PointValue]) -> PointValue:
    """Return the middle one when most are numbers, else the most frequent: one wrong among three never counts."""
    if len(values) == 1:
        return values[0]
    numbers = sorted(value.value for value in values if isinstance(value.value, int | float))
    if 2 * len(numbers) <= len(values):
        return max(values, key=values.count)
    if len(numbers) < LEAST_FOR_MIDDLE:
        return next(value for value in values if value.quality == "bad")  # of two, nobody knows which is wrong
    return PointValue(numbers[len(numbers) // 2])


def _check(point: Point, end: int, points: Mapping[str, Point]) -> None:
    if not re.fullmatch(r"[0-9]{1,3}", point.at):
        raise PointError("at", f'{point.at!r} is no byte of the frame; write its number, counted from 0, such as "1"')
    if point.type not in FORMATS and point.type != "bool" and point.type not in OF_LENGTH:
        raise PointError("type", f"{point.type!r} does not fit here; write {', '.join((*FORMATS, *OF_LENGTH))} or bool")
    if point.order not in ORDERS:
        raise PointError("order", "write ABCD when the high byte comes first, DCBA when the low one does")
    for key in ("decimals", "ratio"):
        if isinstance(getattr(point, key), str):
            raise PointError(key, f"this driver has no use for {key} of another point; leave it out")
    if point.write:
        raise PointError("write", "frames are only read; leave write out")
    if point.bit is not None and (point.type != "bool" or point.bit > 7):
        raise PointError("bit", 'only type = "bool" has a bit, from 0 to 7')
    if point.length is not None and not 1 <= point.length <= OF_LENGTH.get(point.type, 0):
        raise PointError("length", "is the bytes of bits (to 8), bcd (to 8) or string (to 64); leave it out otherwise")
    if int(point.at) + _size(point) > end:
        raise PointError("at", f"reaches beyond byte {end - 1}, the last one before the checksum")
    check_meaning(point, points)


def _size(point: Point) -> int:
    return struct.calcsize(FORMATS[point.type]) if point.type in FORMATS else point.length or 1


def _decoder(point: Point) -> Decode:
    begin = int(point.at)
    end = begin + _size(point)
    step = 1 if point.order == "ABCD" else -1
    finish, read = finisher(point), _reader(point)
    return lambda frame: finish(read(frame[begin:end][::step]), 1, 0)


def _reader(point: Point) -> Callable[[bytes], Raw]:
    """Make the function from the point's bytes, high byte first, to its raw value."""
    if point.type in FORMATS:
        unpack = struct.Struct(">" + FORMATS[point.type]).unpack
        return lambda data: unpack(data)[0]
    if point.type == "bool":
        mask = 0xFF if point.bit is None else 1 << point.bit
        return lambda data: bool(data[0] & mask) is not point.invert
    if point.type == "bcd":
        return lambda data: int(data.hex()) if data.hex().isdecimal() else None
    if point.type == "string":
        return _text
    return int.from_bytes


def _text(data: bytes) -> str | None:
    text = data.split(b"\0", 1)[0].decode("ascii", "replace").strip()
    return text if text.isprintable() and text.isascii() else None
