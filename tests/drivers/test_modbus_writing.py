"""What is written to Modbus: the exact raw value or none, the right function, and what cannot be is told."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.address import Span, Table, locate
from drivers.modbus.values import extractor, packer
from drivers.modbus.writing import order, raw_for
from gateway.contract import CommandError, ConfigError, Point
from tests.drivers.spoken import make

ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")


def point(at: str = "holding:10", **more) -> Point:
    return Point("p", at, **{"write": True, "valid": (-1e30, 1e30), **more})


def sent(value: object, **more) -> str:
    """The PDU for a value, in hexadecimal."""
    target = point(**more)
    span = locate(target)
    return order(target, span, raw_for(target, span, value)).pdu.hex(" ")


@pytest.mark.parametrize(
    ("value", "point", "pdu"),
    [
        (True, {"at": "coil:172", "type": "bool"}, "05 00 ac ff 00"),  # 1.1b3, 6.5
        (False, {"at": "coil:172", "type": "bool"}, "05 00 ac 00 00"),
        (True, {"at": "coil:172", "type": "bool", "invert": True}, "05 00 ac 00 00"),
        (0x1CD, {"at": "coil:19", "type": "bits", "length": 10}, "0f 00 13 00 0a 02 cd 01"),  # 6.11
        (3, {"at": "holding:1"}, "06 00 01 00 03"),  # 6.6
        (0x000A0102, {"at": "holding:1", "type": "uint32"}, "10 00 01 00 02 04 00 0a 01 02"),  # 6.12
        (-12.3, {"type": "int16", "scale": 0.1}, "06 00 0a ff 85"),
        (21.5, {"type": "float32", "order": "CDAB"}, "10 00 0a 00 02 04 00 00 41 ac"),
        (230.2, {"type": "float32"}, "10 00 0a 00 02 04 43 66 33 33"),
        (1234, {"type": "bcd"}, "06 00 0a 12 34"),
        (25, {"scale": 0.5, "offset": -40.0, "valid": (-40, 85)}, "06 00 0a 00 82"),
        ("auto", {"enum": {"0": "off", "2": "auto"}}, "06 00 0a 00 02"),
        ("abc", {"type": "string", "length": 2, "valid": None}, "10 00 0a 00 02 04 61 62 63 00"),
        (True, {"type": "bool", "bit": 4}, "16 00 0a ff ef 00 10"),
        (False, {"type": "bool", "bit": 4}, "16 00 0a ff ef 00 00"),
        (True, {"type": "bool", "bit": 4, "order": "BADC"}, "16 00 0a ef ff 10 00"),
        (True, {"type": "bool"}, "06 00 0a 00 01"),
        (False, {"type": "bool", "invert": True}, "06 00 0a 00 01"),
        (120.0, {"ratio": 60}, "06 00 0a 00 02"),
    ],
)
def test_the_question_is_what_the_standard_says(value: object, point: dict, pdu: str) -> None:
    assert sent(value, **point) == pdu


@pytest.mark.parametrize(
    ("value", "point", "words"),
    [
        (12.34, {"scale": 0.1, "unit": "m"}, "p cannot be exactly 12.34 m; the nearest that it can be is 12.3 m"),
        (0.1, {"scale": 0.5}, "nearest that it can be is 0"),
        (230.20001, {"type": "float32"}, "nearest that it can be is 230.2"),
        (101, {"valid": (0, 100), "unit": "%"}, "p may not be 101 %: write 0 to 100 %"),
        (float("nan"), {}, "write a number"),
        (float("inf"), {}, "write a number"),
        (10**400, {}, "write"),
        (65536, {}, "registers do not hold that much"),
        (-1, {}, "registers do not hold that much"),
        (65535, {"na": (65535,)}, "it would be read as not_available"),
        (True, {}, "write a number"),
        ("5", {}, "write a number"),
        (1, {"at": "coil:0", "type": "bool", "valid": None}, "write true or false"),
        ("on", {"type": "bool", "bit": 1, "valid": None}, "write true or false"),
        ("atuo", {"enum": {"0": "off", "2": "auto"}}, 'did you mean "auto"'),
        (2, {"enum": {"0": "off", "2": "auto"}}, "expected one of auto, off"),
        ("auto", {"enum": {"0": "off", "2": "auto"}, "valid": (0, 1)}, "its code 2 is not within valid 0 to 1"),
        ("abcde", {"type": "string", "length": 2, "valid": None}, "has 5 bytes, 4 fit"),
        ("abc ", {"type": "string", "length": 2, "valid": None}, "the nearest that it can be is 'abc'"),
        ("a\x1b", {"type": "string", "length": 2, "valid": None}, "invalid_text"),
        (7, {"type": "string", "length": 2, "valid": None}, "write a text"),
        (1024, {"at": "coil:0", "type": "bits", "length": 10, "valid": None}, "do not hold that much"),
        (1e39, {"type": "float32", "valid": (-1e60, 1e60)}, "cannot be"),
    ],
)
def test_what_cannot_be_is_refused_and_says_what_can(value: object, point: dict, words: str) -> None:
    with pytest.raises(CommandError) as refused:
        sent(value, **point)
    assert words in str(refused.value)
    assert refused.value.status == 400


@given(
    st.sampled_from(("int16", "uint16", "int32", "uint32", "int64", "uint64")),
    st.sampled_from(ORDERS),
    st.sampled_from((1.0, 0.1, 0.01, 0.5, 10.0, 0.001)),
    st.sampled_from((0.0, -40.0, 273.15)),
    st.data(),
)
def test_every_value_that_can_be_read_can_be_written(kind: str, words: str, scale: float, offset: float, data) -> None:
    signed = kind[0] == "i"
    bits = min(int(kind.lstrip("uint")), 48)  # beyond, a float has not the digits for scaled values
    raw = data.draw(st.integers(-(1 << bits - 1) if signed else 0, (1 << bits - 1) - 1))
    target = point(type=kind, order=words, scale=scale, offset=offset)
    span = locate(target)
    block = packer(target, span)(raw)
    from drivers._points import finisher

    value = finisher(target)(extractor(target, span, span.start)(block), 1, 0).value
    assert raw_for(target, span, value) == raw


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.sampled_from(ORDERS))
def test_a_single_that_was_read_is_written_so_that_it_is_read_again(number: float, words: str) -> None:
    target = point(type="float32", order=words, valid=(-1e39, 1e39))
    span = locate(target)
    value = extractor(target, span, span.start)(packer(target, span)(number))
    again = packer(target, span)(raw_for(target, span, value))
    assert extractor(target, span, span.start)(again) == value


@given(st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=20)))
def test_any_value_is_written_exactly_or_refused(value: object) -> None:
    for more in ({"scale": 0.1}, {"type": "float32"}, {"type": "bcd"}, {"type": "string", "length": 3},
                 {"type": "bool", "bit": 3}, {"enum": {"1": "a"}}, {"type": "bits", "length": 2}):  # fmt: skip
        target = point(**more)
        span = locate(target)
        try:
            raw = raw_for(target, span, value)
        except CommandError:
            continue
        assert order(target, span, raw).pdu


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"at": "input:3"}, "points.p.write: input can only be read"),
        ({"at": "discrete:3", "type": "bool"}, "points.p.write: discrete can only be read"),
        ({"type": "uint32", "decimals": "d"}, "points.p.write: needs d, which may change meanwhile"),
        ({"type": "uint32", "ratio": "d"}, "points.p.write: needs d"),
        ({"enum": {"0": "off", "1": "on", "2": "on"}}, "points.p.enum: 'on' stands for several codes"),
        ({"type": "string", "length": 124}, "points.p.length: at most 123"),
    ],
)
def test_a_point_that_can_never_be_written_is_refused_by_check(settings: dict, problem: str) -> None:
    valid = {} if settings.get("type") in ("string", "bool") else {"valid": [0, 10]}
    points = {"p": {"at": "holding:0", "write": True, **valid, **settings}, "d": {"at": "holding:50"}}
    with pytest.raises(ConfigError) as refused:
        make("modbus", points)
    assert problem in str(refused.value)


@pytest.mark.parametrize("framing", ["tcp", "rtu", "ascii"])
def test_nobody_writes_to_everybody(framing: str) -> None:
    with pytest.raises(ConfigError, match="broadcast"):
        make("modbus", {"p": {"at": "coil:0", "type": "bool", "write": True}}, address=0, framing=framing)


@pytest.mark.parametrize("driver", ["dlt645", "cjt188", "mbus", "nmea", "line", "frames"])
def test_no_other_driver_writes(driver: str) -> None:
    import drivers

    made = drivers.find(driver)
    for name in vars(made).values():
        assert not (isinstance(name, type) and hasattr(name, "write") and hasattr(name, "check"))


def test_a_bit_is_never_set_by_writing_its_register() -> None:
    target = point(type="bool", bit=0)
    for single in (True, False):
        assert order(target, Span(Table.HOLDING, 10, 1), True, single=single).pdu[0] == 22


def test_where_one_register_cannot_be_written_alone_several_are() -> None:
    target = point()
    made = order(target, locate(target), 7, single=False)
    assert (made.pdu, made.done) == (struct.pack(">BHHBH", 16, 10, 1, 2, 7), struct.pack(">BHH", 16, 10, 1))
    coil = point("coil:3", type="bool")
    assert order(coil, locate(coil), True, single=False).pdu == struct.pack(">BHHBB", 15, 3, 1, 1, 1)
