"""The shipped verifier believes a drawn fall and no leaf; without it, or with a changed file, the rule decides."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from gateway.settings.camera import FacadeSettings
from gateway.vision.falling.candidate import TRAITS, Measured, Way, goes_down, measure
from gateway.vision.falling.facade import Facade
from gateway.vision.falling.judge import ENOUGH, TASK, RuleJudge, Verifier, best_judge
from gateway.vision.falling.spots import Spot
from gateway.vision.fetch import pull
from gateway.vision.packs import PackError, models_folder, pack_for
from gateway.vision.selftest import open_tested
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


def measured(seen: Way) -> Measured:
    found = measure(seen, WALL, known=True, told=True)
    assert found is not None
    return found


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    shutil.copytree(models_folder() / "falling", tmp_path / "falling", ignore=shutil.ignore_patterns("*.py", "__*"))
    return tmp_path


def test_the_shipped_verifier_believes_the_fall_and_not_the_leaf(pack: Path) -> None:
    judge, problem = best_judge(pack)
    assert isinstance(judge, Verifier)
    assert problem is None
    assert judge.sure(measured(FALLS)) >= judge.enough(0.6)
    assert judge.sure(measured(LEAF)) < 0.3


def test_what_came_down_less_has_to_be_clearer(pack: Path) -> None:
    judge, _ = best_judge(pack)
    begun, later = (measured(way(lambda t: DROPPED.at(t + 0.15), seconds)) for seconds in (0.5, 1.6))
    assert begun.traits["drop"] < ENOUGH[0][0] < later.traits["drop"]
    surest = 1 - (ENOUGH[0][1] - ENOUGH[-1][1])
    assert judge.sure(begun) <= surest < judge.sure(later)
    assert judge.enough(0.0) == judge.enough(5.0) == ENOUGH[-1][1]


def test_the_shipped_verifier_passes_its_self_test(pack: Path) -> None:
    assert open_tested(pack_for(pack, TASK), strict=True).pack.name == "fall-verifier"


def test_a_verifier_that_is_gone_is_not_to_be_pulled(pack: Path) -> None:
    missing = pack_for(pack, TASK)
    missing.path.unlink()
    judge, problem = best_judge(pack)
    assert isinstance(judge, RuleJudge)
    assert problem is not None
    assert "run: linli model install fall-verifier.onnx" in str(problem)
    with pytest.raises(PackError, match=r"run: linli model install fall-verifier\.onnx"):
        pull(missing)


def test_the_rule_does_too() -> None:
    assert RuleJudge().sure(measured(FALLS)) >= RuleJudge().enough(1.0)
    assert RuleJudge().sure(measured(LEAF)) == 0.0


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


def test_a_verifier_of_another_version_is_refused_and_does_not_end_the_worker(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.vision.falling.judge.TRAITS", TRAITS[:-1])
    judge, problem = best_judge(pack)
    assert isinstance(judge, RuleJudge)
    assert problem is not None
    assert problem.reason == "models_refused"
    assert f"measures {len(TRAITS) - 1}" in str(problem)


def test_traits_are_finite_and_in_their_order() -> None:
    leaf = measured(LEAF)
    assert tuple(leaf.traits) == TRAITS
    assert np.isfinite(leaf.vector()).all()


def test_what_stands_or_rises_is_not_worth_measuring() -> None:
    assert goes_down(FALLS, WALL)
    assert not goes_down(way(lambda t: (200, 200 + t), 2.0), WALL)
    assert not goes_down(way(lambda t: (200, 500 - 90 * t), 2.0), WALL)


def test_what_gravity_does_not_explain_is_no_measure_unless_it_was_told() -> None:
    jumps = way(lambda t: (200, 80 + 70 * t + 60 * math.sin(9 * t)), 3.0)
    assert measure(jumps, WALL, known=True) is None
    assert measure(jumps, WALL, known=True, told=True) is not None
