"""What `linli status` shows of points that may be set, and what `linli write` says when it is refused."""

from typing import Any

import pytest

from gateway.cli.records import _sum
from gateway.cli.status import summary
from tests.cli.served import Served


def test_status_shows_what_may_be_set_and_which_alarm_holds_it(served: Served) -> None:
    assert "may be set" not in served.run("status").output
    served.desk.sources["pump"].shown["writable"] = ["mode", "running", "speed"]
    assert "may be set with linli write: pump.mode, pump.running, pump.speed" in served.run("status").output


def test_a_held_point_names_its_alarm(served: Served) -> None:
    served.desk.sources["pump"].shown["writable"] = ["mode", "running", "speed"]
    state = served.desk.commands.status()
    held = {"alarm": "sump-high", "cause": "raised", "attempts": 1}
    state["actions"] = [
        {"point": "pump.running", "value": True, "state": "done", **held},
        {"point": "pump.speed", "value": 80, "state": "failing", **held},
    ]
    lines = [str(word) for block in summary(state) for word in getattr(block, "cells", [])]
    assert any(
        "pump.mode, pump.running (on for alarm sump-high), pump.speed (80 for alarm sump-high: failing)" in line
        for line in lines
    )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            {"before": {"value": False}, "outcome": "done", "reason": None, "text": None},
            "output on, was off, done, uid:0",
        ),
        (
            {"before": None, "outcome": "refused", "reason": "invalid", "text": "no", "unit": "dB", "value": 80},
            "output 80 dB, refused, invalid, uid:0, no",
        ),
    ],
)
def test_a_record_says_what_was_set_and_what_was_there_before(more: dict[str, Any], words: str) -> None:
    data = {"command": "write", "by": "uid:0", "device": "siren", "point": "output", "value": True, "unit": "", **more}
    assert _sum({"type": "linli.disposal.command.v1", "data": data}) == words


def test_write_needs_a_value(served: Served) -> None:
    done = served.run("write", "pump", "mode")
    assert done.exit_code == 2
    assert "VALUE" in done.output


def test_an_unknown_device_names_the_nearest(served: Served) -> None:
    done = served.run("write", "pmup", "mode", "auto")
    assert (done.exit_code, 'did you mean "pump"' in done.output) == (1, True)
