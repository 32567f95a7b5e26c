"""Sources: states, records, pace, commands; a scripted line for time, real devices at the end."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from pyModbusTCP.server import DataBank, ModbusServer

from drivers.modbus import make
from gateway.clock import SystemClock
from gateway.commands.diagnosis import _device
from gateway.contract import CommandError, DeviceError, DeviceSilentError, LinkError, PointValue, Reading, StateChange
from gateway.links import Line
from gateway.links.health import Tally
from gateway.links.pipe import StreamPipe
from gateway.links.turns import READ_NOW, WRITE
from gateway.metrics import REGISTRY
from gateway.settings import DeviceSettings, LineSettings
from gateway.settings.resolve import resolve_device
from gateway.sources import Source
from gateway.sources.pace import Pace
from tests.modbus_farm import PtyBus, Slave, TcpFarm


class ScriptedLine:
    """A line on the test's clock: each poll takes ``cost`` seconds and gives ``result`` or raises it."""

    def __init__(self, clock) -> None:
        self.name = "bus"
        self.state, self.reason, self.sentence = "open", "", ""
        self.result: object = {"p": PointValue(1)}
        self.cost = 0.0
        self.clock = clock
        self.times: list[float] = []
        self.probes: list[bool] = []
        self.deadlines: list[float] = []
        self._changed = asyncio.Event()

    def attach(self, device: str, _address: object) -> Tally:
        return Tally(device)

    def trouble(self, _device: str) -> None:
        return None

    def patience(self, _device: str, timeout: float, *, doubtful: bool = False) -> float:
        return timeout

    async def changed(self) -> None:
        await self._changed.wait()

    def enter(self, state: str, reason: str = "") -> None:
        self.state, self.reason, self.sentence = state, reason, f"it is {reason}"
        self._changed.set()
        self._changed = asyncio.Event()

    async def transact(self, work, *, deadline, timeout, serial=None, probe=False, device="", turnaround=0.0):
        self.times.append(self.clock.monotonic())
        self.probes.append(probe)
        self.deadlines.append(deadline)
        if self.cost:
            await self.clock.sleep(self.cost)
        return await work(None)


class ScriptedDriver:
    def __init__(self, line: ScriptedLine) -> None:
        self.line = line

    async def read(self, _pipe, points):
        if isinstance(self.line.result, BaseException):
            raise self.line.result
        return self.line.result


def resolved(points: dict[str, dict] | None = None, **more):
    line = more.pop("line", None) or LineSettings(name="bus", tcp="10.0.0.1:502")
    settings = DeviceSettings(
        name=more.pop("name", "dev"),
        line=line.name,
        driver="modbus",
        points=points or {"p": {"at": "holding:0", "unit": "m"}},
        **{"every": "1s", **more},
    )
    return resolve_device(settings, line, None)


class Scene:
    def __init__(self, clock, **more) -> None:
        self.clock = clock
        self.line = ScriptedLine(clock)
        self.items: list[object] = []
        self.made: list[ScriptedDriver] = []
        self.source = Source(
            resolved(**more), ScriptedDriver(self.line), self.line, clock, self.put, make=lambda _spec: self.restart()
        )
        # Its slots lie where they lie in every run, whatever tests came before this one.
        self.source._pace = Pace(self.source._device.every, 0)

    async def put(self, item: object) -> None:
        self.items.append(item)

    def restart(self) -> ScriptedDriver:
        self.made.append(ScriptedDriver(self.line))
        return self.made[-1]

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(item.state.value, item.reason) for item in self.items if isinstance(item, StateChange)]

    @property
    def readings(self) -> list[Reading]:
        return [item for item in self.items if isinstance(item, Reading)]


@asynccontextmanager
async def playing(scene: Scene) -> AsyncIterator[Scene]:
    task = asyncio.create_task(scene.source.run())
    await asyncio.sleep(0)
    try:
        yield scene
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def silence() -> DeviceSilentError:
    return DeviceSilentError("no answer within 1 s on bus")


async def test_every_answered_poll_is_one_record(fake_clock):
    async with playing(Scene(fake_clock)) as scene:
        await fake_clock.advance(10)
    assert scene.states == [("starting", "starting"), ("online", "ok")]
    assert 10 <= len(scene.readings) <= 11
    assert len(scene.readings) == len(scene.line.times)
    assert all(reading.record == {"p"} and reading.units == {"p": "m"} for reading in scene.readings)
    gaps = [after - before for before, after in pairwise(scene.line.times[1:])]
    assert gaps == [pytest.approx(1.0, abs=0.06)] * len(gaps)


async def test_a_device_that_never_answers_is_offline_with_one_bad_record(fake_clock):
    scene = Scene(fake_clock)
    scene.line.result = silence()
    async with playing(scene):
        await fake_clock.advance(120)
    assert scene.states == [("starting", "starting"), ("offline", "timeout")]
    assert [reading.points for reading in scene.readings] == [{"p": PointValue(None, "bad", "timeout")}]
    assert scene.line.probes[0] is False
    assert all(scene.line.probes[1:])
    waits = [after - before for before, after in pairwise(scene.line.times)]
    assert waits[0] < waits[2] < 31
    assert max(waits) < 31
    assert "check its power" in scene.source.view()["sentence"]


async def test_one_missed_answer_of_a_good_device_is_degraded_two_are_offline(fake_clock):
    async with playing(Scene(fake_clock)) as scene:
        await fake_clock.advance(3)
        scene.line.result = silence()
        await fake_clock.advance(1.2)
        scene.line.result = {"p": PointValue(2)}
        await fake_clock.advance(3)
        assert scene.states[2:] == [("degraded", "timeout"), ("online", "ok")]
        assert not any(scene.line.probes)
        scene.line.result = silence()
        await fake_clock.advance(10)
        assert scene.states[4:] == [("degraded", "timeout"), ("offline", "timeout")]
        scene.line.result = {"p": PointValue(2)}
        await fake_clock.advance(31)
    assert scene.states[-1] == ("online", "ok")
    assert len([reading for reading in scene.readings if reading.points["p"].quality == "bad"]) == 2
    assert scene.source.view()["missed"] == 0


async def test_a_damaged_answer_is_degraded_and_polled_on(fake_clock):
    async with playing(Scene(fake_clock)) as scene:
        await fake_clock.advance(2)
        scene.line.result = DeviceError("wrong CRC", "crc", b"\x01")
        await fake_clock.advance(5)
        scene.line.result = {"p": PointValue(2)}
        await fake_clock.advance(2)
    assert scene.states == [("starting", "starting"), ("online", "ok"), ("degraded", "crc"), ("online", "ok")]
    assert not any(scene.line.probes)
    assert [r.points["p"].reason for r in scene.readings if r.points["p"].quality == "bad"] == ["crc"]


async def test_a_point_that_cannot_be_read_degrades_the_device_and_is_recorded(fake_clock):
    scene = Scene(fake_clock, points={"p": {"at": "holding:0"}, "q": {"at": "holding:9"}})
    scene.line.result = {"p": PointValue(1), "q": PointValue(None, "bad", "illegal_address")}
    async with playing(scene):
        await fake_clock.advance(2.5)
        assert scene.states[1:] == [("degraded", "illegal_address")]
        assert "cannot read q" in scene.source.view()["sentence"]
        scene.line.result = {"p": PointValue(1), "q": PointValue(None, "bad", "out_of_range")}
        await fake_clock.advance(1.5)
    assert scene.states[2:] == [("online", "ok")]
    assert all(reading.record == {"p", "q"} for reading in scene.readings)


async def test_a_device_that_answers_without_any_value_is_a_problem_told_once(fake_clock):
    scene = Scene(fake_clock, points={"p": {"at": "holding:0"}, "q": {"at": "holding:9"}})
    nothing = PointValue(None, "bad", "not_available")
    async with playing(scene):
        scene.line.result = {"p": PointValue(1), "q": nothing}
        await fake_clock.advance(3)
        scene.line.result = {"p": nothing, "q": nothing}  # once may be chance
        await fake_clock.advance(1)
        scene.line.result = {"p": PointValue(1), "q": nothing}
        await fake_clock.advance(1)
        assert scene.states == [("starting", "starting"), ("online", "ok")]
        scene.line.result = {"p": nothing, "q": PointValue(None, "bad", "out_of_range")}
        await fake_clock.advance(10)
        (problem,) = _device(scene.source.view())
        assert "none of its values can be used (not_available, out_of_range)" in problem["text"]
        assert "check that its sensor is connected" in problem["fix"]
        scene.line.result = {"p": PointValue(1), "q": nothing}
        await fake_clock.advance(2)
    assert scene.states[2:] == [("degraded", "no_value"), ("online", "ok")]


async def test_a_part_that_comes_damaged_counts_as_noise(fake_clock):
    scene = Scene(fake_clock, points={"p": {"at": "holding:0"}, "q": {"at": "holding:9"}})
    scene.line.result = {"p": PointValue(1), "q": PointValue(None, "bad", "crc")}
    async with playing(scene):
        await fake_clock.advance(2.5)
        assert scene.source._tally._faint.share("dev").hurt == len(scene.line.times)
        scene.line.trouble = lambda _device: ("noise", "noise on line bus; check its termination")
        await fake_clock.advance(2)
    assert scene.states[1:] == [("degraded", "crc"), ("degraded", "noise")]


async def test_a_dead_line_is_told_once_and_polling_goes_on_when_it_is_back(fake_clock):
    scene = Scene(fake_clock)
    scene.line.state = "opening"
    async with playing(scene):
        await fake_clock.advance(5)
        assert scene.states == [("starting", "starting")]
        scene.line.enter("down", "refused")
        await fake_clock.advance(60)
        assert scene.states[1:] == [("offline", "refused")]
        assert [reading.points["p"].reason for reading in scene.readings] == ["refused"]
        assert scene.line.times == []
        back = fake_clock.monotonic()
        scene.line.enter("open")
        await fake_clock.advance(0.2)
        assert scene.line.times[0] < back + 0.1
        scene.line.result = LinkError("gone", "unplugged")
        scene.line.enter("down", "unplugged")
        await fake_clock.advance(3)
    assert scene.states[2:] == [("online", "ok"), ("offline", "unplugged")]
    assert scene.source.view()["missed"] == 0


async def test_a_bug_in_a_driver_costs_its_device_only_and_restarts_it(fake_clock, caplog):
    async with playing(Scene(fake_clock)) as scene:
        await fake_clock.advance(2)
        scene.line.result = ZeroDivisionError("a bug")
        await fake_clock.advance(8)
        assert scene.states[2:] == [("degraded", "driver_bug")]
        assert 1 <= len(scene.made) <= 4
        scene.line.result = {"p": PointValue(2)}
        await fake_clock.advance(10)
    assert scene.states[-1] == ("online", "ok")
    assert "ZeroDivisionError: a bug" in caplog.text


async def test_overload_is_shown_while_it_lasts(fake_clock):
    scene = Scene(fake_clock)
    async with playing(scene):
        await fake_clock.advance(10)
        assert scene.source.view()["overloaded"] is False
        scene.line.cost = 2.5
        await fake_clock.advance(30)
        assert scene.source.view()["overloaded"] is True
        scene.line.cost = 0.0
        await fake_clock.advance(60)
        assert scene.source.view()["overloaded"] is False


async def test_overload_is_counted_never_silent(fake_clock, caplog):
    before = REGISTRY.get_sample_value("linli_dropped_total", {"where": "poll", "cause": "overload"}) or 0
    scene = Scene(fake_clock)
    scene.line.cost = 2.5
    async with playing(scene):
        await fake_clock.advance(50)
    polls, missed = scene.source.view()["polls"], scene.source.view()["missed"]
    assert 18 <= polls <= 21
    assert 48 <= polls + missed <= 51
    after = REGISTRY.get_sample_value("linli_dropped_total", {"where": "poll", "cause": "overload"})
    assert after - before == missed
    assert caplog.text.count("too slow") <= 2


async def test_a_late_poll_is_done_late_and_not_lost(fake_clock):
    """A stall shorter than a slot costs no poll: the slot's poll comes late, the next one in its own slot."""
    async with playing(Scene(fake_clock)) as scene:
        await fake_clock.advance(3)
        scene.line.cost = 0.9
        await fake_clock.advance(0.5)
        scene.line.cost = 0.0
        await fake_clock.advance(6.5)
    assert scene.source.view()["missed"] == 0
    assert scene.source.view()["polls"] >= 10


async def test_a_full_bus_holds_polling_back(fake_clock):
    scene = Scene(fake_clock)
    gate = asyncio.Event()

    async def put(item: object) -> None:
        scene.items.append(item)
        if isinstance(item, Reading):
            await gate.wait()

    scene.source._put = put
    async with playing(scene):
        await fake_clock.advance(5)
        assert len(scene.line.times) == 1
        gate.set()
        await fake_clock.advance(2)
    assert scene.source.view()["missed"] >= 3


async def test_heartbeat_of_a_silent_device(fake_clock):
    scene = Scene(fake_clock, points={"p": {"at": "holding:0", "report": {"on": "change", "at_least": "10s"}}})
    scene.line.result = silence()
    async with playing(scene):
        await fake_clock.advance(65)
    assert 6 <= len(scene.readings) <= 8
    assert all(reading.record == {"p"} for reading in scene.readings)


async def test_reading_on_command_goes_first_and_is_not_recorded(fake_clock):
    async with playing(Scene(fake_clock)) as scene:
        await fake_clock.advance(1)
        count = len(scene.items)
        reading = await scene.source.read_now()
        assert reading.points == {"p": PointValue(1)}
        assert reading.record == frozenset()
        assert WRITE < scene.line.deadlines[-1] == READ_NOW < 0
        assert len(scene.items) == count
        scene.line.result = silence()
        assert (await scene.source.read_now(frozenset({"p"}))).points["p"].reason == "timeout"
        with pytest.raises(CommandError, match="no point 'x'; expected p") as caught:
            await scene.source.read_now(frozenset({"x"}))
        assert caught.value.status == 404


async def test_view_shows_last_values_with_their_age(fake_clock):
    async with playing(Scene(fake_clock, every="1h")) as scene:
        await fake_clock.advance(0.2)
        await fake_clock.advance(3)
        view = scene.source.view()
    assert view["state"] == "online"
    assert view["last"]["p"]["value"] == 1
    assert view["last"]["p"]["unit"] == "m"
    assert view["last"]["p"]["quality"] == "good"
    assert 2 < view["last"]["p"]["age_s"] < 4
    assert view["since"].endswith("+00:00")


# ------------------------------------------------------------------------------------------------ real devices


class Site:
    """A real line with real sources, until ``enough`` says so."""

    def __init__(self, line: LineSettings) -> None:
        self.clock = SystemClock()
        self.settings = line
        self.line = Line(line, self.clock)
        self.sources: list[Source] = []
        self.items: list[object] = []
        self._arrived = asyncio.Event()

    def add(self, name: str, unit: int, points: dict[str, dict], **more) -> None:
        device = resolved(points, name=name, address=unit, line=self.settings, **more)
        self.sources.append(Source(device, make(device.spec), self.line, self.clock, self.put))

    async def put(self, item: object) -> None:
        self.items.append(item)
        self._arrived.set()

    async def until(self, enough, seconds: float = 20.0) -> None:
        tasks = [asyncio.create_task(part.run()) for part in (self.line, *self.sources)]
        try:
            async with asyncio.timeout(seconds):
                while not enough():
                    self._arrived.clear()
                    await self._arrived.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def good(self, name: str) -> list[Reading]:
        return [
            item
            for item in self.items
            if isinstance(item, Reading)
            and item.device == name
            and all(value.quality == "good" for value in item.points.values())
        ]

    def states(self, name: str) -> list[str]:
        return [item.state.value for item in self.items if isinstance(item, StateChange) and item.name == name]


POINTS = {
    "level": {"at": "holding:3", "type": "int16", "scale": 0.01},
    "power": {"at": "input:10", "type": "float32"},
    "open": {"at": "discrete:2", "type": "bool"},
}


async def test_a_server_that_is_not_pymodbus():
    bank = DataBank()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    bank.set_holding_registers(3, [182])
    bank.set_input_registers(10, [0x4366, 0x3334])
    bank.set_discrete_inputs(2, [True])
    server = ModbusServer("127.0.0.1", port, no_block=True, data_bank=bank)
    server.start()
    try:
        site = Site(LineSettings(name="tcp", tcp=f"127.0.0.1:{port}"))
        site.add("meter", 1, POINTS, every="50ms")
        await site.until(lambda: len(site.good("meter")) >= 5)
    finally:
        server.stop()
    points = site.good("meter")[-1].points
    assert {name: value.value for name, value in points.items()} == {"level": 1.82, "power": 230.2, "open": True}


def slave() -> Slave:
    return Slave({3: 182, 10: 0x4366, 11: 0x3334}, {2: True})


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
async def test_many_units_behind_one_tcp_port(framing):
    async with TcpFarm({unit: slave() for unit in range(1, 11)}, framing=framing) as farm:
        site = Site(LineSettings(name="tcp", tcp=f"127.0.0.1:{farm.port}"))
        for unit in farm.slaves:
            site.add(f"unit-{unit}", unit, POINTS, every="100ms", framing=framing)
        await site.until(lambda: all(len(site.good(f"unit-{unit}")) >= 5 for unit in farm.slaves))
    assert site.line.view()["errors"] == 0


async def test_rtu_on_a_pseudo_terminal_with_a_silent_and_a_damaged_unit():
    bus = PtyBus({unit: slave() for unit in (1, 2, 3)})
    bus.slaves[2].silent = True
    bus.spoil = lambda request, frame: [(0, frame[:-1] + bytes([frame[-1] ^ 9]) if request[0] == 3 else frame)]
    site = Site(LineSettings(name="bus", serial=Path(bus.path)))
    for unit in (1, 2, 3):
        serial = {"baud": 19200, "format": "8E1"} if unit == 3 else None
        site.add(f"unit-{unit}", unit, POINTS, every="100ms", timeout="200ms", serial=serial)
    await site.until(lambda: len(site.good("unit-1")) >= 10 and "offline" in site.states("unit-2"))
    bus.unplug()
    assert site.states("unit-1") == ["starting", "online"]
    assert site.states("unit-2") == ["starting", "offline"]
    assert set(site.states("unit-3")) == {"starting", "degraded"}
    assert not site.good("unit-3")


async def test_late_answers_are_never_taken_for_another_devices():
    """Unit 2 answers after its time; its values must show up nowhere."""
    bus = PtyBus({1: slave(), 2: Slave({3: 0x0BAD})})
    bus.spoil = lambda request, frame: [(0.13 if request[0] == 2 else 0, frame)]
    site = Site(LineSettings(name="bus", serial=Path(bus.path)))
    for unit in (1, 2):
        site.add(f"unit-{unit}", unit, {"level": {"at": "holding:3"}}, every="100ms", timeout="100ms")
    await site.until(lambda: len(site.good("unit-1")) >= 30)
    bus.unplug()
    assert {reading.points["level"].value for reading in site.good("unit-1")} == {182}
    assert "offline" in site.states("unit-2")


async def test_an_unplugged_port_and_its_return(tmp_path):
    bus = PtyBus({1: slave()})
    port = tmp_path / "port"
    port.symlink_to(bus.path)
    site = Site(LineSettings(name="bus", serial=port))
    site.add("unit", 1, POINTS, every="100ms")
    buses = [bus]

    def steps() -> bool:
        if len(site.good("unit")) >= 3 and len(buses) == 1:
            port.unlink()
            buses[0].unplug()
            buses.append(PtyBus({1: slave()}))
            port.symlink_to(buses[1].path)
        return site.states("unit")[-2:] == ["offline", "online"]

    await site.until(steps)
    buses[-1].unplug()
    assert site.states("unit") == ["starting", "online", "offline", "online"]


class Slaves(StreamPipe):
    """Fifty units on the test's clock: each answers its whole question after ``latency`` seconds, or never."""

    def __init__(self, clock, silent: set[int]) -> None:
        super().__init__("slaves", 0.0, clock)
        self.silent = silent
        self.latency = 0.005
        self.unit = 0

    async def _send(self, data: bytes) -> float:
        self.unit = data[6]
        slave = Slave({0: 182})
        pdu = slave.answer(data[7:])
        self.reply = data[:4] + bytes((0, len(pdu) + 1, data[6])) + pdu
        return 0.0

    async def read(self, at_most: int = 4096) -> bytes:
        if self.unit in self.silent:
            await self._clock.sleep(self._timeout)
            raise DeviceSilentError("silence")
        await self._clock.sleep(self.latency)
        return self.reply

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("silent", "share"), [(1, 0.95), (5, 0.90)])
async def test_silent_units_do_not_stop_the_others(fake_clock, silent, share):
    """50 units on one connection, polled every second with a timeout of a second: the first minute."""
    unheard = {unit * 7 for unit in range(1, silent + 1)}

    async def opener() -> Slaves:
        return Slaves(fake_clock, unheard)

    settings = LineSettings(name="tcp", tcp="10.0.0.1:502")
    line = Line(settings, fake_clock, opener)
    good: Counter[str] = Counter()

    async def put(item: object) -> None:
        if isinstance(item, Reading):
            good[item.device] += item.points["level"].quality == "good"

    sources = []
    for unit in range(1, 51):
        device = resolved({"level": {"at": "holding:0"}}, name=f"unit-{unit}", address=unit, line=settings)
        sources.append(Source(device, make(device.spec), line, fake_clock, put))
    tasks = [asyncio.create_task(part.run()) for part in (line, *sources)]
    await fake_clock.advance(60, step=0.005)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    heard = [good[f"unit-{unit}"] for unit in range(1, 51) if unit not in unheard]
    assert sum(heard) / len(heard) >= share * 60
    assert min(heard) >= 0.85 * 60
    offline = [source.name for source in sources if source.view()["state"] == "offline"]
    assert offline == [f"unit-{unit}" for unit in sorted(unheard)]


async def test_status_has_the_points_in_the_order_of_the_configuration(fake_clock):
    scene = Scene(fake_clock, points={"volume": {"at": "holding:2"}, "battery": {"at": "holding:0"}})
    scene.line.result = {"battery": PointValue(1), "volume": PointValue(2)}
    async with playing(scene):
        await fake_clock.advance(2)
        assert list(scene.source.view()["last"]) == ["volume", "battery"]
