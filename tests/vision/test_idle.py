"""An empty lane costs key frames; what wakes it loses nothing of the passage."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.cli.demo.clip import PLATE, DrawnCar
from gateway.vision.capture import Capture, Frame
from gateway.vision.feed import Feed
from gateway.vision.gate import VehicleGate
from gateway.vision.idle import KeyGate, SizeGate
from gateway.vision.lists import PlateLists
from gateway.vision.messages import Passage
from gateway.vision.sight import ModelSight
from tests.vision.coded import coded, write_small_clip
from tests.vision.lane import camera_settings, passages

Clip = Callable[[Sequence[DrawnCar], float], Path]


def fed(path: Path, look: Callable[[Frame], bool] = lambda _: False) -> tuple[list[Frame], Feed, int]:
    """Frames that a sleeping lane is shown; ``look`` says whether something stirs."""
    capture = Capture(str(path))
    feed = Feed(capture, sleeps=True)
    frames, packets = [], 0
    for one in capture.packets(start=0):
        packets += 1
        for frame in feed.take(one):
            frames.append(frame)
            if look(frame):
                feed.stir(frame.time)
    frames += feed.finish()
    return frames, feed, packets


def gated(path: Path, sight: Any, **more: Any) -> tuple[list[Passage], int]:
    gate = VehicleGate(camera_settings(path, **more), sight, PlateLists({}))
    found: list[Passage] = []

    def look(frame: Frame) -> bool:
        found.extend(gate.offer(frame, frame.wall) or [])
        return gate.busy

    frames, _, _ = fed(path, look)
    return found + gate.finish(), len(frames)


def test_an_empty_lane_is_left_to_key_frames(tmp_path: Path) -> None:
    frames, feed, packets = fed(write_small_clip(tmp_path / "empty.mp4", 9.0))
    assert feed.asleep
    awake = [frame for frame in frames if frame.time < 3.0]
    asleep = frames[len(awake) :]
    assert len(asleep) <= 4  # of 150
    assert packets == 225


def test_who_needs_every_frame_gets_every_frame(tmp_path: Path) -> None:
    capture = Capture(str(write_small_clip(tmp_path / "empty.mp4", 5.0)))
    feed = Feed(capture, sleeps=False)
    frames = [frame for one in capture.packets(start=0) for frame in feed.take(one)]
    assert len(frames) + len(list(feed.finish())) == 125


def test_a_sleeping_lane_tells_the_same_passage(clip: Clip, sight: ModelSight) -> None:
    path = clip([DrawnCar(PLATE, 5.2, 1.8, "in")], 8.0)
    told, looked = gated(path, sight)
    whole = passages(path, sight)
    assert [(one.text, one.status, one.direction) for one in told] == [(PLATE, "accepted", "in")]
    assert abs(told[0].time - whole[0].time) < 0.1e9
    assert abs(told[0].first_time - whole[0].first_time) < 0.3e9
    assert looked < 165  # of 200


def test_where_every_picture_stands_for_itself_one_is_looked_at_more_often(tmp_path: Path) -> None:
    path = write_small_clip(tmp_path / "clip.mp4", 6.0, (4.2, 4.9), g="1")
    frames = fed(path, lambda frame: 4.2 < frame.time < 4.9)[0]
    assert len([frame for frame in frames if 2.6 < frame.time < 3.8]) <= 4
    assert len([frame for frame in frames if 4.2 < frame.time < 4.9]) == 17


@pytest.mark.parametrize("bframes", ["0", "3"])
def test_frames_come_once_in_order_and_with_their_own_times(bframes: str, tmp_path: Path) -> None:
    path = write_small_clip(tmp_path / "clip.mp4", 9.0, (4.4, 6.4), bf=bframes)
    whole = {frame.index: frame.time for frame in Capture(str(path)).frames()}
    frames, _, _ = fed(path, lambda frame: 4.4 < frame.time < 6.4)
    times = [frame.time for frame in frames]
    assert times == sorted(set(times))
    assert all(whole[frame.index] == pytest.approx(frame.time) for frame in frames)
    woken = [frame.time for frame in frames if 4.6 < frame.time < 6.4]
    assert len(woken) == pytest.approx(45, abs=2)


def test_sizes_that_jump_wake() -> None:
    gate = SizeGate()
    random = np.random.default_rng(5)
    quiet = [gate.surges(coded(index, int(size))) for index, size in enumerate(random.normal(900, 120, 300))]
    assert not any(quiet)
    assert any(gate.surges(coded(300 + index, 2600)) for index in range(8))


def test_small_pictures_between_large_ones_tell_first() -> None:
    gate = SizeGate()
    for index in range(200):
        assert not gate.surges(coded(index, 12_000 if index % 4 == 0 else 60))
    assert any(gate.surges(coded(200 + index, 12_000 if index % 4 == 0 else 1100)) for index in range(10))


def test_key_frames_are_no_jump() -> None:
    gate = SizeGate()
    assert not any(
        gate.surges(coded(index, 200_000 if index % 25 == 0 else 800, key=index % 25 == 0)) for index in range(300)
    )


def test_rain_wakes_a_few_times_and_then_no_more() -> None:
    gate = SizeGate()
    for index in range(200):
        gate.surges(coded(index, 800))
    woken = 0
    for index in range(200, 2000):
        if gate.surges(coded(index, 3000)):
            woken += 1
            gate.woke(rightly=False)
    assert 1 <= woken <= 8


def test_key_frames_differ_by_things_not_by_light_or_noise() -> None:
    random = np.random.default_rng(2)
    scene = random.integers(60, 160, (90, 160)).astype(np.float64).repeat(8, axis=0).repeat(8, axis=1)

    def shot(light: float = 0.0) -> Any:
        return np.clip(scene + random.normal(light, 3.0, scene.shape), 0, 255).astype(np.uint8)

    gate = KeyGate()
    assert not gate.changed(shot())
    assert not gate.changed(shot(0))
    assert not gate.changed(shot(6))
    with_car = shot(6)
    with_car[300:420, 500:700] = 40
    assert gate.changed(with_car)
    assert not gate.changed(with_car)
