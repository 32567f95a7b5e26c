"""The drawn wall as a video file, for what plays clips: encoded once, the same every time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av

from tests.vision.falling.drawn import HEIGHT, WIDTH, Dropped, frames

RATE = 25


def film(path: Path, things: Sequence[Dropped] = (), seconds: float = 4.5, masked: int = 0) -> Path:
    """Write an H.264 clip of 480 x 640; the upper ``masked`` lines are black, as a mask would leave them."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "20", "g": "25", "threads": "1"}
        for drawn in frames(things, seconds, RATE):
            luma = drawn.luma
            luma[:masked] = 0
            frame = av.VideoFrame.from_ndarray(luma, format="gray").reformat(format="yuv420p")
            frame.pts = drawn.index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def damage(path: Path, numbers: Sequence[int]) -> Path:
    """Spoil the end of some packets of a clip, as a bad disk or a lossy network does."""
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for number in numbers:
        start, size = places[number]
        for place in range(start + size // 3, start + size):
            data[place] ^= 0x5A
    path.write_bytes(data)
    return path
