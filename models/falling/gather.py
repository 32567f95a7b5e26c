"""Gathers what the detector follows in filmed clips, fall or not, as numbers to train and to tune with."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from score import camera_of, play, same, truth_of

from gateway.vision.falling.candidate import TRAITS, Measured
from gateway.vision.falling.chains import Chain
from gateway.vision.falling.judge import possible
from gateway.vision.falling.watch import FallWatch


class Unsure:
    """A judge that tells nothing, so that every way is judged again and again until it ends."""

    def sure(self, measured: Measured) -> float:
        """Never."""
        return 0.0


class Gatherer(FallWatch):
    """The product's watch, which keeps all that it measures."""

    def __init__(self, *given: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(*given)
        self.rows: list[tuple[int, list[float], list[tuple[float, float, float]]]] = []
        self._chains_seen: list[Chain] = []

    def _measure(self, chain: Chain) -> Measured | None:
        measured = super()._measure(chain)
        if measured is not None and possible(measured):
            if not any(chain is seen for seen in self._chains_seen):
                self._chains_seen.append(chain)
            number = next(place for place, seen in enumerate(self._chains_seen) if seen is chain)
            places = chain.way.places()
            way = [(at, float(x), float(y)) for at, (x, y) in zip(chain.way.times, places, strict=True)]
            self.rows.append((number, [float(value) for value in measured.vector()], way))
        return measured


def gather(path: Path) -> dict[str, Any]:
    """All measures of one clip: traits, way's number, and the number of the true fall that it lies on, or -1."""
    truth = truth_of(path)
    watch = Gatherer(camera_of(truth, path), Unsure())
    play(path, watch)
    rate = truth["take"]["rate"]
    labels, numbers, traits = [], [], []
    for number, row, way in watch.rows:
        hits = [same(way, fall, rate) for fall in truth["falls"]]
        labels.append(int(np.argmax(hits)) if hits and max(hits) else -1)
        numbers.append(number)
        traits.append(row)
    return {"traits": traits, "ways": numbers, "falls": labels}


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
