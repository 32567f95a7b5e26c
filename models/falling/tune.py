"""Weighs how sure the verifier has to be by the way fallen: recall and haste against false alarms on gathered clips."""

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime
from score import visible
from tally import VISIBLE, floors

from gateway.vision.falling.candidate import TRAITS
from gateway.vision.falling.judge import ENOUGH

HERE = Path(__file__).resolve().parent
METRES = [until for until, _ in ENOUGH[:-1]]  # as many, and one more, as there are lists in LEASTS
LEASTS = (
    (0.95, 0.97, 0.98, 0.985, 0.99, 0.993, 0.995),
    (0.9, 0.93, 0.95, 0.97, 0.975, 0.98, 0.985, 0.99),
)
Numbers = npt.NDArray[Any]


class Looks(NamedTuple):
    """Every look at every way, the looks at one way together and in order: its way's number, drop, and how sure."""

    ways: Numbers
    steps: Numbers
    sure: Numbers

    def first(self, leasts: tuple[float, ...]) -> dict[int, int]:
        """For each way that is told the look at which it is."""
        told = np.flatnonzero(self.sure >= np.array(leasts)[self.steps])
        ways, first = np.unique(self.ways[told], return_index=True)
        return dict(zip(ways.tolist(), told[first].tolist(), strict=True))


def looks(ways: Numbers, drops: Numbers, sure: Numbers) -> tuple[Looks, Numbers]:
    """Order the looks by way; the order comes along."""
    order = np.argsort(ways, kind="stable")
    return Looks(ways[order], np.searchsorted(METRES, drops[order], side="right"), sure[order]), order


class Tuned(NamedTuple):
    """The gathered clips as the model judges them: looks, of each its fall (clip, number or -1 for none) and moment."""

    looks: Looks
    falls: list[tuple[int, int]]
    moments: Numbers
    origins: list[dict[str, Any]]
    truths: list[dict[str, Any]]


def load(folder: Path, model: Path) -> Tuned:
    """Every gathered way as the model judges it, and the truth of every clip."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    ways: list[int] = []
    drops: list[float] = []
    truths: list[dict[str, Any]] = []
    sure, falls, moments, origins = [], [], [], []
    for path in sorted(folder.glob("*.traits")):
        told = json.loads(path.read_text(encoding="utf-8"))
        if tuple(told["names"]) != TRAITS:
            raise SystemExit(f"{path} has other traits than the product; gather again with --anew")
        clip, before = len(truths), max(ways, default=-1) + 1
        truths.append(json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))
        if not told["ways"]:
            continue
        (answers,) = session.run(None, {"traits": np.array(told["traits"], np.float32)})
        labels: dict[int, int] = {}
        for way, label in zip(told["ways"], told["falls"], strict=True):
            labels[way] = max(label, labels.get(way, -1))
        for way, row, answer, moment in zip(
            told["ways"], told["traits"], answers.reshape(-1).tolist(), told["moments"], strict=True
        ):
            ways.append(before + way)
            drops.append(row[TRAITS.index("drop")])
            sure.append(answer)
            falls.append((clip, labels[way]))
            moments.append(moment)
        for way, (floor, *interval) in told["origins"].items():
            if max(a for w, a in zip(told["ways"], answers.reshape(-1).tolist(), strict=True) if w == int(way)) >= 0.9:
                fall = truths[clip]["falls"][labels[int(way)]]
                origins.append({"told_floor": floor, "interval": interval, "floor": fall["floor"]})
    ordered, order = looks(np.array(ways), np.array(drops), np.array(sure))
    return Tuned(ordered, [falls[place] for place in order], np.array(moments)[order], origins, truths)


def main() -> int:
    """Print how every schedule does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="gathered clips of the tune split")
    parser.add_argument("held", type=Path, help="what train.py --held wrote: false alarms are counted there too")
    parser.add_argument("--model", type=Path, default=HERE / "files" / "fall-verifier.onnx")
    given = parser.parse_args()
    tuned = load(given.folder, given.model)
    eighth = {
        (clip, number): seen[VISIBLE - 1]
        for clip, truth in enumerate(tuned.truths)
        for number, fall in enumerate(truth["falls"])
        if len(seen := visible(fall)) >= VISIBLE
    }
    truth_of = {one: tuned.truths[one[0]]["falls"][one[1]] for one in eighth}
    promised = {one for one, fall in truth_of.items() if fall["size_px"] >= 4 and fall["contrast"] >= 30}
    kept = np.load(given.held)
    aside_hours = float(kept["hours"])
    held, order = looks(kept["ways"], kept["drops"], kept["sure"])
    is_fall = dict.fromkeys(held.ways.tolist(), False)
    is_fall |= dict.fromkeys(held.ways[kept["falls"][order] > 0.5].tolist(), True)
    hours = sum(truth["take"]["seconds"] for truth in tuned.truths) / 3600
    print(
        f"{len(tuned.truths)} clips, {hours:.2f} hours, {len(promised)} falls from 4 px and contrast 30; all synthetic"
    )
    print("\n".join(floors([{"told_column": 0, "column": 0} | row for row in tuned.origins])[:3]))
    # First as if everything were told at its first look: no judge is quicker, or finds more.
    for leasts in ((0.0,) * len(LEASTS), *itertools.product(*LEASTS)):
        if list(leasts) != sorted(leasts, reverse=True):
            continue
        found: dict[tuple[int, int], float] = {}
        false = 0
        for place in tuned.looks.first(leasts).values():
            fall, moment = tuned.falls[place], float(tuned.moments[place])
            false += fall[1] < 0
            if fall in eighth:
                found[fall] = min(moment, found.get(fall, moment))
        late = np.array([moment - eighth[fall] for fall, moment in found.items()])
        aside = [is_fall[way] for way in held.first(leasts)]
        print(
            f"{leasts}: {len(promised & found.keys())}/{len(promised)} promised, {len(found)}/{len(eighth)} of all, "
            f"{false} false, within 1 s {np.mean(late <= 1.0):.3f}, median {np.median(late):.2f} s; "
            f"held-out training clips: {sum(aside)} falls' ways and {len(aside) - sum(aside)} others "
            f"in {aside_hours:.1f} hours, crowds counted"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
