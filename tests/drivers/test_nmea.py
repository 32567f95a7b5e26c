"""NMEA 0183: sentences to SI values, half sentences and wrong checksums to nothing."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.nmea import parse
from gateway.contract import ConfigError, DeviceError, DeviceSilentError
from tests.drivers.spoken import Speech, hear, make, run, vectors

WIND = {"speed": {"at": "MWV.speed"}, "angle": {"at": "MWV.angle", "valid": [0, 360]}}


def sentence(body: str) -> bytes:
    total = 0
    for character in body.encode():
        total ^= character
    return f"${body}*{total:02X}\r\n".encode()


async def one(at: str, *lines: bytes, **more):
    return (await hear(make("nmea", {"p": {"at": at, **more}}), ["p"], *lines))["p"]


EXPECTED = {
    "$WIMWV,214.8,R,0.1,K,A*28": {"MWV.angle": 214.8, "MWV.speed": 0.02777778, "MWV.speed.R": 0.02777778},
    "$WIMWV,212.6,R,5.8,N,A*29": {"MWV.angle.R": 212.6, "MWV.speed": 2.983778},
    "$WIXDR,C,+023.0,C,TEMP,P,1.0199,B,PRESS,H,039.6,P,RH*33": {
        "XDR.C.TEMP": 23.0, "XDR.C": 23.0, "XDR.P.PRESS": 101990.0, "XDR.H.RH": 39.6,
    },
    "$WIXDR,C,026.0,C,,*56": {"XDR.C": 26.0, "XDR.C.": 26.0},
    "$WIMWV,120.0,T,12.3,M,V*02": {"MWV.speed": None, "MWV.angle": None},
    "$WIXDR,P,1013.2,H,P0,C,31.5,C,T0,H,72.0,P,H0*31": {
        "XDR.P.P0": 101320.0, "XDR.C.T0": 31.5, "XDR.H.H0": 72.0,
    },
}  # fmt: skip


async def test_every_vector_of_the_reference(shared):
    found = vectors(shared, "nmea0183")
    assert found
    for vector in found:
        line = vector["text"].encode() + b"\r\n"
        if vector["origin"].endswith("_bad"):
            with pytest.raises(DeviceError):
                parse(line.strip())
            continue
        for at, expected in EXPECTED[vector["text"]].items():
            value = await one(at, line)
            assert value.value == (expected and pytest.approx(expected, rel=1e-6)), at
            assert (value.quality == "bad") is (expected is None)


async def test_a_void_sentence_is_bad_with_its_reason():
    assert (await one("MWV.speed", b"$WIMWV,120.0,T,12.3,M,V*02\r\n")).reason == "invalid_status"


@pytest.mark.parametrize(
    ("at", "body", "expected"),
    [
        ("HDT.heading", "HEHDT,274.07,T", 274.07),
        ("HDG.heading", "HCHDG,101.1,,,7.1,W", 101.1),
        ("MTW.temperature", "YXMTW,17.75,C", 17.75),
        ("MTW.temperature", "YXMTW,212,F", 100.0),
        ("MDA.pressure", "WIMDA,29.9,I,1.0133,B,21.5,C,,,55.0,,12.1,C,30.0,T,27.0,M,3.9,N,2.0,M", 101330.0),
        ("MDA.humidity", "WIMDA,29.9,I,1.0133,B,21.5,C,,,55.0,,12.1,C,30.0,T,27.0,M,3.9,N,2.0,M", 55.0),
        ("MDA.speed", "WIMDA,29.9,I,1.0133,B,21.5,C,,,55.0,,12.1,C,30.0,T,27.0,M,3.9,N,2.0,M", 2.0),
        ("DPT.depth", "SDDPT,2.4,0.0", 2.4),
        ("DBT.depth", "SDDBT,7.9,f,2.4,M,1.3,F", 2.4),
        ("ROT.1", "HEROT,-3.5,A", -3.5),
        ("MWV.speed", "WIMWV,10,R,10,S,A", 4.4704),
        ("XDR.V", "WIXDR,V,12.5,M,RAIN", 12.5),
    ],
)
async def test_other_sentences(at, body, expected):
    assert (await one(at, sentence(body))).value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("at", "body", "reason"),
    [
        ("MWV.speed", "WIMWV,10,R,,N,A", "not_available"),
        ("MWV.speed", "WIMWV,10,R,fast,N,A", "not_a_number"),
        ("MWV.speed", "WIMWV,10,R,1.0,Q,A", "unknown_unit"),
        ("MWV.speed", "WIMWV,10,R", "sentence_too_short"),
        ("XDR.P", "WIXDR,P,1.0,X,P0", "unknown_unit"),
    ],
)
async def test_what_a_sentence_does_not_say_is_bad(at, body, reason):
    assert (await one(at, sentence(body))).reason == reason


async def test_true_and_relative_wind_are_told_apart():
    both = (sentence("WIMWV,10,R,1.0,M,A"), sentence("WIMWV,20,T,2.0,M,A"))
    assert (await one("MWV.speed.T", *both)).value == 2.0
    assert (await one("MWV.speed.R", *both)).value == 1.0


async def test_a_read_lasts_until_all_points_are_heard_and_the_newest_counts():
    device = make("nmea", {**WIND, "t": {"at": "XDR.C"}})
    chunks = [b"14.8,R,9.9,M,A*00\r\n" + sentence("WIMWV,1,R,1.0,M,A") + sentence("WIMWV,2,R,2.0,M,A")[:9],
              sentence("WIMWV,2,R,2.0,M,A")[9:] + sentence("WIXDR,C,5,C,T")]  # fmt: skip
    values = await hear(device, ["speed", "angle", "t"], *chunks)
    assert {name: value.value for name, value in values.items()} == {"speed": 2.0, "angle": 2.0, "t": 5.0}


async def test_what_is_not_heard_in_time_is_bad_and_the_rest_good():
    values = await hear(make("nmea", {**WIND, "t": {"at": "XDR.C"}}), ["speed", "t"], sentence("WIMWV,1,R,1.0,M,A"))
    assert values["speed"].value == 1.0
    assert (values["t"].quality, values["t"].reason) == ("bad", "timeout")


async def test_what_was_said_before_the_read_is_not_taken():
    device = make("nmea", WIND)
    with pytest.raises(DeviceSilentError):
        await hear(device, ["speed"], unasked=sentence("WIMWV,1,R,1.0,M,A"))


async def test_only_the_named_talker_is_heard():
    device = make("nmea", {"heading": {"at": "HDT.heading"}}, "HE")
    values = await hear(device, ["heading"], sentence("IIHDT,1.0,T"), sentence("HEHDT,2.0,T"))
    assert values["heading"].value == 2.0


@pytest.mark.parametrize(
    ("said", "reason"),
    [([b"$WIMWV,045,R,12.5,N,A*27\r\n"], "crc"), ([b"\x8a\x91garbage" * 50], "damaged"), ([], "timeout")],
)
async def test_why_nothing_good_came(said, reason):
    with pytest.raises(DeviceError) as failed:
        await hear(make("nmea", WIND), ["speed"], *said)
    assert failed.value.reason == reason


async def test_a_flood_ends():
    class Flood(Speech):
        async def read(self, at_most: int = 4096) -> bytes:
            return b"x" * at_most

    with pytest.raises(DeviceError, match="floods"):
        await make("nmea", WIND).read(Flood(), frozenset(WIND))


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ({"at": "wind"}, "no place in a sentence"),
        ({"at": "MWV.gust"}, "angle, speed"),
        ({"at": "HDT.heading.T"}, "only MWV"),
        ({"at": "XDR.TEMP"}, "one letter"),
        ({"at": "MWV.speed", "order": "DCBA"}, "no use for order"),
        ({"at": "MWV.speed", "type": "bool"}, "does not fit"),
    ],
)
def test_a_wrong_point_is_named(point, said):
    with pytest.raises(ConfigError, match=said) as refused:
        make("nmea", {"p": point})
    assert refused.value.problems[0].startswith("points.p.")


def test_a_wrong_talker_is_named():
    with pytest.raises(ConfigError, match="talker"):
        make("nmea", WIND, "weather")


GOOD = sentence("WIMWV,214.8,R,7.5,M,A")


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(GOOD) - 3), st.integers(1, 255))
def test_one_damaged_byte_never_yields_a_value(at, flip):
    spoilt = bytearray(GOOD)
    spoilt[at] ^= flip
    if bytes(spoilt).upper() == GOOD:
        return  # the digits of a checksum may be small letters
    with pytest.raises(DeviceError):
        run(hear(make("nmea", WIND), WIND, bytes(spoilt)))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=80) | st.text("$!*,.WIMVXDRCA0159\r\n", max_size=80).map(str.encode), max_size=6))
def test_any_bytes_make_a_device_error_or_nothing(chunks):
    device = make("nmea", {**WIND, "t": {"at": "XDR.C"}})
    with contextlib.suppress(DeviceError):
        run(hear(device, ["speed", "t"], *chunks, unasked=b"".join(chunks[:2])))
    assert len(device._ear._rest) <= 256
