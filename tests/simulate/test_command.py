"""`linli simulate` as people run it: it says where everything is, ends on Ctrl-C, and explains what it cannot do."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.simulate import simulate
from gateway.cli.simulate.show import _write
from gateway.contract import ConfigError
from tests.simulate.test_site import LEVEL, written

COMMAND = (sys.executable, "-m", "gateway", "simulate")


def started(*arguments: str, folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [*COMMAND, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_it_serves_until_ctrl_c_and_says_so(tmp_path: Path) -> None:
    wire = LEVEL.replace('name = "wire"\ntcp = "127.0.0.1:9"', 'name = "wire"\nserial = "/dev/ttyS9"')
    path = written(tmp_path, wire)
    script = written(tmp_path, '[[script]]\nfault = "silence"\ndevice = "level"\n', "play.toml")
    ports = tmp_path / "ports"
    running = started("site.toml", "--ports", "ports", "--script", "play.toml", "--json", folder=tmp_path)
    try:
        ready = json.loads(running.stdout.readline())
        assert (ready["ready"], ready["config"]) == (True, "site.rehearsal.toml")
        assert [line["address"] for line in ready["lines"]] == [str(ports / "wire")]
        assert (ports / "wire").is_char_device()
        script.write_text('[[script]]\nfault = "silense"\ndevice = "level"\n')
        running.send_signal(signal.SIGHUP)
        assert "silence" in running.stderr.readline()
        running.send_signal(signal.SIGINT)
        last = json.loads(running.communicate(timeout=20)[0].splitlines()[-1])
    finally:
        running.kill()
        running.wait()
    assert (running.returncode, last["ready"], len(last["devices"])) == (0, False, 2)
    assert not (ports / "wire").exists()
    assert path.with_name("site.rehearsal.toml").exists()


def test_a_line_that_several_stations_call_is_one_line(tmp_path: Path) -> None:
    stations = "".join(
        f'[[device]]\nname = "s{number}"\nline = "calls"\nprofile = "hj212-water"\naddress = "88888880000{number}"\n'
        for number in (1, 2, 3)
    )
    listen = '[[line]]\nname = "calls"\nlisten = "127.0.0.1:0"\nallow = ["127.0.0.0/8"]\n'
    written(tmp_path, LEVEL + listen.replace(":0", ":5200") + stations)
    said = subprocess.run(
        [*COMMAND, "site.toml", "--seconds", "0"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "simulates 5 devices on 2 lines;" in said
    shown = json.loads(
        subprocess.run(
            [*COMMAND, "site.toml", "--seconds", "0", "--json"],
            cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60,
        ).stdout.splitlines()[0]
    )  # fmt: skip
    assert [line["name"] for line in shown["lines"]] == ["wire", "calls"]
    assert [device["line"] for device in shown["devices"]] == ["wire", "wire", "calls", "calls", "calls"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["site.toml", "--script", "bad.toml"], 78, 'bad.toml:2: script[1].set: there is no device "x"'),
        (["site.toml", "--seconds", "0"], 0, ""),
    ],
)
def test_what_it_cannot_do_is_explained(arguments: list[str], code: int, words: str, tmp_path: Path) -> None:
    written(tmp_path, LEVEL)
    written(tmp_path, '[[script]]\nset = "x.y"\nvalue = 1\n', "bad.toml")
    done = subprocess.run([*COMMAND, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=30,
                          env={**os.environ, "PYTHONWARNINGS": "error"})  # fmt: skip
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    if code == 0:
        assert "ready: linli run -c site.rehearsal.toml" in done.stdout
        assert "0 answers served, all lines are closed" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["site.toml", "--turnaround", "5"], "has no unit"),
        (["site.toml", "-c", "site.toml"], "Name one configuration"),
        ([], "Name one configuration"),
        (["site.toml", "--log", "no/such/place"], "--log"),
    ],
)
def test_wrong_options_are_explained(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(simulate, arguments)
    assert done.exit_code in (2, 78)
    assert words in done.output


def test_the_configuration_is_never_overwritten(tmp_path: Path) -> None:
    path = written(tmp_path, LEVEL)
    with pytest.raises(ConfigError, match="is the configuration itself"):
        _write(tmp_path / "." / "site.toml", "", path)
    assert path.read_text() == LEVEL


def test_profiles_beside_the_configuration_are_found_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "site" / "devices").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    _write(tmp_path / "elsewhere" / "out.toml", "x = 1", written(tmp_path / "site", LEVEL))
    assert (tmp_path / "elsewhere" / "devices").resolve() == tmp_path / "site" / "devices"
