"""Stations that call the real daemon: a fire goes ahead of everything, and nothing is confirmed before it is taken."""

import asyncio
import json
import re
import signal
from pathlib import Path
from typing import Any

from gateway.plan import load_plan
from tests.daemon.test_end_to_end import config
from tests.drivers.station_frames import (
    FIRE,
    MN,
    NORMAL,
    calling,
    component,
    device_state,
    frame,
    operation,
    packet,
)
from tests.site import Daemon, device, free_port, head, line, modbus_server

ROOT = Path(__file__).resolve().parents[2]
STATIONS = """
[[line]]
name = "stations"
listen = "127.0.0.1:{port}"
allow = ["127.0.0.0/8"]
[[device]]
name = "fire-panel"
profile = "gb26875-station"
line = "stations"
address = "790300000000"
[[device]]
name = "dust"
profile = "hj212-dust-noise"
line = "stations"
address = "{mn}"
password_file = "{secret}"
[[alarm]]
name = "fire"
when = 'fire-panel.fire or fire-panel.fire-at == "-"'
severity = "critical"
text = {{ zh = "火警", en = "Fire" }}
"""


async def call(port: int, *said: bytes) -> list[bytes]:
    async with asyncio.timeout(30), calling(port) as caller:
        answers = []
        for data in said:
            await caller.say(data)
            answers.append(await (caller.line() if data.startswith(b"##") else caller.frame()))
        return answers


def called(port: int, *said: bytes) -> list[bytes]:
    return asyncio.run(call(port, *said))


def site(tmp_path: Path, api: int, port: int, commit: str) -> Path:
    secret = tmp_path / "pw"
    secret.write_text("123456\n")
    secret.chmod(0o600)
    return config(tmp_path, head(tmp_path / "state", api, commit) + STATIONS.format(port=port, mn=MN, secret=secret))


def test_a_fire_of_a_detector_that_nobody_named_goes_ahead_of_all_that_waits(tmp_path: Path) -> None:
    """Telemetry may wait a minute for its commit: the alarm and the place of the fire are delivered all the same."""
    api, port = free_port(), free_port()
    with modbus_server() as server:
        file = site(tmp_path, api, port, "60s")
        file.write_text(file.read_text() + line("plant", server.port) + device("meter", "plant"))
        daemon = Daemon(file, api).start()
        try:
            fire = frame(1, component(FIRE, circuit=3, number=17, note="3号楼2层走廊"))
            (reply,) = called(port, fire)
            assert (reply[2:4], reply[26], reply[12:18], reply[18:24]) == (fire[2:4], 3, fire[18:24], fire[12:18])
            records = daemon.pull("alarm", 2)
            (raised,) = [record for record in records if record["type"] == "linli.alarm.raised.v1"]
            assert (raised["subject"], raised["data"]["severity"]) == ("fire", "critical")
            shown = raised["data"]["points"]
            assert shown["fire-panel.fire-at"]["value"] == "1/1/3/17 3号楼2层走廊"
            (event,) = [record for record in records if record["type"] == "linli.device.event.v1"]
            assert event["source"] == "/gateways/test-gate/fire-panel"
            assert event["data"]["event"] == "fire"
            assert event["data"]["note"] == "3号楼2层走廊"
            assert event["data"]["system"] == {"type": 1, "name": "fire alarm", "address": 1}
            assert event["data"]["component"] == {"type": 40, "name": "smoke detector", "circuit": 3, "number": 17}
            assert event["data"]["device_time"].startswith("2026-11-21T08:25:30.000")
            # Sent again because its confirmation got lost: confirmed again, and told once.
            called(port, fire, frame(2, component(FIRE, circuit=3, number=18)))
            whole = daemon.pull("alarm", 3)
            assert [record["type"] for record in whole].count("linli.device.event.v1") == 2
            row = next(row for row in daemon.get("/v1/status")["devices"] if row["name"] == "fire-panel")
            assert row["last"]["fire-at"]["value"] == "1/1/3/18 and 1 more"
            assert row["unnamed"] == {"count": 2, "last": "component 1/1/3/18"}
            daemon.stop(signal.SIGKILL)
            daemon.start()
            # What it knew of the fire is gone: no half of it may clear the alarm, only the station's own word.
            called(port, frame(1, component(NORMAL, circuit=3, number=17)), frame(2, component(NORMAL, number=18)))
            assert [alarm["active"] for alarm in daemon.get("/v1/status")["alarms"]] == [True]
            called(port, frame(3, operation(0b1)))
            types = [record["type"] for record in daemon.pull("alarm", 4)]
            assert types[-1] == "linli.alarm.cleared.v1"
        finally:
            assert daemon.stop() == 0, daemon.tail()


def test_readings_of_stations_reach_the_platform_with_their_own_time(tmp_path: Path) -> None:
    api, port = free_port(), free_port()
    daemon = Daemon(site(tmp_path, api, port, "100ms"), api).start()
    try:
        content = "DataTime=20261121082500;a34004-Rtd=35.0,a34004-Flag=N;LA-Rtd=58.3,LA-Flag=D"
        called(port, frame(1, device_state(0b1001)))
        (answer,) = called(port, packet(content))
        assert b"CN=9014" in answer
        dust = next(record for record in daemon.pull("perception", 2) if record["subject"] == "dust")
        points: dict[str, Any] = dust["data"]["points"]
        assert points["pm25"]["value"] == 35.0
        assert points["pm25"]["time"].startswith("2026-11-21T08:25:00.000")
        assert (points["noise"]["quality"], points["noise"]["reason"]) == ("bad", "device_fault")
        status = json.loads(daemon.linli("status", "--json", "--state", str(tmp_path / "state")).stdout)
        assert {row["name"]: row["state"] for row in status["devices"]} == {"fire-panel": "online", "dust": "online"}
        (row,) = status["lines"]
        assert (row["kind"], row["state"], row["transactions"]) == ("listen", "open", 2)
        (told,) = [record for record in daemon.pull("management", 1) if record["type"] == "linli.device.event.v1"]
        assert (told["data"]["event"], told["data"]["states"]) == ("fault", ["mains-fault"])
        assert "123456" not in daemon.tail()
    finally:
        assert daemon.stop() == 0, daemon.tail()


EXAMPLES = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/stations.md").read_text("utf-8"), re.DOTALL)


def test_the_examples_of_the_documentation_can_be_used(tmp_path: Path) -> None:
    file = config(tmp_path, head(tmp_path / "state") + "\n".join(EXAMPLES))
    plan = load_plan(file)
    assert set(plan.stations) == {"fire-panel", "dust"}
    assert [warning.partition(": ")[2] for warning in plan.warnings] == [
        "device.dust.password_file: there is no file /etc/linli/secrets/dust; put it there"
    ]
