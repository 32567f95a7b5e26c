"""What a camera that looks for falls tells the gateway: an early word, a record, and the clip that belongs to it."""

from pathlib import Path

import pytest

pytest.importorskip("av", reason="the extra `vision` is not installed")

from gateway.contract import CommandError, VisionEvent
from gateway.settings.camera import STOREY
from tests.vision.falling.drawn import FACADE, Dropped
from tests.vision.falling.filmed import film
from tests.vision.test_camera import running


async def test_a_fall_has_its_early_word_its_record_and_its_clip(tmp_path: Path) -> None:
    path = film(tmp_path / "fall.mp4", [Dropped(1.0, 10)])
    how = {"vehicles": None, "falling": {"facade": FACADE}, "unblurred": "a drawn wall", "pace": "free"}
    async with running(path, tmp_path, **how) as one:  # by the plain rule
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


async def test_what_falls_when_the_gateway_stops_has_its_record_and_its_clip(tmp_path: Path) -> None:
    path = film(tmp_path / "fall.mp4", [Dropped(1.0, 10)])
    how = {"vehicles": None, "falling": {"facade": FACADE}, "unblurred": "a drawn wall"}
    async with running(path, tmp_path, **how) as one:
        await one.until(lambda: any(isinstance(item, VisionEvent) for item in one.items))
        assert not one.passages  # only the early word so far
    fall, clip = one.passages
    assert (fall.type, clip.type) == ("linli.falling_object.v1", "linli.media.ready.v1")
    assert clip.data["record"] == fall.id
    assert clip.data["first_time"] < fall.data["first_time"] < fall.data["last_time"] <= clip.data["last_time"]
