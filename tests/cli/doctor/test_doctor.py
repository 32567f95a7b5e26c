"""`linli doctor` as a program: against a real running daemon, against none, and that it changes nothing."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.doctor.examine import all_topics
from tests.site import TOKEN, Daemon, device, free_port, head, line, modbus_server

SECRET = "a-password-that-only-this-test-knows"
# Prints every file that is opened for writing, every database, and every serial port that is opened at all.
WATCHED = (
    "import os, sys\n"
    "def hear(event, args):\n"
    "    if event == 'open' and isinstance(args[2], int) and (args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)"
    " or str(args[0]).startswith('/dev/pts')):\n"
    "        sys.stderr.write(f'OPENED {args[0]} {args[2] & os.O_TMPFILE == os.O_TMPFILE}\\n')\n"
    "    if event in ('os.remove', 'os.rename', 'os.mkdir', 'os.chmod', 'shutil.rmtree'):\n"
    "        sys.stderr.write(f'CHANGED {event} {args}\\n')\n"
    "sys.addaudithook(hear)\n"
    "sys.dont_write_bytecode = True\n"
    "from gateway.cli import linli\n"
    "linli()\n"
)


def doctor(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", WATCHED, "doctor", "-c", str(config), *options]
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


def by_topic(done: subprocess.CompletedProcess[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(done.stdout)["findings"]:
        found.setdefault(finding["topic"], []).append(finding)
    return found


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def site(tmp_path: Path) -> Any:
    """A configuration with a wire (a pseudo-terminal), a device that answers, a way out that is dead, and a secret."""
    password = tmp_path / "password"
    password.write_text(SECRET)
    password.chmod(0o600)
    ends = os.openpty()
    wire = os.ttyname(ends[1])
    os.close(ends[1])
    with modbus_server() as server:
        port = free_port()
        text = head(tmp_path / "state", port) + f'[uplink.mqtt]\nurl = "mqtt://127.0.0.1:{free_port()}"\n'
        text += f'user = "gate"\npassword_file = "{password}"\n' + line("plant", server.port) + device("pump", "plant")
        text += f'[[line]]\nname = "wire"\nserial = "{wire}"\n'
        file = tmp_path / "linli.toml"
        file.write_text(text)
        yield Daemon(file, port), wire
    os.close(ends[0])


def test_with_a_running_gateway_and_without(site: tuple[Daemon, str], tmp_path: Path) -> None:
    daemon, wire = site
    assert TOKEN not in daemon.config.read_text()
    daemon.start()
    try:
        daemon.pull("perception", 1)
        done = doctor(daemon.config, "--json")
        names = {path.name for path in (tmp_path / "state").iterdir()}
        plain = doctor(daemon.config, "gateway", "network")
        assert {path.name for path in (tmp_path / "state").iterdir()} == names
    finally:
        assert daemon.stop() == 0
    found = by_topic(done)
    assert done.returncode == 1
    assert set(found) <= set(all_topics())
    assert "failed itself" not in done.stdout
    assert any("test-gate answers" in each["what"] for each in found["gateway"])
    assert any(each["verdict"] == "wrong" and "uplink mqtt" in each["what"] for each in found["gateway"])
    (mqtt,) = (each for each in found["network"] if each["where"] == "uplink mqtt")
    assert (mqtt["verdict"], "nothing listens" in mqtt["what"]) == ("wrong", True)
    assert [(each["where"], each["verdict"]) for each in found["serial-ports"]] == [("wire", "ok")], (
        "it holds it itself"
    )
    assert f"listens on 127.0.0.1:{daemon.port} only" in found["listening"][0]["what"]
    assert any("sound and complete" in each["what"] for each in found["store"])
    assert plain.stdout.splitlines()[0].startswith("test-gate linli ")
    assert plain.stdout.splitlines()[-1].startswith("2 wrong, ")

    before = contents(tmp_path)
    without = doctor(daemon.config, "--json")
    assert contents(tmp_path) == before, "it changes nothing"
    found = by_topic(without)
    assert ("look", "the gateway does not run") in [(each["verdict"], each["what"]) for each in found["gateway"]]
    assert (without.returncode, json.loads(without.stdout)["running"]) == (1, False)
    assert "failed itself" not in without.stdout
    for one in (done, plain, without):
        assert SECRET not in one.stdout + one.stderr
        touched = [row for row in one.stderr.splitlines() if row.startswith(("OPENED", "CHANGED"))]
        assert [row for row in touched if row != f"OPENED {tmp_path / 'state'} True"] == [], wire
    assert "OPENED" in done.stderr, "the watch works: the disk was tried with a nameless file"


def test_a_machine_where_nothing_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "linli.toml"
    file.write_text(head(tmp_path / "state", free_port()))
    done = doctor(file, "--json", "configuration", "gateway", "serial-ports", "listening", "store")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["ok"] is True
