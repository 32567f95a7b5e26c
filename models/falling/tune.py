"""Weighs how sure the verifier has to be, and when: recall against false alarms on gathered clips of the tune split."""

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
from tally import floors

from gateway.vision.falling.candidate import TRAITS
from gateway.vision.falling.watch import LONGEST

HERE = Path(__file__).resolve().parent
AGES = (0.0, 0.25, 0.55)  # seconds after the eighth sight
LEASTS = (0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995)


class Judged(NamedTuple):
    """One way: the fall that it lies on, or -1, its clip, and how old and how sure it was at every look."""

    clip: int
    fall: int
    ages: np.ndarray
    sure: np.ndarray
    origin: tuple[int, int, int] | None


def load(folder: Path, model: Path) -> tuple[list[Judged], list[dict[str, object]]]:
    """Every gathered way as the model judges it, and the truth of every clip."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    ways, truths = [], []
    for path in sorted(folder.glob("*.traits")):
        told = json.loads(path.read_text(encoding="utf-8"))
        if tuple(told["names"]) != TRAITS:
            raise SystemExit(f"{path} has other traits than the product; gather again with --anew")
        truths.append(json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))
        if not told["ways"]:
            continue
        (answers,) = session.run(None, {"traits": np.array(told["traits"], np.float32)})
        sure, numbers, ages = answers.reshape(-1), np.array(told["ways"]), np.array(told["ages"])
        labels = np.array(told["falls"])
        for way in np.unique(numbers):
            rows = np.flatnonzero(numbers == way)
            origin = told["origins"].get(str(way))
            ways.append(Judged(len(truths) - 1, int(labels[rows].max()), ages[rows], sure[rows], origin))
    return ways, truths


def told_at(way: Judged, leasts: tuple[float, ...]) -> float | None:
    """Seconds after the eighth sight at which a way is told, if it is; a look's answer holds until the next."""
    for place, (age, sure) in enumerate(zip(way.ages, way.sure, strict=True)):
        until = way.ages[place + 1] if place + 1 < len(way.ages) else LONGEST
        for begin, least in zip(AGES, leasts, strict=True):
            at = max(age, begin)
            if sure >= least and (at < until or at == age):
                return float(min(at, LONGEST))
    return None


def origins(ways: list[Judged], truths: list[dict[str, object]]) -> list[str]:
    """How well floors are told of the ways that end up sure."""
    rows = [
        {"told_floor": way.origin[0], "interval": way.origin[1:], "told_column": 0, "column": 0}
        | {"floor": truths[way.clip]["falls"][way.fall]["floor"]}  # type: ignore[index]
        for way in ways
        if way.origin is not None and way.sure.max() >= 0.9
    ]
    return floors(rows)[:3]


def main() -> int:
    """Print the best schedules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="gathered clips of the tune split")
    parser.add_argument("--model", type=Path, default=HERE / "files" / "fall-verifier.onnx")
    given = parser.parse_args()
    ways, truths = load(given.folder, given.model)
    promised = {
        (clip, number)
        for clip, truth in enumerate(truths)
        for number, fall in enumerate(truth["falls"])  # type: ignore[arg-type]
        if fall["size_px"] >= 4 and fall["contrast"] >= 30 and sum(row[3] for row in fall["way"]) >= 8
    }
    hours = sum(truth["take"]["seconds"] for truth in truths) / 3600  # type: ignore[index]
    print(f"{len(truths)} clips, {hours:.2f} hours, {len(promised)} falls from 4 px and contrast 30; all synthetic")
    for line in origins(ways, truths):
        print(line)
    for leasts in itertools.product(LEASTS, repeat=len(AGES)):
        if list(leasts) != sorted(leasts, reverse=True):
            continue
        at = [told_at(way, leasts) for way in ways]
        found = {(way.clip, way.fall): when for way, when in zip(ways, at, strict=True) if when is not None}
        false = sum(when is not None and way.fall < 0 for way, when in zip(ways, at, strict=True))
        late = sorted(found[fall] for fall in promised & found.keys())
        falls = sum(way.fall >= 0 for way in ways)
        everything = sum(when is not None and way.fall >= 0 for way, when in zip(ways, at, strict=True))
        print(
            f"{leasts}: {len(late)}/{len(promised)} promised, {everything}/{falls} followed, {false} false, "
            f"after {np.mean(late):.2f} s, within 0.6 s {np.mean(np.array(late) <= 0.6):.3f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
