"""`linli records`: what is in the streams, oldest first, and what comes."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from gateway.cli.client import Daemon, find, place
from gateway.cli.output import SHORT, Line, Word, json_option, moment, show, value, write_line
from gateway.contract import STREAMS, Cursor, Stream
from gateway.words import many

PAGE = 1000
WAIT = 30.0  # seconds of one long poll
SAID = ("severity", "state", "label", "reason", "lane", "direction", "by", "why", "note")
SEEN = "linli.vehicle.passage.v1"
OF_LANE = (SEEN, "linli.media.ready.v1", "linli.media.lost.v1")


@click.command()
@click.argument("stream", type=click.Choice(STREAMS))
@click.option("--after", metavar="CURSOR", help="Only what comes after this cursor.")
@click.option("--last", type=click.IntRange(0), help="Only the newest so many.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@click.option("--follow", "-f", is_flag=True, help="Wait for new records until Ctrl-C.")
@place
@json_option
def records(
    stream: Stream,
    after: str | None,
    last: int | None,
    limit: int | None,
    follow: bool,
    config: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Show the records of STREAM, from the oldest kept; with --json one CloudEvent a line.

    STREAM is perception, management, alarm or disposal. The cursor after the last record is printed to stderr.
    """
    daemon = find(config, state)
    if last is not None:
        if after is not None:
            raise click.UsageError("--last and --after exclude each other")
        after = _before_the_last(daemon, stream, last)
    reader = _Reader(daemon, stream, after, limit, follow)
    try:
        for record in reader:
            if as_json:
                write_line(bytes(record))
            else:
                show([_line(msgspec.json.decode(record))])
    except KeyboardInterrupt:
        pass
    sys.stdout.flush()
    if reader.cursor is not None:
        click.echo(f"next cursor: {reader.cursor}", err=True)


def _before_the_last(daemon: Daemon, stream: Stream, count: int) -> str:
    state = daemon.ask("status")
    return str(Cursor(state["epoch"], stream, max(0, state["streams"][stream]["last"] - count)))


class _Place(msgspec.Struct):
    """What of a record tells its place."""

    epoch: str
    stream: Stream
    sequence: str


class _Reader:
    """Iterates over records page by page; ``cursor`` is the position after the last that was given out."""

    def __init__(self, daemon: Daemon, stream: str, after: str | None, limit: int | None, follow: bool) -> None:
        self._daemon, self._stream, self._limit, self._follow = daemon, stream, limit, follow
        self._after = after
        self._given: msgspec.Raw | None = None

    @property
    def cursor(self) -> str | None:
        if self._given is None:
            return self._after
        place = msgspec.json.decode(self._given, type=_Place)
        return str(Cursor(place.epoch, place.stream, int(place.sequence)))

    def __iter__(self) -> Iterator[msgspec.Raw]:
        count = 0
        while self._limit is None or count < self._limit:
            wanted = PAGE if self._limit is None else min(PAGE, self._limit - count)
            page = self._daemon.records(self._stream, self._after, wanted, WAIT if self._follow else 0.0)
            for record in page.records:
                self._given = record
                yield record
            count += len(page.records)
            self._after, self._given = page.next, None
            if not page.more and not self._follow:
                return
            sys.stdout.flush()


def _line(record: dict[str, Any]) -> Line:
    kind = record["type"].removeprefix("linli.").removesuffix(".v1")
    number = record["sequence"].lstrip("0")
    time = moment(record["time"])
    # The subject of these is a lane, whose name many gates have: a desk asks for the gate.
    subject = record["source"].rpartition("/")[2] if record["type"] in OF_LANE else record.get("subject", "")
    return Line([Word(time, "dim"), Word(number, "dim"), kind, Word(subject, "strong"), _sum(record)])


def _command(data: dict[str, Any]) -> str:
    """Who set what, what was there before, and why not."""
    before = data.get("before")
    words = [f"{data['point']} {value({'value': data['value'], 'unit': data.get('unit')})}"]
    words += [f"was {value(before)}"] if before else []
    words += [str(data[key]) for key in ("outcome", "reason", "by", "text") if data.get(key)]
    return ", ".join(words)


def _occupancy(data: dict[str, Any]) -> str:
    """How many are inside, of how many places, and why the count is in doubt."""
    inside = f"{data['occupied']} inside" + ("" if data["total"] is None else f" on {many(data['total'], 'place')}")
    return inside if data["quality"] == "good" else f"{inside}, {data['quality']}: {data['reason']}"


def _sum(record: dict[str, Any]) -> str:
    data = record.get("data") or {}
    kind = record["type"]
    if kind == "linli.reading.v1":
        return ", ".join(f"{name} {value(point)}" for name, point in data["points"].items())
    if kind == "linli.gap.v1":
        return f"{data['first']} to {data['last']} ({data['count']}): {data['cause']}"
    if kind == "linli.disposal.command.v1":
        return _command(data)
    if kind == "linli.parking.occupancy.v1":
        return _occupancy(data)
    words = [data.get(key) for key in SAID]
    if kind in OF_LANE and "record" in data:
        words.append(f"of record {data['record'][-SHORT:]}")
    plate = data.get("plate")
    if isinstance(plate, dict):
        words += [plate.get("text"), plate.get("status") if plate.get("status") != "accepted" else None]
    if kind == SEEN:
        words += [f"{data['list']} list" if data.get("list") else None, *data.get("marks", ())]
    text = data.get("text")
    words += text.values() if isinstance(text, dict) else [text]
    return ", ".join(dict.fromkeys(str(word) for word in words if word))
