"""The way back: from a value that somebody wants to the raw value that is read as exactly this one."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

from drivers._points import FLOATS, PointError, Raw, finisher, others
from gateway.contract import CommandError, Point, PointValue, Scalar
from gateway.settings.nearest import did_you_mean


def check_settable(point: Point) -> None:
    """Refuse settings with which no value could be turned back into a raw one; PointError names the key."""
    if needed := others(point):
        raise PointError(
            "write", f"needs {needed[0]}, which may change meanwhile; write a fixed scale or ratio instead"
        )
    twice = sorted(word for word in set(point.enum.values()) if list(point.enum.values()).count(word) > 1)
    if twice:
        raise PointError("enum", f"{twice[0]!r} stands for several codes; a writable point needs one code a word")


def raw_of(point: Point, value: Scalar, low: int, high: int) -> Raw:
    """Return the raw value, from ``low`` to ``high`` if it is a whole number; CommandError 400 says what would do."""
    if point.enum:
        return _code(point, value)
    if point.type == "bool":
        if not isinstance(value, bool):
            raise _no(point, value, "write true or false")
        return value
    if point.type == "string":
        if not isinstance(value, str):
            raise _no(point, value, "write a text")
        return value
    return _number(point, value, low, high)


def agrees(point: Point, raw: Raw, value: Scalar) -> PointValue:
    """Return what ``raw`` is read as; CommandError 400 unless that is ``value``."""
    shown = finisher(point)(raw, 1, 0)
    if shown.quality == "bad":
        raise CommandError(f"{point.name} cannot be {_text(value, point)}: it would be read as {shown.reason}")
    if shown.value != value or isinstance(shown.value, bool) is not isinstance(value, bool):
        near = "" if shown.value is None else f"; the nearest that it can be is {_text(shown.value, point)}"
        raise CommandError(f"{point.name} cannot be exactly {_text(value, point)}{near}")
    return shown


def _code(point: Point, value: Scalar) -> Raw:
    codes = {word: int(code) for code, word in point.enum.items()}
    if not isinstance(value, str) or value not in codes:
        raise _no(point, value, did_you_mean(str(value), codes, what="words"))
    code = codes[value]
    if point.valid is not None and not point.valid[0] <= code <= point.valid[1]:
        raise CommandError(f"{point.name} may not be {value!r}: its code {code} is not within valid {_range(point)}")
    return bool(code) if point.type == "bool" else code


def _number(point: Point, value: Scalar, low: int, high: int) -> Raw:
    if isinstance(value, bool | str) or (isinstance(value, float) and not math.isfinite(value)):
        raise _no(point, value, "write a number")
    if point.valid is not None and not point.valid[0] <= value <= point.valid[1]:
        raise CommandError(f"{point.name} may not be {_text(value, point)}: write {_range(point)}")
    ratio = point.ratio if isinstance(point.ratio, int | float) else 1
    raw = (_exact(value) - _exact(point.offset)) / (_exact(point.scale) * _exact(ratio))
    if point.type in FLOATS:
        try:
            return float(raw)
        except OverflowError as error:
            raise CommandError(f"{point.name} cannot be {_text(value, point)}: a float does not hold that") from error
    number = round(raw)
    if not low <= number <= high:
        raise CommandError(f"{point.name} cannot be {_text(value, point)}: its registers do not hold that much")
    return number


def _exact(number: float) -> Fraction:
    """As it is written in decimal: 0.1 is a tenth."""
    return Fraction(Decimal(repr(number)))


def _range(point: Point) -> str:
    low, high = point.valid or (-math.inf, math.inf)
    return f"{low:g} to {high:g} {point.unit}".rstrip()


def _no(point: Point, value: Scalar, fix: str) -> CommandError:
    return CommandError(f"{point.name} cannot be {str(value)[:80]!r}; {fix}")


def _text(value: Scalar, point: Point) -> str:
    if isinstance(value, float):
        return f"{value:.12g} {point.unit}".rstrip()
    shown = repr(value)[:80] if isinstance(value, str) else str(value)[:80]
    return f"{shown} {point.unit}".rstrip()
