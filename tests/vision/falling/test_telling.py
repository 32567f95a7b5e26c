"""What a camera that looks for falls tells the gateway: an early word, a record, and the clip that belongs to it."""

from pathlib import Path

import pytest

pytest.importorskip("av", reason="the extra `vision` is not installed")

from gateway.contract import VisionEvent
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
    assert clip.data["first_time"] < fall.data["first_time"] < fall.data["last_time"] <= clip.data["last_time"]
