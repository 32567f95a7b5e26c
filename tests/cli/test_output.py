"""Tables on terminals of every width: nothing that somebody needs is cut off."""

import io

import pytest

from gateway.cli.output import Table, Word, ends, moment, rendered

ALARMS = Table(
    ("severity", "alarm", "state", "raised", "inputs", "text"),
    [
        [Word("major", "bad"), "basement-2-pump-fault", "returned-unacknowledged", "22 Nov 09:47 (1 min)",
         "pump-panel-2.fault on", "二号集水井水泵故障 / Pump 2 fault"],
        ["warning", "co-high", "unacknowledged", "22 Nov 09:47 (1 min)", "", "garage.co > 50"],
    ],
)  # fmt: skip


def test_ids_are_as_short_as_they_can_be_told_apart() -> None:
    one, two, three = "01a2-0285-dadd-f7b0ae7e9f7d", "01a2-0285-0000-f7b0ae7e9f7d", "01a2-0285-dadd-000000000000"
    assert ends([one, three]) == {one: "ae7e9f7d", three: "00000000"}
    assert ends([one, two, one]) == {one: "d-f7b0ae7e9f7d", two: "0-f7b0ae7e9f7d"}
    assert ends([]) == {}


def on_a_screen(table: Table, width: int) -> list[str]:
    from rich.console import Console

    screen = io.StringIO()
    Console(file=screen, width=width, highlight=False).print(rendered([table], width))
    return [line.rstrip() for line in screen.getvalue().splitlines()]


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_no_word_of_a_table_is_lost(width: int) -> None:
    shown = "".join("".join(on_a_screen(ALARMS, width)).split())
    assert "…" not in shown
    for cell in (cell for row in ALARMS.rows for cell in row):
        text = cell.text if isinstance(cell, Word) else cell
        assert "".join(text.split()) in shown


def test_on_eighty_characters_what_does_not_fit_stands_below_its_row() -> None:
    assert on_a_screen(ALARMS, 80) == [
        "SEVERITY  ALARM                  STATE                    RAISED",
        "major     basement-2-pump-fault  returned-unacknowledged  22 Nov 09:47 (1 min)",
        "    inputs pump-panel-2.fault on",
        "    text 二号集水井水泵故障 / Pump 2 fault",
        "warning   co-high                unacknowledged           22 Nov 09:47 (1 min)",
        "    text garage.co > 50",
    ]


def test_where_there_is_room_it_stays_a_table() -> None:
    head, first, _ = on_a_screen(ALARMS, 160)
    assert head.split() == ["SEVERITY", "ALARM", "STATE", "RAISED", "INPUTS", "TEXT"]
    assert first.endswith("pump-panel-2.fault on  二号集水井水泵故障 / Pump 2 fault")


def test_a_table_without_rows_is_its_head() -> None:
    assert on_a_screen(Table(("alarm", "text"), []), 80) == ["ALARM  TEXT"]


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        ("2026-11-21T08:25:30.120+08:00", "2026-11-21 08:25:30+08:00"),
        ("2026-11-21T08:25:30Z", "2026-11-21 08:25:30+00:00"),
    ],
)
def test_a_time_says_how_far_it_is_from_utc(time: str, shown: str) -> None:
    assert moment(time) == shown
