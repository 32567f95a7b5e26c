"""The systemd service, from made answers of `systemctl show`."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.cli.doctor.machine import Machine, run_command
from gateway.cli.doctor.topics.service import unit
from gateway.contract import LinliError
from tests.cli.doctor.made import look_at, made, only, verdicts

WELL = {
    "LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled",
    "NRestarts": "0", "ExecMainStatus": "0", "Result": "success", "WatchdogUSec": "30s", "NeedDaemonReload": "no",
}  # fmt: skip


def booted(folder: Path, **changed: str) -> Machine:
    def answer(words: Sequence[str]) -> str:
        assert words[:3] == ("systemctl", "show", "linli.service")
        return "".join(f"{key}={value}\n" for key, value in {**WELL, **changed}.items())

    return made(folder, {"/run/systemd/system/x": ""}, run=answer)


@pytest.mark.parametrize(
    ("changed", "expected", "words"),
    [
        ({}, ["ok"], "is active (running)"),
        ({"LoadState": "not-found"}, ["look"], "not installed as a service"),
        ({"ActiveState": "failed", "ExecMainStatus": "78"}, ["wrong"], "configuration cannot be used"),
        ({"ActiveState": "failed", "Result": "watchdog"}, ["wrong"], "failed (watchdog)"),
        ({"ActiveState": "inactive", "SubState": "dead"}, ["wrong"], "is inactive"),
        ({"UnitFileState": "disabled"}, ["ok", "wrong"], "after a power cut it stays off"),
        ({"NRestarts": "12"}, ["ok", "look"], "restarted it 12 times"),
        ({"WatchdogUSec": "infinity"}, ["ok", "look"], "watchdog is off"),
        ({"NeedDaemonReload": "yes"}, ["ok", "look"], "was changed"),
    ],
)
def test_what_systemd_says(tmp_path: Path, changed: dict[str, str], expected: list[str], words: str) -> None:
    found = look_at(booted(tmp_path, **changed), unit)
    assert verdicts(found) == expected
    assert words in found[-1].what


def test_without_systemd(tmp_path: Path) -> None:
    assert only(look_at(made(tmp_path), unit)).verdict == "look"


def test_a_systemctl_that_does_not_work(tmp_path: Path) -> None:
    def refuse(_words: Sequence[str]) -> str:
        raise LinliError("systemctl says: Failed to connect to bus")

    machine = made(tmp_path, {"/run/systemd/system/x": ""}, run=refuse)
    assert (only(look_at(machine, unit)).verdict, "bus" in only(look_at(machine, unit)).what) == ("unseen", True)


@pytest.mark.parametrize(
    ("words", "why"), [(("/nowhere/at/all",), "cannot be run"), (("sh", "-c", "echo no >&2; exit 3"), "says: no")]
)
def test_programs_that_fail(words: tuple[str, ...], why: str) -> None:
    with pytest.raises(LinliError, match=why):
        run_command(words)
    assert run_command(("echo", "yes")) == "yes\n"
