"""What a script makes go wrong, seen by the drivers: named, and never a wrong value."""

import random
from itertools import product

import pytest

from gateway.cli.simulate.line import SimulatedLine
from gateway.cli.simulate.station import Fault, Station, collide, noisy
from gateway.contract import DeviceError, DeviceSilentError
from tests.simulate.bench import Face, pair, read, spec_of

PROFILES = ("qdy30a", "dlt645-2007-single-phase", "cjt188-water", "mbus-water-meter", "nmea-weather", "dyp-a02yyuw")
ASKED = PROFILES[:4]


class Heard:
    """A slave behind its station and line: what its faults leave of its answers."""

    def __init__(self, profile: str, *faults: Fault, line_faults: tuple[Fault, ...] = ()) -> None:
        spec = spec_of(profile)
        self.names = frozenset(spec.points)
        self.driver, self.slave = pair(spec)
        _, twin = pair(spec, 99)
        self.station = Station("d", "", self.slave, None, twin)
        self.station.faults = dict(enumerate(faults))
        self.line = SimulatedLine("wire", [self.station], None, None, lambda: 5.0)  # type: ignore[arg-type]
        self.line.faults = dict(enumerate(line_faults))
        self.values = self.slave.values
        self.period = self.slave.period
        self.delays: list[float] = []

    def hear(self, question: bytes, _now: object) -> bytes:
        answer = self.line.answer(question, None)
        if answer is None:
            return b""
        self.delays.append(answer[0].delay)
        return answer[0].data

    def say(self, _now: object) -> bytes:
        return self.station.speak(5.0, random.Random(1), lambda _device, _values: None).data

    async def read(self):
        return await read(self.driver, Face(self), self.names)


@pytest.mark.parametrize("profile", PROFILES)
async def test_silence_is_silence(profile):
    with pytest.raises(DeviceSilentError):
        await Heard(profile, Fault("silence")).read()


@pytest.mark.parametrize("profile", ASKED)
async def test_a_cut_line_is_silence(profile):
    heard = Heard(profile, line_faults=(Fault("cut"),))
    with pytest.raises(DeviceSilentError):
        await heard.read()
    assert heard.line.unheard == heard.line.questions > 0


@pytest.mark.parametrize(
    ("profile", "kind"),
    [*product(PROFILES, ("wrong-crc", "half")), *product(ASKED, ("duplicate-address",))],
)
async def test_damaged_answers_give_no_good_value(profile, kind):
    heard = Heard(profile, Fault(kind))
    try:
        values = await heard.read()
    except DeviceError:
        return
    truth = heard.values.at(5.0).shown()
    good = {name: value.value for name, value in values.items() if value.quality == "good"}
    assert good == pytest.approx({name: truth[name] for name in good})
    assert len(good) < len(values), "the first of several sentences may still be whole"


@pytest.mark.parametrize("profile", ASKED)
async def test_an_echo_does_no_harm(profile):
    heard = Heard(profile, line_faults=(Fault("echo"),))
    values = await heard.read()
    assert {value.quality for value in values.values()} == {"good"}


@pytest.mark.parametrize(("profile", "reason"), [("qdy30a", "busy"), ("mbus-water-meter", "busy"),
                         ("dlt645-2007-single-phase", "refused"), ("cjt188-water", "refused")])  # fmt: skip
async def test_busy_is_said(profile, reason):
    heard = Heard(profile, Fault("busy"))
    with pytest.raises(DeviceError) as refused:
        await heard.read()
    assert refused.value.reason == reason
    assert heard.station.counts.refused > 0
    heard.station.faults.clear()
    assert {value.quality for value in (await heard.read()).values()} == {"good"}


async def test_an_exception_has_its_code():
    with pytest.raises(DeviceError, match="exception 0B"):
        await Heard("qdy30a", Fault("exception", code=11)).read()


async def test_stuck_values_do_not_move():
    heard = Heard("qdy30a")
    heard.line.elapsed = lambda: 0.0
    heard.station.faults = {0: Fault("stuck")}
    first = (await heard.read())["level"]
    heard.line.elapsed = lambda: 60.0
    assert (await heard.read())["level"] == first
    heard.station.faults.clear()
    assert (await heard.read())["level"] != first


@pytest.mark.parametrize("profile", ["dlt645-2007-single-phase", "nmea-weather", "mbus-heat-meter"])
async def test_not_available_is_said(profile):
    points = {"dlt645-2007-single-phase": "voltage", "nmea-weather": "humidity", "mbus-heat-meter": "energy"}
    values = await Heard(profile, Fault("na", points=frozenset({points[profile]}))).read()
    assert {name: value.reason for name, value in values.items() if value.quality == "bad"} == {
        points[profile]: "not_available"
    }


async def test_late_answers_wait():
    heard = Heard("qdy30a", Fault("late", delay=0.7), line_faults=(Fault("late", delay=0.2),))
    await heard.read()
    assert heard.delays == pytest.approx([0.9] * len(heard.delays))


@pytest.mark.parametrize("profile", ["qdy30a", "jxbs-3001-air", "dlt645-2007-single-phase", "cjt188-water"])
async def test_noise_of_five_per_cent_gives_no_wrong_value(profile):
    heard = Heard(profile, line_faults=(Fault("noise", percent=5),))
    truth = heard.values.at(5.0).shown()
    good = 0
    for _ in range(200):
        try:
            values = await heard.read()
        except DeviceError:
            continue
        for name, value in values.items():
            if value.quality == "good":
                good += 1
                assert value.value == pytest.approx(truth[name])
    assert good > 20


def test_two_at_once_are_garbage():
    assert collide(b"", b"ab") == b"ab"
    assert collide(b"\x01\x03\x02\x00\x07", b"\x01\x03\x02\x00\x07") == b"\x01\x03\x00\x00\x02\x00\x07"
    assert noisy(b"abc", 0, random.Random(1)) == b"abc"
    assert noisy(bytes(1000), 50, random.Random(1)).count(0) < 600
