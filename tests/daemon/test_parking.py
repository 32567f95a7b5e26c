"""Parking areas: counting at several gates, drift, resets, restarts; every record fits its schema."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway.contract import CommandError, Draft, SourceState, StateChange, VisionEvent
from gateway.daemon.parking import HEARTBEAT, Parking, areas_of
from gateway.settings import CameraSettings
from gateway.store.types import schema
from tests.conftest import FakeClock


class Kept:
    """A store in memory."""

    def __init__(self, facts: Mapping[str, bytes] | None = None) -> None:
        self.drafts: list[Draft] = []
        self.kept: dict[str, bytes] = dict(facts or {})

    def facts(self, prefix: str) -> dict[str, bytes]:
        return {name: value for name, value in self.kept.items() if name.startswith(prefix)}

    async def put(self, drafts: Sequence[Draft], *, urgent: bool = False, facts: Any = ()) -> None:
        self.keep(drafts, dict(facts))

    def keep(self, drafts: Sequence[Draft], facts: Mapping[str, bytes | None]) -> None:
        for draft in drafts:
            Draft202012Validator(schema(draft.type)["properties"]["data"]).validate(dict(draft.data))
        self.drafts += drafts
        self.kept |= {name: value for name, value in facts.items() if value is not None}


def camera(name: str, **vehicles: Any) -> CameraSettings:
    lanes = [{"name": "main", "line": [[0, 10], [100, 10]], "enter": "down"}]
    known = {"name": name, "url": "rtsp://x/1", "purpose": "gate", "vehicles": {"lanes": lanes, **vehicles}}
    return CameraSettings.model_validate(known)


class Site:
    """Two gates into one area of ten places, and a third camera that counts for nothing."""

    def __init__(self, clock: FakeClock, facts: Mapping[str, bytes] | None = None, spaces: int = 10) -> None:
        cameras = [camera("north", area="yard", spaces=spaces, charging=2), camera("south", area="yard"), camera("b")]
        self.clock, self.store = clock, Kept(facts)
        self.parking = Parking(areas_of(cameras), self.store, clock)  # type: ignore[arg-type]

    def drive(self, direction: str, gate: str = "north", times: int = 1) -> None:
        for _ in range(times):
            data = {"direction": direction, "plate": {"text": "沪A12345"}}
            wall, now = self.clock.wall(), self.clock.monotonic()
            event = VisionEvent(gate, wall, now, "linli.vehicle.passage.v1", "main", data, "passage")
            self.store.keep(*self.parking.take(event))

    def state(self, name: str, state: SourceState) -> None:
        change = StateChange("camera", name, state, "x", "x", self.clock.wall(), self.clock.monotonic())
        self.store.keep(*self.parking.take(change))

    @property
    def last(self) -> dict[str, Any]:
        return dict(self.store.drafts[-1].data)


def test_counting_at_two_gates(fake_clock: FakeClock) -> None:
    site = Site(fake_clock)
    site.drive("in", times=3)
    site.drive("out", "south")
    site.drive("none")
    site.drive("in", "b")
    assert len(site.store.drafts) == 4
    draft = site.store.drafts[-1]
    assert (draft.stream, draft.type, draft.subject) == ("perception", "linli.parking.occupancy.v1", "yard")
    expected = {"area": "yard", "total": 10, "occupied": 2, "free": 8, "in": 3, "out": 1, "charging": 2}
    assert expected.items() <= site.last.items()
    assert (site.last["quality"], site.last["gates"]) == ("good", ["north", "south"])


def test_a_restart_counts_on(fake_clock: FakeClock) -> None:
    site = Site(fake_clock)
    site.drive("in", times=4)
    fake_clock.wall_ns += 90 * 10**9
    again = Site(fake_clock, site.store.kept)
    again.drive("out")
    assert (again.last["occupied"], again.last["in"], again.last["out"]) == (3, 4, 1)
    assert again.last["drift"]["blind"] == 90  # nobody looked meanwhile


def test_a_spoilt_fact_begins_anew(fake_clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    site = Site(fake_clock, {"parking/yard": b"{"})
    assert "cannot be read" in caplog.text
    assert site.parking.view()[0]["occupied"] == 0


async def test_below_zero_is_held_told_and_ended_by_a_reset(fake_clock: FakeClock) -> None:
    site = Site(fake_clock)
    site.drive("out", times=2)
    assert (site.last["occupied"], site.last["quality"], site.last["reason"]) == (0, "uncertain", "below_zero")
    (problem,) = site.parking.problems()
    assert problem["text"] == (
        "the count of parking area yard is wrong: so far 2 left when it said that nobody was inside"
    )
    assert problem["fix"] == "count the vehicles inside, then: linli vehicles reset-count yard NUMBER"
    done = await site.parking.reset("yard", 7, "uid:0", "by hand")
    assert done == {"area": "yard", "before": 0, "after": 7}
    told, said = site.store.drafts[-2:]
    assert (told.stream, told.data["after"], told.data["by"]) == ("disposal", 7, "uid:0")
    assert (said.data["cause"], said.data["occupied"], said.data["free"], said.data["in"]) == ("reset", 7, 3, 0)
    assert (said.data["quality"], site.parking.problems()) == ("good", [])
    with pytest.raises(CommandError, match="no parking area"):
        await site.parking.reset("yrad", 1, "uid:0", None)


def test_above_the_places(fake_clock: FakeClock) -> None:
    site = Site(fake_clock, spaces=2)
    site.drive("in", times=4)
    assert (site.last["free"], site.last["occupied"], site.last["reason"]) == (0, 4, "above_places")
    assert site.last["drift"]["above"] == 2
    site.drive("out", times=2)
    assert (site.last["quality"], site.last["drift"]["above"]) == ("good", 2)


def test_a_blind_gate_makes_the_count_uncertain(fake_clock: FakeClock) -> None:
    site = Site(fake_clock)
    site.state("south", SourceState.OFFLINE)
    assert (site.last["cause"], site.last["reason"]) == ("gates", "gate_blind")
    site.state("south", SourceState.OFFLINE)
    assert len(site.store.drafts) == 1
    fake_clock.wall_ns += 30 * 10**9
    site.state("south", SourceState.ONLINE)
    assert (site.last["quality"], site.last["drift"]["blind"]) == ("good", 30)
    site.state("b", SourceState.OFFLINE)
    assert len(site.store.drafts) == 2


def test_nights_of_a_clock_that_was_wrong_go_again(fake_clock: FakeClock) -> None:
    site = Site(fake_clock)
    right = fake_clock.wall_ns - fake_clock.wall_ns % (86400 * 10**9) + 3 * 3600 * 10**9
    for day in range(9):
        fake_clock.wall_ns = right + (4000 + day) * 86400 * 10**9
        site.drive("in")
    for day in range(3):
        fake_clock.wall_ns = right + day * 86400 * 10**9
        site.drive("in")
        site.drive("out")
    assert [night["least"] for night in site.last["drift"]["nights"]] == [9, 9, 9]
    assert site.last["quality"] == "good"


async def test_a_heartbeat_and_a_week_of_nights(fake_clock: FakeClock) -> None:
    site = Site(fake_clock)
    running = asyncio.create_task(site.parking.run())
    await asyncio.sleep(0)
    assert [draft.data["cause"] for draft in site.store.drafts] == ["start"]
    await fake_clock.advance(HEARTBEAT + 61, step=30)
    assert [draft.data["cause"] for draft in site.store.drafts] == ["start", "heartbeat"]
    for _ in range(9):
        site.drive("in")
        # to 03:00 of the next day
        seconds = fake_clock.wall_ns // 10**9 % 86400
        fake_clock.wall_ns += (86400 - seconds + 3 * 3600) * 10**9
        await fake_clock.advance(61, step=30)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    site.drive("none")
    view = site.parking.view()[0]
    assert len(view["drift"]["nights"]) == 8
    assert view["reason"] == "nightly_drift"
    assert "moved one way" in site.parking.problems()[0]["text"]
