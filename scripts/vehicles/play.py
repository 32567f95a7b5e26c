"""Runs one drawn clip through the vehicle gate and lays what it told beside what is true."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scenes import LINE_Y, Clip, Passing

from gateway.settings import CameraSettings
from gateway.vision.capture import Capture
from gateway.vision.evidence import Pixels
from gateway.vision.fuse import alike
from gateway.vision.gate import VehicleGate
from gateway.vision.lists import PlateLists
from gateway.vision.look import GOOD_SHARPNESS, GOOD_WIDTH
from gateway.vision.messages import Passage
from gateway.vision.plates import FoundPlate, PlateRead, background_colour, rectified, sharpness
from gateway.vision.shapes import Box
from gateway.vision.sight import ModelSight

BEFORE, AFTER = 0.4, 1.2  # seconds around a vehicle's way in which its record may lie


class Watched:
    """The models, with what they cost and, for ``--fusion``, everything that both readers said of every look."""

    def __init__(self, inner: ModelSight, *, both: bool) -> None:
        self.inner, self.both = inner, both
        self.spent = {"find": 0.0, "read": 0.0, "second": 0.0}
        self.calls = {"find": 0, "read": 0, "second": 0}
        self.wall = 0
        self.looks: list[dict[str, Any]] = []
        self.clear: dict[tuple[int, str], float] = {}  # by time and text: how large and sharp the plate was
        self._picture: Pixels | None = None
        self._found: list[FoundPlate] = []
        self._frame = -1

    def find(self, picture: Pixels, region: Box, expected: float = 0.0, *, dark: bool = False) -> list[FoundPlate]:
        began = time.process_time()
        found = self.inner.find(picture, region, expected, dark=dark)
        self._count("find", began)
        if self._frame != self.wall:
            self._found, self._frame = [], self.wall
        self._picture = picture
        self._found += found
        return found

    def read(self, crop: Pixels) -> PlateRead | None:
        began = time.process_time()
        read = self.inner.read(crop)
        self._count("read", began)
        if read is not None:
            self._weigh(crop, read)
        if self.both:
            self._note(crop, read)
        return read

    def second(self, crop: Pixels) -> PlateRead | None:
        began = time.process_time()
        read = self.inner.second(crop)
        self._count("second", began)
        if read is not None:
            self._weigh(crop, read)
        return read

    def _plate(self, crop: Pixels) -> FoundPlate | None:
        """The one that was just found here; None for a look of earlier that is read once more."""
        rows = 1 if crop.shape[0] < 60 else 2
        now = (one for one in self._found if (rectified(self._picture, one, rows) == crop).all())  # type: ignore[arg-type]
        return next(now, None)

    def _weigh(self, crop: Pixels, read: PlateRead) -> None:
        plate = self._plate(crop)
        if plate is None:
            return
        clear = min(1.0, max(0.2, sharpness(crop) / GOOD_SHARPNESS)) * plate.score
        self.clear[self.wall, read.text] = min(1.0, plate.width / GOOD_WIDTH) * clear

    def _note(self, crop: Pixels, read: PlateRead | None) -> None:
        plate = self._plate(crop)
        if plate is None:
            return
        other = self.inner.second(crop)
        self.looks.append(
            {
                "wall": self.wall,
                "spot": [round(value) for value in plate.middle],
                "width": round(plate.width, 1),
                "score": round(plate.score, 3),
                "sharp": round(sharpness(crop), 3),
                "colour": background_colour(crop),
                "reads": [_plain(read), _plain(other)],
            }
        )

    def _count(self, what: str, began: float) -> None:
        self.spent[what] += time.process_time() - began
        self.calls[what] += 1


def _plain(read: PlateRead | None) -> Any:  # noqa: ANN401 - JSON
    if read is None:
        return None
    guesses = [[guess.text, guess.kind, round(guess.share, 5)] for guess in read.guesses]
    return {
        "guesses": guesses,
        "characters": [round(sure, 4) for sure in read.characters],
        "double": read.double,
        "spread": [{symbol: round(part, 3) for symbol, part in place.items()} for place in read.spread],
    }


def settings(clip: Clip) -> CameraSettings:
    """The clip's lanes side by side, all entered downwards."""
    wide = clip.size[0]
    lanes = [
        {"name": name, "line": ((begin * wide, LINE_Y), (end * wide, LINE_Y)), "enter": "down"}
        for name, (begin, end) in clip.lanes.items()
    ]
    return CameraSettings.model_validate(
        {"name": "gate", "url": "clip.mp4", "purpose": "evaluation", "vehicles": {"lanes": lanes}}
    )


def drawn(clip: Clip, folder: Path) -> Path:
    """The encoded clip, drawn when it is not in ``folder`` yet: drawing costs five times what watching does."""
    path = folder / f"{clip.name}.mp4"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part.mp4")
        clip.write(unfinished)
        unfinished.rename(path)
    return path


def play(clip: Clip, path: Path, sight: Watched) -> dict[str, Any]:
    """Decode the drawn clip at ``path``, watch, compare: one line of the results."""
    for counts in (sight.spent, sight.calls):
        counts.update(dict.fromkeys(counts, 0))
    sight.looks, sight.clear = [], {}
    gate = VehicleGate(settings(clip), sight, PlateLists({}))
    capture = Capture(str(path))
    told: list[Passage] = []
    began = time.process_time()
    for frame in capture.frames():
        sight.wall = round(frame.time * 1e9)
        told += gate.offer(frame, sight.wall) or []
    told += gate.finish()
    spent = time.process_time() - began
    capture.close()
    moving = [one for one in clip.passings if one.behaviour != "parked"]
    owners = [_owner(passage, moving) for passage in told]
    rows = [_row(passage, sight.clear) for passage in told]
    return {
        "seed": clip.seed,
        "degraded": clip.degraded,
        "behaviour": clip.behaviour,
        "size": list(clip.size),
        "passings": [
            {
                "text": one.text,
                "kind": one.kind + ("/2" if one.double else ""),
                "behaviour": one.behaviour,
                "direction": one.direction,
                "lane": one.lane,
                "shape": one.shape,
                "paint": one.paint,
                "time": [round(one.start, 2), round(one.end, 2)],
                "records": [
                    _row(passage, sight.clear) for passage, owner in zip(told, owners, strict=True) if owner == place
                ],
            }
            for place, one in enumerate(moving)
        ],
        "strays": [row for row, owner in zip(rows, owners, strict=True) if owner is None],
        "cpu": {
            "find": sight.spent["find"],
            "read": sight.spent["read"] + sight.spent["second"],
            "all": spent,
            "finds": sight.calls["find"],
            "reads": sight.calls["read"],
            "seconds": sight.calls["second"],
        },
        "looks": sight.looks,
    }


def _owner(passage: Passage, moving: list[Passing]) -> int | None:
    first, last = passage.first_time / 1e9, passage.last_time / 1e9
    near = [
        place
        for place, one in enumerate(moving)
        if min(last, one.end + AFTER) - max(first, one.start - BEFORE) > 0.5 * (last - first)
    ]

    def merit(place: int) -> tuple[bool, bool, bool, float]:
        one = moving[place]
        middle = abs((first + last) - (one.start + one.end)) / 2
        return passage.text == one.text, alike(passage.text, one.text), passage.lane == one.lane, -middle

    return max(near, key=merit, default=None)


def _row(passage: Passage, clear: Mapping[tuple[int, str], float]) -> dict[str, Any]:
    return {
        "text": passage.text,
        "status": passage.status,
        "kind": passage.kind,
        "color": passage.color,
        "paint": passage.vehicle_color,
        "lane": passage.lane,
        "direction": passage.direction,
        "time": [round(passage.first_time / 1e9, 2), round(passage.last_time / 1e9, 2)],
        "reads": [
            [read.time, read.text, read.confidence, round(clear.get((read.time, read.text), 0.0), 3)]
            for read in passage.reads
        ],
    }
