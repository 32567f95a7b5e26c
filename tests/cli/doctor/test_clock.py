"""The clock, its chip and its zone, from made files."""

from pathlib import Path

import pytest

from gateway.cli.doctor.topics.clock import chip, synchronised, zone
from tests.cli.doctor.made import look_at, made, only, planned, status, verdicts
from tests.conftest import FakeClock

NOW = FakeClock().wall_ns // 1_000_000_000
KEEPER = {"/proc/77/comm": "systemd-timesyn\n"}


def clock(trust: str, seconds: int = NOW) -> FakeClock:
    made_clock = FakeClock()
    made_clock.trust, made_clock.wall_ns = trust, seconds * 1_000_000_000
    return made_clock


@pytest.mark.parametrize(("trust", "verdict"), [("synced", "ok"), ("holdover", "look"), ("unknown", "wrong")])
def test_how_far_the_time_can_be_trusted(tmp_path: Path, trust: str, verdict: str) -> None:
    assert only(look_at(made(tmp_path, KEEPER, clock=clock(trust)), synchronised)).verdict == verdict


def test_the_gateway_knows_better_than_a_fresh_look(tmp_path: Path) -> None:
    machine = made(tmp_path, KEEPER, clock=clock("synced"), status=status(timequality="unknown"))
    assert only(look_at(machine, synchronised)).verdict == "wrong"


def test_nobody_keeps_the_time(tmp_path: Path) -> None:
    found = look_at(made(tmp_path, clock=clock("holdover")), synchronised)
    assert verdicts(found) == ["look", "look"]
    assert "systemd-timesyncd" in found[1].do


def test_a_clock_that_was_never_set(tmp_path: Path) -> None:
    found = only(look_at(made(tmp_path, KEEPER, clock=clock("unknown", 1_000_000_000)), synchronised))
    assert (found.verdict, "never set" in found.what) == ("wrong", True)


@pytest.mark.parametrize(("off", "verdict"), [(2, "ok"), (90_000, "look")])
def test_a_chip_with_an_empty_battery(tmp_path: Path, off: int, verdict: str) -> None:
    files = {"/sys/class/rtc/rtc0/since_epoch": f"{NOW - off}\n"}
    found = only(look_at(made(tmp_path, files), chip))
    assert (found.verdict, found.where, "battery" in found.do) == (verdict, "rtc0", verdict == "look")


def test_a_board_without_a_chip(tmp_path: Path) -> None:
    found = only(look_at(made(tmp_path, {"/proc/device-tree/model": "Raspberry Pi 4"}), chip))
    assert (found.verdict, "no clock chip" in found.what) == ("ok", True)


@pytest.mark.parametrize(
    ("name", "verdict"), [("Asia/Shanghai", "ok"), ("Etc/UTC", "look"), ("UTC", "look"), ("Europe/Berlin", "ok")]
)
def test_the_machines_zone(tmp_path: Path, name: str, verdict: str) -> None:
    machine = made(tmp_path)
    (machine.root / "etc").mkdir()
    (machine.root / "etc" / "localtime").symlink_to(f"/usr/share/zoneinfo/{name}")
    found = only(look_at(machine, zone))
    assert (found.verdict, name in found.what) == (verdict, True)


def test_a_configured_zone_settles_it(tmp_path: Path) -> None:
    text = f'[gateway]\nid = "made-gate"\nstate = "{tmp_path}"\ntimezone = "Asia/Shanghai"\n'
    assert only(look_at(planned(tmp_path, text), zone)).verdict == "ok"
