"""The daemon's own word, the configuration, the program and its models, from made answers and real plans."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import linli
from gateway.cli.doctor.machine import Machine, Peer, meet
from gateway.cli.doctor.topics import program
from gateway.cli.doctor.topics.configuration import findings
from gateway.cli.doctor.topics.gateway import answers, changed, problems
from gateway.cli.doctor.topics.models import needed
from tests.cli.doctor.made import look_at, made, only, planned, status, verdicts

CAMERA = '[[camera]]\nname = "north"\nurl = "film.mp4"\npurpose = "vehicle gate"\n[camera.{}]\n'


def test_it_answers(tmp_path: Path) -> None:
    files = {"/proc/5/status": "Name:\tlinli\nVmRSS:\t   59392 kB\n"}
    found = only(look_at(made(tmp_path, files, status=status(), running=True, peer=Peer(5, 990)), answers))
    assert found == ("ok", "", "made-gate answers, up 1 min, 58.0 MiB of memory", "")


def test_another_version_runs_than_is_installed(tmp_path: Path) -> None:
    found = look_at(made(tmp_path, status=status(version="0.0.9")), answers)
    assert (verdicts(found), "restart" in found[1].do) == (["ok", "look"], True)


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"running": False}, "look"),
        ({"running": True, "silence": "the gateway did not answer within 5 s; see: journalctl -u linli -e"}, "wrong"),
        ({"running": True, "silence": "you may not use /x/linli.sock. Use sudo, or join the group"}, "unseen"),
    ],
)
def test_it_does_not_answer(tmp_path: Path, fields: dict[str, Any], verdict: str) -> None:
    assert only(look_at(made(tmp_path, state=tmp_path, **fields), answers)).verdict == verdict


def test_a_service_that_does_not_run_is_wrong(tmp_path: Path) -> None:
    files = {"/run/systemd/system/x": "", "/etc/systemd/system/linli.service": ""}
    assert only(look_at(made(tmp_path, files, state=tmp_path), answers)).verdict == "wrong"


def test_its_problems_are_ours(tmp_path: Path) -> None:
    rows = [{"part": "x", "severity": severity, "text": f"{severity} text", "since": None, "fix": "mend it"}
            for severity in ("major", "minor", "warning")]  # fmt: skip
    found = look_at(made(tmp_path, status=status(problems=rows)), problems)
    assert verdicts(found) == ["wrong", "look", "look"]
    assert {finding.do for finding in found} == {"mend it"}
    assert verdicts(look_at(made(tmp_path, status=status()), problems)) == ["ok"]


@pytest.mark.parametrize(("after", "expected"), [(-30, []), (30, ["look"])])
def test_a_configuration_that_was_changed_since(tmp_path: Path, after: int, expected: list[str]) -> None:
    machine = planned(tmp_path)
    running = made(tmp_path, config=machine.config, status=status(uptime_s=60.0))
    began = running.clock.wall() / 1e9 - 60
    assert machine.config is not None
    os.utime(machine.config, (began + after, began + after))
    assert verdicts(look_at(running, changed)) == expected


# ---- configuration


def test_a_sound_configuration_and_its_warnings(tmp_path: Path) -> None:
    text = f'[gateway]\nid = "made-gate"\nstate = "{tmp_path}"\n[uplink.mqtt]\nurl = "mqtts://h:1"\ninsecure = true\n'
    found = look_at(planned(tmp_path, text), findings)
    assert verdicts(found) == ["ok", "look"]
    assert "insecure" in found[1].what


def test_mistakes_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "linli.toml"
    file.write_text('[gateway]\nid = "X"\n[[line]]\nname = "a"\n')
    found = only(look_at(meet(file, None), findings))
    assert (found.verdict, "(and 1 more)" in found.what, f"{file}:2:" in found.what) == ("wrong", True, True)


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    assert only(look_at(meet(tmp_path / "none.toml", None), findings)).verdict == "wrong"


def test_a_configuration_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "linli.toml"
    file.write_text(f'[gateway]\nid = "made-gate"\nstate = "{tmp_path}"\n')
    opener = Path.open

    def refuse(path: Path, *rest: Any, **more: Any) -> Any:
        if path == file:
            raise PermissionError(13, "Permission denied")
        return opener(path, *rest, **more)

    monkeypatch.setattr(Path, "open", refuse)
    machine = meet(file, None)
    assert (machine.plan, machine.state, machine.mistakes) == (None, None, ())
    found = only(look_at(machine, findings))
    assert (found.verdict, "sudo" in found.do) == ("unseen", True)
    done = CliRunner().invoke(linli, ["doctor", "-c", str(file), "--json", "configuration", "gateway", "store", "disk"])
    assert done.exit_code == 0
    assert {each["verdict"] for each in json.loads(done.output)["findings"]} == {"unseen"}


def test_a_state_directory_alone(tmp_path: Path) -> None:
    machine = meet(None, tmp_path)
    assert (machine.config, machine.state, machine.running) == (None, tmp_path, False)
    assert only(look_at(machine, findings)).verdict == "unseen"


def test_something_else_listens_at_the_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "linli.sock"))
    machine = meet(None, tmp_path)
    assert (machine.running, machine.status) == (False, None)


# ---- program and models


def test_an_extra_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = planned(tmp_path, f'[gateway]\nid = "made-gate"\nstate = "{tmp_path}"\n{CAMERA.format("vehicles")}')
    monkeypatch.setattr(program, "find_spec", lambda name: None if name == "av" else True)
    found = only(look_at(machine, program.extras))
    assert (found.verdict, "av missing" in found.what) == ("wrong", True)
    assert look_at(planned(tmp_path), program.extras) == []


def test_a_python_that_is_too_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program.sys, "version_info", (3, 14, 0))
    assert only(look_at(Machine(), program.version)).verdict == "wrong"


@pytest.mark.parametrize(("content", "expected"), [(b"model", ["ok"]), (b"other", ["wrong"]), (None, ["wrong"])])
def test_packs_that_the_cameras_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, expected: list[str]
) -> None:
    monkeypatch.setenv("LINLI_MODELS", str(tmp_path / "models"))
    good = "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"  # SHA-256 of b"model"
    for name, task in (("judge", "fall-verification"), ("others", "plate-reading")):
        folder = tmp_path / "models" / name
        (folder / "files").mkdir(parents=True)
        (folder / "manifest.toml").write_text(
            f'name = "{name}"\ntask = "{task}"\nversion = "1"\nlicence = "x"\nsource = "x"\nmember = ""\n'
            f'sha256 = "{good}"\nnotes = ""\nfile = "m.onnx"\n'
        )
        if content is not None:
            (folder / "files" / "m.onnx").write_bytes(content)
    facade = "floors = 6\nground = [[0, 100], [100, 100]]\nroof = [[0, 0], [100, 0]]\n"
    text = CAMERA.format("falling") + f"[camera.falling.facade]\n{facade}"
    machine = planned(tmp_path, f'[gateway]\nid = "made-gate"\nstate = "{tmp_path}"\n{text}')
    found = look_at(machine, needed)
    assert verdicts(found) == expected
    assert "judge" in found[0].what
    assert "others" not in found[0].what
