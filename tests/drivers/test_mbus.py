"""M-Bus: telegrams of real meters, primary and secondary addresses, several telegrams, and everything damaged."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract import ConfigError, DeviceError, DeviceSilentError
from tests.drivers.spoken import Speech, make, run, vectors

pytest.importorskip("meterbus")

from drivers.mbus.link import find_long, selection, short_frame
from drivers.mbus.telegram import decode

POINTS = {"energy": {"at": "energy", "scale": 0.001}, "volume": {"at": "volume"}, "id": {"at": "id", "type": "string"}}


def long_frame(body: bytes, control: int = 0x08, address: int = 1, kind: int = 0x72) -> bytes:
    data = bytes((control, address, kind)) + body
    return bytes((0x68, len(data), len(data), 0x68)) + data + bytes((sum(data) & 0xFF, 0x16))


def telegram(records: bytes, number: str = "12345678", status: int = 0, **more) -> bytes:
    head = bytes.fromhex(number)[::-1] + b"\x2d\x2c\x01\x07\x55" + bytes((status,)) + b"\0\0"
    return long_frame(head + records, **more)


ENERGY = bytes.fromhex("04 06 E7 91 00 00")
VOLUME = bytes.fromhex("0C 13 67 45 23 01")


class Meter(Speech):
    """A meter written from the standard: link reset, selection, frame count bit, any number of telegrams."""

    def __init__(self, *telegrams: bytes, address: int = 1, number: str = "12345678", echo: bool = False) -> None:
        super().__init__()
        self.telegrams = telegrams
        self.own = address
        self.number = bytes.fromhex(number)[::-1]
        self.echo = echo
        self.selected = False
        self.place = 0
        self.last_bit: int | None = None
        self.answer = self._heard

    def _heard(self, request: bytes) -> bytes:
        assert request[0] in (0x10, 0x68)
        return (request if self.echo else b"") + self._reply(request)

    def _reply(self, request: bytes) -> bytes:
        if request[0] == 0x68:
            assert request[4:7] == b"\x73\xfd\x52", "only selecting is ever sent"
            self.selected = request[7:11] == self.number
            self.place, self.last_bit = 0, None
            return b"\xe5" if self.selected else b""
        control, address = request[1:3]
        if address != self.own and not (address == 0xFD and self.selected) and address != 0xFE:
            return b""
        if control == 0x40:
            self.place, self.last_bit = 0, None
            return b"\xe5"
        assert control in (0x5B, 0x7B), "only reading is ever sent"
        bit = control & 0x20
        if self.last_bit is None:
            assert bit, "the first request after a reset has the frame count bit"
        elif bit != self.last_bit:
            self.place = min(self.place + 1, len(self.telegrams) - 1)
        self.last_bit = bit
        return self.telegrams[self.place]


async def read(meter: Speech, points=POINTS, address: int | str = 1) -> dict:
    values = await make("mbus", points, address).read(meter, frozenset(points))
    return {name: value.value if value.quality == "good" else value.reason for name, value in values.items()}


async def test_every_vector_of_the_reference(shared):
    expected = {
        "SVM": {"energy": 28014.0, "volume": 640.581, "id": "01006089"},
        "SLB": {"energy": 0.0, "volume": 0.3, "id": "02205100"},
        "Kamstrup": {"energy": 37351.0, "volume": 561.08, "id": "06855817"},
        "pulse": {"energy": "no_such_data", "volume": 1234.567, "id": "70112345"},
    }
    found = vectors(shared, "mbus")
    telegrams = [vector for vector in found if vector["frame_hex"].startswith("68")]
    assert len(telegrams) == len(expected)
    for vector in telegrams:
        frame = bytes.fromhex(vector["frame_hex"])
        wanted = next(values for word, values in expected.items() if word in vector["meaning"])
        assert await read(Meter(frame, address=frame[5]), address=frame[5]) == wanted
    frames = [bytes.fromhex(vector["frame_hex"]) for vector in found]
    assert {short_frame(0x40, 1), short_frame(0x5B, 1), short_frame(0x40, 0xFE), b"\xe5"} < set(frames)


async def test_temperatures_of_a_heat_meter(shared):
    frame = next(bytes.fromhex(v["frame_hex"]) for v in vectors(shared, "mbus") if "SLB" in v["meaning"])
    points = {
        "flow": {"at": "flow-temperature"}, "return": {"at": "return-temperature"},
        "difference": {"at": "temperature-difference"}, "date": {"at": "date", "type": "string"},
        "fault": {"at": "permanent-error", "type": "bool"}, "maker": {"at": "manufacturer", "type": "string"},
    }  # fmt: skip
    assert await read(Meter(frame), points) == {
        "flow": 128.8, "return": 51.6, "difference": 77.23, "date": "2012-01-12", "fault": True, "maker": "SLB",
    }  # fmt: skip


async def test_storage_tariff_subunit_and_function_are_told_apart(shared):
    frame = next(bytes.fromhex(v["frame_hex"]) for v in vectors(shared, "mbus") if "Kamstrup" in v["meaning"])
    points = {
        "now": {"at": "power"}, "peak": {"at": "power max"}, "peak-then": {"at": "power storage=1 max"},
        "then": {"at": "energy storage=1"}, "tariff": {"at": "energy tariff=2 storage=1"},
        "third": {"at": "energy device=3"}, "none": {"at": "energy device=4"},
    }  # fmt: skip
    assert await read(Meter(frame, address=17), points, 17) == {
        "now": 34700.0, "peak": 44800.0, "peak-then": 55000.0, "then": 33361000.0, "tariff": 0.0, "third": 0.0,
        "none": "no_such_data",
    }  # fmt: skip


def test_selecting_as_in_the_standard():
    assert selection(bytes.fromhex("78563412FFFFFFFF")).hex(" ") == "68 0b 0b 68 73 fd 52 78 56 34 12 ff ff ff ff d2 16"


@pytest.mark.parametrize("address", ["12345678", "12345678FFFFFFFF", 12345678])
async def test_a_meter_by_its_secondary_address(address):
    meter = Meter(telegram(ENERGY + VOLUME, address=99), address=99)
    assert (await read(meter, address=address))["energy"] == 37351.0
    with pytest.raises(DeviceSilentError):
        await read(Meter(telegram(ENERGY), number="87654321"), address="12345678")


async def test_another_meters_answer_is_never_taken():
    with pytest.raises(DeviceError, match="meter 2 answered instead of 1"):
        await read(Meter(telegram(ENERGY, address=2)))
    with pytest.raises(DeviceError, match="another meter"):
        await read(Meter(telegram(ENERGY, number="12345679")), address="12345678")


async def test_any_single_meter_on_the_wire():
    assert (await read(Meter(telegram(ENERGY + VOLUME, address=7), address=7), address=254))["id"] == "12345678"


async def test_several_telegrams_until_all_is_said():
    meter = Meter(telegram(ENERGY + b"\x1f"), telegram(VOLUME + b"\x1f"), telegram(b"\x0f"))
    assert (await read(meter))["volume"] == 1234.567
    assert [request[1] for request in meter.said] == [0x40, 0x7B, 0x5B]
    meter = Meter(telegram(ENERGY + b"\x1f"))
    assert (await read(meter))["volume"] == "no_such_data"
    assert len(meter.said) == 17  # a meter that always says there is more


async def test_an_echoing_converter_and_noise():
    assert (await read(Meter(telegram(ENERGY + VOLUME), echo=True)))["volume"] == 1234.567
    meter = Meter(b"\x00\x68\x68" + telegram(ENERGY + VOLUME) + b"\xff")
    assert (await read(meter))["volume"] == 1234.567


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda frame: b"", "timeout"),
        (lambda frame: frame[:-1], "damaged"),
        (lambda frame: frame[:30] + bytes((frame[30] ^ 1,)) + frame[31:], "crc"),
        (lambda frame: b"\xe5", "damaged"),
        (lambda frame: long_frame(b"\x08", kind=0x70), "busy"),
        (lambda frame: long_frame(b"\x03", kind=0x70), "device_failure"),
        (lambda frame: long_frame(frame[7:-2], kind=0x73), "protocol"),
        (lambda frame: long_frame(b"\x01\x02"), "protocol"),
        (lambda frame: long_frame(frame[7:-2], control=0x53), "protocol"),
        (lambda frame: telegram(b"\x04\x7c"), "damaged"),
        (lambda frame: b"\x01" * 2000, "damaged"),
    ],
)
async def test_why_nothing_good_came(spoil, reason):
    with pytest.raises(DeviceError) as failed:
        await read(Meter(spoil(telegram(ENERGY + VOLUME))))
    assert failed.value.reason == reason


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("0C 13 67 45 23 F1", -123.4567 * 10),
        ("0C 13 67 45 2A 01", "invalid_bcd"),
        ("0C 13 FF FF FF FF", "invalid_bcd"),
        ("04 13 00 00 00 80", "not_available"),
        ("04 13 FF FF FF FF", -0.001),
        ("05 16 00 00 C0 3F", 1.5),
        ("05 16 00 00 C0 7F", "not_a_number"),
        ("00 13", "no_such_data"),
        ("04 93 15 01 00 00 00", "record_error"),
        ("04 93 3B 01 00 00 00", "no_such_data"),
        ("34 13 01 00 00 00", "no_such_data"),
        ("0D 13 02 31 32", "not_available"),
        ("07 13 40 42 0F 00 00 00 00 00", 1000.0),
        ("04 13 01 00", "not_available"),
        ("02 FB 10 05 00", 500.0),
    ],
)
async def test_numbers_of_every_coding(record, expected):
    values = await read(Meter(telegram(bytes.fromhex(record))), {"volume": {"at": "volume"}})
    assert values["volume"] == (pytest.approx(expected) if isinstance(expected, float) else expected)


async def test_a_clock_that_is_not_set_is_bad():
    points = {"when": {"at": "date-time", "type": "string"}}
    read_one = [
        (await read(Meter(telegram(bytes.fromhex("04 6D " + data))), points))["when"]
        for data in ("3A 0D E6 02", "BA 0D E6 02", "3F 0D E6 02", "3A 0D E0 00")
    ]
    assert read_one == ["2007-02-06T13:58", "invalid_date", "invalid_date", "invalid_date"]


@pytest.mark.parametrize("address", [251, 255, -1, "1234567", "123456789", "F2345678", "12345678GG"])
def test_wrong_addresses_are_named(address):
    with pytest.raises(ConfigError, match="no M-Bus address"):
        make("mbus", POINTS, address)


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ({"at": "heat"}, "write one of .*energy"),
        ({"at": "energy storage=x"}, "qualifies no record"),
        ({"at": "energy 2"}, "qualifies no record"),
        ({"at": "energy", "type": "string"}, "is a number"),
        ({"at": "id"}, 'type = "string"'),
        ({"at": "power-low"}, 'type = "bool"'),
        ({"at": "energy", "decimals": "x"}, "no use for decimals"),
    ],
)
def test_wrong_points_are_named(point, said):
    with pytest.raises(ConfigError, match=said):
        make("mbus", {"p": point})


GOOD = telegram(ENERGY + VOLUME)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_one_damaged_byte_never_yields_a_value(at, flip):
    spoilt = bytearray(GOOD)
    spoilt[at] ^= flip
    with pytest.raises(DeviceError):
        run(read(Meter(bytes(spoilt))))


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=120))
def test_any_records_with_a_right_checksum_make_values_or_a_device_error(records):
    with contextlib.suppress(DeviceError):
        decode(telegram(records), 1)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60) | st.just(GOOD[:20]) | st.just(b"\xe5"), max_size=6))
def test_any_bytes_make_a_device_error_or_nothing(answers):
    meter = Speech()
    meter.answer = lambda _request: answers.pop() if answers else b""
    with contextlib.suppress(DeviceError):
        run(read(meter))
    assert find_long(GOOD) == GOOD
