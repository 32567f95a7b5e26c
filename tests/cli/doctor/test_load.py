"""Memory, swap and processors, from made files of /proc."""

from pathlib import Path

import pytest

from gateway.cli.doctor.topics.load import memory, processors
from tests.cli.doctor.made import look_at, made, only, verdicts

SWAPS = "Filename Type Size Used Priority\n"


@pytest.mark.parametrize(("free", "verdict"), [(40, "wrong"), (100, "look"), (500, "ok")])
def test_memory_that_is_left(tmp_path: Path, free: int, verdict: str) -> None:
    text = f"MemTotal:        1000 kB\nMemFree: 1 kB\nMemAvailable:    {free} kB\nHugePages_Total: 0\n"
    assert only(look_at(made(tmp_path, {"/proc/meminfo": text}), memory)).verdict == verdict


@pytest.mark.parametrize(
    ("rows", "expected"),
    [("", []), ("/var/swap file 102396 2048 -2\n", ["look"]), ("/dev/zram0 partition 99 50 100\n", []),
     ("/var/swap file 102396 0 -2\n", [])],
)  # fmt: skip
def test_swap_on_a_card(tmp_path: Path, rows: str, expected: list[str]) -> None:
    assert verdicts(look_at(made(tmp_path, {"/proc/swaps": SWAPS + rows}), memory)) == expected


def test_programs_that_the_kernel_killed(tmp_path: Path) -> None:
    files = {"/proc/vmstat": "nr_free_pages 5\noom_kill 2\n"}
    assert "killed 2 programs" in only(look_at(made(tmp_path, files), memory)).what


@pytest.mark.parametrize(("load", "verdict"), [("0.10 0.20 5.90 1/99 4", "ok"), ("9 9 6.10 1/99 4", "look")])
def test_load_by_processors(tmp_path: Path, load: str, verdict: str) -> None:
    files = {"/proc/loadavg": load, **{f"/sys/devices/system/cpu/cpu{n}/x": "" for n in range(4)}}
    assert only(look_at(made(tmp_path, files), processors)).verdict == verdict


@pytest.mark.parametrize(("share", "expected"), [("1.50", []), ("45.00", ["look"])])
def test_time_lost_in_waiting(tmp_path: Path, share: str, expected: list[str]) -> None:
    text = f"some avg10=90.00 avg60=90.00 avg300=90.00 total=1\nfull avg10=9.00 avg60=9.00 avg300={share} total=1\n"
    assert verdicts(look_at(made(tmp_path, {"/proc/pressure/io": text}), processors)) == expected
