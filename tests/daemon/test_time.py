"""The daemon boots without the time, gets it, loses it by hours, and is killed meanwhile: order and truth survive."""

import json
import os
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.test_end_to_end import ALARM, config
from tests.site import Daemon, contiguous, device, free_port, head, line, modbus_server


class Board:
    """What the daemon is told about the time; see ``tests/daemon/stepped.py``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "proc/device-tree").mkdir(parents=True)
        (folder / "proc/device-tree/model").write_bytes(b"Raspberry Pi 4 Model B\0")

    def set(self, offset: float, *, synced: bool) -> None:
        fresh = self.folder / "offset.new"
        fresh.write_text(str(offset))
        fresh.rename(self.folder / "offset")
        if synced:
            (self.folder / "synced").touch()
        else:
            (self.folder / "synced").unlink(missing_ok=True)


class SteppedDaemon(Daemon):
    program = ("-m", "tests.daemon.stepped")


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    folder = tmp_path / "board"
    folder.mkdir()
    monkeypatch.setenv("LINLI_TEST_CLOCK", str(folder))
    monkeypatch.setenv("PYTHONPATH", os.fspath(Path(__file__).resolve().parents[2]))
    return Board(folder)


def seconds(record: dict[str, Any]) -> float:
    return datetime.fromisoformat(record["time"]).timestamp()


def values(records: list[dict[str, Any]]) -> list[int]:
    return [record["data"]["points"]["p0"]["value"] for record in records]


def held(daemon: Daemon, at_least: int) -> None:
    until = time.monotonic() + 20
    while daemon.get("/v1/status")["store"]["held"] < at_least:
        assert time.monotonic() < until, daemon.tail()
        time.sleep(0.05)


def logged(daemon: Daemon, text: str, seconds: float = 20.0) -> None:
    """The daemon looks at its clock every few seconds only: wait for its word."""
    until = time.monotonic() + seconds
    while text not in daemon.log.read_text():
        assert time.monotonic() < until, daemon.tail()
        time.sleep(0.1)


def test_a_boot_without_the_time_then_a_kill_then_the_time(tmp_path: Path, board: Board) -> None:
    port = free_port()
    board.set(-time.time() + 60, synced=False)
    with modbus_server() as server:
        server.data_bank.set_holding_registers(0, [1, 2])
        text = head(tmp_path / "state", port) + line("plant", server.port) + device("meter", "plant") + ALARM
        daemon = SteppedDaemon(config(tmp_path, text), port)
        began = time.time()
        daemon.start()
        try:
            held(daemon, 10)
            assert daemon.get("/v1/status")["timequality"] == "unknown"
            assert daemon.get("/v1/streams/perception/records?limit=10")["records"] == []
            server.data_bank.set_holding_registers(0, [150])
            raised = daemon.pull("alarm", 1)[0]
            assert (raised["timequality"], raised["time"][:4]) == ("unknown", "1970")
            daemon.stop(signal.SIGKILL)

            server.data_bank.set_holding_registers(0, [7])
            daemon.start()
            held(daemon, 20)
            board.set(0, synced=True)
            records = daemon.pull("perception", 30)
            management = daemon.pull("management", 2)
            alarms = daemon.pull("alarm", 1)
            logged(daemon, "the time is known: synced")
        finally:
            daemon.stop()
        ended = time.time()
    assert contiguous(records)
    assert contiguous(management)
    assert records[0]["sequence"] == management[0]["sequence"] == "00000000000000000001"
    assert len({record["id"] for record in records}) == len(records)
    assert {record["timequality"] for record in records + management} == {"synced"}
    times = [seconds(record) for record in records]
    assert times == sorted(times)
    assert began - 1 <= times[0]
    assert times[-1] <= ended + 1
    order = values(records)
    assert order.index(1) < order.index(150) < order.index(7)
    assert alarms[0] == raised
    for reason in ("started", "restarted"):
        (told,) = [record for record in management if record["data"].get("reason") == reason]
        assert began - 1 <= seconds(told) <= ended
    assert "the time is not known" in daemon.log.read_text()


def test_steps_by_hours_while_it_runs(tmp_path: Path, board: Board) -> None:
    port = free_port()
    board.set(0, synced=True)
    clause = '\n[[alarm]]\nname = "high"\nwhen = "meter.p0 > 100"\nfor = "2s"\nseverity = "minor"\ntext.en = "x"\n'
    with modbus_server() as server:
        server.data_bank.set_holding_registers(0, [1, 2])
        text = head(tmp_path / "state", port) + line("plant", server.port) + device("meter", "plant") + clause
        daemon = SteppedDaemon(config(tmp_path, text), port).start()
        try:
            count = len(daemon.pull("perception", 5))
            board.set(4 * 3600, synced=True)
            count = len(daemon.pull("perception", count + 5))
            server.data_bank.set_holding_registers(0, [150])
            begun = time.monotonic()
            board.set(-5 * 3600, synced=True)
            daemon.pull("alarm", 1)
            waited = time.monotonic() - begun
            records = daemon.pull("perception", count + 5)
        finally:
            assert daemon.stop() == 0, daemon.tail()
    assert waited >= 1.5  # a wall clock that moved would have ended the two seconds at once, or never
    assert contiguous(records)
    steps = [round((b - a) / 3600) for a, b in zip(map(seconds, records), map(seconds, records[1:]), strict=False)]
    assert [step for step in steps if step] == [4, -9]
    assert values(records)[-1] == 150
    assert {record["timequality"] for record in records} == {"synced"}
    assert json.dumps(records).count('"bootid"') == 0
