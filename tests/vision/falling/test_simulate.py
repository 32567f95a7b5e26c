"""The simulator's command line: splits stay apart, and what cannot be filmed is refused with what can."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SIMULATE = Path(__file__).parents[3] / "models/falling/simulate.py"
SCRIPTS = Path(__file__).parents[3] / "scripts"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--split", "tune", "--first", "-1"], "a split has the numbers 0 to 9999999"),
        (["--split", "train", "--first", "9999999", "--count", "2"], "a split has the numbers 0 to 9999999"),
        (["--kinds", "birds,dragons"], "there is no dragons; there are"),
        (["--seconds", "2"], "--seconds: at least 8"),
    ],
)
def test_what_cannot_be_filmed_is_refused(tmp_path: Path, options: list[str], said: str) -> None:
    folder = tmp_path / "film"
    done = subprocess.run(
        [sys.executable, SIMULATE, folder, *options], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, folder.exists()) == (2, False)
    assert said in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("script", "options", "said"),
    [
        ("simulate_falls", ["/proc/nothing/here"], "/proc/nothing/here: No such file or directory; name a folder"),
        ("simulate_falls", ["film", "--count", "0"], "--count: at least 1"),
        ("bench_falling", ["--clips", "0"], "--clips: at least 1"),
        ("bench_falling", ["--seconds", "2"], "--seconds: at least 8"),
        ("bench_falling", ["--sides", "540,big"], "--sides 540,big: expected whole numbers from 270 to 1080"),
        ("bench_falling", ["--sides", "100"], "--sides 100: expected whole numbers from 270 to 1080"),
        ("eval_falling", ["--minutes", "-1"], "--minutes: more than 0"),
        ("eval_falling", ["--summary", "--results", "/proc/nothing"], "name a folder that can be written"),
    ],
)
def test_what_a_script_cannot_do_is_said(tmp_path: Path, script: str, options: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPTS / script, *options],
        env={**os.environ, "PYTHONPATH": str(SIMULATE.parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (2, "", False)
    assert said in " ".join(done.stderr.split())


def test_a_summary_of_nothing_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPTS / "eval_falling", "--summary", "--rule", "--results", tmp_path],
        env={**os.environ, "PYTHONPATH": str(SIMULATE.parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "holds no clip's result yet" in done.stderr


def test_hard_clips_are_of_the_split_that_trains_and_crowded() -> None:
    asked = (
        "from film import NUMBERS; from practice import cast, coded; film = cast(20028, 50.0); take = film.take;"
        "print(film.scene.seed < NUMBERS, take.distractors, take.crowd > 1, take.rate, coded(20028), coded(20008))"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=True, cwd=SIMULATE.parent
    )
    assert done.stdout.split("\n")[0] == "True ('paper',) True 50.0 False True"
