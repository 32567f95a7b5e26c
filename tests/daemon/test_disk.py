"""The daemon on a disk that fills up, or cannot be written from the start; scripts/campaign_disk has more faults."""

import contextlib
import random
import signal
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


def remount(path: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(path)], check=True)


def site(state: Path, port: int, modbus: int) -> str:
    text = head(state, port).replace("[store]\n", '[store]\nrecords = "2MiB"\nmedia = "1MiB"\n')
    return text + line("plant", modbus) + device("meter", "plant", every="20ms") + ALARM


@pytest.mark.parametrize("before", ["nothing", "stopped", "killed"])
def test_a_start_on_a_read_only_disk_acts_and_recovers_without_a_restart(tmp_path: Path, before: str) -> None:
    port = free_port()
    with mounted(tmp_path / "disk", "size=16m") as disk, modbus_server() as server:
        server.data_bank.set_holding_registers(0, [1, 2])
        daemon = Daemon(config(tmp_path, site(disk / "state", port, server.port)), port)
        old: list[dict[str, Any]] = []
        if before != "nothing":
            daemon.start()
            old = daemon.pull("perception", 5)
            assert daemon.stop(signal.SIGTERM if before == "stopped" else signal.SIGKILL) in (0, -9)
        remount(disk, "ro")
        daemon.start(ill=True)
        try:
            (problem,) = disk_problems(daemon)
            assert "mounted read-only" in problem
            server.data_bank.set_holding_registers(0, [150])
            until(lambda: "alarm p0-high raised" in daemon.log.read_text(), daemon)
            shown = daemon.linli("status", "-c", str(daemon.config))
            assert "mounted read-only" in shown.stdout, shown
            status = daemon.get("/v1/status")
            (alarm,) = [row for row in status["alarms"] if row["name"] == "p0-high"]
            assert (alarm["active"], alarm["stored"]) == (True, False)
            epoch = status["epoch"]
            assert (
                daemon.pull("perception", len(old))[: len(old)] == old
                if old
                else status["streams"]["alarm"]["last"] == 0
            )
            remount(disk, "rw")
            until(lambda: not disk_problems(daemon), daemon)
            (raised,) = daemon.pull("alarm", 1)
            assert (raised["subject"], raised["epoch"]) == ("p0-high", epoch)
            assert daemon.get("/v1/status")["epoch"] == epoch
            count = daemon.get("/v1/status")["streams"]["perception"]["last"]
            records = daemon.pull("perception", count + 20)
            assert contiguous(records)
            assert records[: len(old)] == old
            told = [record["data"].get("reason") for record in daemon.pull("management", 2)]
            assert "disk_recovered" in told
        finally:
            assert daemon.stop() == 0, daemon.tail()
        assert "Traceback" not in daemon.log.read_text()


def test_a_start_on_a_full_disk_acts_and_recovers_without_a_restart(tmp_path: Path) -> None:
    port = free_port()
    with mounted(tmp_path / "disk", "size=4m") as disk, modbus_server() as server:
        with (disk / "junk").open("ab", buffering=0) as junk, contextlib.suppress(OSError):
            while True:
                junk.write(bytes(4096))
        server.data_bank.set_holding_registers(0, [150, 2])
        daemon = Daemon(config(tmp_path, site(disk / "state", port, server.port)), port).start(ill=True)
        try:
            until(lambda: "alarm p0-high raised" in daemon.log.read_text(), daemon)
            assert len(disk_problems(daemon)) == 1
            (disk / "junk").unlink()
            until(lambda: not disk_problems(daemon), daemon)
            (raised,) = daemon.pull("alarm", 1)
            assert raised["subject"] == "p0-high"
        finally:
            assert daemon.stop() == 0, daemon.tail()


def test_a_state_directory_of_somebody_else_is_explained(tmp_path: Path) -> None:
    (tmp_path / "disk").write_text("")
    file = config(tmp_path, head(tmp_path / "disk" / "state"))
    done = Daemon(file, 0).linli("run", "-c", str(file))
    assert done.returncode == 1
    assert f"{tmp_path / 'disk' / 'state'}: cannot be used as the state directory: Not a directory" in done.stderr
    assert "check its owner and the disk" in done.stderr
    assert "Traceback" not in done.stderr
