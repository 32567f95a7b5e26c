"""A camera that changes its resolution while something falls: what was seen till then is told, with its own clip."""

import io
from pathlib import Path
from typing import Any

import av
import numpy as np

from gateway.settings import CameraSettings
from gateway.vision.messages import Clip, Fall, Fell, Job, Opened
from gateway.vision.worker import Worker
from tests.vision.falling.drawn import FACADE, HEIGHT, WIDTH, Dropped
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
