"""How far the clock can be believed, with a file system and a kernel's word made for the test."""

import os
from datetime import datetime
from pathlib import Path

import pytest

from gateway.clock import CHECK_EVERY, PLAUSIBLE, TIMESYNCD, TIMESYNCD_FRESH, SystemClock, has_battery, kernel_synced

NOW = 1_795_300_000


class SetClock(SystemClock):
    """The system's clock with wall and monotonic set by hand (a fake of the kernel's clocks only)."""

    def __init__(self, root: Path, wall: float = NOW) -> None:
        self.seconds, self.now, self.kernel = wall, 1000.0, False
        super().__init__("Asia/Shanghai", root, lambda: self.kernel)

    def wall(self) -> int:
        return int(self.seconds * 1e9)

    def monotonic(self) -> float:
        return self.now

    def later(self, seconds: float = CHECK_EVERY) -> str:
        self.now += seconds
        self.seconds += seconds
        return self.quality()


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A board without a battery, as a Raspberry Pi 4."""
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    return tmp_path


def test_a_board_has_no_battery_until_a_clock_chip_shows_the_time(board: Path) -> None:
    assert not has_battery(board, NOW)
    chip = board / "sys/class/rtc/rtc0"
    chip.mkdir(parents=True)
    assert not has_battery(board, NOW)
    (chip / "since_epoch").write_text("61\n")  # a chip without a battery began at 1970
    assert not has_battery(board, NOW)
    (chip / "since_epoch").write_text(f"{NOW + 2}\n")
    assert has_battery(board, NOW)


def test_machines_without_a_device_tree_have_a_battery(tmp_path: Path) -> None:
    assert has_battery(tmp_path, NOW)
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_bytes(b"linux,dummy-virt\0")
    assert has_battery(tmp_path, NOW)


@pytest.mark.parametrize("wall", [0, NOW - 365 * 86400, NOW])
def test_without_a_battery_nothing_is_believed_before_it_is_synced(board: Path, wall: float) -> None:
    clock = SetClock(board, wall)
    assert clock.quality() == "unknown"
    clock.kernel, clock.seconds = True, NOW
    assert clock.quality() == "unknown"  # looked at not more often than every few seconds
    assert clock.later() == "synced"
    clock.kernel = False
    assert clock.later() == "holdover"
    assert clock.was_synced


def test_with_a_battery_a_plausible_time_is_believed(tmp_path: Path) -> None:
    assert SetClock(tmp_path, PLAUSIBLE - 1).quality() == "unknown"
    assert SetClock(tmp_path, 0).quality() == "unknown"
    assert SetClock(tmp_path).quality() == "holdover"


def test_a_clock_far_behind_the_newest_record_is_not_believed_until_it_is_synced(tmp_path: Path) -> None:
    clock = SetClock(tmp_path)
    clock.remember((NOW + 86_400) * 10**9, was_synced=False)
    assert clock.quality() == "unknown"
    clock.kernel = True
    assert clock.later() == "synced"
    near = SetClock(tmp_path)
    near.remember((NOW + 600) * 10**9, was_synced=False)
    assert near.quality() == "holdover"


def test_a_restart_remembers_that_this_boot_was_synced(board: Path) -> None:
    clock = SetClock(board)
    assert clock.quality() == "unknown"
    clock.remember(0, was_synced=True)
    assert clock.quality() == "holdover"


def test_timesyncd_is_believed_while_its_file_is_fresh(board: Path) -> None:
    file = board / TIMESYNCD
    file.parent.mkdir(parents=True)
    file.touch()
    os.utime(file, (NOW, NOW))
    clock = SetClock(board, NOW + 10)
    assert clock.quality() == "synced"
    assert clock.later(TIMESYNCD_FRESH) == "holdover"
    stepped_back = SetClock(board, NOW - 7200)
    assert stepped_back.quality() == "holdover"


def test_the_kernel_answers() -> None:
    assert kernel_synced() in (True, False)


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Europe/Berlin", "UTC"])
def test_another_zone_or_its_summer_time_changes_the_text_but_not_the_moment(zone: str) -> None:
    clock = SystemClock(zone)
    start = 1_792_886_400  # two hours before Berlin's clocks go back on 2026-10-25
    moments = [datetime.fromisoformat(clock.rfc3339((start + 600 * n) * 10**9)).timestamp() for n in range(40)]
    assert moments == [start + 600 * n for n in range(40)]


def test_times_before_1970_and_far_ahead_have_a_text() -> None:
    clock = SystemClock("UTC")
    assert clock.rfc3339(-1) == "1969-12-31T23:59:59.999+00:00"
    assert clock.rfc3339(2**63 - 1).startswith("2262-04-11")
