"""Meters and Modbus sensors on one real pseudo-terminal, through the gateway's own line and sources."""

import asyncio
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import drivers
from gateway.clock import SystemClock
from gateway.contract import Reading, SourceState, StateChange
from gateway.links import Line
from gateway.settings import DeviceSettings, LineSettings, SerialSettings
from gateway.settings.profiles import load_profile
from gateway.settings.resolve import resolve_device
from gateway.sources import Source
from tests.meters.bus import Bus
from tests.meters.slaves import CjtMeter, DltMeter, digits, modbus_ear, water
from tests.modbus_farm import Slave

DEVICES = Path(__file__).resolve().parents[2] / "config/devices"
ELECTRIC, WATER = "202312345678", "78330011223344"


@contextmanager
def bus(*ears):
    made = Bus(*ears)
    try:
        yield made
    finally:
        made.close()


def electric() -> DltMeter:
    energies = [digits(number, 4) for number in (1234567, 200000, 300000, 400000, 334567)]
    return DltMeter(
        ELECTRIC,
        {
            "0001FF00": b"".join(energies), "00020000": digits(0, 4), "02010100": digits(2205, 2),
            "02020100": digits(456, 3), "02030000": digits(-1004, 3, signed=True),
            "02060000": digits(-999, 2, signed=True), "02800002": digits(4998, 2),
        },
    )  # fmt: skip


def source(line: Line, settings: LineSettings, name: str, profile: str, address: int | str, put, **more) -> Source:
    device = DeviceSettings(name=name, line="bus", profile=profile, address=address, every="200ms", **more)
    resolved = resolve_device(device, settings, load_profile(DEVICES / f"{profile}.toml"))
    return Source(resolved, drivers.find(resolved.spec.driver).make(resolved.spec), line, SystemClock(), put)


class Site:
    """What came out of the sources, by device."""

    def __init__(self) -> None:
        self.readings: dict[str, list[Reading]] = {}
        self.states: dict[str, list[SourceState]] = {}
        self._news = asyncio.Event()

    async def put(self, item) -> None:
        if isinstance(item, Reading):
            self.readings.setdefault(item.device, []).append(item)
        elif isinstance(item, StateChange):
            self.states.setdefault(item.name, []).append(item.state)
        self._news.set()

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not done():
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def running(line: Line, *sources: Source) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(part.run()) for part in (line, *sources)]
    try:
        yield
    finally:
        for task in reversed(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_modbus_electricity_and_water_meters_share_one_line():
    meter, tap, level = electric(), CjtMeter(WATER, {"901F": water()}, order="high"), Slave({3: 2, 4: 182})
    fast, slow = termios.B9600, termios.B2400
    with bus((fast, modbus_ear(3, level)), (slow, meter.hear), (slow, tap.hear)) as wire:
        settings = LineSettings(name="bus", serial=Path(wire.path), baud=9600, format="8N1")
        line, site = Line(settings, SystemClock()), Site()
        slow_serial = SerialSettings(baud=2400, format="8N1")  # pseudo-terminals have no parity
        parts = (
            source(line, settings, "level", "qdy30a", 3, site.put),
            source(line, settings, "meter", "dlt645-2007-single-phase", ELECTRIC, site.put, serial=slow_serial),
            source(line, settings, "tap", "cjt188-water", WATER, site.put, serial=slow_serial, timeout="500ms"),
        )
        async with running(line, *parts):
            await site.until(lambda: all(len(site.readings.get(name, ())) >= 3 for name in ("level", "meter", "tap")))
    last = {name: {p: v.value for p, v in readings[-1].points.items()} for name, readings in site.readings.items()}
    assert last["meter"] == {
        "import-energy": 12345.67, "import-energy-peak": 2000.0, "import-energy-high": 3000.0,
        "import-energy-flat": 4000.0, "import-energy-valley": 3345.67, "export-energy": 0.0, "voltage": 220.5,
        "current": 0.456, "power": -100.4, "power-factor": -0.999, "frequency": 49.98,
    }  # fmt: skip
    assert last["tap"] == {
        "volume": 123.45, "volume-settled": 120.0, "clock": "2026-11-21 08:25:30", "valve": "open",
        "battery-low": False,
    }  # fmt: skip
    assert all(value.quality == "good" for reading in site.readings["level"] for value in reading.points.values())
    assert site.states["meter"] == [SourceState.STARTING, SourceState.ONLINE]
    # Each question went out at its device's own speed, and the meter was read with seven of them.
    assert {speed for speed, sent in wire.heard if len(sent) == 8} == {fast}
    assert {speed for speed, sent in wire.heard if len(sent) > 8} == {slow}
    assert len(set(meter.asked)) == 7


async def test_the_profiles_own_format_is_taken_by_a_pseudo_terminal():
    with bus((termios.B2400, electric().hear)) as wire:
        settings = LineSettings(name="bus", serial=Path(wire.path), baud=9600, format="8N1")
        line, site = Line(settings, SystemClock()), Site()
        part = source(line, settings, "meter", "dlt645-2007-single-phase", ELECTRIC, site.put)
        async with running(line, part):
            await site.until(lambda: len(site.readings.get("meter", ())) >= 2)
    assert site.readings["meter"][-1].points["voltage"].value == 220.5


async def test_an_adapter_that_echoes_and_a_line_with_noise():
    meter, level = electric(), Slave({3: 2, 4: 182})
    with bus((None, modbus_ear(3, level)), (None, meter.hear)) as wire:
        wire.spoil = lambda question, answer: [question, b"\x00\x68" + answer if len(question) > 8 else answer]
        settings = LineSettings(name="bus", serial=Path(wire.path), baud=9600, format="8N1")
        line, site = Line(settings, SystemClock()), Site()
        parts = (
            source(line, settings, "level", "qdy30a", 3, site.put),
            source(line, settings, "meter", "dlt645-2007-single-phase", ELECTRIC, site.put,
                   serial=SerialSettings(baud=2400)),
        )  # fmt: skip
        async with running(line, *parts):
            await site.until(lambda: all(len(site.readings.get(name, ())) >= 3 for name in ("level", "meter")))
    assert site.readings["meter"][-1].points["import-energy"].value == 12345.67


async def test_a_meter_that_falls_silent_and_comes_back():
    meter = electric()
    with bus((None, meter.hear)) as wire:
        settings = LineSettings(name="bus", serial=Path(wire.path), baud=2400)
        line, site = Line(settings, SystemClock()), Site()
        part = source(line, settings, "meter", "dlt645-2007-single-phase", ELECTRIC, site.put, timeout="200ms",
                      serial=SerialSettings(baud=2400))  # fmt: skip
        async with running(line, part):
            await site.until(lambda: part.state is SourceState.ONLINE)
            wire.ears = ()
            await site.until(lambda: part.state is SourceState.OFFLINE)
            assert site.readings["meter"][-1].points["voltage"].reason == "timeout"
            wire.ears = ((None, meter.hear),)
            await site.until(lambda: part.state is SourceState.ONLINE)
            now = await part.read_now(frozenset({"voltage"}))
    assert now.points["voltage"].value == 220.5
