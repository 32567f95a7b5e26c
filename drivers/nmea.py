"""NMEA 0183: weather stations, compasses, depth and water sensors that speak by themselves; values come out in SI."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from drivers._checksums import xor8
from drivers._decimals import check_decimal, decimal_finisher, decimal_of
from drivers._listening import Ear, nothing_good
from drivers._options import Options
from drivers._points import NOT_A_NUMBER, NOT_AVAILABLE, PointError
from gateway.contract import ConfigError, DeviceError, DeviceSilentError, DeviceSpec, Pipe, Point, PointValue

LONGEST = 256  # the standard says 82 (5.3); XDR of weather stations is longer
SENTENCE = re.compile(rb"[$!]([A-Z]{2})([A-Z]{3}),([\x20-\x7e]*)\*([0-9A-Fa-f]{2})")
STATUS = {"MWV": 5, "RMC": 2}  # field with A (valid) or V
VOID = PointValue(None, "bad", "invalid_status")
MISSED = PointValue(None, "bad", "timeout")
TOO_SHORT = PointValue(None, "bad", "sentence_too_short")
UNKNOWN_UNIT = PointValue(None, "bad", "unknown_unit")
CONVERTED_DIGITS = 7
NO_CHANGE = (Decimal(1), Decimal(0))

# Letter of the unit: factor and offset to m/s, m, °C, Pa, % and degrees.
Units = Mapping[str, tuple[Decimal, Decimal]]
SPEED: Units = {
    "N": (Decimal(1852) / 3600, Decimal(0)),
    "K": (1 / Decimal("3.6"), Decimal(0)),
    "M": NO_CHANGE,
    "S": (Decimal("0.44704"), Decimal(0)),
}
LENGTH: Units = {"M": NO_CHANGE, "f": (Decimal("0.3048"), Decimal(0)), "F": (Decimal("1.8288"), Decimal(0))}
TEMPERATURE: Units = {
    "C": NO_CHANGE,
    "F": (Decimal(5) / 9, Decimal(-160) / 9),
    "K": (Decimal(1), Decimal("-273.15")),
}
# H is not in the standard: weather stations write hPa so.
PRESSURE: Units = {
    "B": (Decimal(100000), Decimal(0)),
    "P": NO_CHANGE,
    "H": (Decimal(100), Decimal(0)),
    "I": (Decimal("3386.389"), Decimal(0)),
}
HUMIDITY: Units = {"P": NO_CHANGE, "": NO_CHANGE}
ANGLE: Units = {"D": NO_CHANGE, "T": NO_CHANGE, "M": NO_CHANGE}


class Field(NamedTuple):
    """A value of a sentence: its field (from 1), and its unit or the field that says it."""

    number: int
    units: Units | None = None
    unit: int | str = ""


SENTENCES: dict[str, dict[str, Field]] = {
    "MWV": {"angle": Field(1), "speed": Field(3, SPEED, 4)},
    "MWD": {"direction": Field(1), "direction-magnetic": Field(3), "speed": Field(7, SPEED, 8)},
    "HDT": {"heading": Field(1)},
    "HDM": {"heading": Field(1)},
    "HDG": {"heading": Field(1)},
    "MTW": {"temperature": Field(1, TEMPERATURE, 2)},
    "MTA": {"temperature": Field(1, TEMPERATURE, 2)},
    "MMB": {"pressure": Field(3, PRESSURE, 4)},
    "MHU": {"humidity": Field(1), "dew-point": Field(3, TEMPERATURE, 4)},
    "MDA": {
        "pressure": Field(3, PRESSURE, 4),
        "temperature": Field(5, TEMPERATURE, 6),
        "water-temperature": Field(7, TEMPERATURE, 8),
        "humidity": Field(9),
        "dew-point": Field(11, TEMPERATURE, 12),
        "direction": Field(13),
        "speed": Field(19, SPEED, 20),
    },
    "DPT": {"depth": Field(1, LENGTH, "M")},
    "DBT": {"depth": Field(3, LENGTH, 4)},
    "VHW": {"heading": Field(1), "speed": Field(7, SPEED, 8)},
    "RMC": {"speed": Field(7, SPEED, "N"), "course": Field(8)},
}
TRANSDUCERS: dict[str, Units] = {
    "C": TEMPERATURE, "H": HUMIDITY, "P": PRESSURE, "A": ANGLE, "D": LENGTH, "S": SPEED,
}  # fmt: skip

Raw = Decimal | PointValue | None  # None: this sentence does not say
Take = Callable[[Sequence[str]], Raw]


class NmeaDevice:
    """A Driver (see contract). A read lasts until every point was heard, or the time is up."""

    free_running = True

    def __init__(self, talker: str, points: Mapping[str, Point]) -> None:
        self._talker = talker
        self._takes = {name: (point.at[:3], locate(point.at)) for name, point in points.items()}
        self._finish = {name: decimal_finisher(point) for name, point in points.items()}
        self._ear = Ear(_cut, LONGEST)

    async def read(self, pipe: Pipe, points: frozenset[str]) -> Mapping[str, PointValue]:
        """Read these points once; what was not heard is bad, DeviceError when nothing of them was."""
        await self._ear.begin(pipe)
        values: dict[str, PointValue] = {}
        damaged: bytes | None = None
        while len(values) < len(points):
            try:
                lines = await self._ear.messages(pipe)
            except DeviceSilentError as error:
                if not values:
                    raise nothing_good(error, self._ear, damaged) from None
                values = {name: values.get(name, MISSED) for name in points}
                break
            for line in lines:
                try:
                    self._hear(line, points, values)
                except DeviceError:
                    damaged = line
        return values

    def _hear(self, line: bytes, points: frozenset[str], values: dict[str, PointValue]) -> None:
        sentence = parse(line)
        if sentence is None or sentence.talker[: len(self._talker)] != self._talker:
            return
        for name in points:
            formatter, take = self._takes[name]
            if formatter == sentence.formatter:
                raw = take(sentence.fields)
                if isinstance(raw, Decimal):
                    values[name] = self._finish[name](raw)
                elif raw is not None:
                    values[name] = raw


class Sentence(NamedTuple):
    """A sentence whose checksum is right; ``fields[0]`` is its formatter, so that fields count from 1."""

    talker: str
    formatter: str
    fields: list[str]


def parse(line: bytes) -> Sentence | None:
    """Read one line; None when it is no sentence, DeviceError when its checksum is wrong."""
    line = line[max(line.rfind(b"$"), line.rfind(b"!"), 0) :].rstrip(b"\r")
    match = SENTENCE.fullmatch(line)
    if match is None:
        return None
    if xor8(line[1:-3]) != bytes.fromhex(match[4].decode()):
        raise DeviceError("wrong checksum", "crc", line)
    formatter = match[2].decode()
    return Sentence(match[1].decode(), formatter, [formatter, *match[3].decode().split(",")])


def locate(at: str) -> Take:
    """Make the function that takes a point from a sentence's fields; PointError says what was meant."""
    formatter, _, rest = at.partition(".")
    what, _, more = rest.partition(".")
    if not re.fullmatch(r"[A-Z]{3}", formatter) or not what:
        raise PointError("at", f'{at!r} is no place in a sentence; write for example "MWV.speed", "XDR.C.TEMP"')
    if formatter == "XDR":
        return _transducer(what, more if "." in rest else None)
    field = SENTENCES.get(formatter, {}).get(what)
    if field is None and re.fullmatch(r"[1-9][0-9]?", what):
        field = Field(int(what))
    if field is None:
        known = ", ".join((*SENTENCES.get(formatter, ()), "or the number of a field"))
        raise PointError("at", f"{formatter} has no {what!r}; write {formatter}. and {known}")
    if more and (formatter != "MWV" or more not in ("R", "T")):
        raise PointError("at", f'{at!r} says too much; only MWV has ".R" (relative) or ".T" (true) behind it')
    return lambda fields: _field(fields, field, STATUS.get(formatter), more)


def make(spec: DeviceSpec) -> NmeaDevice:
    """Build the driver of one device; ConfigError with one sentence ``key: what; fix`` for each mistake."""
    problems = Options(spec).finish()
    talker = "" if spec.address == 1 else str(spec.address)
    if talker and not re.fullmatch(r"[A-Z]{2}", talker):
        problems.append(f'address: {spec.address!r} is no talker; write two letters such as "WI", or leave it out')
    if not spec.points:
        problems.append("points: this device needs at least one point, or a profile that has them")
    for name, point in spec.points.items():
        try:
            locate(point.at)
            check_decimal(point, spec.points)
        except PointError as error:
            problems.append(f"points.{name}.{error.key}: {error}")
    if problems:
        raise ConfigError(*problems)
    return NmeaDevice(talker, spec.points)


def _field(fields: Sequence[str], field: Field, status: int | None, reference: str) -> Raw:
    if reference and (len(fields) < 3 or fields[2] != reference):
        return None
    if len(fields) <= max(field.number, status or 0, field.unit if isinstance(field.unit, int) else 0):
        return TOO_SHORT
    if status is not None and fields[status] != "A":
        return VOID
    unit = fields[field.unit] if isinstance(field.unit, int) else field.unit
    return _converted(fields[field.number], field.units, unit)


def _transducer(kind: str, wanted: str | None) -> Take:
    if not re.fullmatch(r"[A-Z]", kind):
        raise PointError("at", f'{kind!r} is no type of transducer; write one letter, for example "XDR.C.TEMP"')
    units = TRANSDUCERS.get(kind)

    def take(fields: Sequence[str]) -> Raw:
        for at in range(1, len(fields) - 3, 4):
            found, value, unit, name = fields[at : at + 4]
            if found == kind and wanted in (None, name):
                return _converted(value, units, unit)
        return None

    return take


def _converted(text: str, units: Units | None, unit: str) -> Raw:
    if not text:
        return NOT_AVAILABLE
    number = decimal_of(text)
    if number is None:
        return NOT_A_NUMBER
    if units is None:
        return number
    conversion = units.get(unit)
    if conversion is None:
        return UNKNOWN_UNIT
    if conversion == NO_CHANGE:
        return number
    factor, offset = conversion
    return Decimal(f"{number * factor + offset:.{CONVERTED_DIGITS}g}")


def _cut(data: bytes, _aligned: bool) -> tuple[list[bytes], bytes, bool]:
    """Cut at line feeds; a sentence begins with its own sign, so that half a line is recognised as none."""
    *lines, rest = data.split(b"\n")
    return [line for line in lines if len(line) <= LONGEST], rest, True
