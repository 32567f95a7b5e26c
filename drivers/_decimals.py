"""Points whose raw values are decimal numbers, as text or exact: scaled without rounding, codes and range checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal

from drivers._points import NOT_A_NUMBER, NOT_AVAILABLE, OUT_OF_RANGE, PointError, check_meaning
from gateway.contract import Point, PointValue

DecimalFinish = Callable[[Decimal], PointValue]
# Scales pad with spaces between sign and digits.
NUMBER = re.compile(r"([+-]?) {0,12}([0-9]{1,20}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})")
NUMBER_TYPES = frozenset({"uint16", "float64", "float32"})  # uint16 is what a point is that says nothing


def check_decimal(point: Point, points: Mapping[str, Point], *, others: tuple[str, ...] = ()) -> None:
    """Refuse settings that a decimal number has no use for; PointError names the key. ``others``: further types."""
    if point.type not in NUMBER_TYPES and point.type not in others:
        known = ", ".join(("float64", *others))
        raise PointError("type", f"{point.type!r} does not fit here; write one of {known}, or leave it out")
    for key, given in (
        ("order", point.order != "ABCD"),
        ("length", point.length is not None),
        ("bit", point.bit is not None),
        ("decimals", point.decimals is not None),
        ("ratio", isinstance(point.ratio, str)),
        ("enum", bool(point.enum)),
        ("write", point.write),
    ):
        if given:
            raise PointError(key, f"this driver has no use for {key}; leave it out")
    check_meaning(replace(point, type="float64") if point.type in NUMBER_TYPES else point, points)


def decimal_of(text: str) -> Decimal | None:
    """Read a number as devices print it; None when it is none."""
    match = NUMBER.fullmatch(text.strip(" "))
    return Decimal(match[1] + match[2]) if match else None


def decimal_finisher(point: Point) -> DecimalFinish:
    """Make the function from raw number to value, in the point's unit."""
    factor = Decimal(repr(point.scale))
    if isinstance(point.ratio, int | float):
        factor *= Decimal(repr(point.ratio))
    offset = Decimal(repr(point.offset))
    codes = frozenset(Decimal(repr(code)) for code in point.na)
    valid = point.valid

    def finish(raw: Decimal) -> PointValue:
        if raw in codes:
            return NOT_AVAILABLE
        value = float(raw * factor + offset) + 0.0  # no negative zero
        if valid is not None and not valid[0] <= value <= valid[1]:
            return OUT_OF_RANGE
        return PointValue(value)

    return finish


def text_finisher(point: Point) -> Callable[[str], PointValue]:
    """Make the function from a number's text to value."""
    finish = decimal_finisher(point)

    def read(text: str) -> PointValue:
        number = decimal_of(text)
        return NOT_A_NUMBER if number is None else finish(number)

    return read
