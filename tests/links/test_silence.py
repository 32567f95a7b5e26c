"""What silent devices cost the others: up to an hour of simulated time on a line of thirty, for the whole chain."""

import asyncio
import heapq
import itertools
from collections import Counter
from typing import Any

import pytest

from drivers.modbus import make
from gateway.contract import DeviceSilentError, Reading
from gateway.links import Line
from gateway.links.budget import SHARE, SHORTEST, SilentBudget
from gateway.links.pipe import StreamPipe
from gateway.settings import LineSettings
from gateway.sources import Source
from tests.modbus_farm import Slave
from tests.sources.test_source import resolved

UNITS, EVERY = 30, 10.0


class LeapClock:
    """A clock that goes from one sleeper's end to the next."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def wall(self) -> int:
        return int(self.now * 1e9)

    def monotonic(self) -> float:
        return self.now

    def rfc3339(self, time_ns: int) -> str:
        return str(time_ns)

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + max(0.0, seconds), next(self._order), future))
        await future

    async def run(self, seconds: float) -> None:
        end = self.now + seconds
        for _ in range(30):
            await asyncio.sleep(0)
        while self._sleepers and self._sleepers[0][0] <= end:
            self.now, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
                for _ in range(12):
                    await asyncio.sleep(0)
        self.now = end


class Bus(StreamPipe):
    """Thirty units; what is asked of a silent one costs its whole wait."""

    def __init__(self, clock: LeapClock, silent: set[int]) -> None:
        super().__init__("bus", 0.0, clock)
        self.silent, self.waited, self.asked = silent, 0.0, Counter()

    async def _send(self, data: bytes) -> float:
        pdu = Slave({0: 182}).answer(data[7:])
        self.reply = data[:4] + bytes((0, len(pdu) + 1, data[6])) + pdu
        self.unit = data[6]
        self.asked[self.unit] += 1
        return 0.0

    async def read(self, at_most: int = 4096) -> bytes:
        if self.unit in self.silent:
            before = self._clock.monotonic()
            await self._clock.sleep(self._timeout)
            self.waited += self._clock.monotonic() - before
            raise DeviceSilentError("silence")
        await self._clock.sleep(0.02)
        self._received(self.reply)
        return await super().read()

    def close(self) -> None:
        pass


POINT = {"p": {"at": "holding:0"}}


async def polled(
    clock: LeapClock, bus: Bus, seconds: float, every: float = EVERY, units: int = UNITS, points: dict[str, Any] = POINT
) -> list[Reading]:
    """What a gateway reads from the units of a bus in so many seconds."""

    async def opener() -> Bus:
        return bus

    line = Line(settings := LineSettings(name="bus", tcp="10.0.0.1:502"), clock, opener)
    readings: list[Reading] = []

    async def put(item: object) -> None:
        if isinstance(item, Reading):
            readings.append(item)

    sources = []
    for unit in range(1, units + 1):
        device = resolved(points, name=f"u{unit}", address=unit, line=settings, every=f"{every:.0f}s")
        sources.append(Source(device, make(device.spec), line, clock, put))
    tasks = [asyncio.create_task(part.run()) for part in (line, *sources)]
    await clock.run(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return readings


def is_fair(bus: Bus, seconds: float, readings: list[Reading]) -> None:
    """The silent cost little and are looked for again and again; the others are read as if they were alone."""
    assert 0 < bus.waited <= SHARE * seconds
    assert min(bus.asked[unit] for unit in bus.silent) >= 3
    good = Counter(reading.device for reading in readings if reading.points["p"].quality == "good")
    heard = [good[f"u{unit}"] for unit in range(len(bus.silent) + 1, UNITS + 1)]
    assert min(heard) >= 0.98 * seconds / EVERY


@pytest.mark.parametrize(("silent", "seconds"), [(1, 900.0), (5, 900.0), (20, 3600.0)])
async def test_silent_devices_never_cost_their_line_more_than_three_per_cent(silent, seconds):
    clock = LeapClock()
    bus = Bus(clock, set(range(1, silent + 1)))
    is_fair(bus, seconds, await polled(clock, bus, seconds))


class Garbling(Bus):
    """Behind the first half of an answer nothing comes: the wait for the rest is as long as for a silent device."""

    heard = False

    async def read(self, at_most: int = 4096) -> bytes:
        if self.unit not in self.silent:
            return await super().read(at_most)
        self.heard = not self.heard
        if self.heard:
            await self._clock.sleep(0.02)
            self.latency = 0.02
            self._received(self.reply[:9])
            return await StreamPipe.read(self)
        await self._clock.sleep(self._timeout - 0.02)
        self.waited += self._timeout
        raise DeviceSilentError("silence")


async def test_who_only_ever_says_half_an_answer_is_not_waited_for_as_long_as_at_first():
    clock, seconds = LeapClock(), 900.0
    bus = Garbling(clock, {1})
    await polled(clock, bus, seconds, every=2.0, units=2)
    assert bus.asked[1] >= 0.9 * seconds / 2, "it answers, and is asked as often as ever"
    assert bus.waited <= 0.45 * bus.asked[1]  # a second each it would be


class Gateway(Bus):
    """Modbus TCP to a serial line: for a silent unit the gateway answers itself, after a second, with exception 0B."""

    async def read(self, at_most: int = 4096) -> bytes:
        if self.unit in self.silent:
            await self._clock.sleep(1.0)
            self.waited += 1.0
            self._received(self.reply[:4] + bytes((0, 3, self.unit, self.reply[7] | 0x80, 0x0B)))
            return await StreamPipe.read(self)
        return await super().read(at_most)


@pytest.mark.parametrize("silent", [1, 5])
async def test_who_is_silent_behind_a_gateway_that_says_so_costs_no_more(silent):
    clock, seconds = LeapClock(), 900.0
    bus = Gateway(clock, set(range(1, silent + 1)))
    # Far apart: each point is a question of its own.
    points = {"p": {"at": "holding:0"}, "q": {"at": "input:0"}, "r": {"at": "holding:0", "type": "int16"}}
    readings = await polled(clock, bus, seconds, points=points)
    is_fair(bus, seconds, readings)
    assert {reading.points["p"].reason for reading in readings} == {None, "gateway_target"}


def test_who_is_alone_on_its_line_is_always_waited_for_wholly():
    line = Line(LineSettings(name="bus", tcp="10.0.0.1:502"), LeapClock())
    tally = line.attach("one", 1)
    for _ in range(20):
        tally.add("", 0.01, 0.01)
    line._budget.charge(1000.0, 0.0)
    assert line.patience("one", 30.0, doubtful=True) == 30.0
    line.attach("two", 2)
    assert line.patience("one", 30.0, doubtful=True) == SHORTEST


def test_the_wait_for_a_device_follows_from_how_long_it_takes():
    budget = SilentBudget(0.0)
    assert budget.patience(1.0, None, 0.0, doubtful=True) == 1.0
    assert budget.patience(1.0, 0.1, 0.0, doubtful=False) == 1.0
    assert budget.patience(1.0, 0.1, 0.0, doubtful=True) == pytest.approx(0.3)
    assert budget.patience(1.0, 0.01, 0.0, doubtful=True) == SHORTEST
    assert budget.patience(1.0, 0.9, 0.0, doubtful=True) == 1.0
    budget.charge(1.0, 0.0)
    assert budget.patience(1.0, 0.1, 0.0, doubtful=False) == pytest.approx(0.3)
    assert budget.patience(1.0, None, 0.0, doubtful=False) == pytest.approx(0.3)
