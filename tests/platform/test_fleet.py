"""scripts/fleet itself: a small fleet with every fault is complete in the end, and nothing outlives the program."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.broker import need_mosquitto
from tests.platform.conftest import PROJECT

report = pytest.importorskip("report", reason="the fleet's programs are not on the path")

PROGRAM = [sys.executable, str(PROJECT / "scripts" / "fleet_parts" / "fleet.py")]


@pytest.fixture
def folder(cluster: object) -> Iterator[Path]:
    """Where the fleet makes its temporary folder; PostgreSQL's user must be able to reach it."""
    need_mosquitto()
    with tempfile.TemporaryDirectory(prefix="linli-test-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def running_in(folder: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(folder) in words:
            found.append(words)
    return found


def test_a_small_fleet_with_every_fault_is_complete_in_the_end(folder: Path) -> None:
    words = [*PROGRAM, "--gateways", "12", "--seconds", "8", "--rate", "10", "--json"]
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=180)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    said: dict[str, Any] = json.loads(done.stdout)
    proof = said["proof"]
    assert said["wrong"] == []
    assert proof["missing"] > 0, "the faults lost nothing: the proof was not put to the test"
    assert (proof["left"], proof["conflicts"], proof["refusals"]) == (0, 0, 0)
    assert proof["accounted"] == proof["fleet"]["numbers"]
    assert said["verify"].endswith(": complete")
    assert running_in(folder) == []
    assert list(folder.iterdir()) == []


def test_nothing_outlives_a_fleet_that_is_killed(folder: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(folder)}
    words = [*PROGRAM, "--gateways", "3", "--seconds", "60", "--json"]
    fleet = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    end = time.monotonic() + 60
    while not any("consumer.py" in words for words in running_in(folder)):
        assert fleet.poll() is None and time.monotonic() < end, "the fleet does not start"  # noqa: PT018
        time.sleep(0.1)
    fleet.send_signal(signal.SIGKILL)
    fleet.wait()
    end = time.monotonic() + 30
    while running_in(folder):
        assert time.monotonic() < end, running_in(folder)
        time.sleep(0.1)


GOOD = {
    "answered": 5, "left": 0, "accounted": 100, "rows": 90, "places": 90, "ids": 90, "conflicts": 0, "refusals": 0,
    "missing": 7, "refused": 0, "fleet": {"numbers": 100, "made": 91},
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"answered": 4}, {"left": 1}, {"accounted": 99}, {"accounted": 101},
        {"rows": 92, "places": 92, "ids": 92}, {"places": 89}, {"ids": 89},
        {"conflicts": 1}, {"refusals": 1}, {"missing": 0}, {"refused": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_run_that_is_not_as_it_should_be_fails(change: dict[str, int]) -> None:
    options = Namespace(gateways=5, no_faults=False)
    assert report.failures(options, {}, GOOD) == []
    assert len(report.failures(options, {}, {**GOOD, **change})) == 1


def test_without_faults_nothing_has_to_be_missing() -> None:
    assert report.failures(Namespace(gateways=5, no_faults=True), {}, {**GOOD, "missing": 0}) == []
