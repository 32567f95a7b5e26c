"""The disk: made mounts and memory cards, and a real folder that is written to."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.doctor.topics import disk
from gateway.cli.doctor.topics.disk import elsewhere, mount_of, mounted, room, speed, wear
from tests.cli.doctor.made import look_at, made, only, planned, status, verdicts
from tests.conftest import FakeClock

ROOT = "27 1 179:2 / / rw,relatime - ext4 /dev/mmcblk0p2 rw\n"


def info(*lines: str) -> dict[str, str]:
    return {"/proc/self/mountinfo": ROOT + "".join(f"{line}\n" for line in lines)}


# ---- mounts


def test_the_longest_and_latest_mount_holds_a_path(tmp_path: Path) -> None:
    lines = ("30 27 8:1 / /var rw - ext4 /dev/sda1 rw", r"31 27 8:2 / /var/邻里\040disk rw - ext4 /dev/sda2 rw",
             "32 27 8:3 / /var rw - btrfs /dev/sda3 rw")  # fmt: skip
    machine = made(tmp_path, info(*lines))
    places = ["/", "/variant", "/var/lib", "/var/邻里 disk/x"]
    sources = [mount_of(machine, Path(place)).source for place in places]  # type: ignore[union-attr]
    assert sources == ["/dev/mmcblk0p2", "/dev/mmcblk0p2", "/dev/sda3", "/dev/sda2"]


@pytest.mark.parametrize(
    ("line", "verdict", "words"),
    [
        ("40 27 179:2 / {} rw,relatime - ext4 /dev/mmcblk0p2 rw", "ok", "for writing"),
        ("40 27 179:2 / {} ro,relatime - ext4 /dev/mmcblk0p2 rw", "wrong", "read-only"),
        ("40 27 179:2 / {} rw,relatime shared:1 - ext4 /dev/mmcblk0p2 ro,errors=remount-ro", "wrong", "read-only"),
        ("40 27 0:9 / {} rw - tmpfs tmpfs rw,size=1k", "look", "tmpfs forgets"),
        ("40 27 0:9 / {} rw - overlay overlay rw,lowerdir=x", "look", "overlay may forget"),
        ("40 27 8:1 / {} rw - vfat /dev/sda1 rw", "look", "not safe"),
    ],
)
def test_how_it_is_mounted(tmp_path: Path, line: str, verdict: str, words: str) -> None:
    found = only(look_at(made(tmp_path, info(line.format(tmp_path)), state=tmp_path), mounted))
    assert (found.verdict, words in found.what) == (verdict, True)


def test_another_disk_that_was_made_read_only(tmp_path: Path) -> None:
    lines = (
        "41 27 179:2 / /usr ro - ext4 /dev/mmcblk0p2 rw",
        "42 27 8:1 / /data rw - ext4 /dev/sda1 ro,errors=remount-ro",
        "43 27 8:1 / /again rw - ext4 /dev/sda1 ro,errors=remount-ro",
        "44 27 7:0 / /s ro - squashfs /dev/loop0 ro",
        "45 27 8:2 /etc/os-release /bound ro - ext4 /dev/sda2 rw",
    )
    found = only(look_at(made(tmp_path, info(*lines), state=tmp_path), elsewhere))
    assert (found.verdict, found.where) == ("look", "/dev/sda1 on /data")


def test_a_file_system_that_has_counted_errors(tmp_path: Path) -> None:
    files = {**info(), "/sys/fs/ext4/mmcblk0p2/errors_count": "3\n"}
    found = look_at(made(tmp_path, files, state=tmp_path), mounted)
    assert verdicts(found) == ["ok", "look"]
    assert "counted 3 errors" in found[1].what


# ---- room


def statvfs(free: int, files_free: int = 900) -> os.statvfs_result:
    return os.statvfs_result((4096, 4096, 1 << 22, free // 4096, free // 4096, 1000, files_free, files_free, 0, 255))


@pytest.mark.parametrize(
    ("free", "verdict"), [(100 << 20, "wrong"), (1 << 30, "look"), (12 << 30, "ok")]
)  # the quotas ask for 10 GiB
def test_room_against_what_the_quotas_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: str
) -> None:
    monkeypatch.setattr(disk.os, "statvfs", lambda _path: statvfs(free))
    machine = planned(tmp_path)
    running = made(tmp_path, plan=machine.plan, state=tmp_path, status=status())
    assert only(look_at(running, room)).verdict == verdict


def test_no_files_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.os, "statvfs", lambda _path: statvfs(12 << 30, 10))
    assert verdicts(look_at(made(tmp_path, state=tmp_path), room)) == ["ok", "look"]


# ---- speed


class Stepping(FakeClock):
    """A clock that goes on by ``step`` at every look."""

    def __init__(self, step: float) -> None:
        super().__init__()
        self.step = step

    def monotonic(self) -> float:
        self.now += self.step
        return self.now


@pytest.mark.parametrize(("step", "verdict"), [(0.01, "ok"), (0.6, "look"), (6.0, "wrong")])
def test_how_long_a_write_takes(tmp_path: Path, step: float, verdict: str) -> None:
    state = tmp_path / "state"
    state.mkdir()
    found = only(look_at(made(tmp_path, state=state, clock=Stepping(step)), speed))
    assert (found.verdict, f"{step * 1000:.1f} ms" in found.what) == (verdict, True)
    assert list(state.iterdir()) == []


def test_nothing_is_written_beside_a_state_directory_that_is_not_there(tmp_path: Path) -> None:
    assert look_at(made(tmp_path, state=tmp_path / "none" / "yet"), speed) == []


@pytest.mark.parametrize(
    ("error", "verdict", "words"),
    [
        (PermissionError(13, "Permission denied"), "unseen", "may not write"),
        (OSError(95, "Operation not supported"), "unseen", "nameless"),
        (OSError(30, "Read-only file system"), "wrong", "Read-only file system"),
        (OSError(28, "No space left on device"), "wrong", "No space left"),
    ],
)
def test_a_folder_that_takes_no_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, verdict: str, words: str
) -> None:
    def refuse(*_: object) -> Iterator[int]:
        raise error

    monkeypatch.setattr(disk.os, "open", refuse)
    found = only(look_at(made(tmp_path, state=tmp_path), speed))
    assert (found.verdict, words in found.what) == (verdict, True)


# ---- wear


@pytest.mark.parametrize(
    ("life", "reserve", "expected"),
    [
        ("0x01 0x02\n", "0x01", "ok"),
        ("0x09 0x01\n", "0x01", "look"),
        ("0x01 0x0b\n", "0x01", "wrong"),
        ("0x00 0x00\n", "0x02", "look"),
        ("0x03 0x03\n", "0x03", "wrong"),
    ],
)
def test_what_the_memory_says_of_its_age(tmp_path: Path, life: str, reserve: str, expected: str) -> None:
    device = "/sys/block/mmcblk0/device"
    machine = made(tmp_path, {f"{device}/life_time": life, f"{device}/pre_eol_info": reserve})
    assert only(look_at(machine, wear)).verdict == expected


@pytest.mark.parametrize("life", ["", "0x00 0x00\n", "broken"])
def test_a_card_says_nothing(tmp_path: Path, life: str) -> None:
    assert look_at(made(tmp_path, {"/sys/block/mmcblk0/device/life_time": life}), wear) == []
