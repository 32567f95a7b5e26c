"""What every driver needs of a point: is it written soundly, and what does a raw value mean. Never raises on data."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from gateway.contract import Point, PointValue, Scalar

Raw = Scalar | None  # None: the bytes are no value of this type
Finish = Callable[[Raw, float, int], PointValue]

INTEGERS = frozenset({"int16", "uint16", "int32", "uint32", "int64", "uint64", "bcd", "sbcd", "bits"})
FLOATS = frozenset({"float32", "float64"})
SIGNED = {"int16": 16, "int32": 32, "int64": 64}
MOST_PLACES = 12  # a scale such as 1/3 has no decimals to round to

NOT_AVAILABLE = PointValue(None, "bad", "not_available")
NOT_A_NUMBER = PointValue(None, "bad", "not_a_number")
OUT_OF_RANGE = PointValue(None, "bad", "out_of_range")
MALFORMED = {
    "bcd": PointValue(None, "bad", "invalid_bcd"),
    "string": PointValue(None, "bad", "invalid_text"),
}


class PointError(ValueError):
    """A point cannot be read as written; ``key`` is the key to correct."""

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.key = key


class Meaning(NamedTuple):
    """What turns a raw value into a value, wherever it was read."""

    type: str
    scale: float
    offset: float
    ratio: float
    valid: tuple[float, float] | None
    na: tuple[float, ...]
    enum: tuple[tuple[str, str], ...]


def check_meaning(point: Point, points: Mapping[str, Point]) -> None:
    """Refuse settings that make no sense together; PointError names the key."""
    number = point.type in INTEGERS or point.type in FLOATS
    if not number:
        for key, given in (
            ("scale", point.scale != 1),
            ("offset", point.offset != 0),
            ("valid", point.valid is not None),
            ("na", bool(point.na)),
            ("decimals", point.decimals is not None),
            ("ratio", point.ratio is not None),
        ):
            if given:
                raise PointError(key, f"a {point.type} has no {key}; leave it out, or give the point a number type")
    if point.invert and point.type != "bool":
        raise PointError("invert", 'only type = "bool" can be inverted')
    if point.enum and (point.type in FLOATS or point.type == "string"):
        raise PointError("enum", "only whole numbers and bools have names for their values")
    if point.scale == 0:
        raise PointError("scale", "0 makes every value 0; leave scale out for 1")
    if point.valid is not None and point.valid[0] > point.valid[1]:
        raise PointError("valid", "the lowest value comes first")
    _check_codes(point)
    for key in ("decimals", "ratio"):
        _check_other(key, point, points)


def _check_codes(point: Point) -> None:
    for text in point.enum:
        if not text.lstrip("-").isdecimal():
            raise PointError("enum", f'{text!r} is no whole number; write for example enum = {{ 0 = "off", 1 = "on" }}')


def _check_other(key: str, point: Point, points: Mapping[str, Point]) -> None:
    name = getattr(point, key)
    if not isinstance(name, str):
        return
    other = points.get(name)
    if other is None:
        raise PointError(key, f"this device has no point {name!r}; it has {', '.join(sorted(points))}")
    if other.name == point.name or other.decimals is not None or isinstance(other.ratio, str):
        raise PointError(key, f"{name!r} must be a plain point that depends on no other")
    if other.type not in INTEGERS and (key == "decimals" or other.type not in FLOATS):
        raise PointError(key, f"{name!r} must be a {'whole ' if key == 'decimals' else ''}number")


def others(point: Point) -> list[str]:
    """Return the names of the points that this one needs."""
    return [name for name in (point.decimals, point.ratio) if isinstance(name, str)]


def finisher(point: Point) -> Finish:
    """Make the function (raw, ratio, decimals) -> value. Rounds to the decimals that scale and offset can produce.

    Points that mean the same share one: a site has thousands of points and few meanings.
    """
    ratio = point.ratio if isinstance(point.ratio, int | float) else 1
    meaning = Meaning(point.type, point.scale, point.offset, ratio, point.valid, point.na, tuple(point.enum.items()))
    return _finisher(meaning)


@lru_cache(maxsize=256)
def _finisher(point: Meaning) -> Finish:
    malformed = MALFORMED.get(point.type, NOT_A_NUMBER)
    names = {int(code): text for code, text in point.enum}
    if point.type in FLOATS or point.type in INTEGERS:
        return _number_finisher(point, names, malformed)

    def finish(raw: Raw, _ratio: float, _decimals: int) -> PointValue:
        if raw is None:
            return malformed
        return _named(raw, names) if names else PointValue(raw)

    return finish


def _number_finisher(point: Meaning, names: Mapping[int, str], malformed: PointValue) -> Finish:
    scale, offset = point.scale, point.offset
    factor = scale * point.ratio
    places = _places(scale) + _places(point.ratio)
    offset_places = _places(offset)
    codes = _not_available_codes(point)
    low, high = point.valid or (-math.inf, math.inf)
    is_float = point.type in FLOATS

    def finish(raw: Raw, ratio: float, decimals: int) -> PointValue:
        if not isinstance(raw, int | float):
            return malformed
        if raw in codes:
            return NOT_AVAILABLE
        if is_float and not math.isfinite(raw):
            return NOT_A_NUMBER
        if names:
            return _named(raw, names)
        value: float = raw
        if factor != 1 or ratio != 1 or decimals or offset:
            value = raw * factor * ratio / 10**decimals + offset
            if not math.isfinite(value):
                return NOT_A_NUMBER
            digits = max(places + _places(ratio) + decimals, offset_places)
            value = float(f"{value:.9g}") if is_float else _rounded(value, raw, digits)
        return PointValue(value) if low <= value <= high else OUT_OF_RANGE

    return finish


def _rounded(value: float, raw: float, digits: int) -> float:
    if digits == 0 and isinstance(raw, int) and abs(value) < 2**53:
        return int(value)
    return round(value, digits) if digits <= MOST_PLACES else value


def _named(raw: Scalar, names: Mapping[int, str]) -> PointValue:
    name = names.get(int(raw))
    return PointValue(name) if name is not None else PointValue(str(int(raw)), "uncertain", "unknown_code")


def _not_available_codes(point: Meaning) -> frozenset[float]:
    """Codes as written and, for signed types, as the sheet prints them (0x8000 for -32768)."""
    bits = SIGNED.get(point.type)
    wrapped = (code - (1 << bits) for code in point.na if bits and 1 << (bits - 1) <= code < 1 << bits)
    single = (struct.unpack("f", struct.pack("f", code))[0] for code in point.na if point.type == "float32")
    # A setting is a float, which has no room for 64 ones: it was rounded up to the power of two.
    rounded = (int(code) - 1 for code in point.na if point.type in ("int64", "uint64") and code in (1 << 63, 1 << 64))
    return frozenset((*point.na, *wrapped, *single, *rounded))


def _places(number: float) -> int:
    """Decimals needed to write this number: 0.01 -> 2, 10.0 -> 0."""
    exponent = Decimal(repr(number)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
