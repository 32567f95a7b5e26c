"""Gates on film for cameras that are watched in real time: drawn cars at 1080p with the grain of a camera."""

import random
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from gateway.cli.demo.clip import DrawnCar, write_gate_clip

SIZE = 1920, 1080
PLATES = ("沪A12345", "苏E05C88", "京B67890", "沪CFGHJK", "沪LMNPQR", "苏A3N9M1", "沪EQ7752", "京N55B18")


def lane_films(folder: Path, count: int, seconds: float) -> list[Path]:
    """Film what is not there yet: one car in, one car out, and nothing between them."""
    made = []
    for number in range(count):
        path = folder / f"gate-{number}-{seconds:g}.mp4"
        made.append(path)
        if path.exists():
            continue
        print(f"drawing {path.name}", flush=True)
        one, other = PLATES[2 * number % len(PLATES)], PLATES[(2 * number + 1) % len(PLATES)]
        cars = [DrawnCar(one, 1.0 + number, 3.5, "in"), DrawnCar(other, seconds / 2 + number, 3.0, "out")]
        small = folder / f"gate-{number}-small.mp4"
        write_gate_clip(small, seconds=seconds, cars=cars, seed=number)
        enlarged(small, path, 25)
        small.unlink()
    return made


def enlarged(path: Path, to: Path, group: int) -> Path:
    """The same clip at 1920 x 1080 with the grain of a camera, and a key frame every ``group`` frames."""
    grain = np.random.default_rng(3).normal(0, 1.5, (SIZE[1] + 64, SIZE[0] + 64, 1)).astype(np.int16).repeat(3, 2)
    dice = random.Random(4)
    beside = to.with_suffix(".part.mp4")
    with av.open(str(path)) as source, av.open(str(beside), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "25", "g": str(group), "bf": "0", "threads": "1"}
        for frame in source.decode(video=0):
            picture: Any = cv2.resize(frame.to_ndarray(format="bgr24"), SIZE, interpolation=cv2.INTER_CUBIC)
            down, right = dice.randrange(64), dice.randrange(64)
            noisy = cv2.add(picture, grain[down : down + SIZE[1], right : right + SIZE[0]], dtype=cv2.CV_8U)
            video = av.VideoFrame.from_ndarray(noisy, format="bgr24")
            video.pts = frame.pts
            video.time_base = frame.time_base
            container.mux(stream.encode(video))
        container.mux(stream.encode(None))
    beside.replace(to)
    return to
