"""Films hard clips, crowded with what is no fall, and keeps of each only what was gathered, to train with."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from distractors import KINDS
from film import SPLITS, Film, random_take
from gather import Gatherer, Unsure, gather, numbers_of
from scene import Luma, Scene
from score import camera_of

from gateway.vision.falling.candidate import TRAITS

SECONDS = 60.0
FALLS = (0, 12, 24)
CROWDS = (2, 4, 4, 6)  # how many times over what disturbs is there
RATES = (12.5, 15, 15, 20, 25, 25, 25, 30)
# What was told though it had not fallen, mostly birds, and what stands for any two or three kinds: an empty one.
SORTS: Sequence[Sequence[str]] = (
    ("birds",),
    ("birds", "lights"),
    ("birds", "rain"),
    ("birds", "insects"),
    ("birds", "paper"),
    ("birds", "leaves"),
    ("birds", "ropes"),
    ("ropes", "rain"),
    ("paper",),
    ("leaves", "paper"),
    ("insects",),
    ("birds",),
    ("birds", "laundry"),
    ("birds", "snow"),
    ("lift", "paper"),
    ("drone", "birds"),
    ("ropes", "birds"),
    (),
    (),
    ("rain", "leaves"),
)
# From this number on: what was told after birds had been learnt, or was filmed for less than an hour.
LATER = 40_000
LATER_SORTS: Sequence[Sequence[str]] = (
    ("leaves",),
    ("ropes",),
    ("rain",),
    ("snow",),
    ("paper",),
    (),
    ("leaves", "ropes"),
    ("leaves", "lift"),
    ("rain", "ropes"),
    ("snow", "leaves"),
    ("birds",),
    (),
    ("ropes", "laundry"),
    ("paper", "ropes"),
    ("leaves", "rain"),
    ("snow", "birds"),
    ("lift", "laundry"),
    (),
    ("drone", "insects"),
    (),
)
# Without a codec a clip takes much less time: every second round of all sorts, with about what a codec leaves of noise.
NOISE = 0.3


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn picture as the watch takes a camera's."""

    luma: Luma
    time: float

    @property
    def width(self) -> int:
        """Pixels across."""
        return int(self.luma.shape[1])

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self.luma.shape[0])


def coded(number: int) -> bool:
    """Whether this clip is encoded."""
    return number // len(SORTS) % 2 == 0


def cast(number: int, rate: float | None = None) -> Film:
    """Clip ``number`` of the split that trains, of so many frames a second."""
    seed = SPLITS["train"] + number
    dice = np.random.default_rng([seed, 11])
    sorts = SORTS if number < LATER else LATER_SORTS
    kinds = sorts[number % len(sorts)] or [
        str(kind) for kind in dice.choice(KINDS, int(dice.choice([1, 2, 2, 3])), replace=False)
    ]
    take = random_take(dice, SECONDS, int(dice.choice(FALLS)), kinds)
    crowd, rate = int(dice.choice(CROWDS)), rate or float(dice.choice(RATES))
    noise = take.noise if coded(number) else take.noise * NOISE
    return Film(Scene(seed), replace(take, crowd=crowd, rate=rate, codec="h264", noise=noise), seed, half=True)


def practise(number: int, folder: Path, rate: float | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Film, play and gather one clip in ``folder``: its numbers and its truth."""
    film, path = cast(number, rate), folder / "now.mp4"
    if coded(number):
        film.write(path)
        return gather(path), film.truth()
    watch = Gatherer(camera_of(film.truth(), path), Unsure())
    for picture in _pictures(film):
        watch.feed(picture, round(picture.time * 1e9))  # type: ignore[arg-type] # all of a frame that is looked at
    watch.finish()
    return numbers_of(watch, film.truth()), film.truth()


def _pictures(film: Film) -> Iterator[Picture]:
    for time_, luma in film.frames():
        yield Picture(luma, time_)


def main() -> int:
    """Gather from the clips of a range of numbers that were not yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=20_000)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--rate", type=float, help="frames a second; default: 12.5 to 30")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    for number in range(given.first, given.first + given.count):
        target = given.folder / f"train-{number:05d}.traits"
        if target.exists():
            continue
        began = time.process_time()
        with tempfile.TemporaryDirectory(prefix="linli-falling-") as passing:
            found, truth = practise(number, Path(passing), given.rate)
        target.with_suffix(".json").write_text(json.dumps(truth))
        target.write_text(json.dumps({"names": TRAITS, **found}))
        print(f"{target.name}: {len(set(found['ways']))} ways, {time.process_time() - began:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
