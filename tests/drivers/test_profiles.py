"""Profiles are proven: a vector notices every point's wrong address, scale, offset and byte order."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import drivers
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
