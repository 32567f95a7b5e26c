"""Starts that go wrong, or are called off: an exit code and a sentence, never a traceback."""

import asyncio
import json
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.contract import VisionEvent, record_id
from gateway.daemon.drafts import wills
from tests.schemas import validate
from tests.site import Daemon, free_port, head
from tests.store.desk import opened


def config(folder: Path, state: Path, port: int = 0) -> Path:
    file = folder / "linli.toml"
    file.write_text(head(state, port))
    return file


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/linli/state"])
def test_a_state_directory_that_cannot_be_is_explained(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    file = config(tmp_path, tmp_path / place)
    done = Daemon(file, 0).linli("run", "-c", str(file))
    assert done.returncode == 1
    assert "cannot be used as the state directory" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_start_that_is_called_off_ends_well(tmp_path: Path, number: signal.Signals) -> None:
    """The signal comes at the first sign of life: the command line is loaded, the daemon is not."""
    code = (
        "import os, signal, sys, threading\n"
        "import click\n"
        "import gateway.cli.run as command\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == 'gateway.daemon.run': os.kill(os.getpid(), {int(number)})\n"
        "sys.meta_path.insert(0, Watch())\n"
        f"command.run(['-c', {str(config(tmp_path, tmp_path / 'state'))!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "state").exists()


def test_others_cannot_read_what_is_stored(tmp_path: Path) -> None:
    port = free_port()
    daemon = Daemon(config(tmp_path, tmp_path / "state", port), port).start()
    try:
        time.sleep(0.5)
        modes = {path.name: path.stat().st_mode for path in (tmp_path / "state").iterdir()}
    finally:
        assert daemon.stop() == 0
    assert {"records.db", "linli.sock"} <= set(modes)
    assert stat.S_IMODE(modes["linli.sock"]) == 0o660
    assert [name for name, mode in modes.items() if mode & stat.S_IRWXO] == []
    # The socket's own mode decides who may use it: its folder must let them pass.
    assert (tmp_path / "state").stat().st_mode & stat.S_IXOTH


def test_what_a_camera_owed_when_the_power_failed_is_on_record_after_the_start_and_once(tmp_path: Path) -> None:
    now, state = time.time_ns(), tmp_path / "state"
    record, lost = record_id(now), record_id(now)
    data = {"record": record, "reason": "restarted", "text": "the gateway was ended hard"}
    clip = VisionEvent("tower", now, 1.0, "linli.media.lost.v1", "tower", data, id=lost, purpose="falls")
    word = VisionEvent("tower", now, 1.0, "", "tower", {}, "fall", owes=clip)

    async def cut() -> None:
        async with opened(state) as store:
            await store.put([], facts=wills(word, "holdover"))
            await store.committed()

    asyncio.run(cut())
    api = free_port()
    daemon = Daemon(config(tmp_path, state, api), api).start()
    try:
        (told,) = [one for one in daemon.pull("perception", 1) if one["type"] == clip.type]
    finally:
        assert daemon.stop() == 0, daemon.tail()
    assert validate(json.dumps(told))["id"] == lost
    assert told["timequality"] == "holdover"
    assert (told["data"], told["purpose"], told["source"]) == (data, "falls", "/gateways/test-gate/tower")

    async def left() -> tuple[int, dict[str, bytes]]:
        async with opened(state) as store:
            return store.bounds("perception").last, store.facts("will/")

    assert asyncio.run(left()) == (1, {})  # so no start after it tells it again
