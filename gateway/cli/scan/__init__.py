"""`linli scan`: finds the devices on a line, never writes, and prints TOML for what it found."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.client import Refusal, place
from gateway.cli.output import json_option, print_json

if TYPE_CHECKING:
    from gateway.contract import Clock
    from gateway.scan.search import Search, Wanted
    from gateway.scan.wire import Wire

QUICK_UNITS, ALL_UNITS = "1-32", "1-247"
STOPPED = 130  # the shell's number for Ctrl-C
HIGHEST_UNIT = 247
PROTOCOLS = ("modbus", "modbus-ascii", "dlt645", "cjt188", "mbus", "talking")


def parse_units(text: str) -> tuple[int, ...]:
    """Read ``1-32`` or ``1,3,10-20``; click.BadParameter when it is neither."""
    units: dict[int, None] = {}
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        ends = (low, high) if dash else (low, low)
        if not all(end.isascii() and end.isdecimal() and len(end) <= 3 for end in ends):
            raise click.BadParameter(f"{part.strip()!r} is no unit; write for example 1-32 or 1,3,10-20")
        first, last = int(ends[0]), int(ends[1])
        if not 1 <= first <= last <= HIGHEST_UNIT:
            raise click.BadParameter(f"{part.strip()}: units go from 1 to {HIGHEST_UNIT}, the lower one first")
        units.update(dict.fromkeys(range(first, last + 1)))
    return tuple(units)


@click.command()
@click.argument("line")
@place
@click.option("--baud", type=click.IntRange(50, 4_000_000), multiple=True, help="Only this speed; may be repeated.")
@click.option(
    "--format",
    "formats",
    metavar="8N1",
    multiple=True,
    help="Only these data bits, parity, stop bits; may be repeated.",
)
@click.option("--units", metavar="1-32", help=f"Modbus units.  [default: {QUICK_UNITS}; {ALL_UNITS} with --thorough]")
@click.option("--protocol", "protocols", type=click.Choice(PROTOCOLS), multiple=True, help="Only this protocol.")
@click.option("--quick/--thorough", "quick", default=True, help="The likeliest settings (default), or all, patiently.")
@json_option
def scan(
    line: str,
    config: Path | None,
    state: Path | None,
    baud: tuple[int, ...],
    formats: tuple[str, ...],
    units: str | None,
    protocols: tuple[str, ...],
    quick: bool,
    as_json: bool,
) -> None:
    """Find what is on LINE: devices, meters, and those that speak by themselves.

    LINE is the name of a configured line, a serial port (/dev/ttyUSB0), tcp://HOST:PORT or udp://HOST:PORT. Only
    reads leave the line. While the gateway runs, its polling goes on and the scan asks in between. Ctrl-C stops it and
    prints what was found so far. Exit code 1 when nothing was found.
    """
    from gateway.cli.scan.place import find_line
    from gateway.scan.search import QUICK, Wanted

    wanted = Wanted(
        units=parse_units((QUICK_UNITS if quick else ALL_UNITS) if units is None else units),
        thorough=not quick,
        protocols=protocols or (QUICK if quick else PROTOCOLS),
        bauds=baud,
        formats=_formats(formats),
    )
    where = find_line(line, config, state)
    if where.settings.serial is None and (baud or formats):
        raise click.UsageError("only a serial port has a speed and format; a serial server keeps them itself")
    _scan(where, wanted, as_json)


def _scan(where: "Where", wanted: "Wanted", as_json: bool) -> None:
    from gateway.clock import SystemClock
    from gateway.contract import LinkError

    clock = SystemClock()
    began = clock.monotonic()
    searches: list[Search] = []
    stopped, failure = False, ""
    try:
        asyncio.run(_search(where, wanted, searches))
    except KeyboardInterrupt:
        stopped = True
    except LinkError as error:
        failure = str(error)
        if not searches or not searches[0].found:
            raise Refusal(where.advice(error)) from None
    if not searches:
        sys.exit(STOPPED)
    from gateway.cli.scan.report import as_data, show_report

    search = searches[0]
    spent = clock.monotonic() - began
    if as_json:
        print_json(as_data(search, where, spent, failure))
    else:
        show_report(search, where, spent, stopped=stopped, failure=failure)
    if stopped:
        sys.exit(STOPPED)
    sys.exit(0 if search.found and not failure else 1)


async def _search(where: "Where", wanted: "Wanted", searches: "list[Search]") -> None:
    from gateway.cli.scan.report import Screen
    from gateway.clock import SystemClock
    from gateway.scan.fingerprint import sheets
    from gateway.scan.paste import configured_as
    from gateway.scan.search import Search
    from gateway.scan.wire import OwnWire
    from gateway.settings.profiles import Profiles, profile_folders

    clock = SystemClock()
    timing: Clock = clock
    wire: Wire
    if where.owner is not None:
        from gateway.cli.scan.borrowed import BorrowedWire, LineTime

        timing = line_time = LineTime()
        wire = BorrowedWire(where.owner, where.settings, line_time)
    else:
        wire = OwnWire(where.settings, clock)
        await wire.open()
    with Screen() as screen:
        try:
            search = Search(
                wire, clock, wanted, sheets(Profiles(profile_folders(where.config))),
                timing=timing, own=where.own_serial, shared=where.owner is not None, wait=where.wait,
                report=screen.progress,
                settled=lambda found: bool(configured_as(found, where.around)),
            )  # fmt: skip
            searches.append(search)
            screen.begin(search, where)
            await search.run()
        finally:
            wire.close()


def _formats(formats: tuple[str, ...]) -> tuple[str, ...]:
    for text in formats:
        if len(text) != 3 or text[0] not in "5678" or text[1].upper() not in "NEO" or text[2] not in "12":
            raise click.BadParameter(f"{text!r} is no format; write data bits, parity and stop bits such as 8N1 or 8E1")
    return tuple(text.upper() for text in formats)


if TYPE_CHECKING:
    from gateway.cli.scan.place import Where
