"""Where a value lies in a CJ/T 188 meter: identifier and field, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from drivers._points import PointError, check_meaning
from drivers.cjt188.layout import LAYOUTS, UNITS, Kind
from gateway.contract import Point

TYPES: dict[Kind, tuple[str, ...]] = {
    "measure": ("bcd",),
    "number": ("bcd",),
    "clock": ("string",),
    "status": ("bits",),
    "valve": ("string",),
    "battery": ("bool",),
}
DIMENSIONS = {"energy": "energy", "settled": "", "total": "", "power": "power", "flow": "flow", "volume": "volume"}


class Place(NamedTuple):
    """``ident`` as in the standard's tables, ``field`` a word of its layout."""

    ident: str
    field: str
    kind: Kind


def locate(point: Point, points: Mapping[str, Point]) -> Place:
    """Return where a point lies; PointError names the key that is wrong."""
    ident, _, field = point.at.strip().partition(":")
    layouts = LAYOUTS.get(ident.upper())
    if layouts is None:
        raise PointError("at", f"{point.at!r} is no place in a meter; write 901F:FIELD, or D120:total to D12B:total")
    kinds = {name: each.kind for layout in layouts.values() for name, each in layout.items()}
    if field not in kinds:
        raise PointError("at", f"{field!r} is no field of {ident.upper()}; it has {', '.join(kinds)}")
    kind = kinds[field]
    if point.type not in TYPES[kind]:
        raise PointError("type", f'{field} is not of this type; write type = "{TYPES[kind][0]}"')
    if kind == "measure":
        _check_unit(point, field)
    _refuse_rest(point)
    check_meaning(point, points)
    return Place(ident.upper(), field, kind)


def _check_unit(point: Point, field: str) -> None:
    wanted = DIMENSIONS[field]
    fit = [name for name, unit in UNITS.items() if not wanted or unit.kind == wanted]
    if point.unit not in fit:
        raise PointError("unit", f"the meter's unit is converted into the point's; write one of {', '.join(fit)}")


def _refuse_rest(point: Point) -> None:
    for key, given, why in (
        ("write", point.write, "a meter is only ever read; leave write out"),
        ("order", point.order != "ABCD", "the standard fixes the byte order; leave order out"),
        ("length", point.length is not None, "the meter's answer fixes the length; leave length out"),
        ("bit", point.bit is not None, "the field says which bit; leave bit out"),
        ("decimals", point.decimals is not None, "write the decimals as a scale such as 0.01"),
        ("ratio", isinstance(point.ratio, str), "write the ratio as a number"),
    ):
        if given:
            raise PointError(key, why)
