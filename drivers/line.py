"""Any device that writes lines of text, by itself or when asked: a pattern or columns, declared in ``options``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drivers._checksums import CHECKSUMS, Checksum
from drivers._decimals import check_decimal, text_finisher
from drivers._listening import Ear, nothing_good
from drivers._options import Options
from drivers._points import MALFORMED, NOT_AVAILABLE, PointError
from gateway.contract import ConfigError, DeviceError, DeviceSilentError, DeviceSpec, Pipe, Point, PointValue

ENCODINGS = ("ascii", "utf-8", "latin-1", "gbk")
LONGEST_LINE = 512  # bytes
CONTROLS = tuple(bytes((code,)) for code in range(0x20))
Field = Callable[[str | None], PointValue]


@dataclass(frozen=True, slots=True)
class Form:
    """How a line is written, as bytes where it is bytes."""

    pattern: re.Pattern[str] | None
    separator: str
    begin: bytes
    end: bytes
    encoding: str
    checksum: Checksum
    mark: bytes


class LineDevice:
    """A Driver (see contract). The newest good line of a read counts."""

    def __init__(self, form: Form, request: bytes, points: Mapping[str, Point]) -> None:
        self.free_running = not request
        self._form = form
        self._request = request
        self._fields = {name: (point.at, _field(point)) for name, point in points.items()}
        self._ear = Ear(self._cut, LONGEST_LINE)

    async def read(self, pipe: Pipe, points: frozenset[str]) -> Mapping[str, PointValue]:
        """Read these points once; DeviceError when no good line comes in time."""
        if self._request:
            await self._ear.ask(pipe, self._request)
        else:
            await self._ear.begin(pipe)
        damaged: bytes | None = None
        while True:
            try:
                lines = await self._ear.messages(pipe)
            except DeviceSilentError as error:
                raise nothing_good(error, self._ear, damaged) from None
            for line in reversed(lines):
                try:
                    texts = self.texts(line)
                except DeviceError:
                    damaged = line
                    continue
                if texts is not None:
                    return {name: self._value(name, texts) for name in points}

    def texts(self, line: bytes) -> Mapping[str, str | None] | None:
        """Cut a line into texts by ``at``; None when it is no line of this form, DeviceError for a wrong checksum."""
        form = self._form
        line = line.lstrip(b"\0")
        if self._request[-1:] in CONTROLS:  # else an echo cannot be told from the beginning of a value
            if line == self._request.removesuffix(form.end):
                return None
            line = line.removeprefix(self._request)
        if not line.startswith(form.begin):
            return None
        line = self._without_checksum(line.removeprefix(form.begin))
        try:
            text = line.decode(form.encoding)
        except UnicodeDecodeError:
            return None
        if form.pattern is not None:
            match = form.pattern.fullmatch(text)
            return match.groupdict() if match else None
        columns = {str(number): column for number, column in enumerate(text.split(form.separator), 1)}
        return columns if all(at in columns for at, _ in self._fields.values()) else None

    def _without_checksum(self, line: bytes) -> bytes:
        form = self._form
        size = 2 * len(form.checksum(b""))
        if not size:
            return line
        body, digits = line[: len(line) - size], line[len(line) - size :]
        wanted = form.checksum(body.removesuffix(form.mark)).hex().encode()
        if not body.endswith(form.mark) or digits.lower() != wanted:
            raise DeviceError("wrong checksum", "crc", line)
        return body.removesuffix(form.mark)

    def _value(self, name: str, texts: Mapping[str, str | None]) -> PointValue:
        at, field = self._fields[name]
        return field(texts[at])

    def _cut(self, data: bytes, aligned: bool) -> tuple[list[bytes], bytes, bool]:
        *lines, rest = data.split(self._form.end)
        if not aligned:
            if not lines:
                return [], rest, False
            del lines[0]  # the end of a line whose beginning nobody heard
        return [line for line in lines if len(line) <= LONGEST_LINE], rest, True


def make(spec: DeviceSpec) -> LineDevice:
    """Build the driver of one device; ConfigError with one sentence ``key: what; fix`` for each mistake."""
    options = Options(spec)
    pattern, separator = options.text("pattern"), options.text("separator")
    encoding = options.word("encoding", "ascii", ENCODINGS)
    checksum = options.word("checksum", "none", CHECKSUMS)
    codes = {
        key: _encoded(options, key, encoding, default)
        for key, default in (("begin", ""), ("terminator", "\r\n"), ("mark", "*"), ("request", ""))
    }
    problems = options.finish()
    if (pattern is None) == (separator is None):
        problems.append('options: needs either pattern or separator; for example options = { separator = "," }')
    compiled = _compiled(pattern, problems)
    if not spec.points:
        problems.append("points: this device needs at least one point, or a profile that has them")
    for name, point in spec.points.items():
        try:
            _check_at(point, compiled)
            check_decimal(point, spec.points, others=("bool", "string"))
        except PointError as error:
            problems.append(f"points.{name}.{error.key}: {error}")
    if problems:
        raise ConfigError(*problems)
    form = Form(
        pattern=compiled,
        separator=separator or "",
        begin=codes["begin"],
        end=codes["terminator"],
        encoding=encoding,
        checksum=CHECKSUMS[checksum],
        mark=codes["mark"],
    )
    return LineDevice(form, codes["request"], spec.points)


def _encoded(options: Options, key: str, encoding: str, default: str) -> bytes:
    text = options.text(key) or default
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        options.problems.append(f"options.{key}: {text!r} cannot be written in {encoding}; choose another encoding")
        return b""


def _compiled(pattern: str | None, problems: list[str]) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        problems.append(f"options.pattern: is no regular expression ({error}); write it in single quotes")
        return None
    if not compiled.groupindex:
        problems.append("options.pattern: has no named group; write for example (?P<weight>[0-9.]+)")
    return compiled


def _check_at(point: Point, pattern: re.Pattern[str] | None) -> None:
    if pattern is not None:
        if point.at not in pattern.groupindex:
            known = ", ".join(pattern.groupindex)
            raise PointError("at", f"the pattern has no group {point.at!r}; it has {known}")
    elif not re.fullmatch(r"[1-9][0-9]?", point.at):
        raise PointError("at", f'{point.at!r} is no column; write its number, counted from 1, for example "3"')


def _field(point: Point) -> Field:
    if point.type == "bool":
        return lambda text: _bool(text, invert=point.invert)
    read = _text if point.type == "string" else text_finisher(point)
    return lambda text: NOT_AVAILABLE if text is None or not text.strip() else read(text)


def _bool(text: str | None, *, invert: bool) -> PointValue:
    """A group is true when it took part in the match; digits and yes or no mean what they say."""
    if text is None:
        return PointValue(invert)
    word = text.strip().lower()
    return PointValue((word not in ("", "0", "off", "no", "false")) is not invert)


def _text(text: str) -> PointValue:
    text = text.strip()
    return PointValue(text) if text.isprintable() else MALFORMED["string"]
