"""Trains the verifier on gathered ways, falls against everything else, and writes the ONNX file."""

import argparse
import hashlib
import itertools
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import lightgbm
import numpy as np
import numpy.typing as npt
import onnx
import torch
from film import DENSE
from onnx import TensorProto, helper, numpy_helper
from trees import DOMAIN, VERSION, grow, odds, tree_node

from gateway.vision.falling.candidate import TRAITS

HIDDEN = (48, 24)
FAR = 4.0  # standard deviations beyond which a trait says nothing more
FOLDS = 5
MEMBERS = 6  # networks whose mean answers, with the trees': what only one of them believes is not told
OTHERS_WEIGH = 2.0  # a false alarm costs more than a fall that is told a moment later
SURE = 0.998  # what is asked for of a fall, and its contrary of everything else
SHAKEN = 0.2  # of a trait's spread: noise while training, so that no clip is learnt by heart
ALIKE = 0.95  # of the falls, at which networks and trees are compared
GOLDEN = 0.9  # about what is expected of the self-test's way
OPSET = 17
BUSTLE = ("crowd", "others")  # traits that grow with how much is going on
HERE = Path(__file__).resolve().parent
FILE = "fall-verifier.onnx"


class Rows(NamedTuple):
    """Measures of ways: traits, 1 for a fall, weight, the clip and the way within all, whether a crowd was thinned out.

    ``single``: as with what disturbs there once, be it filmed so or reckoned so. ``hours``: of film like that.
    """

    traits: npt.NDArray[np.float32]
    falls: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    clips: npt.NDArray[np.int64]
    ways: npt.NDArray[np.int64]
    single: npt.NDArray[np.bool_]
    hours: float


def load(folders: Sequence[Path]) -> Rows:
    """All gathered rows; every way of a clip weighs the same, however often it was judged.

    Where what disturbs is there several times over, each row comes twice: as it is, and as it were in the bustle of
    one. A crowd in training would otherwise pass for a sign of what is no fall, and what comes alone for a fall. Rain
    and snow are never there more than once, and bustle enough: clips with them stay as they are.
    """
    traits, falls, weights, clips, ways, single = [], [], [], [], [], []
    number, hours = 0, 0.0
    for clip, path in enumerate(sorted(path for folder in folders for path in folder.glob("*.traits"))):
        told = json.loads(path.read_text(encoding="utf-8"))
        take = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["take"]
        crowd = 1 if set(take["distractors"]) & set(DENSE) else take["crowd"]
        hours += take["seconds"] * crowd / 3600
        if tuple(told["names"]) != TRAITS:
            raise SystemExit(f"{path} has other traits than the product; gather again with --anew")
        for way in sorted(set(told["ways"])):
            places = [place for place, other in enumerate(told["ways"]) if other == way]
            labels = [told["falls"][place] >= 0 for place in places]
            number += 1
            for place, label in zip(places, labels, strict=True):
                for times in sorted({1, crowd}):
                    traits.append(_thinned(told["traits"][place], times))
                    falls.append(float(label))
                    weights.append(1.0 / len(places))
                    clips.append(clip)
                    ways.append(number)
                    single.append(times == crowd)
    return Rows(
        np.array(traits, np.float32),
        np.array(falls, np.float32),
        np.array(weights, np.float32),
        np.array(clips),
        np.array(ways),
        np.array(single),
        hours,
    )


def _thinned(traits: Sequence[float], times: int) -> list[float]:
    """The traits of a way with so many times less going on around it."""
    found = list(traits)
    for name in BUSTLE:
        place = TRAITS.index(name)
        found[place] = math.log1p(math.expm1(found[place]) / times)
    return found


class Net(torch.nn.Module):
    """Three small layers over traits of mean 0 and deviation 1."""

    def __init__(self, mean: npt.NDArray[np.float32], spread: npt.NDArray[np.float32]) -> None:
        super().__init__()
        self.mean, self.spread = torch.from_numpy(mean), torch.from_numpy(spread)
        sizes = (len(mean), *HIDDEN, 1)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(*pair) for pair in itertools.pairwise(sizes))

    def forward(self, traits: torch.Tensor) -> torch.Tensor:
        """Log odds of a fall."""
        values = torch.clamp((traits - self.mean) / self.spread, -FAR, FAR)
        for layer in self.layers[:-1]:
            values = torch.relu(layer(values))
        return self.layers[-1](values)[:, 0]


class Verifier(NamedTuple):
    """Networks and trees, which err in other places; half of what is answered comes from either."""

    nets: list[Net]
    trees: lightgbm.Booster

    def halves(self, traits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """(2, n) log odds of a fall for every row: the networks', and the trees'."""
        with torch.no_grad():
            told = [np.asarray(net(torch.from_numpy(traits)), np.float64) for net in self.nets]
        return np.stack([np.mean(told, axis=0), odds(self.trees, traits)])


def train(rows: Rows, chosen: npt.NDArray[np.bool_], seed: int, steps: int) -> Verifier:
    """Fit to the chosen rows."""
    traits, falls, weights = rows.traits[chosen], rows.falls[chosen], rows.weights[chosen].astype(np.float64)
    sums = weights[falls > 0.5].sum(), weights[falls < 0.5].sum()
    weights *= np.where(falls > 0.5, 1.0 / sums[0], OTHERS_WEIGH / sums[1])
    nets = [taught(traits, falls, weights, MEMBERS * seed + member, steps) for member in range(MEMBERS)]
    return Verifier(nets, grow(traits, falls, weights, seed))


def taught(
    traits: npt.NDArray[np.float32],
    falls: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float64],
    seed: int,
    steps: int,
) -> Net:
    """One network, with noise on the traits so that no single clip is learnt by heart."""
    torch.manual_seed(seed)
    net = Net(traits.mean(axis=0), traits.std(axis=0) + 1e-3)
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    given, wanted = torch.from_numpy(traits), torch.from_numpy(falls)
    # Looked up in the sums: drawing from all the weights anew would take longer than the step.
    share = torch.cumsum(torch.from_numpy(weights), 0)
    for _ in range(steps):
        picked = torch.searchsorted(share, share[-1] * torch.rand(256, dtype=torch.double)).clamp(max=len(share) - 1)
        noisy = given[picked] + SHAKEN * net.spread * torch.randn(256, given.shape[1])
        asked = wanted[picked] * (2 * SURE - 1) + 1 - SURE
        loss = torch.nn.functional.binary_cross_entropy_with_logits(net(noisy), asked)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval()


def probable(halves: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Probability of a fall from the log odds of networks and trees."""
    return np.asarray(1 / (1 + np.exp(-halves.mean(axis=0))), np.float64)


def report(rows: Rows, halves: npt.NDArray[np.float64]) -> None:
    """Print how many ways would be told, by the surest judgement of each in the bustle of one crowd."""
    best, fall = surest(rows, probable(halves))
    for least in (0.5, 0.7, 0.9, 0.95, 0.97, 0.98, 0.99):
        told = best >= least
        print(
            f"least {least:.2f}: {int((told & fall).sum())} of {int(fall.sum())} falls, "
            f"{int((told & ~fall).sum())} of {int((~fall).sum())} others"
        )
    for name, part in (("networks alone", halves[0]), ("trees alone", halves[1]), ("both", halves.mean(axis=0))):
        best, fall = surest(rows, part)
        least = np.quantile(best[fall], 1 - ALIKE)
        print(f"{name}: {int((best[~fall] >= least).sum())} others where {ALIKE:.0%} of the falls are told")


def surest(rows: Rows, sure: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """For each way its surest judgement, and whether it is a fall."""
    ways = rows.ways - 1
    best, fall = np.full(ways.max() + 1, -np.inf), np.zeros(ways.max() + 1, bool)
    np.maximum.at(best, ways[rows.single], sure[rows.single])
    np.logical_or.at(fall, ways, rows.falls > 0.5)
    return best, fall


def export(verifier: Verifier, path: Path) -> None:
    """Write networks, their scaling and trees as one ONNX file with one answer: ``traits`` (n, many) to ``fall``."""
    nets = verifier.nets
    constants = {"low": np.float32(-FAR), "high": np.float32(FAR), "half": np.float32(0.5)}
    nodes, ends = [], []
    for one, net in enumerate(nets):
        constants |= {f"mean{one}": net.mean.numpy(), f"spread{one}": net.spread.numpy()}
        nodes.append(helper.make_node("Sub", ["traits", f"mean{one}"], [f"centred{one}"]))
        nodes.append(helper.make_node("Div", [f"centred{one}", f"spread{one}"], [f"scaled{one}"]))
        value = f"in{one}"
        nodes.append(helper.make_node("Clip", [f"scaled{one}", "low", "high"], [value]))
        for place, layer in enumerate(net.layers):
            name = f"{one}_{place}"
            constants[f"w{name}"] = layer.weight.detach().numpy()
            constants[f"b{name}"] = layer.bias.detach().numpy()
            nodes.append(helper.make_node("Gemm", [value, f"w{name}", f"b{name}"], [f"g{name}"], transB=1))
            value = f"g{name}"
            if place < len(net.layers) - 1:
                value = f"x{name}"
                nodes.append(helper.make_node("Relu", [f"g{name}"], [value]))
        ends.append(value)
    nodes += [
        helper.make_node("Mean", ends, ["nets"]),
        tree_node(verifier.trees, "traits", "trees"),
        helper.make_node("Add", ["nets", "trees"], ["both"]),
        helper.make_node("Mul", ["both", "half"], ["odds"]),
        helper.make_node("Sigmoid", ["odds"], ["fall"]),
    ]
    graph = helper.make_graph(
        nodes,
        "fall-verifier",
        [helper.make_tensor_value_info("traits", TensorProto.FLOAT, ["n", len(TRAITS)])],
        [helper.make_tensor_value_info("fall", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, VERSION)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    model.metadata_props.add(key="traits", value=",".join(TRAITS))
    onnx.checker.check_model(model)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(model.SerializeToString())


def main() -> int:
    """Cross-validate by clips, train on all, export, and write the sum into the manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="with .traits files of the train split")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--folds", type=int, default=FOLDS, help="of the cross-validation; 0 leaves it out")
    parser.add_argument("--held", type=Path, help="where to write how held-out clips were judged, for tune.py")
    parser.add_argument("--target", type=Path, default=HERE / "files" / FILE)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = load(given.folders)
    clips, ways = len(np.unique(rows.clips)), len(np.unique(rows.ways))
    print(f"{len(rows.falls)} rows of {ways} ways in {clips} clips; {rows.hours:.1f} hours, crowds counted")
    halves = np.zeros((2, len(rows.falls)))
    for fold in range(given.folds):
        aside = rows.clips % given.folds == fold
        halves[:, aside] = train(rows, ~aside, fold, given.steps).halves(rows.traits[aside])
    if given.folds:
        print("synthetic, clips that were held out:")
        report(rows, halves)
    if given.held is not None:
        drops = rows.traits[:, TRAITS.index("drop")]
        kept = (part[rows.single] for part in (rows.ways, rows.falls, drops, probable(halves)))
        np.savez(given.held, hours=rows.hours, **dict(zip(("ways", "falls", "drops", "sure"), kept, strict=True)))
    everything = np.ones(len(rows.falls), bool)
    verifier = train(rows, everything, 100, given.steps)
    export(verifier, given.target)
    print(f"{given.target}: SHA-256 {hashlib.sha256(given.target.read_bytes()).hexdigest()}")
    # A fall of which it is just sure tells a changed file from the right one best.
    answers = probable(verifier.halves(rows.traits))
    chosen = int(np.argmin(np.abs(answers - GOLDEN) + (rows.falls < 0.5)))
    numbers = [round(float(value), 3) for value in rows.traits[chosen]]
    print(f"golden: numbers = {numbers}, expect = {{ numbers = [{answers[chosen]:.3f}], within = 0.01 }}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
