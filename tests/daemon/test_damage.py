"""The real daemon on a damaged database: found at start, or by a pull; what systemd does in between, the test does."""

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from tests.daemon.test_end_to_end import ALARM, config
from tests.site import Daemon, device, free_port, head, line, modbus_server

METERS = 8


def site(state: Path, port: int, modbus: int) -> str:
    text = head(state, port) + line("plant", modbus) + ALARM
    return text + "".join(device(f"meter{n}" if n else "meter", "plant", n + 1, every="20ms") for n in range(METERS))


def payload(state: Path, after: int) -> bytes:
    """The content of an old row."""
    with contextlib.closing(sqlite3.connect(f"file:{state}/records.db?mode=ro", uri=True)) as connection:
        query = "SELECT payload FROM perception WHERE first > ? ORDER BY first LIMIT 1"
        return bytes(connection.execute(query, (after,)).fetchone()[0])


def spoil(state: Path, content: bytes) -> None:
    """Change bytes of it wherever it lies, under whoever has the files open."""
    found = 0
    for file in (state / "records.db", state / "records.db-wal"):
        text = file.read_bytes() if file.exists() else b""
        at = text.find(content[-80:-40])
        while at >= 0:
            found += 1
            with file.open("r+b") as opened:
                opened.seek(at)
                opened.write(os.urandom(40))
            at = text.find(content[-80:-40], at + 40)
    assert found


def ended(daemon: Daemon, seconds: float = 30.0) -> int:
    assert daemon.process is not None
    return daemon.process.wait(timeout=seconds)


def until_salvaged(daemon: Daemon) -> dict[str, Any]:
    end = time.monotonic() + 60
    while True:
        status: dict[str, Any] = daemon.get("/v1/status")
        damage = status["store"]["damage"]
        if damage["state"] == "done":
            return status
        assert time.monotonic() < end, daemon.tail()
        time.sleep(0.05)


def reasons(daemon: Daemon) -> list[str]:
    return [record["data"].get("reason", "") for record in daemon.pull("management", 4)]


def test_damage_that_a_pull_meets_ends_the_daemon_once_and_the_next_start_salvages(tmp_path: Path) -> None:
    port, state = free_port(), tmp_path / "state"
    with modbus_server() as server:
        server.data_bank.set_holding_registers(0, [150, 2])
        daemon = Daemon(config(tmp_path, site(state, port, server.port)), port).start()
        try:
            before = {event["id"]: event for event in daemon.pull("perception", 2500, seconds=60)}
            (raised,) = daemon.pull("alarm", 1)
            spoil(state, payload(state, 200))
            with contextlib.suppress(OSError):  # a 503, or the end of the connection
                daemon.get("/v1/streams/perception/records?limit=1000")
            assert ended(daemon) == 1
            log = daemon.log.read_text()
            assert "Traceback" not in log
            assert log.count("the store is damaged") == 1, log[-2000:]
            epoch = raised["epoch"]

            daemon.start()
            status = until_salvaged(daemon)
            assert status["epoch"] != epoch
            assert [row["name"] for row in status["alarms"] if row["active"]] == ["p0-high"]
            again = {event["id"]: event for event in daemon.pull("perception", 2400)}
            kept = [each for each in before if each in again]
            assert len(kept) >= len(before) - 300
            assert all(again[each]["data"] == before[each]["data"] for each in kept)
            alarms = daemon.pull("alarm", 3)
            assert [event["id"] for event in alarms].count(raised["id"]) == 1
            assert {"store_damaged", "store_salvaged"} <= set(reasons(daemon))
            assert daemon.process is not None
            assert daemon.process.poll() is None, "no second end for the same damage"
        finally:
            assert daemon.stop() == 0, daemon.tail()


def test_damage_at_the_start_is_set_aside_and_salvaged_beside_all_work(tmp_path: Path) -> None:
    port, state = free_port(), tmp_path / "state"
    with modbus_server() as server:
        server.data_bank.set_holding_registers(0, [1, 2])
        daemon = Daemon(config(tmp_path, site(state, port, server.port)), port).start()
        before = {event["id"] for event in daemon.pull("perception", 300)}
        assert daemon.stop() == 0
        with contextlib.closing(sqlite3.connect(state / "records.db")) as connection, connection:
            connection.execute("UPDATE facts SET value = CAST('0' AS BLOB)")
        daemon.start()
        try:
            status = until_salvaged(daemon)
            assert not [each for each in status["problems"] if each["part"] == "store"]
            after = {event["id"] for event in daemon.pull("perception", len(before))}
            assert before <= after
            assert "store_salvaged" in reasons(daemon)
        finally:
            assert daemon.stop() == 0, daemon.tail()
        assert "Traceback" not in daemon.log.read_text()
