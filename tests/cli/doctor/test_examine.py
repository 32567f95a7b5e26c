"""The run of all probes: one that fails, hangs or is new; the report, its sums and its exit status."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import linli
from gateway.cli.doctor import topics
from gateway.cli.doctor.examine import Found, all_topics, examine
from gateway.cli.doctor.finding import Finding, Probe, look, ok, unseen, wrong
from gateway.cli.doctor.machine import Machine
from gateway.cli.doctor.report import as_blocks, as_data, is_well
from gateway.cli.output import plain
from tests.cli.doctor.made import made


def fine(_machine: Machine) -> Iterator[Finding]:
    yield ok("here", "all is well")


def dies(_machine: Machine) -> Iterator[Finding]:
    yield look("here", "said before", "nothing")
    raise KeyError("of-a-probe")


def test_a_probe_that_fails_is_told_as_such_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = threading.excepthook
    found = examine(made(tmp_path), {"a": [Probe("the first", dies)], "b": [Probe("the second", fine)]})
    assert [each.finding.verdict for each in found] == ["look", "unseen", "ok"]
    failed = found[1].finding
    assert failed.where == "the first"
    assert "failed itself: KeyError: 'of-a-probe'" in failed.what
    assert capsys.readouterr() == ("", ""), "no traceback on the technician's terminal"
    assert threading.excepthook is hook


def test_a_failure_in_our_code_says_where(tmp_path: Path) -> None:
    def lost(machine: Machine) -> Iterator[Finding]:
        machine.run(5)  # type: ignore[arg-type]
        yield ok("", "")

    (found,) = examine(made(tmp_path), {"a": [Probe("lost", lost)]})
    assert found.finding.what.startswith("this probe failed itself: TypeError: ")
    assert "(machine.py:" in found.finding.what


def test_a_probe_that_hangs_is_given_up(tmp_path: Path) -> None:
    release = threading.Event()

    def hangs(_machine: Machine) -> Iterator[Finding]:
        yield ok("here", "before it hung")
        release.wait(30)
        yield ok("here", "too late")

    shown: list[str] = []
    try:
        found = examine(made(tmp_path), {"a": [Probe("a slow disk", hangs, 0.05), Probe("b", fine)]}, shown.append)
    finally:
        release.set()
    assert [each.finding.what for each in found if each.finding.verdict == "ok"] == ["before it hung", "all is well"]
    assert "did not end within 0.05 s" in found[1].finding.what
    assert shown == ["a slow disk", "b"]


def test_a_file_in_topics_is_a_topic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = all_topics()
    assert {"disk", "serial-ports", "network", "clock"} <= set(known)
    (tmp_path / "of_a_test.py").write_text("from gateway.cli.doctor.topics.board import PROBES\n")
    monkeypatch.setattr(topics, "__path__", [*topics.__path__, str(tmp_path)])
    assert set(all_topics()) - set(known) == {"of-a-test"}


@pytest.mark.parametrize("name", sorted(all_topics()))
def test_no_topic_fails_on_a_machine_that_has_nothing(tmp_path: Path, name: str) -> None:
    found = examine(made(tmp_path), {name: all_topics()[name]})
    assert [each.finding.what for each in found if "failed itself" in each.finding.what] == []


# ---- the report

FOUND = [
    Found("disk", ok("/", "free")),
    Found("clock", look("", "drifts", "connect it")),
    Found("disk", unseen("/x", "hidden", "sudo")),
    Found("network", wrong("uplink mqtt", "\x1b[31mgone\x07", "look")),
]


def test_the_worst_stands_first_with_what_to_do(tmp_path: Path) -> None:
    lines = [line for block in as_blocks(made(tmp_path), FOUND) for line in plain(block)]
    at = [next(number for number, line in enumerate(lines) if line.startswith(word))
          for word in ("wrong", "to look at", "not seen", "ok")]  # fmt: skip
    assert at == sorted(at)
    assert lines[at[1] + 1].strip() == "do: connect it"
    assert "\x1b" not in "".join(lines), "what a broker says may not command a terminal"
    assert lines[-1] == "1 wrong, 1 to look at, 1 not seen, 1 ok"


def test_as_data(tmp_path: Path) -> None:
    data = as_data(made(tmp_path), FOUND)
    assert (data["ok"], data["counts"]) == (False, {"wrong": 1, "look": 1, "unseen": 1, "ok": 1})
    assert data["findings"][1] == {
        "topic": "clock", "verdict": "look", "where": "", "what": "drifts", "do": "connect it"
    }  # fmt: skip


def test_only_what_is_wrong_counts() -> None:
    assert is_well(FOUND[:3])
    assert not is_well(FOUND)


def test_a_topic_that_is_none(tmp_path: Path) -> None:
    done = CliRunner().invoke(linli, ["doctor", "dsik", "--state", str(tmp_path)])
    assert done.exit_code == 2
    assert "there are: board, certificates" in done.output


def test_a_topic_narrows_it(tmp_path: Path) -> None:
    done = CliRunner().invoke(linli, ["doctor", "disk", "--state", str(tmp_path), "--json"])
    assert {finding["topic"] for finding in json.loads(done.output)["findings"]} == {"disk"}
