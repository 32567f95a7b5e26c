"""What is wrong with a line is named: each fault on a real pseudo-terminal, told by the device that suffers from it."""

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.commands.diagnosis import _lines
from gateway.contract import StateChange
from gateway.links.health import DAMAGE, LineHealth, Tally
from gateway.settings import LineSettings
from tests.modbus_farm import PtyBus, Slave, rtu
from tests.sources.test_source import Site

POINTS = {"a": {"at": "holding:0"}, "b": {"at": "holding:1", "type": "uint32"}}
FOUR = {1: 11, 2: 22, 3: 33, 4: 44}


def slaves() -> dict[int, Slave]:
    return {unit: Slave({at: 1000 * value + at for at in range(8)}) for unit, value in FOUR.items()}


def told(site: Site, name: str) -> dict[str, str]:
    """Reasons of a device's states, with the last sentence of each."""
    return {item.reason: item.sentence for item in site.items if isinstance(item, StateChange) and item.name == name}


async def play(spoil, until, *, units=(1, 2, 3, 4), impatient: int = 0, seconds: float = 15.0) -> Site:
    """``impatient``: the unit that is not waited for long; the others may take what a busy machine takes."""
    bus = PtyBus(slaves())
    bus.spoil = spoil
    site = Site(LineSettings(name="bus", serial=Path(bus.path), baud=115200))
    for unit in units:
        site.add(f"unit-{unit}", unit, POINTS, every="30ms", timeout="80ms" if unit == impatient else "3s")
    try:
        with suppress(TimeoutError):
            await site.until(lambda: until(site), seconds)
    finally:
        bus.unplug()
    return site


def is_told(name: str, reason: str):
    return lambda site: reason in told(site, name)


def collided(frame: bytes) -> bytes:
    """Two answers at once: equal heads, values that wipe each other's ones, one checksum over the other."""
    other = rtu(frame[:3] + bytes((byte ^ 0x5A) for byte in frame[3:-2]))
    return bytes(one & two for one, two in zip(frame, other, strict=True))


async def test_two_devices_on_one_address_that_answer_at_once_are_a_collision():
    site = await play(
        lambda request, frame: [(0, collided(frame) if request[0] == 3 else frame)], is_told("unit-3", "collision")
    )
    sentence = told(site, "unit-3")["collision"]
    assert "probably two devices have the address 3; disconnect one" in sentence
    assert site.good("unit-3") == []
    assert told(site, "unit-1").keys() == {"starting", "ok"}
    errors = site.sources[2].view()["errors_by_kind"]
    assert set(errors) <= DAMAGE
    assert sum(errors.values()) >= 4
    assert site.line.view()["troubles"] == []


@pytest.mark.parametrize("apart", [0, 0.0005], ids=["at once with it", "behind it"])
async def test_two_devices_on_one_address_that_answer_in_turn_are_a_collision(apart):
    """The second answer comes right behind the first: every value looks good, and may be either's.

    Adapters deliver both together, and so does a busy machine.
    """
    second = rtu(bytes.fromhex("03 03 06") + bytes(6))
    site = await play(
        lambda request, frame: [(0, frame), (apart, second)] if request[0] == 3 else [(0, frame)],
        is_told("unit-3", "collision"),
    )
    assert "two answers come to one question" in told(site, "unit-3")["collision"]
    assert told(site, "unit-1").keys() == {"starting", "ok"}


async def test_noise_on_the_whole_line_is_named_as_the_lines():
    dice = random.Random(5)

    def noisy(_request: bytes, frame: bytes) -> list[tuple[float, bytes]]:
        if dice.random() < 0.6:
            at = dice.randrange(3, len(frame))
            frame = frame[:at] + bytes((frame[at] ^ 0x41,)) + frame[at + 1 :]
        return [(0, frame)]

    found = []

    def until(site: Site) -> bool:
        found[:] = site.line.view()["troubles"]
        return bool(found) and sum("noise" in told(site, f"unit-{unit}") for unit in FOUR) >= 2

    site = await play(noisy, until)
    assert [trouble["reason"] for trouble in found] == ["noise"]
    assert "noise on line bus" in found[0]["sentence"]
    assert "termination" in found[0]["sentence"]
    assert not any("collision" in told(site, f"unit-{unit}") for unit in FOUR)
    good = [
        value.value for name in ("unit-1", "unit-2") for reading in site.good(name) for value in [reading.points["a"]]
    ]
    assert set(good) <= {11000, 22000}


async def test_answers_that_break_off_are_half_frames():
    site = await play(
        lambda request, frame: [(0, frame[:6] if request[0] == 2 else frame)],
        is_told("unit-2", "half_frames"),
        impatient=2,
    )
    assert "break off" in told(site, "unit-2")["half_frames"]
    assert told(site, "unit-1").keys() == {"starting", "ok"}


async def test_an_echo_is_passed_over_and_named():
    site = await play(
        lambda request, frame: [(0, request), (0.001, frame)],
        lambda site: "echo" in [trouble["reason"] for trouble in site.line.view()["troubles"]],
    )
    assert "switch the adapter's echo off" in site.line.view()["troubles"][0]["sentence"]
    assert told(site, "unit-1").keys() == {"starting", "ok"}


def test_a_device_of_which_only_our_own_question_is_heard_is_told_so():
    health = LineHealth("bus")
    for _ in range(6):
        health.echoed(True)
        health.tally("d").add("timeout", 1.0, 0.0)
    trouble = health.trouble("d")
    assert trouble is not None
    assert trouble.reason == "timeout"
    assert "only the echo of our own question" in trouble.sentence
    health.echoed(False)
    assert health.trouble("d") is None


def test_a_spark_now_and_then_is_no_trouble():
    health = LineHealth("bus")
    for number in range(200):
        for name in ("a", "b", "c"):
            health.tally(name).add("crc" if number % 12 == 0 and name == "a" else "", 0.01, 0.005)
            assert health.trouble(name) is None
    assert health.troubles() == []


@pytest.mark.parametrize("kinds", [["crc"] * 40, ["crc", "", "twice"] * 20, [""] * 3 + ["damaged"] * 5 + [""] * 30])
def test_flaws_are_counted_as_the_window_moves(kinds):
    tally = Tally("d")
    for kind in kinds:
        tally.add("" if kind == "twice" else kind, 0.01, 0.0)
        if kind == "twice":
            tally.spoke_twice()
        assert tally.flaws == sum(recent in DAMAGE | {"twice"} for recent in tally.recent)


async def test_an_adapter_that_comes_back_under_another_name_is_found_by_its_id(tmp_path: Path):
    """ttyUSB0 goes; the same adapter comes back as ttyUSB1, and udev points its id there."""
    by_id = tmp_path / "usb-FTDI_0421-if00"
    buses = [PtyBus(slaves())]
    by_id.symlink_to(buses[0].path)
    site = Site(LineSettings(name="bus", serial=by_id))
    site.add("unit-1", 1, POINTS, every="50ms")

    async def replug() -> None:
        while not site.good("unit-1"):  # noqa: ASYNC110 - the line has no event for it
            await asyncio.sleep(0.01)
        by_id.unlink()
        buses[0].unplug()
        while site.line.state != "down":
            await site.line.changed()
        squatter = PtyBus({})  # takes the old name
        buses.append(PtyBus({1: Slave(dict.fromkeys(range(8), 7))}))
        assert buses[-1].path != squatter.path
        by_id.symlink_to(buses[-1].path)
        buses.append(squatter)

    task = asyncio.create_task(replug())
    await site.until(lambda: any(reading.points["a"].value == 7 for reading in site.good("unit-1")))
    await task
    for bus in buses[1:]:
        bus.unplug()
    assert site.states("unit-1") == ["starting", "online", "offline", "online"]


def test_a_lines_trouble_is_a_problem_with_its_fix():
    health = LineHealth("bus")
    for _ in range(6):
        health.echoed(True)
    rows = [{"reason": reason, "sentence": sentence} for reason, sentence in health.troubles()]
    (problem,) = _lines([{"name": "bus", "state": "open", "troubles": rows}], [])
    assert (problem["part"], problem["severity"]) == ("line bus", "warning")
    assert problem["fix"] == "switch the adapter's echo off (two-wire mode)"
    assert "repeats every question" in problem["text"]
