"""Binary frames: found by header and checksum wherever they begin, the newest counts, every field and order."""

import contextlib
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract import ConfigError, DeviceError, DeviceSilentError
from tests.drivers.spoken import Speech, hear, make, run, vectors
from tests.modbus_farm import crc16

ULTRASONIC = {"header": "FF", "length": 4, "checksum": "sum8"}
DISTANCE = {"distance": {"at": "1", "type": "uint16", "na": [0], "valid": [30, 7500]}}


def sensor(**options):
    return make("frames", DISTANCE, **{**ULTRASONIC, **options})


def frame(distance: int) -> bytes:
    body = b"\xff" + struct.pack(">H", distance)
    return body + bytes((sum(body) & 0xFF,))


async def distance(device, *chunks: bytes, unasked: bytes = b""):
    return (await hear(device, ["distance"], *chunks, unasked=unasked))["distance"]


async def test_every_vector_of_the_reference(shared):
    expected = {"FF 07 A1 A7": 1953, "FF 01 09 09": 265, "FF 11 94 A4": 4500, "FF 00 00 FF": None}
    found = vectors(shared, "ultrasonic_uart")
    assert found
    for vector in found:
        raw = bytes.fromhex(vector["frame_hex"])
        if vector["origin"].endswith("_bad"):
            with pytest.raises(DeviceError):
                await distance(sensor(), raw)
        else:
            assert (await distance(sensor(), raw)).value == expected[vector["frame_hex"]]


async def test_no_echo_and_nonsense_are_bad_with_a_reason():
    assert (await distance(sensor(), frame(0))).reason == "not_available"
    assert (await distance(sensor(), frame(9000))).reason == "out_of_range"


@pytest.mark.parametrize("value", [255, 0x07FF, 0x1000, 512])
@pytest.mark.parametrize("cut", range(4))
async def test_a_header_inside_a_value_is_no_beginning(value, cut):
    stream = frame(value) * 5
    assert (await distance(sensor(), stream[cut:])).value == value


@pytest.mark.parametrize("size", [1, 2, 3, 5])
async def test_frames_in_any_pieces(size):
    stream = frame(265) * 3
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert (await distance(sensor(), *chunks)).value == 265


async def test_the_newest_counts_and_nothing_older_than_the_read():
    assert (await distance(sensor(), frame(100) + frame(200) + frame(300)[:2])).value == 200
    assert (await distance(sensor(), frame(300)[2:], unasked=frame(100) + frame(300)[:2])).value == 300
    with pytest.raises(DeviceSilentError):
        await distance(sensor(), unasked=frame(100))


async def test_why_nothing_good_came():
    with pytest.raises(DeviceError) as failed:
        await distance(sensor(), b"\xff\x07\xa1\xa8" * 4)
    assert failed.value.reason == "crc"
    with pytest.raises(DeviceError) as failed:
        await distance(sensor(), b"\x01\x02\x03")
    assert failed.value.reason == "damaged"


async def test_a_polled_sensor_is_asked():
    device = sensor(request="01")
    pipe = Speech()
    pipe.answer = lambda _request: frame(700)
    assert (await device.read(pipe, frozenset(DISTANCE)))["distance"].value == 700
    assert pipe.said == [b"\x01"]
    assert not device.free_running
    assert sensor().free_running


@pytest.mark.parametrize("checksum", ["xor", "crc16", "none"])
async def test_fields_orders_and_other_checksums(checksum):
    points = {
        "big": {"at": "2", "type": "int16", "scale": 0.1},
        "little": {"at": "4", "type": "uint32", "order": "DCBA"},
        "real": {"at": "8", "type": "float32"},
        "bcd": {"at": "12", "type": "bcd", "length": 2},
        "bit": {"at": "14", "type": "bool", "bit": 7},
        "byte": {"at": "14", "type": "bits"},
        "text": {"at": "15", "type": "string", "length": 3},
        "state": {"at": "1", "type": "bits", "enum": {"85": "ready"}},
    }
    body = b"\xaaU" + struct.pack(">h", -205) + struct.pack("<I", 70000) + struct.pack(">f", 1.5) + b"\x12\x34\x81ok\0"
    total = 0
    for byte in body[2:]:
        total ^= byte
    whole = body + {"xor": bytes((total,)), "crc16": crc16(body[2:]), "none": b""}[checksum]
    device = make("frames", points, header="AA 55", length=len(whole), checksum=checksum, checksum_from=2)
    values = await hear(device, points, b"\x00" + whole[:7], whole[7:] + b"\xaa")
    assert {name: value.value for name, value in values.items()} == {
        "big": -20.5, "little": 70000, "real": 1.5, "bcd": 1234, "bit": True, "byte": 0x81, "text": "ok",
        "state": "ready",
    }  # fmt: skip


async def test_a_frame_that_is_wrong_by_chance_never_counts_alone():
    device = sensor(median=3)
    assert (await distance(device, frame(100), frame(101) + frame(31))).value == 100
    assert (await distance(device, frame(100) + frame(9000) + frame(2559))).reason == "out_of_range"
    assert (await distance(device, frame(0) + frame(100) + frame(0))).reason == "not_available"
    with pytest.raises(DeviceError):
        await distance(device, frame(100) + frame(100))


async def test_an_hour_with_five_per_cent_of_damaged_bytes():
    device = sensor(median=3)
    chance = random.Random(645)
    good = bad = 0
    for second in range(3600):  # ten frames a second, a read every second
        stream = bytearray(b"".join(frame(1953 + second % 7) for _ in range(10)))
        for at in range(len(stream)):
            if chance.random() < 0.05:
                stream[at] = chance.randrange(256)
        try:
            value = await distance(
                device, *(bytes(stream[at : at + 4]) for at in range(16, 40, 4)), unasked=stream[:16]
            )
        except DeviceError:
            bad += 1
        else:
            good += 1
            assert value.value == 1953 + second % 7
    assert good > 3000, bad


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"header": "F"}, "options.header"),
        ({"header": ""}, "too short"),
        ({"checksum": "none"}, "at least two bytes"),
        ({"checksum": "md5"}, "options.checksum"),
        ({"length": 2}, "leaves no byte"),
        ({"length": 4.0}, "options.length"),
        ({"checksum_from": 3}, "leaves no byte"),
        ({"median": 2}, "has no middle"),
        ({"median": 3, "request": "01"}, "gives one frame"),
        ({"lenght": 4}, 'did you mean "length"'),
    ],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(ConfigError, match=said):
        sensor(**options)


def test_the_checksum_must_be_said():
    with pytest.raises(ConfigError, match=r"options.checksum.*write one of none, xor"):
        make("frames", DISTANCE, header="FF", length=4)


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ({"at": "x"}, "no byte of the frame"),
        ({"at": "2"}, "beyond byte 2"),
        ({"at": "1", "order": "CDAB"}, "ABCD when"),
        ({"at": "1", "type": "bool", "bit": 8}, "from 0 to 7"),
        ({"at": "1", "length": 2}, "leave it out otherwise"),
        ({"at": "1", "type": "sbcd"}, "does not fit"),
        ({"at": "1", "ratio": "other"}, "no use for ratio"),
    ],
)
def test_wrong_points_are_named(point, said):
    with pytest.raises(ConfigError, match=said):
        make("frames", {"p": point}, **ULTRASONIC)


@settings(max_examples=300, deadline=None)
@given(st.integers(30, 7500), st.integers(0, 3), st.integers(1, 255))
def test_one_damaged_byte_never_yields_a_value(value, at, flip):
    spoilt = bytearray(frame(value))
    spoilt[at] ^= flip
    with pytest.raises(DeviceError):
        run(distance(sensor(), bytes(spoilt)))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40) | st.binary(max_size=9).map(lambda data: b"\xff" + data), max_size=8))
def test_any_bytes_make_a_device_error_or_nothing(chunks):
    device = sensor()
    with contextlib.suppress(DeviceError):
        run(distance(device, *chunks, unasked=b"".join(chunks[:3])))
    assert len(device._ear._rest) <= 4
