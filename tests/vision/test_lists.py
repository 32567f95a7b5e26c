"""Allow and deny lists: validity, broken lines, encodings, changes."""

import os
from datetime import datetime
from pathlib import Path

import pytest

from gateway.vision.lists import PlateLists, read_list


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).astimezone().timestamp() * 1e9)


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_lists_and_their_times(tmp_path: Path) -> None:
    allow = write(tmp_path / "allow.csv", "plate,from,to\n沪A·12345\n京B67890,2026-11-01,2026-11-21\n")
    deny = write(tmp_path / "deny.csv", "苏E05C88\n")
    lists = PlateLists({"allow": allow, "deny": deny})
    assert lists.problems == []
    assert lists.match("沪A12345", at("2020-01-01")) == "allow"
    assert lists.match("京B67890", at("2026-11-21T23:59:59")) == "allow"  # the last day counts
    assert lists.match("京B67890", at("2026-11-22T00:00:00")) is None
    assert lists.match("京B67890", at("2026-10-31T23:59:59")) is None
    assert lists.match("苏E05C88", at("2026-11-21")) == "deny"
    assert lists.match("沪A00000", at("2026-11-21")) is None


def test_deny_wins(tmp_path: Path) -> None:
    both = write(tmp_path / "both.csv", "沪A12345\n")
    assert PlateLists({"allow": both, "deny": both}).match("沪A12345", 0) == "deny"


def test_broken_lines_are_named_without_their_plates_and_good_ones_kept(tmp_path: Path) -> None:
    lines = ("沪A12345", "nonsense", "# a comment", "", "京B67890,yesterday", "苏E05C88,2026-02-02,2026-01-01")
    more = ("粤ZAB12澳,2026-01-01", "沪A1,2,3,4")
    entries, problems = read_list(write(tmp_path / "list.csv", "\n".join(lines + more)))
    assert set(entries) == {"沪A12345", "粤ZAB12澳"}
    assert [problem.split(":")[1] for problem in problems] == ["2", "5", "6", "8"]
    assert not any("nonsense" in problem or "京B" in problem for problem in problems)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_spreadsheets_encodings(tmp_path: Path, encoding: str) -> None:
    entries, problems = read_list(write(tmp_path / "list.csv", "车牌,from,to\n沪A12345,2026/11/01\n", encoding))
    assert (set(entries), problems) == ({"沪A12345"}, [])


def test_a_changed_file_is_read_again_and_a_lost_one_keeps_its_entries(tmp_path: Path) -> None:
    path = write(tmp_path / "allow.csv", "沪A12345\n")
    lists = PlateLists({"allow": path})
    write(path, "沪A12345\n京B67890\n")
    os.utime(path, ns=(1, 1))
    assert lists.match("京B67890", 0) == "allow"
    path.unlink()
    assert lists.match("京B67890", 0) == "allow"
    assert "cannot be read" in lists.problems[0]


def test_a_list_that_was_never_there_matches_nothing(tmp_path: Path) -> None:
    lists = PlateLists({"allow": tmp_path / "none.csv"})
    assert lists.match("沪A12345", 0) is None
    assert len(lists.problems) == 1
