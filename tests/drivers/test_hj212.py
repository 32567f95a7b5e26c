"""HJ 212: packets found and refused, values with marks and times, answers, passwords."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import drivers
from drivers.hj212.packet import KEPT, Packet, PacketEars, build, crc
from gateway.contract import ConfigError, DeviceSpec, LineKind, PointValue
from gateway.links.calls import Call, Heard
from gateway.settings import PointSettings
from gateway.settings.resolve import _point
from tests.drivers.spoken import vectors
from tests.drivers.station_frames import MN, packet
from tests.simulate.bench import spec_of

NOW = datetime(2026, 11, 21, 9, 0, 0, 250_000, tzinfo=UTC)
POINTS = {
    "pm25": {"at": "a34004-Rtd", "unit": "µg/m³", "valid": [0, 1000]},
    "noise": {"at": "LA-Rtd", "scale": 10},
    "pm25-hour": {"at": "hour:a34004-Avg"},
    "pm25-most": {"at": "minute:a34004-Max"},
    "pm25-day": {"at": "day:a34004-Avg"},
}
DATA = "DataTime=20261121082500;a34004-Rtd=35.0,a34004-Flag=N;LA-Rtd=5.83,LA-Flag=N"


def station(points: dict[str, dict] | None = None, address: int | str = MN, **options):
    made = {name: _point(name, PointSettings.model_validate(point)) for name, point in (points or POINTS).items()}
    return drivers.find("hj212").make(DeviceSpec("s", "hj212", address, LineKind.LISTEN, made, options))


def cut(data: bytes, *at: int) -> list[Call]:
    ears, calls = PacketEars(), []
    for begin, end in zip((0, *at), (*at, len(data)), strict=True):
        calls += ears.feed(data[begin:end])
    return calls


def hear(data: bytes, driver=None, now: datetime | None = NOW, monotonic: float = 0.0) -> Heard:
    (call,) = cut(data)
    return (driver or station()).hear(call, now, monotonic)


def local(*when: int) -> datetime:
    return datetime(*when)  # noqa: DTZ001 - the station's own clock


# ------------------------------------------------------------------------------------------------------ packets


def test_the_standards_own_checksum():
    segment = b"QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&"
    assert crc(segment) == b"1C80"


def test_public_packets_are_read_and_the_wrong_one_refused(shared):
    for vector in vectors(shared, "hj212_2017"):
        raw = vector["text"].encode()
        for at in range(1, len(raw), 11):
            (call,) = cut(raw, at)
            assert call.fault == ("crc" if vector["origin"] == "public_bad" else ""), vector["meaning"]
            assert len(call.frame) == int(raw[2:6]), vector["meaning"]


@pytest.mark.parametrize("noise", [b"", b"\r\n", b"##", b"#", b"##12", b"\0" * 50, packet(DATA)[:-20]])
def test_packets_are_found_behind_noise(noise):
    good = packet(DATA)
    calls = cut(noise + good + noise + good)
    assert [call.fault for call in calls if call.frame == good[6:-6]] == ["", ""]


def test_a_wrong_length_is_no_matter_but_a_wrong_checksum_is():
    good = packet(DATA)
    assert [call.fault for call in cut(b"##0003" + good[6:])] == [""]
    assert [call.fault for call in cut(b"##0999" + good[6:])] == [""]
    assert [call.fault for call in cut(good[:-6] + good[-6:].lower())] == [""]
    (call,) = cut(good.replace(b"35.0", b"36.0"))
    assert call.fault == "crc"
    heard = station().hear(call, NOW, 0.0)
    assert (heard.reply, dict(heard.values), heard.fault is not None) == (b"", {}, True)


@settings(max_examples=60, deadline=None)
@given(
    data=st.binary(max_size=300) | st.text("#0123456789&=;,\r\nQNCPMN-Flag", max_size=300).map(str.encode),
    at=st.integers(0, 300),
)
@example(data=b"##9999" * 50, at=3)
def test_any_bytes_are_noise(data, at):
    ears, driver = PacketEars(), station()
    for call in ears.feed(data[:at]) + ears.feed(data[at:]) + ears.feed(b"x" * 5000):
        driver.hear(call, NOW, 0.0)
    assert len(ears._rest) <= KEPT
    assert [call.fault for call in ears.feed(packet(DATA))][-1] == ""


@settings(max_examples=60, deadline=None)
@given(segment=st.text(max_size=200) | st.text("&;,=-0123456789.QNCPMNFlagRtd", max_size=200))
def test_any_sound_packet_is_taken(segment):
    data = f"MN={MN};CP=&&{segment}&&"
    heard = hear(build(data)) if "##" not in segment else None
    assert heard is None or all(isinstance(value, PointValue) for value in heard.values.values())


@settings(max_examples=120, deadline=None)
@given(at=st.integers(0, 200), bit=st.integers(0, 7))
def test_one_flipped_bit_never_makes_a_value_that_was_not_sent(at, bit):
    good = bytearray(packet(DATA))
    good[min(at, len(good) - 1)] ^= 1 << bit
    driver = station()
    for call in cut(bytes(good)):
        for name, value in driver.hear(call, NOW, 0.0).values.items():
            assert value == {"pm25": PointValue(35.0), "noise": PointValue(58.3)}[name]


# ------------------------------------------------------------------------------------------------------- values


def test_values_carry_the_time_of_their_data():
    heard = hear(packet(DATA))
    assert heard.values == {"pm25": PointValue(35.0), "noise": PointValue(58.3)}
    assert heard.told == dict.fromkeys(("pm25", "noise"), local(2026, 11, 21, 8, 25))
    assert heard.clock == local(2026, 11, 21, 8, 25, 30, 123_000)


@pytest.mark.parametrize(
    ("command", "field", "name"),
    [(2051, "a34004-Max", "pm25-most"), (2061, "a34004-Avg", "pm25-hour"), (2031, "a34004-Avg", "pm25-day")],
)
def test_minutes_hours_and_days_are_points_of_their_own(command, field, name):
    heard = hear(packet(f"DataTime=20261121080000;{field}=33.2,a34004-Min=1,a34004-Flag=N", command))
    assert heard.values == {name: PointValue(33.2)}
    assert heard.unnamed == (f"a34004-Min of CN {command}",)


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        ("N", PointValue(35.0)),
        ("n", PointValue(35.0)),
        ("F", PointValue(None, "bad", "stopped")),
        ("D", PointValue(None, "bad", "device_fault")),
        ("B", PointValue(None, "bad", "link_fault")),
        ("C", PointValue(None, "bad", "calibration")),
        ("M", PointValue(35.0, "uncertain", "maintenance")),
        ("S", PointValue(35.0, "uncertain", "set_by_hand")),
        ("T", PointValue(35.0, "uncertain", "over_range")),
        ("?", PointValue(35.0, "uncertain", "unknown_mark")),
    ],
)
def test_a_value_is_worth_what_its_mark_says(mark, expected):
    assert hear(packet(f"a34004-Rtd=35.0,a34004-Flag={mark}")).values == {"pm25": expected}


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "not_a_number"), ("abc", "not_a_number"), ("1e9", "not_a_number"), ("1001", "out_of_range")],
)
def test_what_is_no_believable_number_is_bad(text, reason):
    assert hear(packet(f"a34004-Rtd={text},a34004-Flag=N")).values == {"pm25": PointValue(None, "bad", reason)}


def test_a_bad_mark_tells_more_than_a_number_out_of_range():
    assert hear(packet("a34004-Rtd=-9999,a34004-Flag=D")).values == {"pm25": PointValue(None, "bad", "device_fault")}
    assert hear(packet("a34004-Rtd=1001,a34004-Flag=T")).values == {"pm25": PointValue(None, "bad", "out_of_range")}


@pytest.mark.parametrize("profile", ["hj212-dust-noise", "hj212-water"])
def test_no_concentration_below_nothing_is_believed(profile):
    below = [name for name, point in spec_of(profile, MN).points.items() if "/m³" in point.unit or "/L" in point.unit]
    assert len(below) >= 5
    for name in below:
        assert spec_of(profile, MN).points[name].valid[0] == 0


def test_a_packet_of_2005_has_neither_flag_nor_number():
    heard = hear(packet(DATA, number="", flag=None))
    assert (heard.values["pm25"], heard.reply, heard.clock) == (PointValue(35.0), b"", None)


def test_numbered_packets_share_the_time_of_the_first():
    driver = station()
    more = "PNUM=2;PNO={};"
    hear(packet("DataTime=20261121082500;LA-Rtd=1,LA-Flag=N", flag=7, more=more.format(1)), driver)
    heard = hear(packet("a34004-Rtd=35.0,a34004-Flag=N", flag=7, more=more.format(2)), driver)
    assert heard.told == {"pm25": local(2026, 11, 21, 8, 25)}
    assert hear(packet("a34004-Rtd=36.0"), driver).told == {}


@pytest.mark.parametrize("time", ["20261321082500", "2026112108250", "x" * 14, ""])
def test_an_impossible_time_is_no_time(time):
    heard = hear(packet(f"DataTime={time};a34004-Rtd=35.0", number=time))
    assert (heard.values["pm25"], dict(heard.told), heard.clock) == (PointValue(35.0), {}, None)


# ------------------------------------------------------------------------------------------------------- exchange


def said(reply: bytes) -> list[Packet]:
    calls = cut(reply)
    assert all(not call.fault for call in calls)
    return [Packet.parse(call.frame) for call in calls]


def test_an_answer_repeats_the_number_and_wants_none_itself():
    reply = hear(packet(DATA)).reply
    assert reply.startswith(b"##0")
    (answer,) = said(reply)
    assert answer.head == {
        "QN": "20261121082530123", "ST": "91", "CN": "9014", "PW": "123456", "MN": MN, "Flag": "4",
    }  # fmt: skip
    assert hear(packet(DATA, flag=4)).reply == b""


def test_a_packet_sent_again_is_answered_again_and_told_once():
    driver = station()
    first, again = hear(packet(DATA), driver), hear(packet(DATA), driver, monotonic=10.0)
    assert (bool(first.values), bool(again.values), first.reply == again.reply) == (True, False, True)
    assert hear(packet(DATA), driver, monotonic=75.0).values


@pytest.mark.parametrize("sent", ["", "1234567", "пароль", "1234 56"])
def test_the_wrong_password_gets_no_answer_and_stands_nowhere(sent):
    driver = station()
    driver.password = "123456"
    heard = hear(packet(DATA, password=sent), driver)
    assert (heard.reply, dict(heard.values)) == (b"", {})
    assert heard.fault is not None
    assert heard.fault.reason == "password"
    assert "123456" not in str(heard.fault)
    assert not heard.fault.frame
    assert hear(packet(DATA), driver).values


def test_time_is_given_only_where_that_is_wanted():
    asks = packet("", 1013)
    assert [answer.get("CN") for answer in said(hear(asks).reply)] == ["9013"]
    notice, order = said(hear(asks, station(set_clock=True)).reply)
    assert (notice.get("CN"), order.get("CN"), order.get("ST")) == ("9013", "1012", "39")
    assert (order.groups, order.get("QN"), order.flag) == (({"SystemTime": "20261121090000"},), "20261121090000250", 5)
    driver = station(set_clock=True)
    assert len(said(hear(packet(DATA), driver).reply)) == 2  # its clock is 35 minutes slow
    assert len(said(hear(packet(DATA, number="20261121082540123"), driver, monotonic=20.0).reply)) == 1
    assert [answer.get("CN") for answer in said(hear(asks, station(set_clock=True), now=None).reply)] == ["9013"]


@pytest.mark.parametrize("command", [9011, 9012])
def test_its_answers_get_none(command):
    heard = hear(packet("ExeRtn=1", command))
    assert (heard.reply, heard.fault, dict(heard.values)) == (b"", None, {})


def test_signs_of_life_are_answered():
    heard = hear(packet("", 9015))
    assert said(heard.reply)[0].get("CN") == "9014"
    assert heard.unnamed == ("CN 9015 without data",)


# ------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("point", "problem"),
    [
        ({"at": "a34004"}, "points.x.at: "),
        ({"at": "week:a34004-Avg"}, "points.x.at: 'week' is no kind of data"),
        ({"at": "a34004-Flag"}, "points.x.at: the mark of a value"),
        ({"at": "a34004-Rtd", "type": "bits"}, "points.x.type: "),
        ({"at": "a34004-Rtd", "bit": 3}, "points.x.bit: "),
    ],
)
def test_a_point_that_cannot_be_is_refused(point, problem):
    with pytest.raises(ConfigError) as refused:
        station({"x": point})
    assert any(found.startswith(problem) for found in refused.value.problems), refused.value.problems


@pytest.mark.parametrize("address", ["", "x" * 25, "MN=1", "1;2"])
def test_another_address_is_refused(address):
    with pytest.raises(ConfigError, match="is no MN"):
        station(address=address)


def test_a_mn_is_the_same_in_small_letters():
    (call,) = cut(packet(DATA))
    assert call.station == station(address=MN.lower()).station
