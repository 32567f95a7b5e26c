"""Profiles are proven: a vector notices a point's wrong address, scale, offset or byte order; polls are minimal."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

import drivers
from drivers.modbus.address import MAX_BITS, MAX_REGISTERS, Span, locate
from drivers.modbus.planning import DEFAULT_GAP, Limits
from gateway.contract import ConfigError, DeviceError, DeviceSpec, Point
from gateway.settings.devices import Vector
from tests.drivers.test_vectors import PROFILES, ROOT, Registers, Tape, address_of, spec_of

MODBUS = [name for name, profile in PROFILES.items() if profile.driver == "modbus"]
TEXT_OR_FLAG = ("bool", "bits", "string")
SINGLE = ("bool", "int16", "uint16", "bits")
SWAPPED = {"ABCD": "CDAB", "CDAB": "ABCD", "BADC": "DCBA", "DCBA": "BADC"}


def moved(point: Point) -> Point:
    """The same point one address further."""
    table, _, number = point.at.partition(":")
    return replace(point, at=f"{table}:{int(number, 0) + 1}")


def wrong(point: Point) -> Iterator[tuple[str, Point]]:
    """What one can mistype in this point."""
    if point.type == "bool":
        yield "invert", replace(point, invert=not point.invert)
        if point.bit is None:
            return  # a wrong input of a board may be as true as the right one
        yield "bit", replace(point, bit=(point.bit + 1) % 16)
        return
    yield "at", moved(point)
    if point.type in TEXT_OR_FLAG or point.enum:
        return
    yield "scale", replace(point, scale=point.scale * 10)
    yield "offset", replace(point, offset=point.offset + 1)
    if point.type not in SINGLE:
        yield "order", replace(point, order=SWAPPED[point.order])


async def answers(spec: DeviceSpec, vector: Vector, name: str) -> bool:
    """Whether this device reads of the vector what the vector expects of this point."""
    try:
        device = drivers.find(spec.driver).make(spec)
        if vector.frames:
            values = await device.read(Tape([bytes.fromhex(frame) for frame in vector.frames]), frozenset(spec.points))
        else:
            values = await device.read(Registers(vector.registers), frozenset((name,)))
    except (AssertionError, ConfigError, DeviceError):  # it asks what the vector does not know, or points overlap
        return False
    return values[name].value == vector.expect[name] and values[name].quality == "good"


@pytest.mark.parametrize("profile", MODBUS)
async def test_a_vector_notices_what_can_be_mistyped(profile):
    settings = PROFILES[profile]
    unnoticed = []
    for name, point in spec_of(settings, 1).points.items():
        vectors = [vector for vector in settings.vector if name in vector.expect]
        if not vectors:
            unnoticed.append(f"{name} is in no vector")
        for what, mistyped in wrong(point):
            for vector in vectors:
                spec = spec_of(settings, address_of(vector))
                if not await answers(replace(spec, points={**spec.points, name: mistyped}), vector, name):
                    break
            else:
                unnoticed.append(f"{name}.{what}")
    assert unnoticed == []


def joins(row: list[Span], limits: Limits) -> bool:
    """Whether one request may read all of these, sorted and none inside another."""
    table = row[0].table
    narrow = all(after.start - before.end <= limits.widest_gap(table) for before, after in pairwise(row))
    return narrow and row[-1].end - row[0].start <= limits.most(table)


def fewest(spans: list[Span], limits: Limits) -> int:
    """The optimum: every way to cut each table's values into requests, not the planner's way from left to right."""
    total = 0
    for table in {span.table for span in spans}:
        row = sorted({span for span in spans if span.table is table}, key=lambda span: (span.start, -span.size))
        row = [span for at, span in enumerate(row) if all(before.end < span.end for before in row[:at])]
        best = [0]
        for end in range(1, len(row) + 1):
            best.append(min(best[first] + 1 for first in range(end) if joins(row[first:end], limits)))
        total += best[-1]
    return total


@pytest.mark.parametrize("profile", MODBUS)
def test_a_poll_asks_no_more_often_than_it_must(profile):
    settings, spec = PROFILES[profile], spec_of(PROFILES[profile], 1)
    limits = Limits(
        registers=settings.max_read or MAX_REGISTERS,
        bits=settings.max_read or MAX_BITS,
        gap=DEFAULT_GAP if settings.gap is None else settings.gap,
    )
    spans = [locate(point) for point in spec.points.values()]
    assert len(drivers.find("modbus").make(spec).requests(spec.points)) == fewest(spans, limits)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_writes_nothing(profile):
    assert [name for name, point in PROFILES[profile].points.items() if point.write] == []


@pytest.mark.parametrize("profile", MODBUS)
def test_what_has_a_natural_range_is_believed_only_in_it(profile):
    for name, point in PROFILES[profile].points.items():
        if point.unit in ("V", "A", "Hz", "°C", "%", "m/s", "°", "hPa"):
            assert point.valid is not None or point.na, f"{name} ({point.unit}) takes any value"


def test_every_profile_is_in_the_list_by_kind_and_by_maker():
    text = Path(ROOT / "SUPPORTED.md").read_text("utf-8")
    kinds, makers = text.split("## By maker")
    for name in PROFILES:
        assert kinds.count(f"| `{name}` |") == 1, name
        assert makers.count(f"`{name}`") == 1, name
