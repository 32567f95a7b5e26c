"""`linli read` and `linli watch`: the values of devices, now and live."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

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
    print_json,
    rendered,
    show,
    value,
)

QUALITY_TONES = {"good": "good", "uncertain": "warn", "bad": "bad"}
SHOWN_POINTS = 4  # of a device in one row; `linli read` has them all


@click.command()
@click.argument("device")
@click.argument("point", required=False)
@place
@json_option
def read(device: str, point: str | None, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Ask DEVICE for its values now, or for one POINT alone.

    With POINT, prints the value and its unit; exit code 1 when it is bad.
    """
    reading = find(config, state).ask("read", device=device, point=point)
    points = reading["points"]
    if as_json:
        print_json(reading)
    elif point is not None:
        show([Line([value(points[point])])])
    else:
        show([_points(points)])
    if point is not None and points[point]["quality"] == "bad":
        sys.exit(1)


def _points(points: dict[str, dict[str, Any]]) -> Table:
    rows: list[list[Cell]] = []
    for name, point in points.items():
        quality = point["quality"]
        rows.append([name, value(point), Word(quality, QUALITY_TONES[quality])])  # type: ignore[arg-type]
    return Table(("point", "value", "quality"), rows)


def device_table(devices: list[dict[str, Any]]) -> Table:
    """Devices with their state, the age of their newest value and their first values."""
    rows: list[list[Cell]] = []
    for device in devices:
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
@json_option
def watch(config: Path | None, state: Path | None, every: float, count: int | None, as_json: bool) -> None:
    """Show all devices and their values, live, until Ctrl-C.

    On a terminal the table renews itself; in a pipe one table follows the other, with --json one line each.
    """
    looks = _looks(find(config, state), every, count)
    try:
        if as_json:
            for devices in looks:
                print_json(devices, indent=0)
        elif sys.stdout.isatty():
            _live(looks)
        else:
            for devices in looks:
                show([Line([time.strftime("%Y-%m-%d %H:%M:%S")]), device_table(devices), Line([])])
                sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(0)


def _looks(daemon: Daemon, every: float, count: int | None) -> Iterator[list[dict[str, Any]]]:
    looked = 0
    while True:
        yield daemon.ask("devices")
        looked += 1
        if looked == count:
            return
        time.sleep(every)


def _live(looks: Iterator[list[dict[str, Any]]]) -> None:
    from rich.live import Live

    with Live(rendered([Line(["…"])]), auto_refresh=False, screen=False) as live:
        for devices in looks:
            hint: Block = Line([Word(f"{time.strftime('%H:%M:%S')}  Ctrl-C ends", "dim")])
            live.update(rendered([device_table(devices), hint]), refresh=True)


__all__ = ["Refusal", "device_table", "read", "watch"]
