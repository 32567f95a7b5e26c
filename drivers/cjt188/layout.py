"""What the data of CJ/T 188 answers holds: fields by identifier and length, units, and what a value means."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from typing import Literal, NamedTuple

from drivers._meters import packed
from gateway.contract import PointValue, Scalar

Kind = Literal["measure", "number", "clock", "status", "valve", "battery"]


class Field(NamedTuple):
    """Bytes ``start`` to ``start + size`` behind identifier and serial number; a measure's unit byte follows them."""

    kind: Kind
    start: int
    size: int


class Dimension(NamedTuple):
    """What a unit measures and how many of the smallest unit it is."""

    kind: Literal["energy", "power", "volume", "flow"]
    size: Fraction


UNITS = {
    "J": Dimension("energy", Fraction(1)),
    "kJ": Dimension("energy", Fraction(10**3)),
    "MJ": Dimension("energy", Fraction(10**6)),
    "GJ": Dimension("energy", Fraction(10**9)),
    "Wh": Dimension("energy", Fraction(3600)),
    "kWh": Dimension("energy", Fraction(3600 * 10**3)),
    "MWh": Dimension("energy", Fraction(3600 * 10**6)),
    "W": Dimension("power", Fraction(1)),
    "kW": Dimension("power", Fraction(10**3)),
    "MW": Dimension("power", Fraction(10**6)),
    "L": Dimension("volume", Fraction(1)),
    "m³": Dimension("volume", Fraction(10**3)),
    "m3": Dimension("volume", Fraction(10**3)),
    "L/h": Dimension("flow", Fraction(1)),
    "m³/h": Dimension("flow", Fraction(10**3)),
    "m3/h": Dimension("flow", Fraction(10**3)),
}
# The standard's codes: the unit itself, then ten and a hundred times it.
CODES = {0x01: UNITS["J"]} | {
    code + power: Dimension(UNITS[unit].kind, UNITS[unit].size * 10**power)
    for code, unit in (
        (0x02, "Wh"), (0x05, "kWh"), (0x08, "MWh"), (0x0B, "kJ"), (0x0E, "MJ"), (0x11, "GJ"), (0x14, "W"),
        (0x17, "kW"), (0x1A, "MW"), (0x29, "L"), (0x2C, "m³"), (0x32, "L/h"), (0x35, "m³/h"),
    )
    for power in range(3)
}  # fmt: skip
VALVES = {0: "open", 1: "closed", 3: "abnormal"}
IN_STATUS: dict[str, Kind] = {"status": "status", "valve": "valve", "battery-low": "battery"}
Layout = dict[str, Field]


def _lay(*fields: tuple[str, Kind, int]) -> Layout:
    """Lay fields one behind the other; a measure takes its unit byte with it, and the status has three readings."""
    layout: Layout = {}
    at = 0
    for name, kind, size in fields:
        names = IN_STATUS if kind == "status" else {name: kind}
        layout.update({each: Field(its, at, size) for each, its in names.items()})
        at += size + (kind == "measure")
    return layout


_TAIL: tuple[tuple[str, Kind, int], ...] = (("clock", "clock", 7), ("status", "status", 2))
_HEAT: tuple[tuple[str, Kind, int], ...] = (("settled", "measure", 4), ("energy", "measure", 4))
CURRENT = "901F"
# By the length of the data, identifier and serial number counted: water and gas, heat of 2004, heat of 2018.
CURRENT_LAYOUTS: dict[int, Layout] = {
    0x16: _lay(("total", "measure", 4), ("settled", "measure", 4), *_TAIL),
    0x2E: _lay(
        *_HEAT, ("power", "measure", 4), ("flow", "measure", 4), ("volume", "measure", 4), ("supply", "number", 3),
        ("return", "number", 3), ("hours", "number", 3), *_TAIL,
    ),
    0x2B: _lay(
        *_HEAT, ("power", "measure", 3), ("flow", "measure", 3), ("volume", "measure", 4), ("supply", "number", 2),
        ("return", "number", 2), ("hours", "number", 4), *_TAIL,
    ),
}  # fmt: skip
MONTH_LAYOUT = {0x08: _lay(("total", "measure", 4))}
LAYOUTS: dict[str, dict[int, Layout]] = {
    CURRENT: CURRENT_LAYOUTS,
    **{f"D{number:03X}": MONTH_LAYOUT for number in range(0x120, 0x12C)},
}


def raw_of(field: Field, data: bytes) -> Scalar | None:
    """Take a field's raw value out of the data; None when the meter says that it has none."""
    part = data[field.start : field.start + field.size]
    if field.kind in ("measure", "number"):
        return packed(part)
    if field.kind == "clock":
        return _clock(part)
    if part == b"\xff\xff" or part == b"\xee\xee":
        return None
    if field.kind == "status":
        return int.from_bytes(part, "little")
    if field.kind == "battery":
        return bool(part[0] & 0x04)
    state = part[0] & 0x03
    return VALVES.get(state)


def unit_factor(field: Field, data: bytes, unit: str) -> Fraction | str:
    """Return how many ``unit`` one unit of the meter is, by the unit byte; or the reason why it cannot be said."""
    code = CODES.get(data[field.start + field.size])
    if code is None:
        return "unknown_unit"
    wanted = UNITS[unit]
    return code.size / wanted.size if code.kind == wanted.kind else "unit_mismatch"


def bad(reason: str) -> PointValue:
    """A value that is none, and why."""
    return PointValue(None, "bad", reason)


def _clock(data: bytes) -> str | None:
    """``ss mm hh DD MM YY CC`` as text; None when the meter has no clock or shows nonsense."""
    digits = data[::-1].hex()
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S").strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - no zone given
    except ValueError:
        return None
