"""Stations: heard, stamped, answered when taken; silent, damaged, on a dead line, with a driver that fails."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

import drivers
from gateway.clock import SystemClock
from gateway.contract import CommandError, DeviceEvent, PointValue, Reading, StateChange
from gateway.links.calls import Call, Heard
from gateway.links.listen import ListenLine
from gateway.metrics import REGISTRY
from gateway.settings import DeviceSettings, LineSettings
from gateway.settings.profiles import load_profile
from gateway.settings.resolve import resolve_device
from gateway.sources.station import Station
from tests.drivers.station_frames import FIRE, MN, NORMAL, SOURCE, calling, component, device_state, frame, packet

DEVICES = Path(__file__).resolve().parents[2] / "config/devices"
LINE = LineSettings(name="stations", listen="127.0.0.1:5200", allow=("127.0.0.0/8",))


class ScriptedLine:
    """A line whose state a test sets."""

    def __init__(self) -> None:
        self.name, self.address = "stations", "127.0.0.1:5200"
        self.state, self.reason, self.sentence = "open", "", ""
        self.admitted: list[tuple[Station, float]] = []
        self._changed = asyncio.Event()

    def admit(self, station: Station, silence: float) -> None:
        self.admitted.append((station, silence))

    async def changed(self) -> None:
        await self._changed.wait()

    def enter(self, state: str, reason: str = "") -> None:
        self.state, self.reason, self.sentence = state, reason, f"it is {reason}"
        self._changed.set()
        self._changed = asyncio.Event()


class Scene:
    """One station on the test's clock; ``full`` makes the bus wait."""

    def __init__(self, clock, profile: str = "gb26875-station", address: str = SOURCE.hex(), password=None, **more):
        settings = DeviceSettings(name="s", line="stations", profile=profile, address=address, **more)
        self.device = resolve_device(settings, LINE, load_profile(DEVICES / f"{profile}.toml"))
        self.clock, self.line = clock, ScriptedLine()
        self.items: list[object] = []
        self.full = asyncio.Event()
        self.full.set()
        self.made = 0
        driver = drivers.find(self.device.spec.driver).make(self.device.spec)
        self.station = Station(self.device, driver, self.line, clock, self.put, password, self.make)
        self.ears = self.station.ears()

    def make(self, spec):
        self.made += 1
        return drivers.find(spec.driver).make(spec)

    async def put(self, item: object) -> None:
        await self.full.wait()
        self.items.append(item)

    async def say(self, data: bytes) -> bytes:
        return b"".join([await self.station.take(call) for call in self.ears.feed(data)])

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(item.state.value, item.reason) for item in self.items if isinstance(item, StateChange)]

    @property
    def readings(self) -> list[Reading]:
        return [item for item in self.items if isinstance(item, Reading)]

    def recorded(self, point: str) -> list[tuple[object, str]]:
        """Value and quality of a point in every record that has it."""
        return [(one.points[point].value, one.points[point].quality) for one in self.readings if point in one.record]


@asynccontextmanager
async def playing(scene: Scene) -> AsyncIterator[Scene]:
    task = asyncio.create_task(scene.station.run())
    for _ in range(5):
        await asyncio.sleep(0)
    try:
        yield scene
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_call_brings_it_online_and_the_alarm_before_the_event(fake_clock):
    async with playing(Scene(fake_clock)) as scene:
        await fake_clock.advance(1.0)
        reply = await scene.say(frame(1, component(FIRE, note="大厅")))
        assert reply[26] == 3
        assert scene.states == [("starting", "starting"), ("online", "ok")]
        reading, event = scene.items[-2:]
        assert isinstance(reading, Reading)
        assert (reading.points["fire"], reading.time) == (PointValue(True), fake_clock.wall())
        assert {"fire", "fires", "fire-at", "online"} <= reading.record
        assert reading.told is not None
        assert reading.told["fire"] == "2026-11-21T08:25:30.000+00:00"
        assert isinstance(event, DeviceEvent)
        assert (event.alarm, event.data["note"], event.data["device_time"]) == (
            True, "大厅", "2026-11-21T08:25:30.000+00:00",
        )  # fmt: skip


async def test_nothing_is_confirmed_before_it_is_on_the_bus(fake_clock):
    async with playing(Scene(fake_clock)) as scene:
        scene.full.clear()
        reply = asyncio.create_task(scene.say(frame(1, component(FIRE))))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not reply.done()
        scene.full.set()
        assert (await reply)[26] == 3


async def test_a_sign_of_life_says_again_what_holds_but_records_nothing(fake_clock):
    async with playing(Scene(fake_clock)) as scene:
        await scene.say(frame(1, device_state(1)))
        before = len(scene.recorded("fire"))
        await fake_clock.advance(20.0)
        await scene.say(frame(2))
        assert (scene.readings[-1].points["fire"], scene.readings[-1].record) == (PointValue(False), frozenset())
        assert scene.readings[-1].monotonic == fake_clock.monotonic()
        assert len(scene.recorded("fire")) == before


async def test_silence_is_offline_and_the_first_call_ends_it(fake_clock, caplog):
    async with playing(Scene(fake_clock, timeout="60s")) as scene:
        assert scene.line.admitted == [(scene.station, 60.0)]
        await scene.say(frame(1, device_state(1)))
        await fake_clock.advance(50.0, step=1.0)
        await scene.say(frame(2))
        await fake_clock.advance(59.0, step=1.0)
        assert scene.station.state == "online"
        await fake_clock.advance(2.0, step=1.0)
        assert scene.states[-1] == ("offline", "timeout")
        assert "port 5200 of this gateway" in scene.station.view()["sentence"]
        assert scene.recorded("fire")[-1] == (None, "bad")
        await fake_clock.advance(500.0, step=5.0)
        assert len([state for state in scene.states if state[0] == "offline"]) == 1
        await scene.say(frame(3))
        assert scene.states[-1] == ("online", "ok")
        assert scene.recorded("fire")[-1] == (False, "uncertain")
        await scene.say(frame(4, device_state(1)))
        assert scene.recorded("fire")[-1] == (False, "good")
        await fake_clock.advance(61.0, step=1.0)
        assert scene.states[-1] == ("offline", "timeout")


async def test_a_station_that_never_calls_is_offline(fake_clock):
    async with playing(Scene(fake_clock, timeout="60s")) as scene:
        await fake_clock.advance(61.0, step=1.0)
        assert scene.states == [("starting", "starting"), ("offline", "timeout")]
        up = REGISTRY.get_sample_value("linli_device_up", {"device": "s"})
        assert up == 0


async def test_a_line_that_is_down_takes_its_stations_along(fake_clock):
    async with playing(Scene(fake_clock, timeout="60s")) as scene:
        await scene.say(frame(1))
        scene.line.enter("down", "listen")
        await fake_clock.advance(1.0)
        assert scene.states[-1] == ("offline", "listen")
        scene.line.enter("open")
        await fake_clock.advance(59.0, step=1.0)
        assert scene.states[-1] == ("offline", "listen")
        await fake_clock.advance(5.0, step=1.0)
        assert scene.states[-1] == ("offline", "timeout")
        await scene.say(frame(2))
        assert scene.states[-1] == ("online", "ok")


async def test_damage_counts_and_shows_when_it_goes_on(fake_clock):
    async with playing(Scene(fake_clock, timeout="60s")) as scene:
        damaged = frame(1, component(FIRE))[:-3] + b"\0##"
        await scene.say(frame(1))
        replies = [await scene.say(damaged) for _ in range(2)]
        assert [reply[26] for reply in replies] == [6, 6]
        assert scene.station.state == "online"
        await scene.say(damaged)
        assert scene.states[-1] == ("degraded", "crc")
        assert scene.station.view()["errors"] == 3
        await scene.say(frame(2))
        assert scene.states[-1] == ("online", "ok")
        await scene.say(damaged)
        await fake_clock.advance(61.0, step=1.0)
        assert scene.states[-1] == ("offline", "crc")
        assert not any(reading.points.get("fire", PointValue(0)).value is True for reading in scene.readings)


async def test_a_wrong_password_is_said_plainly_and_never_shown(fake_clock, caplog):
    scene = Scene(fake_clock, "hj212-dust-noise", MN, password="right-one", timeout="60s")
    async with playing(scene):
        for number in range(3):
            assert await scene.say(packet(f"a34004-Rtd={number}.0")) == b""
        assert scene.states[-1] == ("degraded", "password")
        assert "another password (PW) than password_file holds" in scene.station.view()["sentence"]
        assert scene.readings == []
        assert await scene.say(packet("a34004-Rtd=9.0", password="right-one"))
        assert scene.recorded("pm25") == [(9.0, "good")]
        assert "right-one" not in caplog.text
        assert "123456" not in caplog.text


async def test_a_bug_in_the_driver_costs_one_message(fake_clock, caplog):
    async with playing(Scene(fake_clock, "hj212-dust-noise", MN, password="123456")) as scene:

        def broken(*_ignored: object) -> Heard:
            raise ZeroDivisionError

        scene.station._driver.hear = broken
        assert await scene.say(packet("a34004-Rtd=1.0")) == b""
        assert (scene.states[-1], scene.made) == (("degraded", "driver_bug"), 1)
        assert "ZeroDivisionError" in caplog.text
        assert await scene.say(packet("a34004-Rtd=2.0"))
        assert scene.recorded("pm25")[-1] == (2.0, "good")
        assert await scene.say(packet("a34004-Rtd=3.0", password="654321")) == b""  # the new driver knows it, too


async def test_ears_that_fail_begin_anew(fake_clock, caplog):
    async with playing(Scene(fake_clock)) as scene:
        scene.ears._ears.feed = lambda _data: 1 / 0
        assert scene.ears.feed(b"x") == []
        assert await scene.say(frame(1))
    assert "ZeroDivisionError" in caplog.text


async def test_a_station_whose_sensors_all_fail_is_a_problem_told_once(fake_clock):
    async with playing(Scene(fake_clock, "hj212-dust-noise", MN)) as scene:
        for second, flag in enumerate("NDDDD"):
            said = f"a34004-Rtd=81.0,a34004-Flag={flag};LA-Rtd=50.1,LA-Flag={flag}"
            await scene.say(packet(said, number=f"2026112108253{second}123"))
            await scene.say(packet("", command=9015))  # a sign of life says nothing for or against it
        assert scene.states == [("starting", "starting"), ("online", "ok"), ("degraded", "no_value")]
        assert "none of its values can be used (device_fault, not_heard)" in scene.station.view()["sentence"]
        await scene.say(packet("a34004-Rtd=81.0,a34004-Flag=N;LA-Rtd=50.1,LA-Flag=D"))
        assert scene.states[3:] == [("online", "ok")]


async def test_what_no_point_names_is_counted_and_shown(fake_clock):
    async with playing(Scene(fake_clock)) as scene:
        await scene.say(frame(1, component(NORMAL, number=9, note="大厅")))
        await scene.say(frame(2, b"\xc8\x01abc"))
        assert scene.station.view()["unnamed"] == {"count": 2, "last": "3 bytes of type 200"}


async def test_the_stations_clock_is_compared_with_ours(fake_clock):
    async with playing(Scene(fake_clock)) as scene:
        fake_clock.wall_ns = 1_795_249_560_000_000_000  # 2026-11-21 08:26:00 UTC
        await scene.say(frame(1))
        assert scene.station.view()["clock_off_s"] == -30.0
        fake_clock.trust = "unknown"
        reply = await scene.say(frame(2))
        assert reply[6:12] == frame(2)[6:12]  # its own time goes back: ours is not known


async def test_reading_gives_what_was_heard_last(fake_clock):
    async with playing(Scene(fake_clock)) as scene:
        await scene.say(frame(1, component(FIRE)))
        before = len(scene.items)
        reading = await scene.station.read_now()
        assert (reading.points["fire"], reading.points["version"].reason) == (PointValue(True), "not_heard")
        assert set((await scene.station.read_now(frozenset({"fires"}))).points) == {"fires"}
        assert len(scene.items) == before
        with pytest.raises(CommandError, match="has no point 'smoke'; "):
            await scene.station.read_now(frozenset({"smoke"}))


async def test_a_station_is_never_written(fake_clock):
    scene = Scene(fake_clock)
    for point, status in (("fire", 403), ("smoke", 404)):
        with pytest.raises(CommandError) as refused:
            scene.station.may_write(point, True)
        assert refused.value.status == status
        with pytest.raises(CommandError):
            await scene.station.write(point, True)
    assert (scene.station.shape("fire"), scene.station.shape("fires"), scene.station.shape("fire-at")) == (
        "bool", "number", "text",
    )  # fmt: skip


async def test_at_least_says_again_what_holds_and_no_measurement(fake_clock):
    async with playing(Scene(fake_clock)) as scene:
        await scene.say(frame(1, device_state(1)))
        for _ in range(70):
            await fake_clock.advance(60.0, step=5.0)
            await scene.say(frame(2))
        assert scene.recorded("fire") == [(False, "good")] * 2
        assert scene.recorded("fires") == [(0.0, "good")]


async def test_two_connections_of_one_station_take_turns(fake_clock):
    async with playing(Scene(fake_clock)) as scene:
        scene.full.clear()
        first, second = frame(1, component(FIRE)), frame(2, component(NORMAL))
        calls = [asyncio.create_task(scene.station.take(Call(SOURCE.hex(), data))) for data in (first, second)]
        for _ in range(10):
            await asyncio.sleep(0)
        scene.full.set()
        await asyncio.gather(*calls)
        events = [item.data["event"] for item in scene.items if isinstance(item, DeviceEvent)]
        assert events == ["fire", "over"]


@pytest.mark.parametrize("seed", range(4))
async def test_hostile_callers_do_no_harm_to_the_fire_behind_them(seed):
    """Any bytes, parts of real messages and floods over real TCP, and between them what counts."""
    random = Random(seed)
    line = ListenLine(LINE, SystemClock())
    line.address = "127.0.0.1:0"
    items: list[object] = []

    async def put(item: object) -> None:
        items.append(item)

    for name, profile, address in (("panel", "gb26875-station", SOURCE.hex()), ("dust", "hj212-dust-noise", MN)):
        settings = DeviceSettings(name=name, line="stations", profile=profile, address=address)
        device = resolve_device(settings, LINE, load_profile(DEVICES / f"{profile}.toml"))
        Station(device, drivers.find(device.spec.driver).make(device.spec), line, line._clock, put)
    owner = asyncio.create_task(line.run())
    while line.state != "open":
        await line.changed()
    pieces = [
        frame(1, component(FIRE))[:-3],
        packet("a34004-Rtd=1")[:-6],
        b"@@",
        b"##",
        b"##9999",
        b"&&",
        b"@@" + b"\xff" * 30,
    ]
    for _ in range(40):
        async with calling(line.port) as hostile:
            said = b"".join(random.choice(pieces) + random.randbytes(random.randrange(60)) for _ in range(20))
            with contextlib.suppress(ConnectionError):
                await hostile.say(said)
    assert not [item for item in items if isinstance(item, Reading)]
    async with asyncio.timeout(20), calling(line.port) as panel, calling(line.port) as dust:
        assert (await panel.ask(frame(2, component(FIRE))))[26] == 3
        await dust.say(packet("a34004-Rtd=35.0"))
        assert b"CN=9014" in await dust.line()
    assert line.view()["transactions"] == 2
    owner.cancel()
    await asyncio.gather(owner, return_exceptions=True)
    values = {name: value for item in items if isinstance(item, Reading) for name, value in item.points.items()}
    assert (values["fire"], values["pm25"]) == (PointValue(True), PointValue(35.0))


def test_a_gateway_that_nobody_calls_loads_none_of_it():
    code = "import sys, gateway.daemon; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=DEVICES.parents[1]
    )
    loaded = set(done.stdout.split())
    assert "gateway.sources.source" in loaded
    assert not loaded & {"gateway.sources.station", "gateway.links.listen", "drivers.gb26875", "drivers.hj212"}
