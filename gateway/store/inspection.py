"""Examines a state directory from outside, whether a daemon runs in it or not: never writes, reads everything."""

import contextlib
import hashlib
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gateway.completeness import GAP, Entry, Place, prove
from gateway.contract import STREAMS, LinliError, Stream
from gateway.store.database import SQLITE_TROUBLE, is_damage
from gateway.store.media import MediaFolder
from gateway.store.migrate import VERSION
from gateway.store.packing import EMPTY, DamagedError, Dictionary, load_dictionary, unpack
from gateway.store.seals import broken_seals
from gateway.store.types import TYPES
from gateway.store.words import UUID7_PATTERN
from gateway.store.wreck import DATABASE
from gateway.words import many

TABLES: dict[str, frozenset[str]] = {
    **dict.fromkeys(STREAMS, frozenset({"first", "last", "recorded", "dictionary", "payload"})),
    "dictionaries": frozenset({"number", "content"}),
    "gaps": frozenset({"stream", "sequence", "first", "last", "checksum"}),
    "cursors": frozenset({"consumer", "stream", "sequence", "checksum"}),
    "facts": frozenset({"name", "value", "checksum"}),
    "media": frozenset({"sha256", "bytes", "content_type", "suffix", "recorded", "kept"}),
    "about": frozenset({"name", "value"}),
}
SHOWN = 5  # findings of one kind that are told one by one
BUCKETS = 256  # ids are compared bucket by bucket, which bounds the memory to about 20 bytes a record
UUID7 = re.compile(UUID7_PATTERN)

Progress = Callable[[str, int, int], None]


class Event(msgspec.Struct):
    """What every record must say."""

    specversion: str
    id: str
    source: str
    type: str
    time: str
    stream: str
    epoch: str
    sequence: str
    recordedtime: str
    timequality: str
    data: msgspec.Raw


class GapData(msgspec.Struct):
    """What a gap record says."""

    stream: str
    first: int
    last: int
    count: int
    cause: str


@dataclass(slots=True)
class Report:
    """What was found. ``streams``: by stream, records, numbers explained by gaps, first and last; bytes of media."""

    epoch: str = ""
    schema: int = 0
    streams: dict[str, dict[str, int]] = field(default_factory=dict)
    media: dict[str, int] = field(default_factory=dict)
    consumers: int = 0
    findings: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def sound(self) -> bool:
        """Nothing is wrong."""
        return not self.counts

    def find(self, kind: str, text: str) -> None:
        """Note something wrong; of many of a kind, the first few are told."""
        self.counts[kind] += 1
        if self.counts[kind] <= SHOWN:
            self.findings.append(f"{kind}: {text}")


def inspect(
    state: Path, *, media: bool = False, progress: Progress = lambda _what, _done, _total: None, ends: bool = False
) -> Report:
    """Examine ``<state>/records.db`` and the files beside it; with ``media``, read every file and compare its hash.

    ``progress`` hears what is being read, how much of it is done and how much there is. ``ends``: read schema, small
    tables, and the first and last row of each stream only. LinliError when there is no store or it cannot be opened.
    """
    path = state / DATABASE
    if not path.exists():
        raise LinliError(f"{path}: there is no store; give the directory that [gateway] state names")
    with contextlib.closing(_open(path)) as connection:
        report = Report()
        try:
            connection.execute("BEGIN")  # one picture of everything, however the daemon goes on
            inspection = _Inspection(connection, report, MediaFolder(state / "media"), progress)
            if ends:
                inspection.run_ends()
            else:
                inspection.run(read_media=media)
        except SQLITE_TROUBLE as error:
            report.find("unreadable", f"the database cannot be read any further: {error}")
        return report


def _open(path: Path) -> sqlite3.Connection:
    """Open without writing. Without a log nobody else is in it, and a folder that cannot be written does no harm."""
    alone = "" if path.with_name(path.name + "-wal").exists() else "&immutable=1"
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{alone}", uri=True, isolation_level=None)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cache_size = -4096")
    except sqlite3.Error as error:
        if is_damage(error):
            raise LinliError(
                f"{path}: NOT SOUND: it is damaged ({error}); the gateway sets it aside at its next start and saves "
                "what can be read"
            ) from error
        raise LinliError(
            f"{path}: cannot be opened: {error}; run this as the user of the daemon, or as root"
        ) from error
    return connection


class _Inspection:
    """One walk through a store; the report grows on the way."""

    def __init__(self, connection: sqlite3.Connection, report: Report, folder: MediaFolder, progress: Progress) -> None:
        self._connection, self._report, self._folder, self._progress = connection, report, folder, progress
        self._dictionaries: dict[int, Dictionary] = {}
        self._ids = [bytearray() for _ in range(BUCKETS)]
        self._gaps: dict[tuple[str, int], tuple[int, int]] = {}
        self._last: dict[str, int] = {}

    def run(self, *, read_media: bool) -> None:
        """Everything, from the file's own order to the files beside it."""
        if not self._schema():
            return
        self._pages()
        for stream in STREAMS:
            self._stream(stream)
        self._same_ids()
        self._gap_table()
        self._cursors()
        self._facts()
        self._seals()
        self._media(read_media)

    def run_ends(self) -> None:
        """What takes no longer for a large store than for a small one."""
        if not self._schema():
            return
        for stream in STREAMS:
            self._last[stream] = 0
            for order in ("ASC", "DESC"):
                query = f'SELECT first, last, dictionary, payload FROM "{stream}" ORDER BY first {order} LIMIT 1'  # noqa: S608
                for first, last, number, payload in self._connection.execute(query).fetchall():
                    self._last[stream] = last
                    try:
                        count = len(unpack(payload, first, number, self._dictionary))
                    except DamagedError as error:
                        self._report.find("damaged row", f"{stream} {first} to {last}: {error}")
                    else:
                        if count != last - first + 1:
                            held = many(count, "record")
                            self._report.find("row", f"{stream}: the row {first} to {last} holds {held}")
        self._cursors()
        self._facts()
        self._seals()

    def _rows(self, query: str, *values: object) -> Iterator[tuple[object, ...]]:
        return iter(self._connection.execute(query, values))

    def _schema(self) -> bool:
        find = self._report.find
        self._report.schema = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if self._report.schema != VERSION:
            advice = "start the daemon once, it migrates" if self._report.schema < VERSION else "use a newer linli"
            find("schema", f"the store has schema {self._report.schema}, this linli knows {VERSION}; {advice}")
            return False
        for table, columns in TABLES.items():
            there = {row[1] for row in self._rows(f'PRAGMA table_info("{table}")')}
            if there != columns:
                what = f"has the columns {', '.join(map(str, sorted(there, key=str)))}" if there else "is missing"
                find("schema", f"table {table} {what}")
        if "schema" in self._report.counts:
            return False
        about = dict(self._connection.execute("SELECT name, value FROM about").fetchall())
        self._report.epoch = about.get("epoch", "")
        if not self._report.epoch:
            find("schema", "the store has no epoch")
        return True

    def _pages(self) -> None:
        self._progress("pages", 0, 1)
        for (verdict,) in self._rows("PRAGMA integrity_check(20)"):
            if verdict != "ok":
                self._report.find("page", str(verdict))
        self._progress("pages", 1, 1)

    # ------------------------------------------------------------------------------------------------------- streams

    def _stream(self, stream: Stream) -> None:
        first, last = self._connection.execute(f'SELECT min(first), max(last) FROM "{stream}"').fetchone()  # noqa: S608
        self._last[stream] = last or 0
        place = Place("", self._report.epoch, stream)
        (verdict,) = prove(self._entries(stream, place), {place: max(self._last[stream], 1)})
        none = self._last[stream] == 0
        self._report.streams[stream] = {
            "records": verdict.records,
            "explained": verdict.explained,
            "first": first or 0,
            "last": self._last[stream],
        }
        for found in () if none else verdict.findings:
            self._report.find(found.kind, f"{stream} {found.first} to {found.last}: {found.text}")

    def _entries(self, stream: Stream, place: Place) -> Iterator[Entry]:
        total = self._connection.execute(f'SELECT count(*) FROM "{stream}"').fetchone()[0]  # noqa: S608
        query = f'SELECT first, last, recorded, dictionary, payload FROM "{stream}" ORDER BY first'  # noqa: S608
        before = 0
        for done, (first, last, recorded, number, payload) in enumerate(self._connection.execute(query)):
            self._progress(stream, done, total)
            if not first > before or last < first or recorded < 0:
                self._report.find("row", f"{stream}: a row says {first} to {last}, after one that ends at {before}")
                continue
            before = last
            try:
                records = unpack(payload, first, number, self._dictionary)
            except DamagedError as error:
                self._report.find("damaged row", f"{stream} {first} to {last}: {error}")
                continue
            if len(records) != last - first + 1:
                self._report.find("row", f"{stream}: the row {first} to {last} holds {many(len(records), 'record')}")
            for sequence, record in enumerate(records, start=first):
                yield self._entry(place, sequence, record)
        self._progress(stream, total, total)

    def _dictionary(self, number: int) -> Dictionary:
        if number and number not in self._dictionaries:
            row = self._connection.execute("SELECT content FROM dictionaries WHERE number = ?", (number,)).fetchone()
            if row is None:
                raise DamagedError(f"dictionary {number} is missing, so rows that need it cannot be read")
            self._dictionaries = {number: load_dictionary(number, row[0])}
        return self._dictionaries[number] if number else EMPTY

    def _entry(self, place: Place, sequence: int, record: bytes) -> Entry:
        where = f"{place.stream} {sequence}"
        try:
            event = msgspec.json.decode(record, type=Event)
            gap = msgspec.json.decode(event.data, type=GapData) if event.type == GAP else None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._report.find("record", f"{where} is no record: {error}")
            return Entry(place, sequence, "", b"")
        if (event.stream, event.epoch) != (place.stream, place.epoch) or event.sequence != f"{sequence:020d}":
            said = f"{event.stream} {event.sequence} of epoch {event.epoch}"
            self._report.find("record", f"{where} says that it is {said}")
        if event.type not in TYPES:
            self._report.find("record", f"{where} is of the unknown type {event.type[:80]}")
        if UUID7.match(event.id):
            identity = bytes.fromhex(event.id.replace("-", ""))
            self._ids[identity[-1]] += identity
        else:
            self._report.find("id", f"{where} has the id {event.id[:80]!r}, which is no UUIDv7")
        if gap is None:
            return Entry(place, sequence, event.id, b"")
        self._gaps[place.stream, sequence] = (gap.first, gap.last)
        data = {"stream": gap.stream, "first": gap.first, "last": gap.last, "count": gap.count}
        return Entry(place, sequence, event.id, b"", data)

    def _same_ids(self) -> None:
        for bucket in self._ids:
            ids = [bytes(bucket[at : at + 16]) for at in range(0, len(bucket), 16)]
            if len(set(ids)) != len(ids):
                for identity, count in Counter(ids).items():
                    if count > 1:
                        self._report.find("id", f"{count} records have the id {_text(identity)}")
            bucket.clear()

    # ----------------------------------------------------------------------------------------------- all the rest

    def _gap_table(self) -> None:
        for stream, sequence, first, last in self._connection.execute("SELECT stream, sequence, first, last FROM gaps"):
            said = self._gaps.get((stream, sequence))
            if said != (first, last):
                there = f"says {said[0]} to {said[1]}" if said else "is no gap record"
                self._report.find("gap", f"{stream}: gap {first} to {last} was noted, but record {sequence} {there}")

    def _cursors(self) -> None:
        consumers = set()
        for consumer, stream, sequence in self._connection.execute("SELECT consumer, stream, sequence FROM cursors"):
            consumers.add(consumer)
            if stream not in STREAMS:
                self._report.find("cursor", f"{consumer} has a position in {stream}, which is no stream")
            elif not 0 <= sequence <= self._last[stream]:
                end = self._last[stream]
                self._report.find("cursor", f"{consumer} has confirmed {stream} {sequence}, which ends at {end}")
        self._report.consumers = len(consumers)

    def _facts(self) -> None:
        for name, value in self._connection.execute("SELECT name, value FROM facts"):
            if not isinstance(name, str) or not isinstance(value, bytes):
                self._report.find("fact", f"the fact {str(name)[:80]!r} is not what facts are")

    def _seals(self) -> None:
        for broken in broken_seals(self._connection):
            self._report.find("checksum", broken)

    def _media(self, read: bool) -> None:
        rows = self._connection.execute("SELECT sha256, bytes, suffix FROM media ORDER BY rowid").fetchall()
        total = 0
        for done, (sha256, size, suffix) in enumerate(rows):
            self._progress("media", done, len(rows))
            total += size
            path = self._folder.path(f"{sha256}.{suffix}")
            try:
                there = path.stat().st_size
                if there != size:
                    self._report.find("media", f"{path} has {there} bytes instead of {size}")
                elif read and _hash(path) != sha256:
                    self._report.find("media", f"{path} is not what its name says")
            except OSError as error:
                self._report.find("media", f"{path}: {error.strerror}")
        self._progress("media", len(rows), len(rows))
        self._report.media = {"files": len(rows), "bytes": total}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(identity: bytes) -> str:
    text = identity.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
