"""The daemon as a process, against a Modbus server that is not ours: from register to platform and back again."""

import json
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from tests.site import Daemon, contiguous, device, free_port, head, line, modbus_server

ALARM = """
[[alarm]]
name = "p0-high"
when = "meter.p0 > 100"
clear = "meter.p0 < 50"
severity = "major"
text = { en = "p0 is high" }
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def config(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "linli.toml"
    file.write_text(text)
    return file


def test_register_to_platform(tmp_path: Path, state: Path) -> None:
    """Readings, an alarm that is raised, acknowledged and cleared, an orderly stop, and a restart that goes on."""
    api = free_port()
    with modbus_server() as server:
        server.data_bank.set_holding_registers(0, [10, 20])
        text = head(state, api) + line("plant", server.port) + device("meter", "plant") + ALARM
        daemon = Daemon(config(tmp_path, text), api).start()
        try:
            readings = daemon.pull("perception", 5)
            assert readings[0]["data"]["points"]["p0"] == {"value": 10, "unit": "V", "quality": "good"}
            assert readings[0]["source"] == "/gateways/test-gate/meter"
            assert contiguous(readings)
            assert readings[0]["sequence"] == "00000000000000000001"

            server.data_bank.set_holding_registers(0, [150])
            raised = daemon.pull("alarm", 1)[0]
            assert (raised["type"], raised["subject"]) == ("linli.alarm.raised.v1", "p0-high")
            assert raised["data"]["occurrence"] == raised["id"]
            assert raised["data"]["severity"] == "major"

            acknowledged = daemon.linli("ack", "p0-high", "--state", str(state))
            assert acknowledged.returncode == 0, acknowledged.stderr
            done = daemon.pull("disposal", 1)[0]
            assert done["type"] == "linli.disposal.acknowledged.v1"

            server.data_bank.set_holding_registers(0, [10])
            types = [record["type"] for record in daemon.pull("alarm", 3)]
            assert types[0] == "linli.alarm.raised.v1"
            assert types[-1] == "linli.alarm.cleared.v1"

            status = json.loads(daemon.linli("status", "--json", "--state", str(state)).stdout)
            assert status["gateway"] == "test-gate"
            assert [device["state"] for device in status["devices"]] == ["online"]
        finally:
            code = daemon.stop()
        assert code == 0, daemon.tail()

        last = int(daemon_last(daemon, api)["streams"]["perception"]["last"])
        assert last >= len(readings)


def daemon_last(daemon: Daemon, api: int) -> dict:
    """Start again: the epoch stays, the numbering goes on, and everything is still there."""
    daemon.start()
    try:
        before = daemon.get("/v1/status")["streams"]["perception"]["last"]
        records = daemon.pull("perception", before + 3)
        assert contiguous(records)
        assert len({record["id"] for record in records}) == len(records)
        assert len({record["epoch"] for record in records}) == 1
        return daemon.get("/v1/status")
    finally:
        assert daemon.stop() == 0, daemon.tail()


def test_two_hard_kills_lose_nothing_committed(tmp_path: Path, state: Path) -> None:
    api = free_port()
    with modbus_server() as server:
        text = head(state, api) + line("plant", server.port) + device("meter", "plant", every="20ms")
        daemon = Daemon(config(tmp_path, text), api)
        seen: dict[str, str] = {}
        for _ in range(2):
            daemon.start()
            for record in daemon.pull("perception", len(seen) + 20):
                assert seen.setdefault(record["sequence"], record["id"]) == record["id"]
            daemon.stop(signal.SIGKILL)
        daemon.start()
        records = daemon.pull("perception", len(seen))
        management = daemon.pull("management", 1)
        daemon.stop()
    assert contiguous(records)
    found = {record["sequence"]: record["id"] for record in records}
    assert {number: found.get(number) for number in seen} == seen
    assert "restarted" in [record["data"].get("reason") for record in management]


def test_dead_device_and_dead_line_harm_nothing_else(tmp_path: Path, state: Path) -> None:
    api = free_port()
    with modbus_server() as server:
        text = head(state, api) + line("plant", server.port) + device("meter", "plant")
        text += line("nowhere", free_port()) + device("ghost", "nowhere")
        daemon = Daemon(config(tmp_path, text), api).start()
        try:
            readings = [record for record in daemon.pull("perception", 20) if record["subject"] == "meter"]
            assert len(readings) >= 15
            states = [record for record in daemon.pull("management", 1) if record["type"] == "linli.device.state.v1"]
            time.sleep(1)
            states = [record for record in daemon.pull("management", 2) if record["type"] == "linli.device.state.v1"]
            ghost = [record for record in states if record["subject"] == "ghost"]
            assert [record["data"]["state"] for record in ghost][-1] == "offline"
        finally:
            assert daemon.stop() == 0, daemon.tail()


def test_second_daemon_on_the_same_state_is_refused(tmp_path: Path, state: Path) -> None:
    api = free_port()
    daemon = Daemon(config(tmp_path, head(state, api)), api).start()
    try:
        second = daemon.linli("run", "-c", str(daemon.config))
        assert second.returncode == 1
        assert str(state) in second.stderr
    finally:
        assert daemon.stop() == 0


def test_wrong_configuration_exits_78(tmp_path: Path, state: Path) -> None:
    file = config(tmp_path, head(state) + '\n[[line]]\nname = "x"\ntpc = "1.2.3.4:502"\n')
    done = Daemon(file, 0).linli("run", "-c", str(file))
    assert done.returncode == 78
    assert f"{file}:" in done.stderr
    assert 'did you mean "tcp"' in done.stderr


def test_the_database_is_plain_sqlite(tmp_path: Path, state: Path) -> None:
    api = free_port()
    daemon = Daemon(config(tmp_path, head(state, api)), api).start()
    assert daemon.stop() == 0
    with sqlite3.connect(state / "records.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
