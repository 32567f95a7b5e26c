"""`linli camera droptest`: things are thrown before a camera, and what it tells of each is shown as it comes."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from gateway.cli.client import Daemon, Refusal, find, place
from gateway.cli.fell import HEAD, measures
from gateway.cli.output import Block, Cell, Line, Table, Tone, Word, json_option, print_json, show
from gateway.contract import Cursor, Stream
from gateway.words import many

FALL, TEST = "linli.falling_object.v1", "linli.disposal.droptest.v1"
MOST, MOST_SECONDS = 20, 1800
SPARE = 60.0  # seconds beyond all throws until the gateway ends the test by itself
POLL = 1.0

Row = dict[str, Any]


class Throw(NamedTuple):
    """One throw: the floor that was said (if one was), and the row of the fall that was told (if one was)."""

    floor: int | None
    told: Row | None


class OverError(Exception):
    """The test was ended meanwhile, by somebody else or by a restart: what is thrown now is a real fall.

    ``another``: somebody else's runs by now.
    """

    def __init__(self, sentence: str, *, another: bool) -> None:
        super().__init__(sentence)
        self.another = another


@click.command()
@click.argument("camera")
@click.option("--throws", type=click.IntRange(1, MOST), help="How many throws.  [default: 3]")
@click.option("--floors", help="The floors that are thrown from, in order, such as 33,17,2; then each is compared.")
@click.option("--each", type=click.FloatRange(1, 600), default=60.0, show_default=True, help="Seconds for one throw.")
@click.option("--end", is_flag=True, help="End a test that somebody else has left running.")
@place
@json_option
def droptest(
    camera: str,
    throws: int | None,
    floors: str | None,
    each: float,
    end: bool,
    config: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Try CAMERA with things that are thrown: a ball from the roof, the middle, the lowest floor.

    Shows what is told of each throw, ends after the last one or by Ctrl-C, and puts the result into the gateway's
    records and into `linli camera report`. Meanwhile every fall of this camera is recorded as a test (`test`: true):
    alarms are only told as a test, and nothing is set off. The gateway ends it by itself after 30 minutes at most.
    Whoever ends it elsewhere (--end) ends this command, too. Exits with 1 when a throw was not told, or not made.
    """
    if end:
        _end(find(config, state), camera, as_json=as_json)
        return
    planned = _planned(throws, floors)
    seconds = round(len(planned) * each + SPARE)
    if seconds > MOST_SECONDS:
        raise click.UsageError(
            f"{many(len(planned), 'throw')} of {each:g} s take more than 30 minutes; take fewer, or less --each"
        )
    daemon = find(config, state)
    status = daemon.ask("status")
    row = _camera(status, camera, planned)
    began = daemon.ask("drop-test", camera=camera, seconds=seconds)
    if not as_json:
        click.echo(f"Drop test of {camera} until {began['until'][11:19]} at most; Ctrl-C ends it.")
        if row is not None and row["state"] == "degraded":
            show([Line([Word("beware:", "warn"), row["text"]])])
    test = _Test(daemon, camera, _end_of(status, "disposal"), began["until"])
    falls = _Falls(daemon, camera, _end_of(status, "perception"), test)
    done = _thrown(falls, planned, each, as_json=as_json)
    if len(done) < len(planned) or any(throw.told is None for throw in done):
        sys.exit(1)


def _end(daemon: Daemon, camera: str, *, as_json: bool) -> None:
    result = daemon.ask("drop-test", camera=camera)
    if as_json:
        print_json(result)
    else:
        click.echo(f"the drop test of {camera} is over")


def _thrown(falls: "_Falls", planned: Sequence[int | None], each: float, *, as_json: bool) -> list[Throw]:
    """Ask for one throw after the other, then conclude; Refusal when the test was over before that."""
    done: list[Throw] = []
    over: OverError | None = None
    try:
        for number, floor in enumerate(planned, 1):
            done.append(Throw(floor, _throw(falls, number, len(planned), floor, each, quiet=as_json)))
    except KeyboardInterrupt:
        click.echo("\nended", err=True)
    except OverError as error:
        over = error
        click.echo(nl=sys.stderr.isatty(), err=True)  # the line that counts down
    finally:
        if over is None or (done and not over.another):
            _conclude(falls.daemon, falls.camera, done, as_json=as_json)
    if over is not None:
        raise Refusal(str(over))
    return done


def _conclude(daemon: Daemon, camera: str, done: Sequence[Throw], *, as_json: bool) -> None:
    """Have the test ended and put on record, and show what became of its throws."""
    words = " ".join(f"{throw.floor or ''}={throw.told['record'] if throw.told else ''}" for throw in done)
    result = daemon.ask("drop-test", camera=camera, throws=words)
    if as_json:
        print_json(result)
    else:
        show(result_tables(result))


class _Test:
    """The test that this command began, for as long as it runs."""

    def __init__(self, daemon: Daemon, camera: str, after: str, until: str) -> None:
        self._daemon, self._camera, self._after, self._until = daemon, camera, after, until
        self._began = False

    def check(self) -> None:
        """Raise OverError once it is over; whoever throws must hear of it before the next throw."""
        news = self._news()
        ends = [data["by"] for data in news if data["state"] == "ended"]
        how = f"was ended by {ends[0]}" if ends else ""
        if not news:
            rows = self._daemon.ask("status")["cameras"]
            if any(row["name"] == self._camera and not row.get("testing", True) for row in rows):
                how = "is over: its time is up, or the gateway was restarted"
        if how or news:
            sentence = f"the drop test of {self._camera} {how or 'is over'}; throw nothing more: falls are real again"
            raise OverError(sentence, another=bool(news) and news[-1]["state"] == "began")

    def _news(self) -> list[Row]:
        """What was recorded of this camera's tests since this one began."""
        page = self._daemon.records("disposal", self._after, 1000)
        self._after = page.next
        records = [msgspec.json.decode(raw) for raw in page.records]
        told = [one["data"] for one in records if one["type"] == TEST and one["data"]["camera"] == self._camera]
        if self._began:
            return told
        mine = [place for place, data in enumerate(told) if data.get("until") == self._until]
        self._began = bool(mine)
        return told[mine[0] + 1 :] if mine else []


class _Falls:
    """Takes the falls of a test off the gateway's records, each once, as they come."""

    def __init__(self, daemon: Daemon, camera: str, after: str, test: _Test) -> None:
        self.daemon, self.camera, self._after, self._test = daemon, camera, after, test
        self._more: list[Row] = []

    def check(self) -> None:
        """Raise OverError once the test is over."""
        self._test.check()

    def within(self, seconds: float, tick: Callable[[float], None]) -> Iterator[Row]:
        """Give falls for so long; ``tick`` is told the seconds that are left."""
        until = time.monotonic() + seconds
        while True:
            while self._more:
                yield self._more.pop(0)
            left = until - time.monotonic()
            if left <= 0:
                return
            tick(left)
            self.check()
            page = self.daemon.records("perception", self._after, 1000, min(POLL, left))
            self._after = page.next
            for raw in page.records:
                record = msgspec.json.decode(raw)
                if record["type"] == FALL and record["subject"] == self.camera and record["data"].get("test"):
                    self._more.append(_row(record))


def _throw(falls: _Falls, number: int, total: int, floor: int | None, seconds: float, *, quiet: bool) -> Row | None:
    """Wait for one throw; what had begun to fall before it belongs to the one before, and is only shown."""
    where = f" from floor {floor}" if floor else ""
    visible = sys.stderr.isatty() and not quiet
    falls.check()
    if not quiet:
        click.echo(f"Throw {number} of {total}{where}: now.")
    begins = _now()

    def tick(left: float) -> None:
        if visible:
            click.echo(f"\r  waiting, {left:3.0f} s left ", err=True, nl=False)

    def clear() -> None:
        if visible:
            click.echo("\r" + " " * 40 + "\r", err=True, nl=False)

    for row in falls.within(seconds, tick):
        clear()
        late = datetime.fromisoformat(row["time"]).timestamp() < begins
        if not quiet:
            show([Line(["  told:" if not late else "  also:", _said(row)])])
        if not late:
            return row
    clear()
    if not quiet:
        show([Line([Word(f"  nothing was told within {seconds:g} s", "bad")])])
    return None


def _end_of(status: Row, stream: Stream) -> str:
    """The place after all that a stream holds by now."""
    return str(Cursor(status["epoch"], stream, status["streams"][stream]["last"]))


def _now() -> float:
    """The time by this machine's clock, which is the gateway's."""
    return time.time()


def _planned(throws: int | None, floors: str | None) -> Sequence[int | None]:
    if floors is None:
        return [None] * (throws or 3)
    named: list[int | None] = []
    with contextlib.suppress(ValueError):
        named = [int(word) for word in floors.split(",")]
    if not named or not all(floor and 0 < floor <= 200 for floor in named) or len(named) > MOST:
        raise click.UsageError(f"--floors {floors}: expected up to {MOST} floors with commas, such as 33,17,2")
    if throws not in (None, len(named)):
        raise click.UsageError(f"--throws {throws} and {many(len(named), 'floor')}; give one of them")
    return named


def _camera(status: Row, name: str, planned: Sequence[int | None]) -> Row | None:
    """The camera's row of the status; UsageError when its facade has no such floors."""
    row: Row | None = next((one for one in status["cameras"] if one["name"] == name), None)
    facade = ((row or {}).get("falling") or {}).get("facade")
    if facade and any(floor and floor > facade["floors"] for floor in planned):
        raise click.UsageError(f"--floors: the facade of {name} has {facade['floors']} floors")
    return row


def _row(record: dict[str, Any]) -> Row:
    data = record["data"]
    origin = data.get("origin") or {}
    keys = ("size_px", "size_cm", "impact_speed", "confidence")
    return {
        "record": record["id"],
        "time": data.get("first_time", record["time"]),
        **{key: origin.get(key) for key in ("floor", "interval", "column")},
        **{key: data.get(key) for key in keys},
    }


def result_tables(result: dict[str, Any]) -> list[Block]:
    """A whole test, as the gateway has recorded it."""
    throws = result["throws"]
    rows: list[list[Cell]] = []
    for number, throw in enumerate(throws, 1):
        told = _told(throw) if throw["record"] else ["-"] * 5
        rows.append([str(number), str(throw["from"] or "-"), *told, _verdict(throw)])
    blocks: list[Block] = []
    if rows:
        head = ("throw", "from floor", "told at", *HEAD, "")
        blocks.append(Table(head, rows))
    tone: Tone = "dim" if not throws else "good" if result["told"] == len(throws) else "bad"
    blocks.append(Line([Word(f"told: {result['told']} of {many(len(throws), 'throw')}", tone)]))
    return blocks


def _told(row: Row) -> list[Cell]:
    return [row["time"][11:19], *measures(row)]


def _said(row: Row) -> str:
    """One fall in a sentence of its own, where no head says what its cells are."""
    floor, size, speed, sure = measures(row)
    return f"{row['time'][11:19]}, floor {floor}, {size}, {speed}, sure {sure}"


def _verdict(throw: dict[str, Any]) -> Word:
    if throw["record"] is None:
        return Word("NOT TOLD", "bad")
    floor, told = throw["from"], throw["floor"]
    if floor is None or told is None:
        return Word("told", "good")
    if floor == told:
        return Word("floor right", "good")
    low, high = throw["interval"] or (told, told)
    off = f"floor off by {abs(floor - told)}"
    return Word(f"{off}, in its interval", "good") if low <= floor <= high else Word(off, "warn")
