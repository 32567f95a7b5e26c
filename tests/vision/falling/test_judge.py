"""The shipped verifier believes a drawn fall and no leaf; without it, or with a changed file, the rule decides."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from gateway.settings.camera import FacadeSettings
from gateway.vision.falling.candidate import TRAITS, Way, measure
from gateway.vision.falling.facade import Facade
from gateway.vision.falling.judge import RuleJudge, Verifier, best_judge
from gateway.vision.falling.spots import Spot
from gateway.vision.packs import models_folder
from tests.vision.falling.drawn import FACADE, HEIGHT, Dropped

WALL = Facade(FacadeSettings.model_validate(FACADE), HEIGHT)


def way(place, seconds: float, rate: float = 25.0) -> Way:
    dice = np.random.default_rng(8)
    made = Way(1.0)
    for step in range(int(seconds * rate)):
        x, y = place(step / rate)
        x, y = x + dice.normal(0, 0.3), y + dice.normal(0, 0.3)
        made.times.append(step / rate)
        made.spots.append(Spot(x, y, 5, 5, 20 + int(dice.integers(0, 6)), 70, -1))
    made.frames, made.crowd, made.others = len(made.times), 2.0, 1.0
    return made


DROPPED = Dropped(0.0, 11)
FALLS = way(lambda t: DROPPED.at(t + 0.15), 1.6)
LEAF = way(lambda t: (200 + 25 * math.sin(5 * t), 80 + 70 * t), 3.0)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    shutil.copytree(models_folder() / "falling", tmp_path / "falling", ignore=shutil.ignore_patterns("*.py", "__*"))
    return tmp_path


def test_the_shipped_verifier_believes_the_fall_and_not_the_leaf(pack: Path) -> None:
    judge, problem = best_judge(pack)
    assert isinstance(judge, Verifier)
    assert problem is None
    assert judge.sure(measure(FALLS, WALL, known=True)) > 0.9
    assert judge.sure(measure(LEAF, WALL, known=True)) == 0.0


def test_the_rule_does_too() -> None:
    assert RuleJudge().sure(measure(FALLS, WALL, known=True)) > 0.5
    assert RuleJudge().sure(measure(LEAF, WALL, known=True)) == 0.0


def test_a_changed_or_missing_file_leaves_the_rule_and_says_so(pack: Path, tmp_path: Path) -> None:
    file = pack / "falling" / "files" / "fall-verifier.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    judge, problem = best_judge(pack)
    assert isinstance(judge, RuleJudge)
    assert problem is not None
    assert problem.reason == "models_refused"
    judge, problem = best_judge(tmp_path / "nowhere")
    assert isinstance(judge, RuleJudge)
    assert problem is not None
    assert problem.reason == "models_missing"


def test_traits_are_finite_and_in_their_order() -> None:
    measured = measure(LEAF, WALL, known=True)
    assert tuple(measured.traits) == TRAITS
    assert np.isfinite(measured.vector()).all()
