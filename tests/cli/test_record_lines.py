"""How `linli records` puts what a gate has seen into one line for a property desk."""

from typing import Any

import pytest

from gateway.cli.output import show
from gateway.cli.records import _line

PLATE = {"text": "沪A12345", "status": "accepted"}
PASSED = {"lane": "left", "direction": "in", "plate": PLATE, "list": None}
COUNT = {"occupied": 5, "total": 20, "quality": "good", "reason": None}


@pytest.mark.parametrize(
    ("kind", "subject", "data", "said"),
    [
        ("vehicle.passage", "left", PASSED, "north-gate left, in, 沪A12345"),
        (
            "vehicle.passage",
            "left",
            {**PASSED, "list": "deny", "marks": ["repeat", "already-in"]},
            "north-gate left, in, 沪A12345, deny list, repeat, already-in",
        ),
        (
            "vehicle.passage",
            "left",
            {**PASSED, "plate": {**PLATE, "status": "uncertain"}},
            "north-gate left, in, 沪A12345, uncertain",
        ),
        ("vehicle.passage", "left", {**PASSED, "plate": None}, "north-gate left, in"),
        ("media.ready", "left", {"record": "01a20285-dadd-786d-9adf-f7b0ae7e9f7d"}, "north-gate of record ae7e9f7d"),
        (
            "media.lost",
            "left",
            {"record": "01a2", "reason": "not_made", "text": "16 others were being made already"},
            "north-gate not_made, of record 01a2, 16 others were being made already",
        ),
        ("vehicle.dwell", "fire-lane", {"zone": "fire-lane", "state": "standing"}, "fire-lane standing"),
        ("parking.occupancy", "garage", COUNT, "garage 5 inside on 20 places"),
        ("parking.occupancy", "garage", {**COUNT, "total": None}, "garage 5 inside"),
        (
            "parking.occupancy",
            "garage",
            {**COUNT, "quality": "uncertain", "reason": "below_zero"},
            "garage 5 inside on 20 places, uncertain: below_zero",
        ),
    ],
)
def test_a_line_names_the_gate_the_list_and_what_is_in_doubt(
    kind: str, subject: str, data: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record = {"type": f"linli.{kind}.v1", "source": "/gateways/g-1/north-gate", "subject": subject, "data": data}
    show([_line({**record, "time": "2026-11-21T08:25:30.120+08:00", "sequence": "00000000000000000007"})])
    assert capsys.readouterr().out == f"2026-11-21 08:25:30+08:00 7 {kind} {said}\n"
