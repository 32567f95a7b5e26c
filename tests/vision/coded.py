"""Packets for the tests: made up, or read from a clip."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np

from gateway.vision.capture import Capture
from gateway.vision.ring import Coded

SECOND = 1_000_000_000


def coded(index: int, size: int = 1000, *, key: bool = False, rate: int = 25) -> Coded:
    """A packet without a picture in it."""
    time = index / rate
    packet: Any = SimpleNamespace(size=size)
    return Coded(packet, index, time, round(time * SECOND), time, key, size)


def write_small_clip(
    path: Path,
    seconds: float,
    moving: tuple[float, float] = (0.0, 0.0),
    *,
    size: tuple[int, int] = (320, 240),
    **how: str,
) -> Path:
    """Noise, and a bright block that goes down through it while something is to move; 25 frames a second."""
    random = np.random.default_rng(11)
    scene = random.integers(60, 160, (size[1] // 8, size[0] // 8, 1)).repeat(8, 0).repeat(8, 1).repeat(3, 2)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "26", "g": "25", "threads": "1", **how}
        for index in range(round(seconds * 25)):
            picture = scene + random.normal(0, 2, scene.shape)
            now = index / 25
            if moving[0] <= now < moving[1]:
                top = round((now - moving[0]) / (moving[1] - moving[0]) * (size[1] - 60))
                picture[top : top + 60, 120:200] = random.integers(180, 250, (60, 80, 3))
            frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="bgr24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def packets_of(path: Path, **how: Any) -> tuple[Capture, list[Coded]]:
    capture = Capture(str(path), **how)
    return capture, list(capture.packets(start=0))
