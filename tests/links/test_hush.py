"""A cut wire is the line's fault and is told once; a dead device is its own."""

import asyncio
import logging
from pathlib import Path

import pytest

from gateway.commands.diagnosis import _device, _lines
from gateway.contract import LineKind, StateChange
from gateway.links.health import Tally
from gateway.links.hush import LASTS, Hush
from gateway.settings import LineSettings
from tests.links.test_health import FOUR, POINTS, slaves
from tests.modbus_farm import PtyBus, TcpFarm
from tests.sources.test_source import Site


class Line:
    """The silence of a line of so many devices, all of which have answered unless ``new``."""

    def __init__(self, clock, count: int, *, new: bool = False, kind: LineKind = LineKind.SERIAL) -> None:
        self.hush = Hush("bus", kind, "/dev/ttyUSB0", clock)
        self.tallies = [Tally(f"d{number}") for number in range(count)]
        for tally in self.tallies:
            if not new:
                tally.add("", 0.01, 0.01)
            self.hush.attach(tally)

    def miss(self, *numbers: int, times: int = 1) -> None:
        for _ in range(times):
            for number in numbers:
                self.hush.missed(self.tallies[number])

    def answer(self, *numbers: int) -> None:
        for number in numbers:
            self.hush.spoke(self.tallies[number])

    @property
    def with_line(self) -> list[int]:
        return [number for number, tally in enumerate(self.tallies) if tally.with_line]


def test_when_all_are_silent_it_is_the_line(fake_clock, caplog):
    caplog.set_level(logging.INFO, "linli.links")
    line = Line(fake_clock, 3)
    line.miss(0, 1, 2)
    assert not line.hush.whole
    line.miss(0, 1)
    assert line.with_line == []
    line.miss(2)
    assert line.hush.whole
    assert line.with_line == [0, 1, 2]
    (trouble,) = line.hush.troubles()
    assert trouble.reason == "silent"
    assert "nobody answers on line bus any more: 3 of its 3 devices" in trouble.sentence
    assert "; check wires A and B" in trouble.sentence
    line.miss(0, 1, 2, times=3)
    line.answer(1)
    assert line.hush.troubles() == []
    assert line.with_line == [0, 2]  # not asked since: nothing is said against them yet
    assert [tally.welcome for tally in line.tallies] == [True, False, True]
    line.answer(0)
    line.miss(2)
    assert line.with_line == []
    assert not line.tallies[2].welcome
    assert not line.hush.whole
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_two_dead_ones_among_others_that_answer_are_no_cut_wire(fake_clock):
    line = Line(fake_clock, 4)
    for _ in range(50):
        line.miss(0, 1)
        line.answer(2, 3)
        fake_clock.now += 5.0
    assert not line.hush.whole
    assert line.with_line == []


async def test_slow_meters_that_were_not_asked_yet_do_not_hide_a_cut_wire(fake_clock):
    line = Line(fake_clock, 12)
    line.miss(0, 1, times=2)
    assert not line.hush.whole
    await fake_clock.advance(LASTS + 1)
    line.miss(0)
    assert line.hush.whole
    assert "2 of its 12 devices" in line.hush.troubles()[0].sentence
    line.answer(5)  # it was only those two: told so once, and never taken for the line again
    line.miss(0, 1)
    await fake_clock.advance(10 * LASTS)
    line.miss(0, 1, times=9)
    assert not line.hush.whole
    assert line.with_line == []


async def test_a_start_at_which_the_dead_ones_are_asked_first_is_no_cut_wire(fake_clock):
    line = Line(fake_clock, 30, new=True)
    for number in range(20):
        line.miss(number)
        await fake_clock.advance(1.0)
    assert not line.hush.whole


def test_one_that_was_dead_before_the_wire_was_cut_does_not_hide_it(fake_clock):
    line = Line(fake_clock, 3)
    line.miss(0, times=5)
    line.answer(1, 2)
    line.miss(1, 2, times=2)
    assert line.hush.whole
    line.answer(2)
    line.miss(0)
    assert line.with_line == [1]


def test_a_new_line_on_which_nobody_has_ever_answered(fake_clock):
    line = Line(fake_clock, 2, new=True)
    line.miss(0, 1)
    assert "whether A and B are swapped, speed and format" in line.hush.troubles()[0].sentence
    line.hush.reopened()
    assert (line.hush.troubles(), line.with_line, line.hush.missing) == ([], [], 0)


def test_alone_on_its_line_a_device_is_named_with_a_hint(fake_clock):
    line = Line(fake_clock, 1)
    assert line.hush.alone("d0") is None
    line.miss(0, times=9)
    assert line.hush.troubles() == []
    trouble = line.hush.alone("d0")
    assert trouble is not None
    assert trouble.reason == "timeout"
    assert "check its power" in trouble.sentence
    assert "then the line: wires A and B" in trouble.sentence
    line.answer(0)
    assert line.hush.alone("d0") is None


def test_what_a_search_asks_says_nothing_of_the_lines_devices(fake_clock):
    line = Line(fake_clock, 2)
    line.miss(0, 1, times=2)
    line.hush.spoke(Tally(""))
    line.hush.missed(Tally(""))
    assert line.hush.whole


def problems(site: Site) -> list[str]:
    views = [source.view() for source in site.sources]
    found = [*_lines([site.line.view()], views), *(problem for view in views for problem in _device(view))]
    return [problem["part"] for problem in found]


async def test_a_wire_is_cut_and_mended(caplog: pytest.LogCaptureFixture):
    """Each device tells its own state; of problems there is one, and it goes once."""
    bus = PtyBus(slaves())
    site = Site(LineSettings(name="bus", serial=Path(bus.path), baud=115200))
    for unit in FOUR:
        site.add(f"unit-{unit}", unit, POINTS, every="50ms", timeout="200ms")
    seen: list[list[str]] = []

    def states() -> set[str]:
        return {source.state.value for source in site.sources}

    async def cut_and_mend() -> None:
        async def until(condition) -> None:
            while not condition():  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.005)

        await until(lambda: states() == {"online"})
        bus.spoil = lambda _request, _frame: []
        await until(lambda: problems(site) == ["line bus"])
        await asyncio.sleep(0.3)
        assert problems(site) == ["line bus"]
        assert states() == {"offline"}
        (trouble,) = site.line.view()["troubles"]
        assert trouble["since"]
        bus.spoil = lambda _request, frame: [(0, frame)]
        while states() != {"online"}:
            seen.append(problems(site))
            await asyncio.sleep(0.005)
        seen.append(problems(site))

    task = asyncio.create_task(cut_and_mend())
    await site.until(task.done)
    await task
    bus.unplug()
    assert [found for at, found in enumerate(seen) if at == 0 or found != seen[at - 1]] == [["line bus"], []]
    told = [record.getMessage() for record in caplog.records if record.name == "linli.links"]
    assert sum("nobody answers on line bus" in line for line in told) == 1
    for unit in FOUR:
        mine = [item for item in site.items if isinstance(item, StateChange) and item.name == f"unit-{unit}"]
        assert [item.state.value for item in mine if item.state.value != "degraded"] == [
            "starting", "online", "offline", "online",
        ]  # fmt: skip


async def test_alone_behind_a_serial_server_the_hint_is_its_wires():
    async with TcpFarm({}) as farm:
        site = Site(LineSettings(name="tcp", tcp=f"127.0.0.1:{farm.port}"))
        site.add("meter", 1, POINTS, every="50ms", timeout="100ms")
        found: list[list[str]] = []

        def offline() -> bool:
            found[:] = [problems(site)]
            return "offline" in site.states("meter")

        await site.until(offline)
    assert f"then the line: what lies behind 127.0.0.1:{farm.port}" in site.sources[0].view()["sentence"]
    assert found == [["device meter"]]
