"""Grows the verifier's trees on the same rows as its networks, and writes them as one node of its ONNX file."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import lightgbm
import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper

ROUNDS = 250
DOMAIN, VERSION = "ai.onnx.ml", 3
HOW = {
    "objective": "binary",
    "num_leaves": 24,
    "learning_rate": 0.05,
    "min_data_in_leaf": 40,
    "min_sum_hessian_in_leaf": 1e-3,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.6,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "num_threads": 1,
    "deterministic": True,
    "verbose": -1,
}


class _Row(NamedTuple):
    """A node of a tree: what decides, up to where it goes to the first of its two, or what a leaf adds."""

    node: int
    trait: int
    value: float
    low: int
    high: int
    leaf: bool


def grow(
    traits: npt.NDArray[np.float32], falls: npt.NDArray[np.float32], weights: npt.NDArray[np.float64], seed: int
) -> lightgbm.Booster:
    """Boosted trees (Friedman, Annals of Statistics 29, 2001) whose sum is the log odds of a fall."""
    # A leaf's least weight and what holds it back are meant for weights of about one.
    weigh = weights * (len(weights) / weights.sum())
    return lightgbm.train(HOW | {"seed": seed}, lightgbm.Dataset(traits, falls, weight=weigh), ROUNDS)


def odds(trees: lightgbm.Booster, traits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Log odds of a fall for every row."""
    return np.asarray(trees.predict(traits, raw_score=True), np.float64)


def tree_node(trees: lightgbm.Booster, source: str, target: str) -> NodeProto:
    """The ONNX node that reads ``source`` (n, many) and answers ``target`` (n, 1) with ``odds``."""
    nodes: dict[str, list[Any]] = {
        name: [] for name in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
    }
    leaves: dict[str, list[Any]] = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    for tree, told in enumerate(trees.dump_model()["tree_info"]):
        for row in _rows(told["tree_structure"]):
            values = tree, row.node, row.trait, "LEAF" if row.leaf else "BRANCH_LEQ", row.value, row.low, row.high
            for column, value in zip(nodes.values(), values, strict=True):
                column.append(value)
            if row.leaf:
                for column, value in zip(leaves.values(), (tree, row.node, 0, row.value), strict=True):
                    column.append(value)
    return helper.make_node(
        "TreeEnsembleRegressor",
        [source],
        [target],
        domain=DOMAIN,
        n_targets=1,
        **{f"nodes_{name}": column for name, column in nodes.items()},
        **{f"target_{name}": column for name, column in leaves.items()},
    )


def _rows(tree: dict[str, Any]) -> Iterator[_Row]:
    numbers = itertools.count(1)
    waiting = [(0, tree)]
    while waiting:
        node, told = waiting.pop()
        if "leaf_value" in told:
            yield _Row(node, 0, float(told["leaf_value"]), 0, 0, leaf=True)
            continue
        low, high = next(numbers), next(numbers)
        yield _Row(node, told["split_feature"], _below(told["threshold"]), low, high, leaf=False)
        waiting += (low, told["left_child"]), (high, told["right_child"])


def _below(threshold: float) -> float:
    """The largest single that is no larger: singles lie on the same side of it as of the threshold."""
    single = np.float32(threshold)
    return float(single if single <= threshold else np.nextafter(single, np.float32(-np.inf)))
