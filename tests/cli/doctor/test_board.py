"""Power supply and temperature, from made files of /sys."""

from pathlib import Path

import pytest

from gateway.cli.doctor.topics.board import model, power, temperature
from tests.cli.doctor.made import look_at, made, only, verdicts

PI4 = "/sys/devices/platform/soc/soc:firmware/get_throttled"
PI5 = "/sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"


@pytest.mark.parametrize(
    ("path", "flags", "expected", "words"),
    [
        (PI4, "0\n", ["ok"], "are right"),
        (PI5, "0x0\n", ["ok"], "are right"),
        (PI4, "50005\n", ["wrong", "wrong"], "voltage is too low"),
        (PI5, "50000\n", ["look", "look"], "voltage was too low at some time"),
        (PI4, "80008\n", ["wrong"], "temperature limit"),
        (PI4, "10004\n", ["wrong", "look"], "throttled"),
    ],
)
def test_what_the_firmware_says_of_the_supply(
    tmp_path: Path, path: str, flags: str, expected: list[str], words: str
) -> None:
    found = look_at(made(tmp_path, {path: flags}), power)
    assert verdicts(found) == expected
    assert words in found[0].what


def test_a_hot_board_needs_air_and_a_weak_supply_another(tmp_path: Path) -> None:
    assert "heat sink" in only(look_at(made(tmp_path, {PI4: "8"}), power)).do
    assert "cable" in only(look_at(made(tmp_path, {PI4: "1"}), power)).do


@pytest.mark.parametrize(("alarm", "verdict"), [("0\n", "ok"), ("1\n", "wrong")])
def test_the_kernels_alarm_where_the_firmware_is_not_asked(tmp_path: Path, alarm: str, verdict: str) -> None:
    files = {
        "/sys/class/hwmon/hwmon0/name": "cpu_thermal\n",
        "/sys/class/hwmon/hwmon1/name": "rpi_volt\n",
        "/sys/class/hwmon/hwmon1/in0_lcrit_alarm": alarm,
    }
    assert only(look_at(made(tmp_path, files), power)).verdict == verdict


def test_other_boards_say_nothing_of_their_supply(tmp_path: Path) -> None:
    assert look_at(made(tmp_path, {PI4: "no number"}), power) == []


@pytest.mark.parametrize(("thousandths", "verdict"), [("48312", "ok"), ("75000", "look"), ("85000", "wrong")])
def test_the_hottest_sensor_counts(tmp_path: Path, thousandths: str, verdict: str) -> None:
    zone = "/sys/class/thermal/thermal_zone"
    files = {
        f"{zone}0/temp": "30000",
        f"{zone}1/temp": thousandths,
        f"{zone}1/type": "cpu-thermal",
        f"{zone}2/temp": "",
    }
    found = only(look_at(made(tmp_path, files), temperature))
    assert (found.verdict, found.where) == (verdict, "cpu-thermal")


def test_what_board_it_is(tmp_path: Path) -> None:
    files = {"/proc/device-tree/model": "Raspberry Pi 4 Model B\0", "/proc/uptime": "7200.10 100.0\n"}
    assert only(look_at(made(tmp_path, files), model)).what == "Raspberry Pi 4 Model B, on for 2 h"
