"""The daemon on a disk that fills up, or cannot be written from the start; scripts/campaign_disk has more faults."""

import contextlib
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.test_end_to_end import ALARM, config
from tests.site import Daemon, contiguous, device, free_port, head, line, modbus_server


@contextlib.contextmanager
def mounted(path: Path, options: str) -> Iterator[Path]:
    """A real file system; skips where nothing may be mounted."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "linli-test", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"CANNOT MOUNT a small file system here: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def until(condition: Callable[[], Any], daemon: Daemon, seconds: float = 40.0) -> None:
    """Wait for it; the limit only ends a test that hangs."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, daemon.tail()
        time.sleep(0.05)


def disk_problems(daemon: Daemon) -> list[str]:
    return [problem["text"] for problem in daemon.get("/v1/status")["problems"] if problem["part"] == "store"]


def test_a_full_disk_is_one_problem_and_alarms_act_and_are_stored(tmp_path: Path) -> None:
    port = free_port()
    with mounted(tmp_path / "disk", "size=8m") as disk, modbus_server() as server:
        server.data_bank.set_holding_registers(0, [1, 2])
        text = head(disk / "state", port).replace("[store]\n", '[store]\nrecords = "2MiB"\nmedia = "1MiB"\n')
        text += line("plant", server.port) + device("meter", "plant", every="20ms") + ALARM
        daemon = Daemon(config(tmp_path, text), port).start()
        try:
            daemon.pull("perception", 5)
            with (disk / "junk").open("ab", buffering=0) as junk, contextlib.suppress(OSError):
                while True:
                    junk.write(random.randbytes(4096))
            until(lambda: disk_problems(daemon), daemon)
            server.data_bank.set_holding_registers(0, [150])
            (raised,) = daemon.pull("alarm", 1)
            assert raised["subject"] == "p0-high"
            assert len(disk_problems(daemon)) == 1
            (disk / "junk").unlink()
            until(lambda: not disk_problems(daemon), daemon)
            count = daemon.get("/v1/status")["streams"]["perception"]["last"]
            assert contiguous(daemon.pull("perception", count + 20))
            told = [record["data"] for record in daemon.pull("management", 2)]
            (recovered,) = [data for data in told if data.get("reason") == "disk_recovered"]
            assert isinstance(recovered["lost"], dict)
        finally:
            assert daemon.stop() == 0, daemon.tail()


def test_a_start_on_a_disk_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m,ro") as disk:
        file = config(tmp_path, head(disk / "state"))
        done = Daemon(file, 0).linli("run", "-c", str(file))
    assert done.returncode == 1
    assert f"{disk / 'state'}: cannot be used as the state directory: Read-only file system" in done.stderr
    assert "check its owner and the disk" in done.stderr
    assert "Traceback" not in done.stderr
