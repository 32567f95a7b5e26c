"""A recorded fall as a site has it: a drawn clip, its record and its clip in a store; judged by the plain rule."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.clock import SystemClock
from gateway.contract import Draft, record_id
from gateway.settings import CameraSettings
from gateway.vision.messages import Fall
from tests.store.desk import opened, reading
from tests.vision.falling.drawn import FACADE, Dropped
from tests.vision.falling.filmed import film

CLOCK = SystemClock()
SECOND = 1_000_000_000
CAMERA = """
[[camera]]
name = "tower"
url = "{url}"
purpose = "falling objects"
unblurred = "a drawn wall"
masks = {masks}
[camera.falling]
facade = {{ floors = 12, columns = 3, ground = [[90, 620], [390, 620]], roof = [[90, 40], [390, 40]] }}
"""


@dataclass(frozen=True)
class Drawn:
    """Two clips of 4.5 s, one with a fall from floor 10 at its first second; and how the detector told it."""

    fall: Path
    quiet: Path
    way: tuple[tuple[int, float, float], ...]


def drawn(folder: Path) -> Drawn:
    from gateway.vision.capture import Capture
    from gateway.vision.watchers import FallWatcher

    fall, quiet = film(folder / "fall.mp4", [Dropped(1.0, 10)]), film(folder / "quiet.mp4", seconds=3.0)
    known = {"name": "tower", "url": str(fall), "purpose": "falls", "falling": {"facade": FACADE}}
    watcher = FallWatcher(CameraSettings.model_validate(known), folder)
    told: list[Any] = []
    for frame in Capture(str(fall)).frames():
        told += watcher.look(frame, round(frame.time * 1e9)) or ()
    told += watcher.finish()
    (one,) = [message for message in told if isinstance(message, Fall)]
    return Drawn(fall, quiet, one.trajectory)


def recorded(way: tuple[tuple[int, float, float], ...], begin: int) -> Draft:
    """The record of a fall in a clip that begins at ``begin`` (ns since 1970)."""
    trajectory = [[CLOCK.rfc3339(begin + at), x, y] for at, x, y in way]
    data = {
        "trajectory": trajectory,
        "size_px": 5.0,
        "size_cm": 30.0,
        "origin": {"floor": 10, "column": 2, "interval": [9, 10]},
        "impact_speed": 19.0,
        "confidence": 0.95,
        "first_time": trajectory[0][0],
        "last_time": trajectory[-1][0],
    }
    when = begin + way[0][0]
    return Draft("perception", "linli.falling_object.v1", "tower", "tower", when, data, record_id(when))


def fill(state: Path, clips: list[tuple[tuple[tuple[int, float, float], ...], Path | None]]) -> list[str]:
    """Store these falls a minute apart, each with its clip if it has one; their ids."""
    return asyncio.run(_fill(state, clips))


async def _fill(state: Path, clips: list[tuple[tuple[tuple[int, float, float], ...], Path | None]]) -> list[str]:
    found = []
    begin = time.time_ns() // SECOND * SECOND - 600 * SECOND
    async with opened(state) as store:
        for number, (way, path) in enumerate(clips):
            start = begin + number * 60 * SECOND
            fall = recorded(way, start)
            drafts = [reading(), fall]
            if path is not None:
                clip = await store.put_media(path.read_bytes(), "video/mp4", "mp4")
                times = {"first_time": CLOCK.rfc3339(start), "last_time": CLOCK.rfc3339(start + 4 * SECOND)}
                data = {"record": fall.id, **clip, **times}
                drafts.append(
                    Draft("perception", "linli.media.ready.v1", "tower", "tower", start, data, record_id(start))
                )
            await store.put(drafts)
            found.append(fall.id)
        await store.committed()
    return found
