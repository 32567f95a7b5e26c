"""Models that take their worker with them: who was at work is known, and left out when it happens again and again."""

import asyncio
import contextlib
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.vision import process
from gateway.vision.packs import READING, PackError, packs
from gateway.vision.suspects import DEATHS, LEFT_OUT, PAGE, SIZE, WITHIN, Suspects
from tests.vision.test_camera import Running

HASH, OTHER = "a" * 64, "b" * 64
WORK = "from gateway.vision.suspects import AtWork, left_out\nimport os, threading\n"


class Watch:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def worker(suspects: Suspects, code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, PAGE: str(suspects.page)}
    return subprocess.run(
        [sys.executable, "-c", WORK + code],
        env=environment,
        pass_fds=(suspects.page,),
        capture_output=True,
        text=True,
        check=False,
    )


def test_whoever_dies_is_left_out_the_third_time_and_tried_again_later() -> None:
    watch = Watch()
    with contextlib.closing(Suspects(watch)) as suspects:
        dies = f"with AtWork('{OTHER}', 'well'): pass\nwith AtWork('{HASH}', 'bad'): os.abort()"
        for _ in range(DEATHS):
            suspects.clear()
            assert worker(suspects, f"print(left_out('{HASH}'))").stdout == "False\n"
            assert worker(suspects, dies).returncode < 0
            assert suspects.blame() == "bad"
            watch.now += 60.0
        suspects.clear()
        asks = f"print(left_out('{HASH}'), left_out('{OTHER}'))"
        assert worker(suspects, asks).stdout == "True False\n"
        assert suspects.blame() == ""
        watch.now += WITHIN - 60.0 * DEATHS + 1.0
        suspects.refresh()
        assert worker(suspects, asks).stdout == "False False\n"


def test_what_ended_well_or_was_caught_is_no_suspect_what_raised_is() -> None:
    with contextlib.closing(Suspects(Watch())) as suspects:
        fails = f"""
def fail(name):
    try:
        with AtWork('{HASH}', name): raise RuntimeError
    except RuntimeError: pass
fail('bad')
"""
        worker(suspects, fails)
        assert suspects.blame() == "bad"
        worker(suspects, f"{fails}with AtWork('{OTHER}', 'well'): pass")
        assert suspects.blame() == ""
        worker(suspects, f"{fails}from gateway.vision.suspects import caught\ncaught()")
        assert suspects.blame() == ""
        beside = "thread = threading.Thread(target={})\nthread.start(); thread.join()\n"
        worker(suspects, fails + beside.format("lambda: fail('beside')"))
        assert suspects.blame() == "bad"  # an error beside the lane ends nobody
        suspects.clear()
        dies = f"def die():\n    with AtWork('{OTHER}', 'beside'): os.abort()\n"
        worker(suspects, dies + beside.format("die"))
        assert suspects.blame() == "beside"


@pytest.mark.parametrize("beside", [False, True])
def test_a_model_that_does_not_load_is_not_blamed_for_what_happens_later(
    models: Path, tmp_path: Path, beside: bool
) -> None:
    pack = next(pack for pack in packs(models) if pack.task == READING and pack.present)
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    code = f"""
import sys
from dataclasses import replace
from pathlib import Path
from gateway.vision.packs import PackError, packs
from gateway.vision.runtime import open_session
def load():
    pack = next(pack for pack in packs(Path({str(models)!r})) if pack.name == {pack.name!r})
    try:
        open_session(replace(pack, path=Path({str(path)!r}), sha256={hashlib.sha256(b"no model").hexdigest()!r}))
    except PackError as error:
        print(error)
if {beside}:
    thread = threading.Thread(target=load)
    thread.start(); thread.join()
else:
    load()
sys.stdout.flush()
os.abort()
"""
    with contextlib.closing(Suspects(Watch())) as suspects:
        assert "does not load here" in worker(suspects, code).stdout
        assert suspects.blame() == ""


def test_more_models_than_there_is_room_for_are_no_harm() -> None:
    with contextlib.closing(Suspects(Watch())) as suspects:
        for number in range(LEFT_OUT + 3):
            for _ in range(DEATHS):
                os.pwrite(suspects.page, str(number).encode().rjust(64, b"0") + b"pack", 0)
                suspects.blame()
        suspects.clear()
        assert len(os.pread(suspects.page, SIZE * 2, 0)) == SIZE
        assert worker(suspects, f"print(left_out('{'10'.rjust(64, '0')}'))").stdout == "True\n"


def test_outside_a_worker_nothing_is_left_out(models: Path) -> None:
    from gateway.vision.suspects import AtWork, left_out

    with AtWork(HASH, "any"):
        assert not left_out(HASH)
    assert any(pack.task == READING for pack in packs(models))
    with contextlib.suppress(PackError):
        assert left_out("") is False


async def test_a_worker_that_a_model_kills_again_and_again_comes_back_without_it(
    tmp_path: Path, demo_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is a short program here: it plays the part of one whose model ends the process."""
    program = tmp_path / "worker.py"
    program.write_text(
        f"""
import os, sys, time
from gateway.vision.messages import Beat, Opened, Troubles, send
from gateway.vision.suspects import AtWork, left_out
sys.stdin.buffer.readline()
send(sys.stdout.buffer, Opened(64, 48, "h264"))
if left_out("{HASH}"):
    send(sys.stdout.buffer, Troubles((("models_refused", "bad is left out"),)))
    send(sys.stdout.buffer, Beat(1, 1, 0))
    time.sleep(60)
with AtWork("{HASH}", "bad-pack"):
    os.kill(os.getpid(), 11)
"""
    )
    start = asyncio.create_subprocess_exec

    async def instead(*argv: str, **more: Any) -> asyncio.subprocess.Process:
        return await start(argv[0], str(program), **more)

    monkeypatch.setattr(process.asyncio, "create_subprocess_exec", instead)
    monkeypatch.setattr("gateway.vision.opening.BACK_OFF", (0.01, 0.02))
    monkeypatch.setenv("PYTHONPATH", str(Path(process.__file__).parents[2]))
    one = Running(demo_clip, tmp_path)
    try:
        await one.until(lambda: ("degraded", "models_refused") in one.states)
    finally:
        await one.stop()
    assert one.states.count(("offline", "worker")) == DEATHS
    said = [item.sentence for item in one.items if getattr(item, "reason", "") == "worker"]
    assert said[0] == "the worker ended (signal 11, while model bad-pack was at work) and is started anew"
