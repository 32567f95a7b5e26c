"""What a camera that looks for falls tells the gateway: an early word, a record, and the clip that belongs to it."""

import os
import signal
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("av", reason="the extra `vision` is not installed")

from gateway.clock import SystemClock
from gateway.contract import CommandError, VisionEvent
from gateway.settings.camera import STOREY
from gateway.vision import camera as cameras
from gateway.vision.messages import Clip, Fell, Passage
from gateway.vision.promises import Promises
from gateway.vision.telling import Teller
from tests.schemas import validator
from tests.vision.falling.drawn import FACADE, Dropped, camera
from tests.vision.falling.filmed import film
from tests.vision.falling.test_events import FALL
from tests.vision.test_camera import running


@pytest.fixture(scope="module")
def fallen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fall from floor 10 at the first second; drawn and encoded once."""
    return film(tmp_path_factory.mktemp("fallen") / "fall.mp4", [Dropped(1.0, 10)], seconds=4.0)


async def test_a_fall_has_its_early_word_its_record_and_its_clip(fallen: Path, tmp_path: Path) -> None:
    how = {"vehicles": None, "falling": {"facade": FACADE}, "unblurred": "a drawn wall", "pace": "free"}
    async with running(fallen, tmp_path, **how) as one:  # by the plain rule
        await one.until(lambda: one.state == "ended")
    assert ("offline", "worker") not in one.states
    told = [item for item in one.items if isinstance(item, VisionEvent)]
    assert [item.type for item in told] == ["", "linli.falling_object.v1", "linli.media.ready.v1"]
    early, fall, clip = told
    assert early.event == "fall"
    assert fall.id
    assert clip.data["record"] == fall.id
    (shown,) = one.camera.view()["last_falls"]
    assert (shown["floor"], shown["test"]) == (fall.data["origin"]["floor"], False)
    assert clip.data["first_time"] < fall.data["first_time"] < fall.data["last_time"] <= clip.data["last_time"]


async def test_a_drop_test_ends_by_itself_and_only_one_runs(tmp_path: Path) -> None:
    path = film(tmp_path / "quiet.mp4", seconds=1.0)
    how = {"vehicles": None, "falling": {"facade": FACADE}, "repeat": True}
    async with running(path, tmp_path, **how) as one:
        with pytest.raises(CommandError, match="gives no picture"):
            await one.camera.drop_test(60)
        await one.until(lambda: one.state == "degraded")  # no verifier is here
        await one.camera.drop_test(0.2)
        with pytest.raises(CommandError, match="runs already"):
            await one.camera.drop_test(60)
        await one.until(lambda: [reason for _, reason in one.states][-2:] == ["droptest", "models_missing"])
        await one.camera.drop_test(0)
    assert one.camera.view()["falling"]["facade"] == {**FACADE, "storey": STOREY}


async def test_what_falls_when_the_gateway_stops_has_its_record_and_its_clip(fallen: Path, tmp_path: Path) -> None:
    how = {"vehicles": None, "falling": {"facade": FACADE}, "unblurred": "a drawn wall"}
    async with running(fallen, tmp_path, **how) as one:
        await one.until(lambda: any(isinstance(item, VisionEvent) for item in one.items))
        assert not one.passages  # only the early word so far
    fall, clip = one.passages
    assert (fall.type, clip.type) == ("linli.falling_object.v1", "linli.media.ready.v1")
    assert clip.data["record"] == fall.id
    assert clip.data["first_time"] < fall.data["first_time"] < fall.data["last_time"] <= clip.data["last_time"]


def valid(event: VisionEvent) -> bool:
    kind = validator(event.type)
    return bool(kind.evolve(schema=kind.schema["properties"]["data"]).is_valid(dict(event.data)))


async def test_a_worker_that_dies_in_mid_fall_leaves_a_record_of_what_was_told(fallen: Path, tmp_path: Path) -> None:
    how = {"vehicles": None, "falling": {"facade": FACADE}, "unblurred": "a drawn wall"}
    async with running(fallen, tmp_path, **how) as one:
        await one.until(lambda: any(isinstance(item, VisionEvent) for item in one.items))
        assert one.camera._worker is not None
        os.kill(one.camera._worker.pid, signal.SIGKILL)
        await one.until(lambda: bool(one.passages))
        assert [row["complete"] for row in one.camera.view()["last_falls"]] == [False]
    word = next(item for item in one.items if isinstance(item, VisionEvent))
    (fall,) = one.passages
    assert word.owes is not None
    assert (fall.id, fall.settles, word.owes.data["reason"]) == (word.owes.id, word.owes.id, "restarted")
    assert (fall.type, fall.data["complete"], fall.data["reason"]) == ("linli.falling_object.v1", False, "worker")
    assert fall.data["origin"]["interval"][0] <= 10 <= fall.data["origin"]["interval"][1]
    assert len(fall.data["trajectory"]) >= 8
    assert "picture" not in fall.data
    assert valid(fall)


async def test_a_stop_that_cannot_wait_for_the_end_of_a_fall_leaves_a_record_too(
    fallen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cameras, "LAST_WORDS", 0.0)
    async with running(fallen, tmp_path, vehicles=None, falling={"facade": FACADE}) as one:
        await one.until(lambda: any(isinstance(item, VisionEvent) for item in one.items))
    (fall,) = one.passages
    assert (fall.data["complete"], fall.data["reason"]) == (False, "stopped")


def promising() -> tuple[Promises, VisionEvent]:
    """What is owed after a fall was told that is to have a clip, and its record."""
    clock = SystemClock("UTC")
    by, owed = Teller(camera(), clock.rfc3339), Promises(camera(), clock)
    word = owed.falls(Fell(3, FALL), by.event(Fell(3, FALL), 5.0))
    fall = owed.fell(FALL, by.event(FALL, 6.0))
    assert word.owes is not None
    assert fall.id == fall.settles == word.owes.id
    assert "complete" not in fall.data
    return owed, owed.clip_of(msgspec.structs.replace(FALL, clip="w1"), fall, (480, 640))


def test_a_clip_that_comes_settles_what_its_record_owed() -> None:
    owed, fall = promising()
    ready = owed.made(Clip("w1", b"mp4", 1, 2))
    assert ready is not None
    assert fall.owes is not None
    assert (ready.type, ready.settles, ready.data["record"]) == ("linli.media.ready.v1", fall.owes.id, fall.id)
    assert not owed.open
    assert owed.broken("worker", "it is gone") == []


@pytest.mark.parametrize("how", ["not made", "the worker dies"])
def test_a_clip_that_never_comes_is_told_with_its_reason(how: str) -> None:
    owed, fall = promising()
    lost = owed.made(Clip("w1", trouble="it cannot be encoded"))
    if how == "the worker dies":
        owed, fall = promising()
        (lost,) = owed.broken("worker", "the worker ended (signal 9)")
    assert lost is not None
    assert fall.owes is not None
    assert (lost.type, lost.id, lost.data["record"]) == ("linli.media.lost.v1", fall.owes.id, fall.id)
    assert lost.data["reason"] == ("not_made" if how == "not made" else "worker")
    assert lost.purpose == camera().purpose
    assert valid(lost)
    assert not owed.open


def test_an_alarms_clip_is_owed_from_the_next_sign_of_life_on() -> None:
    owed = Promises(camera(), SystemClock("UTC"))
    owed.asked("g1", "0" * 36, (480, 640))
    (word,) = owed.unsaid()
    assert (word.type, word.event) == ("", "")
    assert word.owes is not None
    assert word.owes.data["record"] == "0" * 36
    assert owed.unsaid() == []
    assert [lost.id for lost in owed.broken("stopped", "the gateway stops")] == [word.owes.id]


@pytest.mark.parametrize("alive", [True, False])
def test_of_a_plate_that_is_erased_nothing_is_owed_any_more(alive: bool) -> None:
    owed = Promises(camera(), SystemClock("UTC"))
    seen = ("main", "in", "沪A12345", "ordinary", "blue", "accepted", (0.9,), "", 1, 1, 1, None, (), "w1")
    known = Passage(*seen)
    event = owed.clip_of(known, VisionEvent("tower", 1, 1.0, "linli.vehicle.passage.v1", "main", {}), None)
    assert event.owes is not None
    owed.forget("沪A12345")
    (word,) = owed.unsaid() if alive else owed.broken("stopped", "the gateway was stopped")
    assert (word.type, word.event, word.owes, word.settles) == ("", "", None, event.owes.id)
    assert owed.made(Clip("w1", b"mp4", 1, 2)) is None
    assert owed.broken("stopped", "the gateway was stopped") == []
