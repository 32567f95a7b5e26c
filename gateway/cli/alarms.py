"""`linli alarms` and `linli ack`: what is raised, and that somebody has seen it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli.client import find, place
from gateway.cli.output import (
    SEVERITY_TONES,
    Block,
    Line,
    Table,
    Word,
    ends,
    full_option,
    json_option,
    print_json,
    show,
    since,
    value,
)

SEVERITIES = ("critical", "major", "minor", "warning")


@click.command()
@place
@click.option("--all", "everything", is_flag=True, help="Also those that are normal.")
@full_option
@json_option
def alarms(config: Path | None, state: Path | None, everything: bool, full: bool, as_json: bool) -> None:
    """Show the alarms that are raised or wait for an acknowledgement, the worst first.

    The occurrence is the id of the record that raised it; `linli ack` takes its name, or its occurrence as it is shown.
    """
    daemon = find(config, state)
    rows = daemon.ask("alarms", all=everything)
    if as_json:
        print_json(rows)
        return
    now = daemon.ask("ping")["time"]
    shown = ends((row["occurrence"] for row in rows if row["occurrence"]), full=full)
    show([alarm_table(rows, now, shown)] if rows else [Line([Word("No alarms.", "good")])])


def alarm_table(rows: list[dict[str, Any]], now: str, occurrences: Mapping[str, str] | None = None) -> Table:
    """Alarms, the worst and the newest first; ``now`` is the gateway's time.

    ``occurrences``: how each occurrence is written, which have no column without it.
    """
    ordered = sorted(rows, key=lambda row: row["raised_at"] or "", reverse=True)
    ordered.sort(key=lambda row: SEVERITIES.index(row["severity"]) if row["state"] != "normal" else len(SEVERITIES))
    cells = [
        [
            Word(row["name"], "strong"),
            since(row["raised_at"], now),
            row["state"] + (" (input bad)" if row["blind"] else ""),
            Word(row["severity"], SEVERITY_TONES[row["severity"]] if row["active"] else "dim"),
            *([] if occurrences is None else [occurrences.get(row["occurrence"], "")]),
            ", ".join(f"{name} {value(point)}" for name, point in row["points"].items()),
            title(row) or row["when"],
        ]
        for row in ordered
    ]
    named = () if occurrences is None else ("occurrence",)
    return Table(("alarm", "raised", "state", "severity", *named, "inputs", "text"), cells)


def title(row: dict[str, Any]) -> str:
    """The alarm's text in all its languages."""
    return " / ".join(text for text in row["text"].values() if text)


@click.command()
@click.argument("alarm")
@click.option("--note", help="What you saw or did, for the record.")
@place
@json_option
def ack(alarm: str, note: str | None, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Acknowledge ALARM, named by its name or by an occurrence: six or more characters of one end of it do."""
    row = find(config, state).ask("ack", alarm=alarm, note=note)
    if as_json:
        print_json(row)
        return
    end = "it is active still" if row["active"] else "it had cleared before, so it is normal now"
    blocks: list[Block] = [Line([Word(row["name"], "strong"), Word("acknowledged", "good"), f"({end})"])]
    show(blocks)
