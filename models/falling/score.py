"""Plays filmed clips through the product's detector and compares what it tells with the truth."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gateway.settings import CameraSettings
from gateway.vision.capture import Capture
from gateway.vision.falling.judge import Judge
from gateway.vision.falling.watch import FallWatch
from gateway.vision.messages import Fall, Fell

CLOSE = 14.0  # pixels of the full frame
Way = Sequence[tuple[float, float, float]]


@dataclass
class Played:
    """One clip: falls told with the clip's time when their first word came, frames, CPU ms a frame with decoding."""

    falls: list[Fall]
    words: dict[int, float]
    frames: int
    seconds: float
    cpu_ms: float


def camera_of(truth: dict[str, Any], path: Path) -> CameraSettings:
    """The camera that a clip was filmed with."""
    told, part = truth["facade"], truth.get("part", 1.0)
    corners = {key: [[x * part, y * part] for x, y in told[key]] for key in ("ground", "roof")}
    facade = {"falling": {"facade": {**told, **corners}}}
    return CameraSettings.model_validate({"name": "film", "url": str(path), "purpose": "evaluation", **facade})


def truth_of(path: Path) -> dict[str, Any]:
    """What was written beside the clip."""
    loaded: dict[str, Any] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return loaded


def play(path: Path, watch: FallWatch) -> Played:
    """Play a clip to its end; its start is the epoch."""
    capture = Capture(str(path))
    played = Played([], {}, 0, 0.0, 0.0)
    began = time.process_time()

    def take(found: Sequence[Fell | Fall]) -> None:
        for message in found:
            if isinstance(message, Fall):
                played.falls.append(message)
            else:
                played.words[message.number] = played.seconds

    for frame in capture.frames():
        played.frames += 1
        played.seconds = frame.time
        take(watch.feed(frame, round(frame.time * 1e9)))
    take(watch.finish())
    played.cpu_ms = (time.process_time() - began) * 1000 / max(1, played.frames)
    capture.close()
    return played


def watch_for(truth: dict[str, Any], path: Path, judge: Judge) -> FallWatch:
    """The product's own watch with this judge."""
    return FallWatch(camera_of(truth, path), judge)


def same(way: Way, fall: dict[str, Any], rate: float) -> int:
    """How many points of a way lie on a true fall, or 0 when it is something else."""
    true = fall["way"]
    if not true:
        return 0
    times = np.array([row[0] for row in true])
    hits = 0
    for moment, x, y in way:
        place = int(np.argmin(np.abs(times - moment)))
        near = abs(times[place] - moment) < 0.75 / rate
        hits += near and math.hypot(x - true[place][1], y - true[place][2]) < CLOSE + 0.02 * fall_speed(true, place)
    return hits if hits >= 4 and hits >= 0.5 * len(way) else 0


def fall_speed(true: Sequence[Sequence[float]], place: int) -> float:
    """Pixels a second at a point of a true way; a blurred or doubled frame is wrong by a part of it."""
    low, high = max(0, place - 1), min(len(true) - 1, place + 1)
    if high == low:
        return 0.0
    way = math.hypot(true[high][1] - true[low][1], true[high][2] - true[low][2])
    return way / max(1e-3, true[high][0] - true[low][0])


def way_of(fall: Fall, part: float = 1.0) -> Way:
    """The told trajectory in seconds of the clip and pixels at full size; ``part`` of that size was filmed."""
    return [(at / 1e9, x / part, y / part) for at, x, y in fall.trajectory]


def visible(fall: dict[str, Any]) -> list[float]:
    """Times of the frames in which a true fall can be seen."""
    return [row[0] for row in fall["way"] if row[3]]
