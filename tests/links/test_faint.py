"""Noise of a few per cent is named however seldom a line is asked; a spark now and then is not."""

import asyncio
import random

import pytest

from drivers.dlt645 import make
from gateway.cli.simulate.checks import digits
from gateway.cli.simulate.dlt645 import DltMeter
from gateway.commands.diagnosis import diagnose
from gateway.contract import DeviceSilentError, StateChange
from gateway.links import Line
from gateway.links.faint import COMPARED, WORTH, Faint
from gateway.links.pipe import StreamPipe
from gateway.settings import DeviceSettings, LineSettings
from gateway.settings.resolve import resolve_device
from gateway.sources import Source
from tests.links.test_silence import LeapClock

METERS, HOUR = 12, 3600.0
VALUES = [f"02{kind:02X}0{phase}00" for kind in (1, 2, 3) for phase in (1, 2)]


def play(faint: Faint, dice: random.Random, rate: float, exchanges: int, devices: int = 4) -> int | None:
    """Return after how many exchanges noise was named."""
    for number in range(exchanges):
        device = f"d{number % devices}"
        if dice.random() < rate:
            faint.hurt(device)
        elif faint.score:
            faint.sound(device, 1)
        if faint.named:
            return number + 1
    return None


def test_three_per_cent_are_named_within_some_hundreds_of_exchanges():
    found = [play(Faint(), random.Random(seed), 0.03, 2000) for seed in range(100)]
    assert None not in found
    assert sorted(found)[50] < 500  # type: ignore[type-var, operator]


def test_a_spark_in_five_hundred_is_no_noise():
    assert [play(Faint(), random.Random(seed), 0.002, 50_000) for seed in range(10)] == [None] * 10


def test_once_mended_it_goes_and_does_not_come_back():
    faint = Faint()
    play(faint, random.Random(1), 0.03, 5000)
    assert faint.whose() == ""
    states = []
    for _ in range(1000):
        if faint.score:
            faint.sound("d1", 1)
        states.append(faint.named)
    assert [state for at, state in enumerate(states) if at == 0 or state != states[at - 1]] == [True, False]
    assert sum(states) < 400
    faint.hurt("d1")
    assert not faint.named
    assert faint.share("").hurt == 1


def test_one_that_suffers_alone_is_told_from_a_line_that_does():
    faint, dice = Faint(), random.Random(2)
    while not faint.named:
        for device in ("a", "b", "c"):
            if device == "a" and dice.random() < 0.1:
                faint.hurt(device)
            elif faint.score:
                faint.sound(device, 1)
    assert faint.whose() == "a"
    for _ in range(2 * COMPARED):
        faint.sound("c", 1)
        if faint.score < 3 * WORTH:
            faint.hurt("a")
    faint.hurt("b")  # one of hundreds
    assert faint.whose() == "a"
    assert not faint.suffers("b")
    for _ in range(3):
        faint.hurt("b")
    assert faint.whose() == ""


class Bus(StreamPipe):
    """Meters on a noisy wire: each answer takes a fifth of a second and is damaged with the chance ``rate``."""

    def __init__(self, clock: LeapClock, meters: list[DltMeter], rate: float) -> None:
        super().__init__("bus", 0.0, clock)
        self.meters, self.rate, self.dice, self.asked = meters, rate, random.Random(3), 0
        self.answer = b""

    async def _send(self, data: bytes) -> float:
        self.asked += 1
        self.answer = b"".join(meter.hear(data) for meter in self.meters)
        if self.dice.random() < self.rate:
            at = self.dice.randrange(len(self.answer) - 4, len(self.answer))
            self.answer = self.answer[:at] + bytes((self.answer[at] ^ 0x55,)) + self.answer[at + 1 :]
        return 0.0

    async def read(self, at_most: int = 4096) -> bytes:
        if not self.answer:
            await self._clock.sleep(self._timeout)
            raise DeviceSilentError("silence")
        await self._clock.sleep(0.2)
        self._received(self.answer)
        self.answer = b""
        return await super().read()

    def close(self) -> None:
        pass


class Site:
    """Twelve meters of six questions each, asked every quarter of an hour."""

    def __init__(self, rate: float) -> None:
        self.clock = LeapClock()
        addresses = [f"{number:012d}" for number in range(1, METERS + 1)]
        meters = [DltMeter(address, {ident: digits(1234, 3) for ident in VALUES}) for address in addresses]
        self.bus = Bus(self.clock, meters, rate)
        settings = LineSettings(name="bus", tcp="10.0.0.1:502")
        self.line = Line(settings, self.clock, self.open)
        self.items: list[object] = []
        points = {f"v{ident.lower()}": {"at": ident, "type": "bcd", "length": 3} for ident in VALUES}
        self.sources = []
        for number, address in enumerate(addresses):
            about = DeviceSettings.model_validate(
                {"name": f"m{number}", "driver": "dlt645", "line": "bus", "address": address, "every": "15m",
                 "points": points, "options": {"blocks": False}}
            )  # fmt: skip
            device = resolve_device(about, settings, None)
            self.sources.append(Source(device, make(device.spec), self.line, self.clock, self.put))

    async def open(self) -> Bus:
        return self.bus

    async def put(self, item: object) -> None:
        self.items.append(item)

    def problems(self) -> list[tuple[str, str]]:
        state = {"lines": [self.line.view()], "devices": [source.view() for source in self.sources]}
        empty = dict.fromkeys(("cameras", "uplinks", "alarms", "consumers"), ())
        store = {"bytes": 10, "quota": 100, "failing": None}
        whole = state | empty | {"store": store, "streams": {}}
        return [(one["part"], one["fix"]) for one in diagnose(whole, "synced", "")]


async def test_slow_meters_get_their_noise_named_and_cleared_once():
    site = Site(0.03)
    tasks = [asyncio.create_task(part.run()) for part in (site.line, *site.sources)]
    for _ in range(12):
        await site.clock.run(HOUR)
        if site.line.view()["troubles"]:
            break
    (trouble,) = site.line.view()["troubles"]
    assert trouble["reason"] == "noise"
    assert site.bus.asked < 2000
    await site.clock.run(4 * HOUR)
    assert [part for part, _ in site.problems()] == ["line bus"]
    assert "termination" in site.problems()[0][1]
    site.bus.rate = 0.0
    site.items.clear()
    await site.clock.run(6 * HOUR)
    assert site.problems() == []
    assert {source.state.value for source in site.sources} == {"online"}
    changes = [item.name for item in site.items if isinstance(item, StateChange)]
    assert len(changes) == len(set(changes))  # each went back at most once
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("rate", [0.0, 0.002])
async def test_slow_meters_on_a_sound_line_have_no_noise(rate):
    site = Site(rate)
    tasks = [asyncio.create_task(part.run()) for part in (site.line, *site.sources)]
    for _ in range(24):
        await site.clock.run(HOUR)
        assert site.line.view()["troubles"] == []
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
