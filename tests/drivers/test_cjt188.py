"""CJ/T 188: layouts, units, status, the two orders of the identifier, and nothing but reading."""

import pytest

from drivers import cjt188
from drivers.cjt188.frame import READS, question
from gateway.contract import ConfigError, DeviceError, DeviceSilentError, DeviceSpec, LineKind, Point, PointValue
from tests.meters.slaves import CjtMeter, DltMeter, Wire, digits, sealed, water

ADDRESS = "78330011223344"
VOLUME = {"at": "901F:total", "type": "bcd", "scale": 0.01, "unit": "m³"}
REST = {
    "settled": {**VOLUME, "at": "901F:settled"},
    "clock": {"at": "901F:clock", "type": "string"},
    "valve": {"at": "901F:valve", "type": "string"},
    "battery": {"at": "901f:battery-low", "type": "bool"},
    "status": {"at": "901F:status", "type": "bits"},
}


def make(points: dict[str, dict], address: str | int = ADDRESS, **options):
    made = {name: Point(name=name, **point) for name, point in points.items()}
    return cjt188.make(DeviceSpec("d", "cjt188", address, LineKind.SERIAL, made, options))


def meter(data: bytes | None = None, **more) -> CjtMeter:
    return CjtMeter(ADDRESS, {"901F": data if data is not None else water()}, **more)


async def read(slave: CjtMeter, points: dict[str, dict], device=None, **options) -> dict[str, PointValue]:
    device = device or make(points, **options)
    return dict(await device.read(Wire(slave.hear), frozenset(points)))


async def test_a_water_meter_is_read_with_one_question():
    slave = meter(water(status=b"\x05\x00"))
    values = await read(slave, {"volume": VOLUME, **REST})
    assert {name: value.value for name, value in values.items()} == {
        "volume": 123.45, "settled": 120.0, "clock": "2026-11-21 08:25:30", "valve": "closed", "battery": True,
        "status": 5,
    }  # fmt: skip
    assert slave.asked == [b"\x1f\x90"]


@pytest.mark.parametrize(("status", "said"), [(0, "open"), (1, "closed"), (3, "abnormal"), (2, None)])
async def test_the_valve_is_told(status, said):
    values = await read(meter(water(status=bytes([status, 0]))), REST)
    assert values["valve"].value == said


@pytest.mark.parametrize("filler", [0xFF, 0xEE])
async def test_filled_values_are_bad(filler):
    whole = meter(bytes([filler]) * 4 + b"\x2c" + bytes([filler]) * 4 + b"\x2c" + bytes([filler]) * 9)
    values = await read(whole, {"volume": VOLUME, **REST})
    assert set(values.values()) == {PointValue(None, "bad", "not_available")}


@pytest.mark.parametrize("clock", ["00000000000000", "20261321082530", "20260230082530", "2026112108253a"])
async def test_a_clock_that_is_none(clock):
    values = await read(meter(water(clock=clock)), {"volume": VOLUME, **REST})
    assert values["clock"] == PointValue(None, "bad", "not_available")
    assert values["volume"] == PointValue(123.45)


@pytest.mark.parametrize(
    ("code", "unit", "said"),
    [
        (0x2C, "m³", 123.45), (0x2D, "m³", 1234.5), (0x2E, "m³", 12345), (0x29, "m³", 0.12345), (0x2B, "m³", 12.345),
        (0x29, "L", 123.45), (0x2C, "L", 123450), (0x2C, "m3", 123.45),
        (0x05, "kWh", 123.45), (0x08, "kWh", 123450), (0x0A, "MWh", 12345), (0x11, "GJ", 123.45),
        (0x11, "kWh", 34291.666667), (0x05, "GJ", 0.44442), (0x01, "J", 123.45), (0x0E, "GJ", 0.12345),
    ],
)  # fmt: skip
async def test_the_meters_unit_becomes_the_points(code, unit, said):
    values = await read(meter(water(unit=code)), {"v": {**VOLUME, "unit": unit}})
    assert values["v"].quality == "good"
    assert values["v"].value == pytest.approx(said, rel=1e-8)


@pytest.mark.parametrize(("code", "reason"), [(0x05, "unit_mismatch"), (0x35, "unit_mismatch"), (0x77, "unknown_unit")])
async def test_a_unit_that_does_not_fit_is_no_value(code, reason):
    values = await read(meter(water(unit=code)), {"v": VOLUME})
    assert values == {"v": PointValue(None, "bad", reason)}


def heat(layout: int) -> tuple[bytes, dict[str, dict]]:
    old = layout == 2004
    data = (
        digits(1000, 4) + b"\x05" + digits(2000, 4) + b"\x05"
        + digits(123456, 4 if old else 3) + b"\x17" + digits(1234, 4 if old else 3) + b"\x35"
        + digits(12345, 4) + b"\x2c"
        + digits(4555, 3 if old else 2) + digits(3025, 3 if old else 2) + digits(1234, 3 if old else 4)
        + bytes.fromhex("20261121082530")[::-1] + b"\x04\x00"
    )  # fmt: skip
    points = {
        "energy": {"at": "901F:energy", "type": "bcd", "scale": 0.01, "unit": "kWh"},
        "power": {"at": "901F:power", "type": "bcd", "scale": 0.01, "unit": "W"},
        "flow": {"at": "901F:flow", "type": "bcd", "scale": 0.01, "unit": "m³/h"},
        "volume": {"at": "901F:volume", "type": "bcd", "scale": 0.01, "unit": "m³"},
        "supply": {"at": "901F:supply", "type": "bcd", "scale": 0.01, "unit": "°C"},
        "return": {"at": "901F:return", "type": "bcd", "scale": 0.01, "unit": "°C"},
        "hours": {"at": "901F:hours", "type": "bcd", "unit": "h"},
        "battery": {"at": "901F:battery-low", "type": "bool"},
    }
    return data, points


@pytest.mark.parametrize("layout", [2004, 2018])
async def test_both_layouts_of_heat_meters(layout):
    data, points = heat(layout)
    values = await read(meter(data, type_=0x20), points, meter_type=0x20)
    assert {name: value.value for name, value in values.items()} == {
        "energy": 20.0, "power": 1234560, "flow": 12.34, "volume": 123.45, "supply": 45.55, "return": 30.25,
        "hours": 1234, "battery": True,
    }  # fmt: skip


async def test_a_field_that_this_kind_of_meter_lacks_and_an_unknown_layout():
    values = await read(meter(), {"v": VOLUME, "power": {**VOLUME, "at": "901F:power", "unit": "W"}})
    assert values["power"] == PointValue(None, "bad", "no_such_data")
    with pytest.raises(DeviceError, match="23 bytes, no known layout"):
        await read(meter(water() + b"\0"), {"v": VOLUME})


async def test_settlement_days_have_questions_of_their_own():
    slave = meter()
    slave.data["D120"] = digits(555, 4) + b"\x2c"
    values = await read(slave, {"v": VOLUME, "last": {**VOLUME, "at": "D120:total"}})
    assert {name: value.value for name, value in values.items()} == {"v": 123.45, "last": 5.55}


@pytest.mark.parametrize("order", ["low", "high"])
async def test_the_order_of_the_identifier_is_learnt(order):
    slave = meter(order=order)
    device = make({"v": VOLUME})
    with pytest.raises(DeviceSilentError):
        await device.read(Wire(), frozenset({"v"}))
    for _ in range(3):
        assert (await read(slave, {"v": VOLUME}, device))["v"].value == 123.45
    # What was learnt stays, whatever the line does.
    wire = Wire()
    with pytest.raises(DeviceSilentError):
        await device.read(wire, frozenset({"v"}))
    assert wire.questions[0][-5:-3] == (b"\x1f\x90" if order == "low" else b"\x90\x1f")
    with pytest.raises(DeviceSilentError):
        await read(slave, {"v": VOLUME}, make({"v": VOLUME}, di_order="high" if order == "low" else "low"))
    assert (await read(slave, {"v": VOLUME}, di_order=order))["v"].value == 123.45


@pytest.mark.parametrize("said", [b"\x00\x02\x00", b"\x02", b""])
async def test_a_refusal(said):
    slave = meter()
    slave.refusal = said
    if not said:
        slave.hear = lambda _sent: sealed(b"\x68\x10" + bytes.fromhex(ADDRESS)[::-1] + b"\xc1\x00")
    with pytest.raises(DeviceError, match="refuses") as caught:
        await read(slave, {"v": VOLUME})
    assert caught.value.reason == "refused"


async def test_other_meters_and_types_are_passed_over():
    other = CjtMeter("78330011223345", {"901F": water(999)})
    heat_meter = CjtMeter(ADDRESS, {"901F": water(888)}, type_=0x20)
    electric = DltMeter("202312345678", {"9010": digits(1, 4)}, edition=1997)
    right = meter()
    wire = Wire(right.hear)
    question_188 = question(1, 0xAA, "AA" * 7, b"\x1f\x90", 0)
    noise = other.hear(question_188) + heat_meter.hear(question_188)
    current = electric.hear(bytes.fromhex("68 78 56 34 12 23 20 68 01 02 43 c3 30 16"))
    wire.spoil = lambda sent, answer: [sent[:9], sent[9:] + noise + current, answer]
    assert await make({"v": VOLUME}).read(wire, frozenset({"v"})) == {"v": PointValue(123.45)}
    wire.spoil = lambda sent, _answer: [sent + noise]
    with pytest.raises(DeviceSilentError):
        await make({"v": VOLUME}).read(wire, frozenset({"v"}))


@pytest.mark.parametrize("order", ["low", "high"])
async def test_a_meter_is_found(order):
    slave = meter(type_=0x25, order=order)
    assert await cjt188.find_address(Wire(slave.hear), low_first=order == "low") == (0x25, ADDRESS)


# ------------------------------------------------------------------------------------------------ configuration


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("AAAAAAAAAAAAAA", "14 digits"),
        ("112233", 'write "00000000112233"'),
        (112233, 'write "00000000112233"'),
        ("7833001122334455", "14 digits"),
    ],
)
def test_addresses_that_are_none(address, said):
    with pytest.raises(ConfigError, match=f"^address: .*{said}"):
        make({"v": VOLUME}, address)


@pytest.mark.parametrize(
    ("point", "key"),
    [
        ({**VOLUME, "at": "00-01-00-00"}, "at"),
        ({**VOLUME, "at": "901F"}, "at"),
        ({**VOLUME, "at": "901F:water"}, "at"),
        ({**VOLUME, "at": "A017:valve"}, "at"),
        ({**VOLUME, "unit": ""}, "unit"),
        ({**VOLUME, "unit": "°C"}, "unit"),
        ({**VOLUME, "at": "901F:energy"}, "unit"),
        ({**VOLUME, "type": "uint32"}, "type"),
        ({**VOLUME, "at": "901F:valve"}, "type"),
        ({**VOLUME, "length": 4}, "length"),
        ({**VOLUME, "write": True}, "write"),
        ({**REST["valve"], "write": True}, "write"),
        ({**VOLUME, "order": "DCBA"}, "order"),
    ],
)
def test_points_that_cannot_be_read(point, key):
    with pytest.raises(ConfigError, match=rf"^points\.p\.{key}: "):
        make({"p": point})


def test_options_are_checked():
    for wrong in ({"meter_type": 0xAA}, {"di_order": "901F"}, {"wake": 99}, {"valve": True}):
        with pytest.raises(ConfigError, match=r"^options\."):
            make({"v": VOLUME}, **wrong)


def test_only_reading_can_be_asked():
    assert {0x01} == READS
    for control in set(range(256)) - READS:
        with pytest.raises(ValueError, match="does not read"):
            question(control, 0x10, ADDRESS, b"\x17\xa0", 0)
