"""A camera that changes its resolution: what falls then is told, and the facade is where it was found."""

import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from gateway.cli.fallset import Clip as Shown
from gateway.cli.regression import _as_large_as, ways
from gateway.cli.replay import play
from gateway.clock import SystemClock
from gateway.settings import CameraSettings
from gateway.vision.falling.judge import RuleJudge
from gateway.vision.falling.sized import SizedFacade
from gateway.vision.falling.watch import FallWatch
from gateway.vision.messages import Clip, Fall, Fell, Job, Opened
from gateway.vision.worker import Worker
from tests.vision.falling.drawn import FACADE, HEIGHT, START, WIDTH, DrawnFrame, Dropped, camera, frames, watched
from tests.vision.falling.filmed import RATE, film
from tests.vision.test_worker_clips import spoken


def still(path: Path, seconds: float, size: tuple[int, int]) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "g": "25"})
        stream.width, stream.height = size
        for _ in range(round(seconds * RATE)):
            grey = np.full(size[::-1], 120, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    return path


def test_what_falls_while_the_resolution_changes_is_told_with_a_clip_of_its_own_size(tmp_path: Path) -> None:
    falls = film(tmp_path / "falls.h264", [Dropped(1.0, 10)], seconds=2.6).read_bytes()
    video = tmp_path / "both.h264"
    video.write_bytes(falls + still(tmp_path / "still.h264", 3.0, (240, 320)).read_bytes())
    known = {"name": "tower", "url": str(video), "purpose": "falls", "unblurred": "a drawn wall", "pace": "free"}
    settings = CameraSettings.model_validate({**known, "falling": {"facade": FACADE}})
    out = io.BytesIO()
    Worker(Job(settings.model_dump(mode="json"), str(tmp_path)), out).run()  # no model there: a plain rule judges
    said = list(spoken(out.getvalue()))
    kinds = [type(each) for each in said if isinstance(each, Fell | Fall | Opened)]
    assert kinds == [Opened, Fell, Fall, Opened]
    (fall,) = [each for each in said if isinstance(each, Fall)]
    assert fall.origin is not None
    assert fall.origin.floor in (9, 10, 11)
    (clip,) = [each for each in said if isinstance(each, Clip)]
    assert clip.token == fall.clip
    assert clip.begin < fall.trajectory[0][0] < fall.trajectory[-1][0] <= clip.end
    with av.open(io.BytesIO(clip.mp4)) as container:
        sizes = [(frame.width, frame.height) for frame in container.decode(video=0)]
    assert sizes == [(WIDTH, HEIGHT)] * 65


def small(shown: Iterator[DrawnFrame], width: int, height: int) -> Iterator[DrawnFrame]:
    for frame in shown:
        yield replace(frame, luma=cv2.resize(frame.luma, (width, height), interpolation=cv2.INTER_AREA))


def later(shown: Iterator[DrawnFrame], seconds: float) -> Iterator[DrawnFrame]:
    for frame in shown:
        yield replace(frame, time=frame.time + seconds)


def test_a_facade_is_brought_to_pictures_of_another_size() -> None:
    half = {
        **FACADE,
        "ground": [[x / 2, y / 2] for x, y in FACADE["ground"]],
        "roof": [[x / 2, y / 2] for x, y in FACADE["roof"]],
    }
    over = [[[0, 0], [240, 0], [240, 320], [0, 320]]]
    first = list(small(frames([], 1.0), WIDTH // 2, HEIGHT // 2))
    shown = list(later(frames([Dropped(1.0, 10)], 4.5), 1.0))
    (fall,) = watched(chain(first, shown), camera(facade=half)).falls
    assert fall.origin is not None
    assert fall.origin.floor == 10
    assert not watched(chain(first, shown), camera(facade=half, ignore=over)).falls


def test_a_picture_of_another_shape_shows_another_view_and_no_falls(tmp_path: Path) -> None:
    watch = FallWatch(camera(), RuleJudge(), None, tmp_path)
    watch.feed(next(frames([], 0.1)), START)
    turned = FallWatch(camera(), RuleJudge(), None, tmp_path)  # a restart: the size is kept beside the view
    reasons = []
    for frame in small(frames([Dropped(1.0, 10)], 9.5), WIDTH, WIDTH):
        assert not turned.feed(frame, START + round(frame.time * 1e9))
        reasons.append(turned.trouble[0])
    assert reasons[-1] == "moved"
    for frame in later(frames([], 6.5), 9.5):
        turned.feed(frame, START + round(frame.time * 1e9))
    assert turned.trouble == ("", "")


def test_a_replay_brings_the_facade_to_the_size_of_the_clip_and_remembers_nothing(tmp_path: Path) -> None:
    views = tmp_path / "views"
    twice = {key: [[2 * x, 2 * y] for x, y in FACADE[key]] for key in ("ground", "roof")}  # type: ignore[attr-defined]
    large = camera(facade={**FACADE, **twice})
    path = film(tmp_path / "fall.mp4", [Dropped(1.0, 10)])
    SizedFacade(large, views).brought((2 * WIDTH, 2 * HEIGHT))  # as the gateway has seen it
    kept = {file: file.read_bytes() for file in views.iterdir()}
    events = play(large, path, START, tmp_path, SystemClock("UTC").rfc3339, views=views)
    (fall,) = [event.data for event in events if event.type == "linli.falling_object.v1"]
    assert fall["origin"]["floor"] in (9, 10, 11)
    (way,) = ways(large, path, tmp_path, lambda _: None, views)
    assert len(way) > 8
    assert {file: file.read_bytes() for file in views.iterdir()} == kept


def test_a_smaller_clip_is_looked_at_although_nobody_would_draw_so_small_a_wall() -> None:
    small_one = _as_large_as(Shown("a.mp4", scale=0.05), camera(ignore=[[[0, 0], [100, 0], [100, 100]]]))
    assert small_one.falling is not None
    assert small_one.falling.facade is not None
    assert small_one.falling.facade.ground[0] == (4.5, 31.0)
    assert small_one.falling.ignore == (((0, 0), (5, 0), (5, 5)),)
