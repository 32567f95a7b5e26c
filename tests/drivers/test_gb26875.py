"""GB/T 26875.3: frames found and refused, states that hold, alarms that neither vanish nor double, replies."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import drivers
from drivers.gb26875.frame import Frame, FrameEars
from gateway.contract import ConfigError, DeviceSpec, LineKind, PointValue
from gateway.links.calls import Call, Heard
from gateway.settings import PointSettings
from gateway.settings.resolve import _point
from tests.drivers.spoken import vectors
from tests.drivers.station_frames import (
    CENTRE,
    FAULT,
    FIRE,
    NORMAL,
    SOURCE,
    TIME,
    analogue,
    component,
    component_object,
    device_state,
    frame,
    operation,
    panel_operation,
    system_state,
)

NOW = datetime(2026, 11, 21, 9, 0, 0, tzinfo=UTC)
POINTS = {
    "fire": {"at": "any:fire", "type": "bool"},
    "fires": {"at": "count:fire"},
    "where": {"at": "where:fire", "type": "string"},
    "fault": {"at": "any:fault", "type": "bool"},
    "lobby": {"at": "component:1/1/10/2:fire", "type": "bool"},
    "quiet": {"at": "component:1/1/10/2:fire", "type": "bool", "invert": True},
    "sprinklers": {"at": "system:12/1:fault", "type": "bool"},
    "mains": {"at": "device:mains-fault", "type": "bool"},
    "manual": {"at": "manual-alarm", "type": "bool"},
    "level": {"at": "analogue:1/1/10/2/2", "unit": "m", "valid": [0, 5]},
    "online": {"at": "online", "type": "bool"},
    "version": {"at": "version", "type": "string"},
}


def station(points: dict[str, dict] | None = None, address: int | str = SOURCE.hex(), **options):
    made = {name: _point(name, PointSettings.model_validate(point)) for name, point in (points or POINTS).items()}
    return drivers.find("gb26875").make(DeviceSpec("s", "gb26875", address, LineKind.LISTEN, made, options))


class Site:
    """A station's driver and what it made of frames, each a second after the other."""

    def __init__(self, **options) -> None:
        self.driver = station(**options)
        self.ears = self.driver.ears()
        self.time = 0.0
        self.serial = 0
        self.heard: list[Heard] = []

    def say(self, unit: bytes = b"", serial: int | None = None, seconds: float = 1.0, command: int = 2) -> Heard:
        self.serial = self.serial + 1 if serial is None else serial
        return self.send(frame(self.serial, unit, command), seconds)

    def send(self, data: bytes, seconds: float = 1.0) -> Heard:
        self.time += seconds
        (call,) = self.ears.feed(data)
        self.heard.append(self.driver.hear(call, NOW, self.time))
        return self.heard[-1]

    def value(self, name: str) -> object:
        """What a point holds; None when nothing is known."""
        held = self.driver.held().get(name)
        return None if held is None else held.value

    @property
    def events(self) -> list[tuple[str, bool]]:
        return [(event.data["event"], event.alarm) for heard in self.heard for event in heard.happenings]


def cut(data: bytes, *at: int) -> list[Call]:
    ears, calls = FrameEars(), []
    for begin, end in zip((0, *at), (*at, len(data)), strict=True):
        calls += ears.feed(data[begin:end])
    return calls


# ------------------------------------------------------------------------------------------------------- frames


def test_every_public_frame_is_read_and_built_again(shared):
    for vector in vectors(shared, "gbt26875_3"):
        raw = bytes.fromhex(vector["frame_hex"])
        for at in range(1, len(raw), 7):
            (call,) = cut(raw, at)
            assert (call.frame, call.fault) == (raw, ""), vector["meaning"]
        assert Frame.parse(raw).build() == raw


def test_a_confirmation_is_the_standards_own_example(shared):
    fire, confirmed = (bytes.fromhex(vector["frame_hex"]) for vector in vectors(shared, "gbt26875_3")[:2])
    then = datetime(2012, 9, 26, 9, 58, 35, tzinfo=UTC)
    (call,) = cut(fire)
    assert station().hear(call, then, 0.0).reply == confirmed


def test_without_a_clock_of_our_own_the_stations_time_goes_back():
    (call,) = cut(frame(3))
    reply = Frame.parse(station().hear(call, None, 0.0).reply)
    assert (reply.tag, reply.serial, reply.command, reply.target) == (TIME, b"\x03\x00", 3, SOURCE)


@pytest.mark.parametrize("noise", [b"", b"\xff\xfe", b"##", b"@", b"@@@@", frame(9)[:11], frame(9, command=9)[:-3]])
def test_frames_are_found_behind_noise(noise):
    good = frame(5, component(FIRE))
    assert Call(SOURCE.hex(), good) in cut(noise + good + noise + good)


def test_a_damaged_length_does_not_hold_back_the_fire_behind_it():
    damaged = bytearray(frame(1, component(NORMAL)))
    damaged[24:26] = (1000).to_bytes(2, "little")
    fire = frame(2, component(FIRE))
    assert Call(SOURCE.hex(), fire) in cut(bytes(damaged) + fire, 30)


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda data: data[:-3] + bytes((data[-3] ^ 1,)) + b"##", "crc"),
        (lambda data: data[:40] + bytes((data[40] ^ 0x80,)) + data[41:], "crc"),
        (lambda data: data[:-2] + b"#!", "end"),
        (lambda data: data[:24] + b"\x01\x04" + data[26:], "length"),
    ],
)
def test_a_damaged_frame_is_denied_and_counts_for_nothing(spoil, fault):
    driver = station()
    (call,) = cut(spoil(frame(7, component(FIRE))))
    heard = driver.hear(call, NOW, 0.0)
    assert call.fault == fault
    assert heard.fault is not None
    assert (Frame.parse(heard.reply).command, Frame.parse(heard.reply).serial) == (6, b"\x07\x00")
    assert not heard.values
    assert not driver.held()


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=4))
@example(data=b"@@" * 150, cuts=[])
def test_any_bytes_are_noise(data, cuts):
    at = sorted(min(cut_, len(data)) for cut_ in cuts)
    driver, ears = station(), FrameEars()
    for begin, end in zip((0, *at), (*at, len(data)), strict=True):
        for call in ears.feed(data[begin:end]):
            driver.hear(call, NOW, 0.0)
    assert len(ears._rest) < 1100
    good = frame(1, component(FIRE))
    for call in ears.feed(b"\0" * 1100 + good):
        driver.hear(call, NOW, 0.0)
    assert driver.held()["fire"].value is True


@settings(max_examples=60, deadline=None)
@given(
    unit=st.binary(max_size=120)
    | st.builds(
        lambda head, rest: head + rest,
        st.sampled_from([bytes((kind, 2)) for kind in range(30)]),
        st.binary(max_size=100),
    ),
    command=st.integers(0, 255),
)
def test_any_sound_frame_is_answered_or_known_not_to_want_one(unit, command):
    driver = station()
    (call,) = cut(frame(1, unit, command))
    heard = driver.hear(call, NOW, 0.0)
    assert bool(heard.reply) is (command not in (3, 5, 6)) or heard.fault
    assert all(isinstance(value, PointValue) for value in {**heard.values, **driver.held()}.values())


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 77), bit=st.integers(0, 7))
def test_one_flipped_bit_never_makes_a_value(at, bit):
    good = bytearray(frame(1, component(FIRE)))
    good[at] ^= 1 << bit
    driver = station()
    values = {}
    for call in cut(bytes(good)):
        if call.station == driver.station:
            values |= driver.hear(call, NOW, 0.0).values
    assert values == {}


# ------------------------------------------------------------------------------------------------------- states


def test_nothing_is_known_until_the_station_has_said_something():
    site = Site()
    assert site.say().values == {"online": PointValue(True)}
    assert site.value("fire") is None
    site.say(device_state(0b1))
    assert (site.value("fire"), site.value("fires"), site.value("where"), site.value("manual")) == (
        False,
        0.0,
        "",
        False,
    )


def test_a_fire_of_a_detector_that_no_point_names_is_a_fire_and_told_with_its_place():
    site = Site()
    heard = site.say(component(FIRE, circuit=3, number=17, note="3号楼2层走廊", kind=42))
    assert site.value("fire") is True
    assert site.value("where") == "1/1/3/17 3号楼2层走廊"
    (event,) = heard.happenings
    assert event.alarm
    assert event.time == datetime(2026, 11, 21, 8, 25, 30)  # noqa: DTZ001 - the station's own clock
    assert (
        event.data["text"] == "fire: photoelectric smoke detector, circuit 3, number 17 of fire alarm 1: 3号楼2层走廊"
    )
    assert event.data["component"] == {"type": 42, "name": "photoelectric smoke detector", "circuit": 3, "number": 17}
    assert heard.unnamed == ("component 1/1/3/17 (3号楼2层走廊)",)
    assert site.value("lobby") is None


def test_a_named_detector_has_a_point_of_its_own():
    site = Site()
    heard = site.say(component(FIRE))
    assert (site.value("lobby"), site.value("quiet"), heard.unnamed) == (True, False, ())
    site.say(component(NORMAL))
    assert (site.value("lobby"), site.value("quiet")) == (False, True)
    assert site.events == [("fire", True), ("over", True)]


def test_a_fire_is_over_when_the_last_detector_is_and_never_on_half_knowledge():
    site = Site()
    site.say(b"\x02\x02" + component_object(FIRE) + component_object(FIRE, number=3))
    assert site.value("fires") == 2
    site.say(component(NORMAL))
    assert (site.value("fire"), site.value("fires")) == (True, 1)
    site.say(component(NORMAL, number=3))
    # We may have started while others burnt: only the station's own word clears it.
    assert site.driver.held()["fire"] == PointValue(None, "bad", "not_known")
    site.say(device_state(0b1))
    assert site.value("fire") is False


@pytest.mark.parametrize(
    "unit", [operation(0b1), panel_operation(0b1), system_state(0b1 | 1 << 13)], ids=["station", "panel", "state"]
)
def test_a_reset_ends_what_detectors_never_take_back(unit):
    site = Site()
    site.say(component(FIRE))
    site.say(component(FIRE, circuit=4))
    site.say(unit)
    assert (site.value("fire"), site.value("fires"), site.value("lobby")) == (False, 0, False)


def test_a_reset_of_one_panel_leaves_the_other_burning():
    site = Site()
    site.say(component(FIRE, system=12))
    site.say(component(FIRE))
    site.say(panel_operation(0b1, system=1))
    assert (site.value("fire"), site.value("fires"), site.value("lobby")) == (True, 1, False)


def test_somebody_calls_a_fire_by_hand():
    site = Site()
    heard = site.say(operation(0b100, operator=9))
    assert (site.value("fire"), site.value("manual"), site.value("where")) == (True, True, "manual alarm")
    assert (heard.happenings[0].data["event"], heard.happenings[0].data["operator"]) == ("manual_alarm", 9)
    assert heard.happenings[0].alarm
    site.say(operation(0b1000))
    assert (site.value("fire"), site.value("manual")) == (None, False)
    site.say(operation(0b100))
    site.say(device_state(0b11))
    site.say(device_state(1))
    assert site.value("fire") is False


def test_systems_and_the_station_itself_have_states():
    site = Site()
    site.say(system_state(0b101, system=12))
    assert (site.value("sprinklers"), site.value("fault"), site.value("fire")) == (True, True, False)
    site.say(device_state(0b1001))
    assert site.value("mains") is True
    site.say(system_state(0b1, system=12))
    assert (site.value("sprinklers"), site.value("fault")) == (False, True)  # the mains are still a fault
    assert site.events == [("fault", False), ("fault", False), ("over", False)]


def test_a_systems_fire_is_a_fire():
    site = Site()
    site.say(system_state(0b11, system=12))
    assert (site.value("fire"), site.value("where"), site.events) == (True, "12/1 sprinklers", [("fire", True)])


@pytest.mark.parametrize(("whole", "part"), [(device_state, 12), (system_state, 1)])
def test_a_whole_that_takes_its_fire_back_takes_back_that_of_its_parts(whole, part):
    site = Site()
    site.say(whole(0b1))
    site.say(component(FIRE | FAULT, system=part))
    site.say(whole(0b1))
    assert site.value("fire") is True  # it never said fire itself: its parts know better
    site.say(whole(0b11))
    site.say(whole(0b1))
    assert (site.value("fire"), site.value("fault")) == (False, True)


def test_one_system_does_not_speak_for_another():
    site = Site()
    site.say(component(FIRE, system=12))
    site.say(component(NORMAL, system=12))
    site.say(panel_operation(0b1, system=1))
    assert site.driver.held()["fire"] == PointValue(None, "bad", "not_known")
    site.say(system_state(0b1, system=12))
    assert site.value("fire") is False


@pytest.mark.parametrize(
    ("raw", "value"), [(250, PointValue(2.5)), (-1, PointValue(None, "bad", "out_of_range")), (0, PointValue(0.0))]
)
def test_a_measured_value_has_the_standards_step(raw, value):
    heard = Site().say(analogue(2, raw))
    assert heard.values["level"] == value
    assert heard.told["level"] == datetime(2026, 11, 21, 8, 25, 30)  # noqa: DTZ001 - the station's own clock


def test_a_measured_value_that_no_point_names_is_seen():
    assert Site().say(analogue(3, 250)).unnamed == ("analogue 1/1/10/2/3",)


def test_versions_and_types_that_are_not_known():
    site = Site()
    site.say(b"\x19\x01\x02\x07")
    assert site.value("version") == "2.7"
    assert site.say(b"\x05\x01\x01\x01\x03\x04").unnamed == ("version 3.4 of fire alarm 1",)
    assert site.say(b"\xc8\x01abc").unnamed == ("3 bytes of type 200",)


def test_silence_makes_what_holds_uncertain_and_its_word_certain_again():
    site = Site()
    site.say(device_state(0b1001))
    site.driver.doubt()
    assert site.driver.held()["fire"] == PointValue(False, "uncertain", "before_silence")
    assert site.driver.held()["mains"] == PointValue(True, "uncertain", "before_silence")
    site.say(device_state(0b1))
    assert site.driver.held()["fire"] == PointValue(False)


@pytest.mark.parametrize("unit", [component(FIRE)[:-6], component(FIRE) + b"\0\0"], ids=["without time", "with more"])
def test_a_fire_in_an_odd_frame_counts_all_the_same(unit):
    site = Site()
    site.say(unit)
    assert site.value("fire") is True


def test_whole_objects_of_a_frame_that_is_cut_short_count():
    site = Site()
    heard = site.say(b"\x02\x02" + component_object(FIRE) + component_object(FIRE)[:20])
    assert site.value("fire") is True
    assert heard.unnamed[0] == "a frame of which it announces 2 objects and has 1"
    assert Frame.parse(site.say(b"\x02\x01" + component_object(FIRE)[:20]).reply).command == 6


@pytest.mark.parametrize("time", [bytes(6), b"\xff" * 6, b"\x3c\x00\x00\x01\x01\x1a"])
def test_a_fire_with_an_impossible_time_counts_all_the_same(time):
    site = Site()
    heard = site.say(component(FIRE, time=time))
    assert site.value("fire") is True
    assert heard.happenings[0].time is None


def test_the_text_of_a_place_is_cut_at_its_end_and_made_printable():
    note = "1号接口板".encode("gb18030") + b"\0\xba\xc5rubbish"
    unit = component(FIRE)
    unit = unit[:11] + note.ljust(31, b"\xa0")[:31] + unit[42:]
    assert Site().say(unit).happenings[0].data["note"] == "1号接口板"
    assert Site().say(component(FIRE, note="a\x1b[31mb")).happenings[0].data["note"] == "a\ufffd[31mb"


def test_more_fires_than_a_site_has_parts_stay_a_fire_and_cost_little():
    site = Site()
    for circuit in range(220):
        said = b"".join(component_object(FIRE, circuit, number) for number in range(22))
        site.say(b"\x02\x16" + said)
    memory = site.driver._memory
    assert len(memory.components) <= 4097
    assert memory.overfull
    for circuit in range(220):
        site.say(b"\x02\x16" + b"".join(component_object(NORMAL, circuit, number) for number in range(22)))
    assert site.value("fire") is True
    site.say(operation(1))
    assert site.value("fire") is False


# ------------------------------------------------------------------------------------------------------- exchange


def test_a_frame_sent_again_is_confirmed_again_and_told_once():
    site = Site()
    first = site.say(operation(0b100000), serial=7)
    again = site.say(operation(0b100000), serial=7, seconds=10.0)
    assert first.reply == again.reply
    assert (len(first.happenings), len(again.happenings)) == (1, 0)
    later = site.say(operation(0b100000), serial=7, seconds=61.0)
    assert len(later.happenings) == 1


def test_an_old_fire_sent_again_late_does_not_burn_anew():
    site = Site()
    site.say(device_state(1))
    fire = frame(20, component(FIRE))
    site.send(fire)
    site.say(component(NORMAL, time=b"\x1f" + TIME[1:]), serial=21)
    site.send(fire)
    assert (site.value("fire"), site.events) == (False, [("fire", True), ("over", True)])


def test_a_station_that_does_not_count_loses_no_fire():
    site = Site()
    for unit in (component(FIRE), component(NORMAL), component(FIRE)):
        site.say(unit, serial=0)
    assert (site.value("fire"), site.events) == (True, [("fire", True), ("over", True), ("fire", True)])


def test_what_is_not_for_us_to_do_is_denied():
    site = Site()
    for command in (1, 4, 7, 200):
        heard = site.say(b"\x5a\x01" + TIME, command=command)
        assert Frame.parse(heard.reply).command == 6
        assert heard.unnamed == (f"a frame with command {command}",)
    assert site.say(device_state(1), command=5).reply == b""
    assert site.value("fire") is False


def test_the_stations_clock_is_set_only_where_that_is_wanted():
    assert len(Site().say().reply) == 30
    site = Site(set_clock=True)
    reply = site.say().reply
    command = Frame.parse(reply[30:])
    assert (command.command, command.unit) == (1, b"\x5a\x01" + bytes((0, 0, 9, 21, 11, 26)))
    assert (command.source, command.target) == (CENTRE, SOURCE)
    assert len(site.say().reply) == 30
    assert len(site.say(seconds=3600.0).reply) > 30
    right = Site(set_clock=True)
    assert len(right.send(frame(1, time=bytes((30, 0, 9, 21, 11, 26)))).reply) == 30
    (call,) = cut(frame(1))
    assert len(station(set_clock=True).hear(call, None, 0.0).reply) == 30


# ------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"at": "component:1/1/10:fire"}, "points.x.at: "),
        ({"at": "component:1/256/10/2:fire"}, "points.x.at: 256 is too large"),
        ({"at": "system:1/1:burning"}, "points.x.at: 'burning' is no state here"),
        ({"at": "analogue:1/1/1/1/99"}, "points.x.at: 99 is no kind of value"),
        ({"at": "anything"}, "points.x.at: 'anything' is no place"),
        ({"at": "any:fault", "type": "uint16"}, "points.x.type: this is a bool"),
        ({"at": "where:fire", "type": "bool"}, "points.x.type: this is a string"),
        ({"at": "any:fault", "type": "bool", "scale": 2}, "points.x.scale: a bool of a fire station"),
        ({"at": "where:fire", "type": "string", "length": 3}, "points.x.length: "),
    ],
)
def test_a_point_that_cannot_be_is_refused(change, problem):
    with pytest.raises(ConfigError) as refused:
        station({"fire": {"at": "any:fire", "type": "bool"}, "x": change})
    assert any(found.startswith(problem) for found in refused.value.problems), refused.value.problems


@pytest.mark.parametrize("address", [889, "790300000000", "79 03 00 00 00 00", "79:03:00:00:00:00"])
def test_an_address_is_a_number_or_its_bytes(address):
    assert station(address=address).station == SOURCE.hex()


@pytest.mark.parametrize("address", [-1, 1 << 48, "889", "79030000000g", ""])
def test_another_address_is_refused(address):
    with pytest.raises(ConfigError, match="is no station"):
        station(address=address)


def test_unknown_options_are_refused():
    with pytest.raises(ConfigError, match="there is no such option"):
        station(set_clok=True)
