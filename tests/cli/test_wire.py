"""Looking at the wire of a running gateway, and scanning its own line while it polls: the real daemon."""

import json
import subprocess
import sys
import termios
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from gateway.cli import linli
from gateway.cli.client import Daemon, Refusal
from tests.cli.test_terminal import on_a_terminal
from tests.meters.slaves import modbus_ear
from tests.modbus_farm import Slave
from tests.scan.crowd import Crowd, crowd_in_a_thread, only_reads

B115200 = termios.B115200


class Running(NamedTuple):
    config: Path
    bus: Crowd
    sump: Slave

    @property
    def state(self) -> Path:
        return self.config.parent / "state"

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(linli, [arguments[0], "-c", str(self.config), *arguments[1:]])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("wire")
    sump, other = Slave({3: 2, 4: 182}), Slave({0: 558, 1: 235})
    with crowd_in_a_thread((B115200, modbus_ear(3, sump)), (B115200, modbus_ear(5, other))) as bus:
        path = folder / "linli.toml"
        path.write_text(
            f'[gateway]\nid = "wire-1"\nstate = "{folder}/state"\n[store]\n[api]\nlisten = "127.0.0.1:0"\n'
            f'[[line]]\nname = "pit"\nserial = "{bus.path}"\nbaud = 115200\n'
            '[[device]]\nname = "sump"\nline = "pit"\nprofile = "qdy30a"\naddress = 3\nevery = "300ms"\n'
            'serial = { baud = 115200, format = "8N1" }\n'
        )
        log = (folder / "log").open("wb")
        with subprocess.Popen([sys.executable, "-m", "gateway", "run", "-c", str(path)], stderr=log) as daemon:
            _until_online(folder / "state", folder / "log")
            try:
                yield Running(path, bus, sump)
            finally:
                daemon.terminate()
                assert daemon.wait(15) == 0
        log.close()


def _until_online(state: Path, log: Path) -> None:
    import time

    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            if Daemon(state / "linli.sock").ask("devices")[0]["state"] == "online":
                return
        except Refusal:
            pass
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def test_read_shows_values_and_the_bytes_behind_them(running: Running) -> None:
    done = running.run("read", "sump", "--frames")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert any("→" in line and "unit 3: read holding 3, 2 of them, CRC good" in line for line in lines)
    assert any("←" in line and "unit 3 answers read holding, 4 bytes: 2 182, CRC good" in line for line in lines)
    header = next(line for line in lines if line.startswith("POINT"))
    assert header.split() == ["POINT", "VALUE", "QUALITY", "AGE"]
    assert any(line.split() == ["level", "1.82", "m", "good", "0", "s"] for line in lines)
    said = json.loads(running.run("read", "sump", "--frames", "--json").output)
    assert {row["protocol"] for row in said["frames"]} == {"Modbus RTU"}
    assert "frames" not in json.loads(running.run("read", "sump", "--json").output)


def test_a_narrow_terminal_shows_whole_frames_and_their_meaning(running: Running) -> None:
    code, screen = on_a_terminal(running, "read", "sump", "--frames", columns=80)
    shown = screen.decode()
    assert code == 0
    assert "03 03 00 03 00 02 35 E9" in shown
    assert "unit 3 answers read holding, 4 bytes: 2 182, CRC good" in shown


def test_watch_shows_what_goes_over_the_line(running: Running) -> None:
    done = running.run("watch", "--frames", "--count", "2", "--every", "0.8", "--line", "pit")
    assert done.exit_code == 0, done.output
    assert "unit 3: read holding 3, 2 of them, CRC good" in done.output
    rows = [json.loads(line) for line in running.run("watch", "--frames", "--count", "1", "--json").output.splitlines()]
    assert {row["direction"] for row in rows} == {"in", "out"}
    assert running.run("watch", "--line", "pit").exit_code == 2
    assert 'no line "pot"' in running.run("watch", "--frames", "--line", "pot", "--count", "1").output


def test_a_scan_goes_through_the_gateway_between_its_polls(running: Running) -> None:
    before = json.loads(running.run("status", "--json").output)["devices"][0]["polls"]
    del running.bus.heard[:]
    done = running.run(
        "scan", "pit", "--units", "3-6", "--baud", "115200", "--format", "8N1", "--protocol", "modbus", "--json"
    )
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["through_gateway"] is True
    assert [(found["address"], found["configured_as"]) for found in said["found"]] == [(3, "sump"), (5, None)]
    (device,) = tomllib.loads(said["toml"])["device"]
    assert (device["line"], device["address"], device["profile"]) == ("pit", 5, "renke-rs-ws-n01")
    state = json.loads(running.run("status", "--json").output)
    assert state["devices"][0]["state"] == "online"
    assert state["devices"][0]["polls"] >= before + 3, "the scan starved the polls"
    heard = b"".join(question for _, question in running.bus.heard)  # a busy machine may hand over two at once
    assert all(only_reads(heard[at : at + 8]) for at in range(0, len(heard), 8))


def test_a_port_that_the_gateway_owns_is_scanned_through_it_too(running: Running) -> None:
    done = running.run("scan", running.bus.path, "--units", "9", "--baud", "115200", "--protocol", "modbus", "--json")
    assert json.loads(done.stdout)["through_gateway"] is True
    assert done.exit_code == 1
