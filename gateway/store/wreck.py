"""Reads what can still be read of a database that was set aside; nothing in it is trusted without its checksum."""

import contextlib
import json
import re
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gateway.contract import STREAMS, Draft, Stream
from gateway.store.database import SQLITE_TROUBLE
from gateway.store.envelope import Waiting, encode
from gateway.store.head import BEFORE, mend_head
from gateway.store.media import CONTENT_TYPES
from gateway.store.migrate import SEALED, checksum
from gateway.store.packing import EMPTY, DamagedError, Dictionary, load_dictionary, unpack
from gateway.words import many

DATABASE = "records.db"
MARK = ".damaged-"
ASIDE = "aside/"  # facts: what became of a database that was set aside, by its name
GAP = "linli.gap.v1"
FURTHEST = 1 << 62
DONE = ".done"  # the file beside one that was salvaged: what the store notes about it may be damaged, too
BACK = 1024  # rows looked for backwards from where reading is possible again
ROWS = 16  # read at once: they share no more than a few MB
MICROSECOND = 1000
# Members that every record has; all others are attributes of its own.
ENVELOPE = frozenset(
    {
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "stream",
        "epoch",
        "sequence",
        "recordedtime",
        "timequality",
        "data",
        "formerepoch",
        "formersequence",
    }
)


class Place(NamedTuple):
    """How far a stream was read: rows that begin up to ``at`` were tried, records up to ``after`` are done with."""

    at: int
    after: int


class Chunk(NamedTuple):
    """Some of a stream: items in order, where reading has come to, ``holes`` of numbers that did not come,
    gap records of the old epoch, and whether there may be more."""

    items: list[Waiting]
    place: Place
    holes: list[tuple[int, int]]
    gaps: list[dict[str, Any]]
    more: bool


def asides(state: Path) -> list[Path]:
    """The databases that were set aside, the oldest first."""
    found = [
        path for path in state.glob(f"{DATABASE}{MARK}*") if not path.name.endswith(("-wal", "-shm", DONE, BEFORE))
    ]
    return sorted(found, key=lambda path: (_number(path), path.stat().st_mtime_ns, path.name))


def next_aside(state: Path, label: str) -> Path:
    """The name for one more; they are counted, since the clock of one of them may have been wrong."""
    for log in state.glob(f"{DATABASE}{MARK}*-wal"):
        database = log.with_name(log.name.removesuffix("-wal"))
        if not database.exists():  # the power went when only the log had this name
            return database
    number = max(map(_number, asides(state)), default=0) + 1
    return state / f"{DATABASE}{MARK}{label}-{number}"


def _number(path: Path) -> int:
    found = re.search(r"-(\d{1,6})$", path.name.partition(MARK)[2])
    return int(found[1]) if found else 0


def remove(aside: Path) -> None:
    """Delete a database that was set aside, and what lies beside it."""
    for suffix in ("-wal", "-shm", "", DONE, BEFORE):
        aside.with_name(aside.name + suffix).unlink(missing_ok=True)


def rescue(path: Path, aside: Path, trouble: str) -> None:
    """Take facts and media over from ``aside`` into the fresh database at ``path``, once, in one transaction.

    What was known of an alarm or a device goes on from there; files in the media folder stay within the index.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=5.0)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        name = ASIDE + aside.name
        if connection.execute("SELECT 1 FROM facts WHERE name = ?", (name,)).fetchone():
            return
        with contextlib.suppress(OSError):  # a disk that cannot be written leaves it as it is
            mend_head(aside)
        with contextlib.closing(Wreck(aside)) as wreck:
            facts = list(wreck.facts())
        if wreck.held_lost:
            trouble += f"; lost with it: {many(wreck.held_lost, 'record')} that waited for the time"
        connection.execute("BEGIN IMMEDIATE")
        # First: without a clock, an older one may have had the same name.
        _remember(connection, (name, json.dumps({"trouble": trouble, "state": "found"}).encode()))
        _remember(connection, *facts)
        connection.executemany(
            "INSERT OR IGNORE INTO media (sha256, bytes, content_type, suffix, recorded) VALUES (?, ?, ?, ?, 0)",
            _files(path.parent / "media"),
        )
        lost = json.dumps({"trouble": "what became of it is not known", "state": "found", "lost_track": True})
        done = json.dumps({"trouble": "it was salvaged", "state": "done"})
        for older in asides(path.parent):
            _remember(connection, (ASIDE + older.name, (done if is_done(older) else lost).encode()))
        connection.execute("COMMIT")


def is_done(aside: Path) -> bool:
    """Tell whether it was salvaged, whatever the store remembers."""
    return aside.with_name(aside.name + DONE).exists()


def _remember(connection: sqlite3.Connection, *facts: tuple[str, bytes]) -> None:
    query = "INSERT OR IGNORE INTO facts (name, value, checksum) VALUES (?, ?, ?)"
    connection.executemany(query, [(*fact, checksum(*fact)) for fact in facts])


def _files(folder: Path) -> list[tuple[str, int, str, str]]:
    """The media there are, the oldest first: sha256, bytes, content type, suffix."""
    found = []
    for path in folder.glob("[0-9a-f][0-9a-f]/*.*"):
        suffix = path.suffix[1:]
        if suffix in CONTENT_TYPES and len(path.stem) == 64:
            with contextlib.suppress(OSError):
                facts = path.stat()
                found.append((facts.st_mtime_ns, (path.stem, facts.st_size, CONTENT_TYPES[suffix], suffix)))
    return [row for _, row in sorted(found)]


class Wreck:
    """A damaged database. No method raises for damage: what cannot be read is not there."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=5.0, check_same_thread=False)
        self._dictionaries: dict[int, Dictionary | None] = {}
        self.held_lost = 0  # records that waited for the clock, in facts that are not what was written
        with contextlib.suppress(*SQLITE_TROUBLE):
            self._connection.execute("PRAGMA cache_size = -512")
            self._connection.execute("PRAGMA query_only = ON")
            # A page that is wrong in one place is read for what is right in it.
            self._connection.execute("PRAGMA cell_size_check = ON")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def facts(self) -> Iterator[tuple[str, bytes]]:
        """Facts one by one, for as long as they can be read."""
        for sound, (name, value) in self._sealed("facts"):
            if sound and isinstance(name, str) and isinstance(value, bytes):
                yield name, value
            elif found := re.fullmatch(r"held/\d+\.(\d+)", str(name)):
                self.held_lost += int(found[1])

    def _sealed(self, table: str) -> Iterator[tuple[bool, tuple[Any, ...]]]:
        """Rows of a table, and whether their checksum is right; files of the first schema have none."""
        columns = SEALED[table]
        for row in self._each(f'SELECT * FROM "{table}"'):  # noqa: S608
            said, seal = row[: len(columns)], row[len(columns) :]
            yield not seal or seal[0] == checksum(*said), said

    def confirmed(self, required: Mapping[str, Collection[Stream]]) -> dict[Stream, int]:
        """By stream, the sequence up to which every consumer that must has confirmed; 0 when nobody must."""
        positions = {said[:2]: said[2] for sound, said in self._sealed("cursors") if sound}
        found: dict[Stream, int] = {}
        for stream in STREAMS:
            numbers = [positions.get((name, stream), 0) for name, streams in required.items() if stream in streams]
            least = min((number if isinstance(number, int) else 0 for number in numbers), default=0)
            found[stream] = max(0, least)
        return found

    def epoch(self) -> str:
        """The epoch that its records name; "" when there is none that can be read."""
        for stream in STREAMS:
            chunk = self.chunk(stream, Place(0, 0), "")
            if chunk.items:
                return str(chunk.items[0].draft.extra["formerepoch"])
        return next((value for (value,) in self._each("SELECT value FROM about WHERE name = 'epoch'")), "")

    def begin(self, stream: Stream, confirmed: int) -> Place:
        """Where to read a stream from, so that what follows ``confirmed`` comes."""
        for (first,) in self._each(f'SELECT max(first) FROM "{stream}" WHERE first <= ?', confirmed + 1):  # noqa: S608
            if isinstance(first, int) and 0 < first <= confirmed + 1:
                return Place(first - 1, confirmed)
        return Place(0, confirmed)

    def chunk(self, stream: Stream, place: Place, gateway: str) -> Chunk:
        """Read a few rows further, past what is damaged."""
        items: list[Waiting] = []
        holes: list[tuple[int, int]] = []
        gaps: list[dict[str, Any]] = []
        at, after = place
        firsts, more = self._firsts(stream, at)
        for first in firsts:
            at = first
            records = self._row(stream, first)
            if records and first > after + 1:
                holes.append((after + 1, first - 1))
            for sequence, record in enumerate(records, start=first):
                if sequence <= after:
                    continue
                gap = _gap(record)
                if gap is not None:
                    gaps.append(gap)
                else:
                    items.append(_item(record, stream, sequence, gateway))
                after = sequence
        return Chunk(items, Place(at, after), holes, gaps, more)

    def brought(self, stream: Stream, since: int, epoch: str) -> list[list[int]]:
        """Where records that were salvaged into it from ``epoch``, behind ``since``, stood there: first and last."""
        found: list[list[int]] = []
        at, more = self.begin(stream, since).at, True
        while more:
            firsts, more = self._firsts(stream, at)
            for at in firsts:
                for number in filter(None, (former(record, epoch) for record in self._row(stream, at))):
                    if found and found[-1][1] == number - 1:
                        found[-1][1] = number
                    else:
                        found.append([number, number])
        return found

    def _each(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._connection.execute(query, values)
        except (*SQLITE_TROUBLE, OverflowError):
            return

    def _firsts(self, stream: Stream, at: int) -> tuple[list[int], bool]:
        """Where the next rows begin, and whether more may follow."""
        try:
            found = self._ascending(stream, at, ROWS)
        except SQLITE_TROUBLE:
            return self._beyond(stream, at)
        ahead = [first for first in found if first > at]
        if found and not ahead:
            return self._beyond(stream, at)
        # A flipped bit makes a number too small or too large; the checksum, which covers it, tells which one it is.
        sound = sorted({first for first in ahead if self._row(stream, first)})
        return sound or [min(ahead)] if ahead else [], len(found) == ROWS

    def _ascending(self, stream: Stream, above: int, limit: int) -> list[int]:
        query = f'SELECT first FROM "{stream}" WHERE first > ? ORDER BY first LIMIT ?'  # noqa: S608
        return [first for (first,) in self._connection.execute(query, (above, limit)).fetchall()]

    def _beyond(self, stream: Stream, start: int) -> tuple[list[int], bool]:
        """Go on after a place that cannot be read: one row if there is one, else leap, then feel the way back."""
        with contextlib.suppress(*SQLITE_TROUBLE):
            if one := [first for first in self._ascending(stream, start, 1) if first > start]:
                return one, True
        step = 1
        while start + step < FURTHEST:
            try:
                found = self._ascending(stream, start + step, 1)
            except SQLITE_TROUBLE:
                step *= 2
                continue
            if found and found[0] <= start + step:
                step *= 2
                continue
            return self._backwards(stream, start, found[0] if found else FURTHEST), bool(found)
        return [], False

    def _backwards(self, stream: Stream, start: int, end: int) -> list[int]:
        firsts = [] if end == FURTHEST else [end]
        query = f'SELECT first FROM "{stream}" WHERE first < ? ORDER BY first DESC LIMIT 1'  # noqa: S608
        with contextlib.suppress(*SQLITE_TROUBLE):
            while len(firsts) < BACK:
                row = self._connection.execute(query, (firsts[-1] if firsts else end,)).fetchone()
                if row is None or not start < row[0] < (firsts[-1] if firsts else end):
                    break
                firsts.append(row[0])
        return sorted(firsts)

    def _row(self, stream: Stream, first: int) -> list[bytes]:
        query = f'SELECT dictionary, payload FROM "{stream}" WHERE first = ?'  # noqa: S608
        for number, payload in self._each(query, first):
            if isinstance(number, int) and isinstance(payload, bytes):
                with contextlib.suppress(DamagedError):
                    return unpack(payload, first, number, self._dictionary)
        return []

    def _dictionary(self, number: int) -> Dictionary:
        if number == 0:
            return EMPTY
        if number not in self._dictionaries:
            self._dictionaries.clear()
            self._dictionaries[number] = None
            for (content,) in self._each("SELECT content FROM dictionaries WHERE number = ?", number):
                if isinstance(content, bytes):
                    with contextlib.suppress(DamagedError):
                        self._dictionaries[number] = load_dictionary(number, content)
        found = self._dictionaries[number]
        if found is None:
            raise DamagedError(f"dictionary {number} cannot be read")
        return found


def _gap(record: bytes) -> dict[str, Any] | None:
    """What a gap record of the old epoch said; it explains nothing in a new one."""
    if b'"type":"' + GAP.encode() not in record:
        return None
    data: dict[str, Any] = msgspec.json.decode(record)["data"]
    return {name: data[name] for name in ("stream", "first", "last", "cause")}


def _item(record: bytes, stream: Stream, sequence: int, gateway: str) -> Waiting:
    """A record as something to be committed again: id, time, data and attributes as they were, and where it stood."""
    event: dict[str, msgspec.Raw] = msgspec.json.decode(record, type=dict[str, msgspec.Raw])
    words = {name: msgspec.json.decode(value) for name, value in event.items() if name != "data"}
    moment = datetime.fromisoformat(words["time"])
    source = words["source"].removeprefix(f"/gateways/{gateway}").removeprefix("/")
    extra = {name: value for name, value in words.items() if name not in ENVELOPE}
    extra |= {"formerepoch": words["epoch"], "formersequence": f"{sequence:020d}"}
    time = (int(moment.timestamp()) * 1_000_000 + moment.microsecond) * MICROSECOND
    draft = Draft(stream, words["type"], source, words["subject"], time, {}, words["id"], extra)
    return Waiting(draft, bytes(event["data"]), words["timequality"])


def former(record: bytes, epoch: str) -> int:
    """Where a salvaged record stood in ``epoch``; 0 for every other record."""
    if b'"formerepoch":' + encode(epoch) not in record:
        return 0
    event = msgspec.json.decode(record)
    return int(event["formersequence"]) if event.get("formerepoch") == epoch else 0
