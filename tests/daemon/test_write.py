"""Writes of the real daemon to a real Modbus server: by command, by alarms, refused, and over a restart."""

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyModbusTCP.server import ModbusServer

from tests.broker import Mosquitto, broker
from tests.daemon.test_disk import mounted, remount
from tests.schemas import validate
from tests.site import Daemon, device, free_port, head, line, modbus_server
from tests.uplink.platform import Platform
from tests.uplink.test_inbox import asked

__all__ = ["broker"]

SIREN = """
[[device]]
name = "siren"
driver = "modbus"
line = "plant"
address = 2
every = "200ms"
timeout = "300ms"
[device.points.output]
at = "coil:0"
type = "bool"
write = true
[device.points.level]
at = "holding:100"
scale = 0.1
unit = "dB"
valid = [0, 100]
write = true
[device.points.reading]
at = "holding:101"
[[alarm]]
name = "high"
when = "tank.p0 > 50"
severity = "major"
do = [{ write = "siren.output", value = true, until = "cleared" }, { write = "siren.level", value = 85.5 }]
"""


def until(what: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)
    return found


class Site:
    """A tank and a siren on one server, and the daemon that knows them."""

    def __init__(self, folder: Path, server: ModbusServer, config: str = SIREN, state: Path | None = None) -> None:
        port = free_port()
        self.bank, self.config = server.data_bank, folder / "linli.toml"
        text = head(state or folder / "state", port) + line("plant", server.port) + device("tank", "plant") + config
        self.config.write_text(text)
        self.daemon = Daemon(self.config, port)
        self.cursor = ""

    def siren(self) -> bool:
        return bool(self.bank.get_coils(0)[0])

    def level(self) -> int:
        return int(self.bank.get_holding_registers(100)[0])

    def tank(self, level: int) -> None:
        self.bank.set_holding_registers(0, [level])

    def records(self, at_least: int) -> list[dict[str, Any]]:
        found = self.daemon.pull("disposal", at_least, after=self.cursor)
        self.cursor = f"{found[-1]['epoch']}.disposal.{int(found[-1]['sequence'])}"
        for record in found:
            validate(json.dumps(record))
        return [record["data"] for record in found if record["type"] == "linli.disposal.command.v1"]

    def linli(self, *arguments: str) -> Any:
        return self.daemon.linli(*arguments, "-c", str(self.config))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with modbus_server() as server:
        site = Site(tmp_path, server)
        site.daemon.start()
        try:
            until(lambda: all(row["state"] == "online" for row in site.daemon.get("/v1/status")["devices"]))
            yield site
        finally:
            if site.daemon.process is not None and site.daemon.process.poll() is None:
                assert site.daemon.stop() == 0


def test_command_alarm_and_restart(site: Site) -> None:
    done = site.linli("write", "siren", "output", "on")
    assert (done.returncode, done.stdout) == (0, "siren.output is now on (was off)\n"), done.stderr
    assert site.siren()
    (record,) = site.records(1)
    assert record["by"].startswith("uid:")
    assert (record["value"], record["before"]["value"], record["after"]["value"]) == (True, False, True)
    assert record["outcome"] == "done"

    refused = site.linli("write", "siren", "reading", "7")
    assert refused.returncode == 1
    assert "add write = true" in refused.stderr
    refused = site.linli("write", "siren", "level", "100.5")
    assert "0 to 100 dB" in refused.stderr
    assert site.linli("write", "siren", "level", "21.55").stderr.endswith("the nearest that it can be is 21.6 dB\n")
    assert "0 to 100 dB" in site.linli("write", "siren", "level", "-5").stderr, "a value, and no option"
    assert "no state of a switch" in site.linli("write", "siren", "output", "maybe").stderr
    assert 'did you mean "siren"' in site.linli("write", "sirne", "output", "on").stderr
    assert site.linli("write", "siren", "output", "off").returncode == 0
    outcomes = [(record["outcome"], record["reason"]) for record in site.records(6)]
    assert outcomes == [("refused", "not_allowed"), *[("refused", "invalid")] * 4, ("done", None)]

    site.tank(60)
    until(site.siren)
    until(lambda: site.level() == 855)
    raised = {record["point"]: record for record in site.records(2)}
    assert raised["output"]["by"] == "alarm:high"
    assert (raised["output"]["cause"], raised["output"]["attempts"]) == ("raised", 1)
    assert raised["output"]["occurrence"] == site.daemon.pull("alarm", 1)[0]["id"]

    assert site.linli("write", "siren", "output", "false").returncode == 0  # somebody silences it by hand
    site.records(1)
    site.daemon.stop(signal.SIGKILL)
    site.daemon.start()
    until(lambda: site.daemon.get("/v1/status")["devices"][0]["state"] == "online")
    status = site.daemon.get("/v1/status")
    assert [(row["point"], row["state"]) for row in status["actions"]] == [
        ("siren.output", "done"),
        ("siren.level", "done"),
    ]
    assert not site.siren(), "what was done for this occurrence is not done again"

    site.bank.set_coils(0, [True])
    site.tank(10)
    until(lambda: not site.siren())
    (cleared,) = site.records(1)
    assert (cleared["cause"], cleared["value"], cleared["before"]["value"]) == ("cleared", False, True)
    assert site.level() == 855, "without until, a value stays"
    assert site.daemon.get("/v1/status")["actions"] == []


def test_a_dead_disk_keeps_no_siren_from_sounding(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=16m") as disk, modbus_server() as server:
        site = Site(tmp_path, server, state=disk / "state")
        remount(disk, "ro")
        site.daemon.start(ill=True)
        try:
            site.tank(60)
            until(site.siren)
            answer = json.loads(site.linli("write", "siren", "level", "12.5", "--json").stdout)
            assert (answer["outcome"], answer["stored"]) == ("done", False)
            assert site.level() == 125
            assert site.daemon.get("/v1/status")["streams"]["disposal"]["last"] == 0
            remount(disk, "rw")
            told = {(record["by"].partition(":")[0], record["point"]) for record in site.records(3)}
            assert told == {("alarm", "output"), ("alarm", "level"), ("uid", "level")}
        finally:
            assert site.daemon.stop() == 0, site.daemon.log.read_text()


async def test_the_platform_sets_a_point_through_the_broker(tmp_path: Path, broker: Mosquitto) -> None:
    with modbus_server() as server:
        uplink = f'[uplink.mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}"\nstreams = ["disposal"]\n'
        site = Site(tmp_path, server, SIREN + uplink)
        await asyncio.to_thread(site.daemon.start)
        try:
            async with Platform(broker.port, "test-gate") as platform:
                await platform.until(lambda: any(state["state"] == "online" for state in platform.states))
                siren = {"device": "siren", "point": "output", "value": True}
                answer = json.loads((await platform.ask("write", b"one", asked(**siren))).payload)
                assert answer["ok"], answer
                assert answer["result"]["before"]["value"] is False
                assert answer["result"]["stored"] is True
                assert site.siren()
                late = json.loads((await platform.ask("write", b"two", asked(seconds_off=-90, **siren))).payload)
                assert (late["ok"], late["status"]) == (False, 403)
                again = json.loads((await platform.ask("write", b"one", asked(**siren))).payload)
                assert (again["ok"], again["status"]) == (False, 409)
                other = json.loads(
                    (await platform.ask("write", b"three", asked(**siren | {"point": "reading"}))).payload
                )
                assert (other["status"], "add write = true" in other["error"]) == (403, True)
                await platform.until(lambda: len(platform.events.get("disposal", ())) == 4)
                told = [(event["data"]["by"], event["data"]["outcome"]) for event in platform.events["disposal"]]
                assert told == [("mqtt:duty desk", outcome) for outcome in ("done", "refused", "refused", "refused")]
        finally:
            assert await asyncio.to_thread(site.daemon.stop) == 0
