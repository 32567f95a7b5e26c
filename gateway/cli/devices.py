"""`linli read` and `linli watch`: the values of devices, now and live."""

import itertools
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway.cli.alarms import alarm_table
from gateway.cli.client import Daemon, Refusal, find, place
from gateway.cli.output import (
    STATE_TONES,
    Block,
    Cell,
    Line,
    Table,
    Word,
    duration,
    json_option,
    moment,
    print_json,
    rendered,
    show,
    value,
)
from gateway.words import many

QUALITY_TONES = {"good": "good", "uncertain": "warn", "bad": "bad"}
SHOWN_POINTS = 4  # of a device in one row; `linli read` has them all


@click.command()
@click.argument("device")
@click.argument("point", required=False)
@click.option("--frames", is_flag=True, help="Show the bytes on the wire too, and what they mean.")
@place
@json_option
def read(device: str, point: str | None, frames: bool, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Ask DEVICE for its values now, or for one POINT alone.

    With POINT, prints the value and its unit. With --frames, prints what went over its line meanwhile. Exit code 1
    when every value that was asked for is bad.
    """
    reading = find(config, state).ask("read", device=device, point=point, frames=frames or None)
    points = reading["points"]
    if as_json:
        if frames:
            from gateway.cli.frames import masked

            reading["frames"] = masked(reading["frames"])
        print_json(reading)
    else:
        if frames:
            from gateway.cli.frames import frame_rows, frame_table

            # Frames are wider than most terminals, and two lines a frame read better there.
            seen = frame_rows if sys.stdout.isatty() else lambda rows: [frame_table(rows)]
            show([*seen(reading["frames"]), Line([])])
        show([Line([value(points[point])]) if point is not None else _points(points, reading["time"])])
    if all(shown["quality"] == "bad" for shown in points.values()):
        sys.exit(1)


def _points(points: dict[str, dict[str, Any]], time: str) -> Table:
    age = duration((datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds())
    rows: list[list[Cell]] = []
    for name, point in points.items():
        quality = point["quality"]
        rows.append([name, value(point), Word(quality, QUALITY_TONES[quality]), age])  # type: ignore[arg-type]
    return Table(("point", "value", "quality", "age"), rows)


def device_table(devices: list[dict[str, Any]]) -> Table:
    """Devices with their state, the age of their newest value and their first values; those in trouble first."""
    rows: list[list[Cell]] = []
    for device in sorted(devices, key=lambda device: device["state"] == "online"):
        last = device.get("last") or {}
        shown = [f"{name} {value(point)}" for name, point in list(last.items())[:SHOWN_POINTS]]
        if len(last) > SHOWN_POINTS:
            shown.append(f"and {len(last) - SHOWN_POINTS} more")
        ages = [point["age_s"] for point in last.values() if point.get("age_s") is not None]
        state = device["state"]
        rows.append(
            [
                Word(device["name"], "strong"),
                Word(state, STATE_TONES.get(state, "")),
                duration(min(ages)) if ages else "-",
                str(device["line"]),
                ", ".join(shown) or device.get("sentence") or device.get("reason") or "",
            ]
        )
    return Table(("device", "state", "age", "line", "values"), rows)


@click.command()
@place
@click.option(
    "--every", type=click.FloatRange(0.1, 3600), default=1.0, show_default=True, help="Seconds between looks."
)
@click.option("--count", type=click.IntRange(1), help="End after so many looks instead of at Ctrl-C.")
@click.option("--frames", is_flag=True, help="Show the bytes on the lines instead, and what they mean.")
@click.option("--line", help="With --frames: of this line alone.")
@json_option
def watch(
    config: Path | None,
    state: Path | None,
    every: float,
    count: int | None,
    frames: bool,
    line: str | None,
    as_json: bool,
) -> None:
    """Show all devices and their values, and what alarms there are, live, until Ctrl-C.

    On a terminal the picture renews itself; in a pipe one follows the other, with --json one line of devices each.
    With --frames, what goes over the lines scrolls by, both directions, each frame explained.
    """
    if line is not None and not frames:
        raise click.UsageError("--line goes with --frames")
    daemon = find(config, state)
    turns: Iterable[int] = range(count) if count is not None else itertools.count()
    try:
        if frames:
            _watch_frames(daemon, turns, every, line, as_json)
        elif sys.stdout.isatty() and not as_json:
            _live(daemon, turns, every)
        else:
            _one_by_one(daemon, turns, every, as_json)
    except KeyboardInterrupt:
        sys.exit(0)


def _one_by_one(daemon: Daemon, turns: Iterable[int], every: float, as_json: bool) -> None:
    for turn in turns:
        if turn:
            time.sleep(every)
        if as_json:
            print_json(daemon.ask("devices"), indent=0)
        else:
            show([*_picture(daemon), Line([])])
            sys.stdout.flush()


def _watch_frames(daemon: Daemon, turns: Iterable[int], every: float, line: str | None, as_json: bool) -> None:
    from gateway.cli.frames import frame_rows, masked

    after = daemon.ask("frames", line=line)["next"]
    for _ in turns:
        time.sleep(every)  # whole answers, not the pieces that they come in
        seen = daemon.ask("frames", line=line, after=after)
        after = seen["next"]
        if as_json:
            for row in masked(seen["frames"]):
                print_json(row, indent=0)
            continue
        if seen["missed"]:
            show([Line([Word(f"{many(seen['missed'], 'piece')} came too fast to be shown", "warn")])])
        for shown in frame_rows(seen["frames"]):
            show([shown])
        sys.stdout.flush()


def _live(daemon: Daemon, turns: Iterable[int], every: float) -> None:
    from rich.live import Live

    with Live("…", auto_refresh=False) as live:
        for turn in turns:
            if turn:
                time.sleep(every)
            try:
                blocks = _picture(daemon)
            except Refusal as error:  # it may be restarting: whoever watches wants to see it come back
                blocks = [Line([Word(error.message, "bad")])]
            blocks.append(Line([Word("Ctrl-C ends", "dim")]))
            live.update(rendered(blocks, live.console.width), refresh=True)


def _picture(daemon: Daemon) -> list[Block]:
    now = daemon.ask("ping")["time"]
    alarms = daemon.ask("alarms")
    blocks: list[Block] = [Line([Word(moment(now), "dim")]), device_table(daemon.ask("devices"))]
    return [*blocks, Line([]), alarm_table(alarms, now)] if alarms else blocks
