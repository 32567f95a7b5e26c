"""Allow and deny lists: validity, broken lines, encodings, changes."""

import os
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.vision.events import passage_event
from gateway.vision.grammar import discreet
from gateway.vision.lists import ListName, PlateLists, read_list
from gateway.vision.passages import PassageBook
from tests.vision.test_lost import plate

NAMES: tuple[ListName, ...] = ("allow", "deny")


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


@pytest.mark.parametrize("content", [None, "车牌,有效期\n苏E05C88,2020-01-01\n", "nonsense\n"])
def test_a_deny_list_that_was_never_readable_is_said_until_it_is(tmp_path: Path, content: str | None) -> None:
    allow, path = write(tmp_path / "allow.csv", "沪A12345\n"), tmp_path / "deny.csv"
    if content is not None:
        write(path, content)
    lists = PlateLists({"allow": allow, "deny": path})
    assert lists.unread
    assert "no gate opens" in lists.problems[0]
    assert lists.match("沪A12345", 0) is None  # an alarm on `allow` may open a gate, too
    write(path, "车牌\n")
    os.utime(path, ns=(1, 1))
    lists.refresh()
    assert (lists.unread, lists.problems) == (False, [])
    assert lists.match("沪A12345", 0) == "allow"
    path.unlink()
    lists.refresh()
    assert not lists.unread  # what it said last still holds
    assert "no gate opens" not in lists.problems[0]


@pytest.mark.parametrize("missing", ["allow", "deny", None])
def test_while_a_list_was_never_readable_nobody_counts_as_on_none(tmp_path: Path, missing: str | None) -> None:
    files: dict[ListName, Path | None] = {name: write(tmp_path / f"{name}.csv", "苏E05C88\n") for name in NAMES}
    if missing is not None:
        (tmp_path / f"{missing}.csv").unlink()
    book = PassageBook("gate", [], PlateLists(files))
    assert book.plate_ended(plate("沪A12345", 0.0, (200, 520)), {})
    (passage,) = book.take(20.0, [])
    event = passage_event("gate", passage, str, 0.0)
    assert event.data["list"] is None
    assert (event.kept, event.data.get("unread", False)) == (("unlisted", False) if missing is None else ("", True))


@pytest.mark.parametrize(
    ("deny", "said"), [(None, (None, "passage", True, "")), ("车牌\n", ("allow", "allow", None, "vehicle"))]
)
def test_nobody_is_called_allowed_while_the_deny_list_was_never_readable(
    tmp_path: Path, deny: str | None, said: tuple[object, ...]
) -> None:
    """Neither a gate nor an alarm hears the word: whichever opens it, it stays shut."""
    allow, path = write(tmp_path / "allow.csv", "沪A12345\n"), tmp_path / "deny.csv"
    if deny is not None:
        write(path, deny)
    book = PassageBook("gate", [], PlateLists({"allow": allow, "deny": path}))
    assert book.plate_ended(plate("沪A12345", 0.0, (200, 520)), {})
    (passage,) = book.take(20.0, [])
    event = passage_event("gate", passage, str, 0.0)
    assert (event.data["list"], event.event, event.data.get("unread"), event.kept) == said


def test_without_a_deny_list_there_is_nothing_to_read(tmp_path: Path) -> None:
    lists = PlateLists({"allow": tmp_path / "none.csv", "deny": None})
    assert not lists.unread
    assert "no gate opens" not in lists.problems[0]


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        assert "cannot be read (it is no plain file)" in PlateLists({"allow": path}).problems[0]


def test_columns_by_their_names_in_any_order(tmp_path: Path) -> None:
    rows = "\n".join(
        ("车主,号牌,开始日期,截止日期,时段", "王,沪A12345,2026/1/5,2026年3月1日,", "李,京B67890,,,8:00-18:00")
    )
    lists = PlateLists({"allow": write(tmp_path / "a.csv", rows)})
    assert lists.problems == []
    assert lists.match("沪A12345", at("2026-03-01T23:00:00")) == "allow"
    assert lists.match("沪A12345", at("2026-01-04T23:00:00")) is None
    assert lists.match("京B67890", at("2026-03-01T17:59:00")) == "allow"
    assert lists.match("京B67890", at("2026-03-01T18:00:00")) is None


@pytest.mark.parametrize(
    "spelling",
    [
        "沪A·12345",
        "沪a 12345",
        "沪Ａ１２３４５",
        "沪A-12345",
        "沪A•12345",
        " 沪A．12345 ",
        '"沪A‧12345"',
        "沪A\u200b12345",
    ],
)
def test_spellings_of_one_plate(tmp_path: Path, spelling: str) -> None:
    entries, problems = read_list(write(tmp_path / "list.csv", f"plate\n{spelling}\n"))
    assert (set(entries), problems) == ({"沪A12345"}, [])


def test_days_and_hours_over_midnight(tmp_path: Path) -> None:
    text = "plate,days,hours\n沪A12345,mon-fri,22:00-06:00\n京B67890,周六;周日,\n"
    lists = PlateLists({"allow": write(tmp_path / "a.csv", text)})
    friday, saturday, sunday = "2026-11-20", "2026-11-21", "2026-11-22"
    assert lists.match("沪A12345", at(f"{friday}T22:00:00")) == "allow"
    assert lists.match("沪A12345", at(f"{saturday}T05:59:00")) == "allow"  # Friday's night
    assert lists.match("沪A12345", at(f"{saturday}T22:30:00")) is None
    assert lists.match("沪A12345", at(f"{sunday}T05:00:00")) is None
    assert lists.match("京B67890", at(f"{sunday}T12:00:00")) == "allow"
    assert lists.match("京B67890", at(f"{friday}T12:00:00")) is None


def test_times_are_those_of_the_gateway(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "plate,from,to,hours\n沪A12345,2026-11-21,2026-11-21,08:00-20:00\n")
    lists = PlateLists({"allow": path}, ZoneInfo("Asia/Shanghai"))
    for text, expected in (("08:00", "allow"), ("07:59", None), ("19:59", "allow"), ("20:00", None)):
        moment = datetime.fromisoformat(f"2026-11-21T{text}:00+08:00")
        assert lists.match("沪A12345", round(moment.timestamp() * 1e9)) == expected


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("沪A1O345,,,", "write the digits 1 and 0"),
        ("沪A1234,,,", "this line is left out; what is there (6 characters) makes no plate; write it as it stands"),
        ("沪,,,", "what is there (1 character) makes no plate"),
        ("沪A12345,2026-13-01,,", "a date is written"),
        ("沪A12345,,,25:00-26:00", "from 00:00 to 24:00"),
        ("沪A12345,,,morning", "hours are written"),
        ("沪A12345,,someday,", "days are written"),
        (",,,", ""),
        ("沪A12345,,,,surplus", "5 cells"),
    ],
)
def test_a_broken_line_says_why(tmp_path: Path, line: str, why: str) -> None:
    entries, problems = read_list(write(tmp_path / "list.csv", f"plate,from,days,hours\n{line}\n"))
    assert entries == {}
    assert [why in problem and "list.csv:2:" in problem for problem in problems] == ([True] if why else [])
    assert all(discreet(problem) == problem for problem in problems)  # no example that a log would take for a plate


def test_a_list_that_is_emptied_keeps_its_plates_until_it_has_some(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "allow.csv", "京N98K76\n")
    lists = PlateLists({"allow": path}, now=lambda: 0.0)
    path.write_bytes(b"")
    assert lists.match("京N98K76", 0) == "allow"
    path.write_bytes(bytes(range(256)) * 8)
    assert lists.match("京N98K76", 0) == "allow"
    assert "no line that can be used" in lists.problems[0]
    told = len(caplog.records)
    lists.refresh()
    path.touch()
    lists.refresh()
    assert len(caplog.records) == told  # the same broken lines are said once
    write(path, "plate\n# nobody any more\n")
    assert lists.match("京N98K76", 0) is None
    assert lists.problems == []
    assert "京N98K76" not in caplog.text


def test_thousands_of_plates(tmp_path: Path) -> None:
    text = "plate,name,from,to\n" + "".join(f"沪A{number:05d},house {number},2026-01-01,\n" for number in range(8000))
    lists = PlateLists({"allow": write(tmp_path / "a.csv", text)})
    assert lists.problems == []
    assert lists.match("沪A07999", at("2026-02-01")) == "allow"


@pytest.mark.parametrize("province", ["鲁", "豫"])
def test_a_list_of_provinces_whose_gb_18030_is_sound_utf_8_too(tmp_path: Path, province: str) -> None:
    rows = f"{province}A12345,2026-01-01,2026-12-31\n{province}B67890\n"
    entries, problems = read_list(write(tmp_path / "list.csv", rows, "gb18030"))
    assert (set(entries), problems) == ({f"{province}A12345", f"{province}B67890"}, [])


def test_a_list_of_two_encodings_keeps_the_lines_of_most(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes("车牌,姓名\n沪A12345,王\n京B67890,x\n".encode() + "沪C12345,李\n".encode("gb18030"))
    entries, problems = read_list(path)
    assert set(entries) == {"沪A12345", "京B67890"}
    assert [problem.split(":")[1] for problem in problems] == ["4"]


@pytest.mark.parametrize(
    "head",
    ["plate,valid until", "车牌,有效期至", "车牌号,到期日（年/月/日）", "plate,EXPIRY_DATE", "﻿plate,to", "Plate ,To"],
)
@pytest.mark.parametrize("before", ["", "Vehicles of our community\n", "小区车辆登记表,\n"])
def test_an_end_is_understood_however_its_column_is_called(tmp_path: Path, head: str, before: str) -> None:
    path = write(tmp_path / "list.csv", f"{before}{head}\n沪A12345,2026-03-31\n", "gb18030")
    lists = PlateLists({"allow": path})
    assert lists.match("沪A12345", at("2026-03-31T12:00:00")) == "allow"
    assert lists.match("沪A12345", at("2026-04-01T12:00:00")) is None
    assert [problem.split(":")[1] for problem in lists.problems] == (["1"] if before else [])


@pytest.mark.parametrize(
    "head",
    [
        "Auto,End Date",
        "车,到期日",
        "车牌,有效期",
        "plate,valid",
        "plate,to,end",
        "车牌,合同到期",
        "plate,日期",
        "plate,plate",
    ],
)
def test_a_list_whose_columns_are_not_clear_lets_nobody_in(tmp_path: Path, head: str) -> None:
    path = write(tmp_path / "list.csv", f"{head}\n沪A12345,2020-01-01\n")
    entries, problems = read_list(path)
    assert entries == {}
    assert len(problems) == 1
    assert "list.csv:1:" in problems[0]
    assert "no line of this list is used" in problems[0]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_plates_without_a_chinese_character_take_no_end_for_a_beginning(tmp_path: Path, encoding: str) -> None:
    entries, problems = read_list(write(tmp_path / "list.csv", "车牌,有效期\nVA12345,2020-01-01\n", encoding))
    assert (entries, len(problems)) == ({}, 1)
    lists = PlateLists({"allow": write(tmp_path / "list.csv", "车牌,有效期至\nVA12345,2020-01-01\n?,\n", encoding)})
    assert lists.match("VA12345", at("2026-01-01")) is None
    assert lists.match("VA12345", at("2019-01-01")) == "allow"
    assert [problem.split(":")[1] for problem in lists.problems] == ["3"]


def test_a_heading_of_no_known_writing_is_said(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"\xff\xff,valid until\nVA12345,2020-01-01\n")
    entries, problems = read_list(path)
    assert entries == {}
    assert "no column of this heading" in problems[0]


def test_a_column_that_limits_nothing_may_stay(tmp_path: Path) -> None:
    entries, problems = read_list(
        write(tmp_path / "list.csv", "电话,车牌,车位,#有效期,登记日期\n1,沪A12345,B2,x,2020\n")
    )
    assert (set(entries), problems) == ({"沪A12345"}, [])


def test_a_quote_that_is_not_closed_costs_no_line_its_end(tmp_path: Path) -> None:
    rows = 'plate,name,to\n沪A12345,"two\nlines",2020-01-01\n京B67890,x,\n苏E05C88,' + "x" * 200_000 + ",\n"
    entries, problems = read_list(write(tmp_path / "list.csv", rows))
    assert set(entries) == {"京B67890"}
    assert [problem.split(":")[1] for problem in problems] == ["2", "3", "5"]


def test_a_list_that_is_being_written_over_is_read_when_it_is_done(tmp_path: Path) -> None:
    path = write(tmp_path / "allow.csv", "沪AD12345,,2030-01-01\n")
    now = [path.stat().st_mtime]
    lists = PlateLists({"allow": path}, now=lambda: now[0])
    write(path, "苏E05C88\n沪AD1234")  # half of a line is another plate, and has lost its end
    now[0] = path.stat().st_mtime + 0.5
    assert (lists.match("沪AD1234", 0), lists.match("苏E05C88", 0), lists.match("沪AD12345", 0)) == (
        None,
        None,
        "allow",
    )
    write(path, "苏E05C88\n沪AD12345,,2030-01-01\n")
    now[0] = path.stat().st_mtime + 1.5
    assert (lists.match("沪AD1234", 0), lists.match("苏E05C88", 0)) == (None, "allow")
    other = write(tmp_path / "new.csv", "京B67890\n")
    other.replace(path)  # whole at once
    now[0] = path.stat().st_mtime
    assert lists.match("京B67890", 0) == "allow"


def test_whether_the_hour_has_to_be_known(tmp_path: Path) -> None:
    allow = write(tmp_path / "allow.csv", "plate,to,hours\n沪A12345,,\n京B67890,2026-01-01,\n苏E05C88,,08:00-09:00\n")
    deny = write(tmp_path / "deny.csv", "粤B12345,2026-01-01\n")
    lists = PlateLists({"allow": allow, "deny": deny})
    known = ("沪A12345", "京B67890", "苏E05C88", "粤B12345", "粤B00000")
    assert [lists.limited(plate) for plate in known] == [False, True, True, True, False]
