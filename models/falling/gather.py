"""Gathers what the detector follows in filmed clips, fall or not, as numbers to train and to tune with."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
from score import Way, camera_of, play, same, truth_of

from gateway.vision.falling.candidate import TRAITS, Measured
from gateway.vision.falling.chains import Chain
from gateway.vision.falling.origin import find_origin
from gateway.vision.falling.watch import EIGHT, LONGEST, FallWatch
from gateway.vision.messages import Fall, Fell


class Unsure:
    """A judge that tells nothing, so that every way is judged again and again until it ends."""

    def sure(self, measured: Measured) -> float:
        """Never."""
        return 0.0

    def enough(self, age: float) -> float:
        """More than there is."""
        return 2.0


class Gatherer(FallWatch):
    """The product's watch, which keeps all that it measures."""

    def __init__(self, *given: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(*given)
        self.rows: list[tuple[int, float, float, list[float], list[tuple[float, float, float]]]] = []
        self.last: dict[int, tuple[Chain, Measured, list[tuple[float, Any, int]]]] = {}
        self._numbers: dict[int, tuple[int, Chain]] = {}
        self._over = False

    def _end(self, chain: Chain) -> list[Fell | Fall]:
        self._over = True
        found = super()._end(chain)
        self._over = False
        return found

    def _measure(self, chain: Chain) -> Measured | None:
        measured = super()._measure(chain)
        if measured is not None:
            # The chain is kept, so that no other one comes to have its identity.
            number = self._numbers.setdefault(id(chain), (len(self._numbers), chain))[0]
            places = chain.way.places()
            way = [(at, float(x), float(y)) for at, (x, y) in zip(chain.way.times, places, strict=True)]
            age = LONGEST if self._over or len(way) < EIGHT else way[-1][0] - way[EIGHT - 1][0]
            self.last[number] = chain, measured, [*self._bustle.log]
            self.rows.append((number, self._frame.time, age, [float(value) for value in measured.vector()], way))
        return measured


def gather(path: Path) -> dict[str, Any]:
    """All measures of one clip: traits, way's number, number of the true fall that it lies on, or -1, age and moment.

    The age is in seconds since the eighth sight; that of a way that ended is ``LONGEST``. A moment is when it was
    judged, in seconds of the clip.
    """
    truth = truth_of(path)
    watch = Gatherer(camera_of(truth, path), Unsure())
    play(path, watch)
    return numbers_of(watch, truth)


def numbers_of(watch: Gatherer, truth: dict[str, Any]) -> dict[str, Any]:
    """What a watch that was fed a clip has gathered, see ``gather``."""
    rate, part = truth["take"]["rate"], truth.get("part", 1.0)
    labels: list[int] = []
    numbers, moments, traits, ages = [], [], [], []
    for number, moment, age, row, way in watch.rows:
        way = [(at, x / part, y / part) for at, x, y in way]
        hits = [same(way, fall, rate) if _at_once(way, fall) else 0 for fall in truth["falls"]]
        most = max(hits, default=0)
        labels.append(hits.index(most) if most else -1)
        numbers.append(number)
        moments.append(round(moment, 3))
        traits.append([round(value, 5) for value in row])
        ages.append(round(age, 3))
    origins = {}
    for number in {way for way, label in zip(numbers, labels, strict=True) if label >= 0}:
        chain, measured, log = watch.last[number]
        origin = find_origin(chain.way, measured, watch.facade, log)
        origins[number] = [origin.floor, *origin.interval]
    return {
        "origins": origins,
        "traits": traits,
        "ways": numbers,
        "falls": labels,
        "ages": ages,
        "moments": moments,
        "true": len(truth["falls"]),
    }


def _at_once(way: Way, fall: dict[str, Any]) -> bool:
    """Whether a way can be a fall's by its time."""
    return bool(fall["release"] - 1 < way[-1][0] and way[0][0] < fall["ends"] + 1)


def main() -> int:
    """Gather from every clip of a folder that has no numbers yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--anew", action="store_true", help="gather again what was gathered")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    for path in sorted(given.folder.glob("*.mp4")):
        target = path.with_suffix(".traits")
        if not path.with_suffix(".json").exists() or (target.exists() and not given.anew):
            continue
        began = time.process_time()
        found = gather(path)
        target.write_text(json.dumps({"names": TRAITS, **found}))
        falls = len({label for label in found["falls"] if label >= 0})
        others = len({way for way, label in zip(found["ways"], found["falls"], strict=True) if label < 0})
        print(f"{path.name}: {falls} falls, {others} others, {time.process_time() - began:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
