"""The demo as a person starts it: real devices' bytes, the real daemon, honest sums, and every way to end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.cli.demo import stage
from gateway.cli.demo.stage import vision_is_installed

ENDS_IN = 60.0


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A running demo in a pipe; killed if the test leaves it behind."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "HOME": ""}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(ENDS_IN)
            except subprocess.TimeoutExpired:
                process.kill()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def lines_until(process: subprocess.Popen[str], words: str) -> list[str]:
    seen = []
    assert process.stdout is not None
    for line in process.stdout:
        seen.append(line)
        if words in line:
            return seen
    stderr = process.stderr.read() if process.stderr else ""
    pytest.fail(f"{words!r} never came:\n{''.join(seen)}{stderr}")


def children(process: subprocess.Popen[str]) -> list[int]:
    return [int(number) for number in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def test_twenty_seconds_show_the_main_job() -> None:
    with started("--seconds", "20", "--json") as process:
        out, err = process.communicate(timeout=20 + ENDS_IN)
    assert process.returncode == 0, err
    sums = json.loads(out)
    assert sums["complete"], sums["faults"]
    assert sums["readings"]["values"] > 100
    assert sums["alarms"]["raised"] >= 1
    assert sums["alarms"]["acknowledged"] >= 1
    assert sums["alarms"]["cleared"] >= 1
    assert sums["devices"] == {"silent": 1, "back": 1}
    assert sums["pulled"]["total"] == sum(sums["pulled"][name] for name in sums["pulled"] if name != "total")
    assert min(sums["pulled"].values()) >= 1, "every stream has something"
    if vision_is_installed():
        assert sums["passages"]["total"] >= 1


def test_ctrl_c_ends_it_with_the_sums_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with started() as process:
        lines_until(process, "sump-level is online")
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=ENDS_IN)
    assert process.returncode == 0, err
    assert "records pulled" in rest
    assert "complete        yes" in rest
    assert "not seen" in rest, "it ended before the alarm, and says so"
    assert list(tmp_path.iterdir()) == []


def test_a_dead_daemon_is_said_aloud() -> None:
    with started() as process:
        lines_until(process, "sump-level is online")
        (daemon,) = children(process)
        os.kill(daemon, signal.SIGKILL)
        rest, err = process.communicate(timeout=ENDS_IN)
    assert process.returncode == 1, rest
    assert "the daemon died (exit code -9)" in err
    assert "  | " in err, "its last words are shown"


def test_a_port_that_is_taken_is_said_aloud() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started("--port", str(port)) as process:
            out, err = process.communicate(timeout=ENDS_IN)
    assert process.returncode == 1, out
    assert f"127.0.0.1:{port}" in err


async def test_without_the_extra_there_is_no_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "VISION_MODULES", ("no_such_module",))
    said: list[str] = []
    assert await stage._camera(tmp_path, said.append) == ("", frozenset())
    assert "vision" in said[0]
