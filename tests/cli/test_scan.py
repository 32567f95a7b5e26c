"""`linli scan` as people and programs call it, on a real pseudo-terminal and a real TCP server."""

import importlib
import json
import os
import signal
import subprocess
import sys
import termios
import threading
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import linli
from gateway.cli.scan import parse_units
from gateway.cli.scan.borrowed import LineTime
from gateway.clock import SystemClock
from tests.meters.slaves import modbus_ear
from tests.modbus_farm import Slave
from tests.scan.crowd import crowd_in_a_thread, only_reads

B115200 = termios.B115200
GATEWAY = '[gateway]\nid = "test-1"\nstate = "state"\n[store]\n[api]\n'
FAST = ("--baud", "115200", "--format", "8N1", "--protocol", "modbus")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(linli, ["scan", *map(str, arguments)])


def level() -> Slave:
    return Slave({3: 2, 4: 182})


def config(folder: Path, text: str = "") -> Path:
    path = folder / "linli.toml"
    path.write_text(GATEWAY + text)
    return path


def test_a_port_is_scanned_and_the_toml_passes_check(tmp_path: Path) -> None:
    path = config(tmp_path)
    with crowd_in_a_thread((B115200, modbus_ear(3, level()))) as bus:
        result = run(bus.path, "-c", path, "--units", "2-4", *FAST)
    assert result.exit_code == 0, result.output
    toml = result.stdout
    parsed = tomllib.loads(toml)
    name = f"line-{Path(bus.path).name}"
    assert parsed["line"] == [{"name": name, "serial": bus.path, "baud": 115200, "format": "8N1"}]
    assert parsed["device"] == [
        {
            "name": f"water-level-{name}-3", "profile": "qdy30a", "line": name, "address": 3, "every": "5s",
            "serial": {"baud": 115200, "format": "8N1"},
        }
    ]  # fmt: skip
    path.write_text(path.read_text() + toml)
    checked = CliRunner().invoke(linli, ["check", "-c", str(path)])
    assert checked.exit_code == 0, checked.output
    assert "about" in result.stderr
    assert "level 1.82 m" in result.stderr
    assert "done after" in result.stderr
    assert "likely: QDY30A" in result.stdout or "possible: QDY30A" in result.stdout
    assert all(only_reads(question) for _, question in bus.heard)


def test_what_two_scans_found_stands_in_one_file(tmp_path: Path) -> None:
    path = config(tmp_path)
    found = []
    for port in ("riser", "pump-room"):
        with crowd_in_a_thread((B115200, modbus_ear(3, level()))) as bus:
            (tmp_path / port).symlink_to(bus.path)
            found.append(run(tmp_path / port, "-c", path, "--units", "3", *FAST).stdout)
    path.write_text(path.read_text() + "\n".join(found))
    checked = CliRunner().invoke(linli, ["check", "-c", str(path)])
    assert checked.exit_code == 0, checked.output
    devices = tomllib.loads(path.read_text())["device"]
    assert [device["name"] for device in devices] == ["water-level-riser-3", "water-level-pump-room-3"]


@pytest.mark.parametrize("port", ["ports/riser", "./ports/riser", "../here/ports/riser", "riser"])
def test_a_port_may_be_named_from_here(port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    (here / "ports").mkdir(parents=True)
    monkeypatch.chdir(here)
    with crowd_in_a_thread((B115200, modbus_ear(3, level()))) as bus:
        for link in (here / "ports/riser", here / "riser"):
            link.symlink_to(bus.path)
        result = run(port, "-c", config(tmp_path), "--units", "3", *FAST)
    assert result.exit_code == 0, result.output
    (line,) = tomllib.loads(result.stdout)["line"]
    assert line["serial"] == str(here / port), "whole, and by the name that was given"


def test_a_configured_line_by_name_as_json(tmp_path: Path) -> None:
    with crowd_in_a_thread((B115200, modbus_ear(3, level())), (B115200, modbus_ear(4, Slave({0: 7})))) as bus:
        path = config(
            tmp_path,
            f'[[line]]\nname = "pit"\nserial = "{bus.path}"\n'
            '[[device]]\nname = "sump"\nline = "pit"\nprofile = "qdy30a"\naddress = 3\n',
        )
        result = run("pit", "-c", path, "--units", "3,4", *FAST, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    known, new = said["found"]
    assert (known["address"], known["configured_as"], known["answers_in_s"] > 0) == (3, "sump", True)
    assert (known["candidates"], known["sure"]) == ([], "none"), "what is configured needs no search for a profile"
    assert (new["address"], new["framing"], new["serial"]) == (4, "rtu", {"baud": 115200, "format": "8N1"})
    (device,) = tomllib.loads(said["toml"])["device"]
    assert (device["line"], device["address"]) == ("pit", 4)
    assert said["complete"] is True
    path.write_text(path.read_text() + said["toml"])
    assert CliRunner().invoke(linli, ["check", "-c", str(path)]).exit_code == 0


def test_the_clock_of_a_borrowed_line_leaves_out_the_wait_for_a_turn() -> None:
    time, real = LineTime(), SystemClock()
    real_began, began = real.monotonic(), time.monotonic()
    while real.monotonic() < real_began + 0.05:
        pass
    time.answered(began, 0.01)
    assert time.monotonic() - began <= real.monotonic() - real_began - 0.03
    before = time.monotonic()
    time.answered(before, 5.0)
    assert time.monotonic() >= before, "never ahead of the real one, and never back"


def test_nothing_there_says_what_to_look_at() -> None:
    with crowd_in_a_thread() as bus:
        result = run(bus.path, "--units", "1", *FAST)
    assert result.exit_code == 1
    assert "Nothing answered. Check: power; A and B" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("nowhere", 'there is no line "nowhere"'),
        ("ports/nowhere", "is not there; check that the adapter is plugged in"),
        ("/dev/nowhere", "is not there; check that the adapter is plugged in"),
        ("tcp://10.0.0.1", "is not an address with a port"),
        ("http://10.0.0.1:80", "http:// is no way to a line"),
    ],
)
def test_what_is_no_line(line: str, sentence: str, tmp_path: Path) -> None:
    result = run(line, "-c", config(tmp_path))
    assert result.exit_code == 1
    assert sentence in result.stderr


def test_a_port_in_use_says_who_may_have_it(tmp_path: Path) -> None:
    with crowd_in_a_thread() as bus, Path(bus.path).open("rb+", buffering=0) as port:
        import fcntl

        fcntl.flock(port, fcntl.LOCK_EX | fcntl.LOCK_NB)
        result = run(bus.path, "-c", config(tmp_path))
    assert result.exit_code == 1
    assert "is in use by another program" in result.stderr
    assert "sudo systemctl stop linli" in result.stderr


def test_only_a_serial_port_has_a_speed(tmp_path: Path) -> None:
    result = run("tcp://127.0.0.1:502", "-c", config(tmp_path), "--baud", "9600")
    assert result.exit_code == 2
    assert "only a serial port has a speed" in result.stderr


def test_ctrl_c_prints_what_was_found_so_far(tmp_path: Path) -> None:
    asked = threading.Event()

    def ear(sent: bytes) -> bytes:
        if sent[0] > 20:
            asked.set()
        return modbus_ear(3, level())(sent)

    with crowd_in_a_thread((B115200, ear)) as bus:
        command = [sys.executable, "-m", "gateway", "scan", bus.path, "-c", str(config(tmp_path)), "--baud", "115200"]
        pipe = subprocess.PIPE
        with subprocess.Popen([*command, "--protocol", "modbus"], stdout=pipe, stderr=pipe, text=True) as scan:
            assert asked.wait(20)
            os.kill(scan.pid, signal.SIGINT)
            out, said = scan.communicate(timeout=20)
    assert scan.returncode == 130
    assert "stopped after" in said
    assert "address = 3" in out
    assert tomllib.loads(out)["line"]


@pytest.mark.parametrize(
    ("text", "units"), [("1-4", (1, 2, 3, 4)), ("3", (3,)), ("7,1-2,2", (7, 1, 2)), (" 5 , 247", (5, 247))]
)
def test_units(text: str, units: tuple[int, ...]) -> None:
    assert parse_units(text) == units


@pytest.mark.parametrize("text", ["0", "248", "5-3", "a", "", "1-", "1;2", "-4", "９"])
def test_units_that_are_none(text: str) -> None:
    result = run("/dev/null", "--units", text)
    assert result.exit_code == 2


def test_nothing_behind_a_network_address_says_what_to_look_at_there() -> None:
    result = run("udp://127.0.0.1:9", "--units", "1", "--protocol", "modbus")
    assert result.exit_code == 1
    assert "the right address and port; of a serial server its own speed" in result.stderr
    assert "takes all speeds" not in result.stderr


def test_without_any_configuration_a_name_is_told_to_be_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    place = importlib.import_module("gateway.cli.scan.place")
    monkeypatch.setattr(place, "DEFAULT_CONFIG", Path("/nowhere/linli.toml"))
    result = run("riser")
    assert result.exit_code == 1
    assert '"riser" is no port, and /nowhere/linli.toml cannot be read' in result.output
    assert "-c FILE" in result.output
