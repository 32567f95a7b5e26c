"""Types, byte orders, scale, codes and ranges; and what a configuration may not say."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers._points import finisher
from drivers.modbus import make
from drivers.modbus.address import locate
from drivers.modbus.values import FORMATS, decoder, extractor
from gateway.contract import ConfigError, DeviceSpec, LineKind, Point, PointValue


def decode(data: bytes, **point) -> PointValue:
    made = Point(name="p", **{"at": "holding:0", **point})
    span = locate(made)
    return decoder(extractor(made, span, span.start), finisher(made))(data)


def value(data: bytes, **point):
    got = decode(data, **point)
    assert got.quality == "good", got
    return got.value


def reason(data: bytes, **point) -> str | None:
    got = decode(data, **point)
    assert (got.quality, got.value) == ("bad", None)
    return got.reason


def in_order(data: bytes, order: str) -> bytes:
    """Big-endian bytes as a device of this order sends them, by the letters themselves."""
    words = [data[at : at + 2] for at in range(0, len(data), 2)]
    if order in ("CDAB", "DCBA"):
        words.reverse()
    if order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    return b"".join(words)


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
@pytest.mark.parametrize("kind", FORMATS)
@given(seed=st.binary(min_size=8, max_size=8))
def test_every_type_in_every_order(kind, order, seed):
    data = seed[: struct.calcsize(">" + FORMATS[kind])]
    (expected,) = struct.unpack(">" + FORMATS[kind], data)
    got = decode(in_order(data, order), type=kind, order=order)
    if kind.startswith("float") and not math.isfinite(expected):
        assert got == PointValue(None, "bad", "not_a_number")
    elif kind == "float32":
        assert got.value == pytest.approx(expected, rel=1.3e-7, abs=1e-45)
    else:
        assert got == PointValue(expected)


@given(st.decimals(-99999, 99999, places=2, allow_nan=False))
def test_singles_come_out_as_the_decimal_that_went_in(number):
    assert value(struct.pack(">f", number), type="float32") == float(number)


@given(st.integers(0, 65535), st.sampled_from([0.1, 0.01, 0.001, 0.5, 0.25, 10, 1]))
def test_scaling_makes_no_float_noise(raw, scale):
    got = value(struct.pack(">H", raw), scale=scale)
    assert repr(got) == repr(round(raw * scale, 3)) or got == raw * scale
    assert len(repr(float(got)).partition(".")[2]) <= 3


@pytest.mark.parametrize(
    ("data", "point", "expected"),
    [
        ("00b6", {"scale": 0.1}, 18.2),
        ("ff9b", {"type": "int16", "scale": 0.1}, -10.1),
        ("0190", {"scale": 0.1, "offset": -40}, 0.0),
        ("0064", {"ratio": 40, "scale": 0.01}, 40.0),
        ("1234", {"type": "bcd"}, 1234),
        ("00123456", {"type": "bcd", "length": 2, "scale": 0.01}, 1234.56),
        ("4c696e6c69000000", {"type": "string", "length": 4}, "Linli"),
        ("694c6c6e2069", {"type": "string", "length": 3, "order": "BADC"}, "Linli"),
        ("0004", {"type": "bool", "bit": 2}, True),
        ("0004", {"type": "bool", "bit": 1}, False),
        ("0004", {"type": "bool", "bit": 2, "invert": True}, False),
        ("0000", {"type": "bool", "invert": True}, True),
        ("8001", {"type": "bits"}, 0x8001),
        ("0002", {"enum": {"2": "manual"}}, "manual"),
        ("0001", {"type": "bool", "enum": {"0": "closed", "1": "open"}}, "open"),
        ("05", {"type": "bool", "at": "coil:2"}, True),
        ("05", {"type": "bits", "at": "discrete:0", "length": 3}, 5),
    ],
)
def test_meaning(data, point, expected):
    raw = bytes.fromhex(data)
    if point.get("at", "").startswith("coil:2"):
        made = Point(name="p", **point)
        assert extractor(made, locate(made), 0)(raw) is expected
    else:
        got = value(raw, **point)
        assert (got, type(got)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("data", "point", "expected"),
    [
        ("ffff", {"na": (65535,)}, "not_available"),
        ("8000", {"type": "int16", "na": (0x8000,)}, "not_available"),
        ("8000", {"type": "int16", "na": (-32768,)}, "not_available"),
        ("7fffffff", {"type": "int32", "na": (0x7FFFFFFF,)}, "not_available"),
        ("c61c3c00", {"type": "float32", "na": (-9999.0,)}, "not_available"),
        ("7fc00000", {"type": "float32"}, "not_a_number"),
        ("7f800000", {"type": "float32"}, "not_a_number"),
        ("7f7fffff7f7fffff", {"type": "float64", "scale": 1e10}, "not_a_number"),
        ("07d1", {"scale": 0.1, "valid": (0, 200)}, "out_of_range"),
        ("12a4", {"type": "bcd"}, "invalid_bcd"),
        ("ff00", {"type": "string", "length": 1}, "invalid_text"),
    ],
)
def test_what_is_no_value_is_bad_with_its_reason(data, point, expected):
    raw = bytes.fromhex(data)
    if expected == "not_a_number" and point["type"] == "float64":
        raw = struct.pack(">d", 1e308)
    assert reason(raw, **point) == expected


def test_unknown_codes_are_uncertain():
    assert decode(b"\0\x09", enum={"1": "on"}) == PointValue("9", "uncertain", "unknown_code")


def problems(points: dict[str, Point], **more) -> str:
    with pytest.raises(ConfigError) as caught:
        make(DeviceSpec("d", "modbus", more.pop("address", 1), LineKind.SERIAL, points, more))
    return str(caught.value)


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ({"at": "40001"}, "points.p.at: '40001' is no Modbus address; write table:address, for example"),
        ({"at": "40001"}, "(40001 in a manual is holding:0 here: the wire counts from 0)"),
        ({"at": "register:1"}, "is no Modbus table; write holding, input, coil or discrete"),
        ({"at": "holding:65536"}, "beyond the last address 65535"),
        ({"at": "holding:0xFFFF", "type": "uint32"}, "points.p.length: reaches beyond"),
        ({"at": "coil:0"}, "a coil is one bit"),
        ({"at": "coil:0", "type": "bool", "bit": 1}, "points.p.bit"),
        ({"at": "holding:0", "type": "string"}, "needs its length"),
        ({"at": "holding:0", "type": "uint16", "length": 2}, "always takes 1 register;"),
        ({"at": "input:0", "write": True}, "input can only be read"),
        ({"at": "holding:0", "write": True}, "points.p.valid: a writable number needs valid"),
        ({"at": "holding:0", "decimals": "q"}, "has no point 'q'; it has p"),
        ({"at": "holding:0", "ratio": "p"}, "must be a plain point"),
        ({"at": "holding:0", "invert": True}, "can be inverted"),
        ({"at": "holding:0", "type": "bool", "scale": 2}, "a bool has no scale"),
        ({"at": "holding:0", "enum": {"on": "x"}}, "is no whole number"),
        ({"at": "holding:0", "valid": (2, 1)}, "the lowest value comes first"),
        ({"at": "holding:0", "scale": 0}, "0 makes every value 0"),
        ({"at": "holding:0", "order": "ACBD"}, "is no byte order"),
        ({"at": "holding:0", "type": "bcd", "length": 9}, "takes 1 to 4 registers"),
    ],
)
def test_mistakes_are_explained(point, said):
    assert said in problems({"p": Point(name="p", **point)})


def test_mistakes_of_the_device_are_explained_all_at_once():
    point = Point(name="p", at="holding:0", scale=0)
    text = problems({"p": point}, address=0, framing="dnp3")
    assert len(text.splitlines()) == 3
    assert "broadcast" in text
    assert "use one of ascii, rtu, tcp" in text
    assert "1 to 247" in problems({"p": point}, address="251")
    assert "1 to 247" in problems({"p": point}, address="one")
    assert "at least one point" in problems({})
