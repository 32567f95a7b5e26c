"""Records taken before the time was known: they wait in the database, unnumbered, and are corrected before they go."""

import logging
import math
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import zstandard

from gateway.contract import Clock, Draft, Stream
from gateway.metrics import DROPPED
from gateway.store.envelope import AT_ONCE, Stamp, Waiting
from gateway.store.migrate import checksum
from gateway.words import many

log = logging.getLogger("linli.store")

HOLD_SECONDS = 600.0  # so long records wait for the clock
RELEASE = 512 << 10  # bytes of memory that go in one commit: an alarm must not wait long behind them
LOOK_EVERY = 1.0  # seconds between looks at the clock while records wait
PREFIX = "held/"  # of the facts that keep them
STEP_NS = 3600 * 1_000_000_000  # a clock that jumps on by more is not believed at once ...
STEADY_SECONDS = 86_400.0  # ... about the age of records
LONGEST_WAY = 60.0  # seconds from a moment to its draft; if it seems longer, the clock was set meanwhile
JITTER_NS = 1_000_000_000  # a shift within a leap second corrects nothing
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Times that we wrote into data. A point's value may be a device's own clock, which is not ours to correct.
TIME = re.compile(rb'(?<!"value":)"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(?:Z|[+-]\d\d:\d\d))"')

Row = tuple[Stream, str, str, str, int, str, dict[str, object], msgspec.Raw, float]
_decode = msgspec.json.Decoder(tuple[str, list[Row]]).decode
_encode = msgspec.json.Encoder().encode
_pack = zstandard.ZstdCompressor(level=3, write_checksum=True)
_unpack = zstandard.ZstdDecompressor()


class Hold:
    """Decides at every commit whether records wait for the clock, and which of them are to be corrected.

    ``bytes`` (of records that wait in the database) is told by the caller; beyond ``room`` they go uncorrected.
    """

    def __init__(self, clock: Clock, oldest: float | None, room: int) -> None:
        self.bytes = 0
        self._clock = clock
        self._room = room
        self._known = clock.quality() != "unknown"
        self._patient = True  # until records have waited too long, or have become too many
        self._known_since = -math.inf if oldest is None else clock.monotonic()
        self._unknown_from = clock.monotonic() if oldest is None else oldest  # decides how long they wait
        self._offset: int | None = None  # of the wall clock against the other one, while it is known
        self._steady_at = -math.inf

    def stamp(self) -> Stamp:
        """Look at the clock; ``hold`` and ``early`` of the stamp are decided here."""
        wall, now, quality = self._clock.wall(), self._clock.monotonic(), self._clock.quality()
        if quality == "unknown" and self._known:
            self._known, self._patient, self._unknown_from = False, True, now
        elif quality != "unknown" and not self._known:
            self._known, self._known_since = True, now
        offset = wall - int(now * 1e9) if self._known else None
        if offset is not None and self._offset is not None and offset - self._offset > STEP_NS:
            self._steady_at = now + STEADY_SECONDS
        self._offset = offset
        if now >= self._unknown_from + HOLD_SECONDS or self.bytes >= self._room:
            self._patient = False
        return Stamp(
            wall, self._clock.rfc3339(wall), quality, now, self._known_since, not self._known and self._patient
        )

    def steady(self) -> bool:
        """Tell whether the wall clock may decide which records are too old."""
        return self._clock.monotonic() >= self._steady_at


def happened(draft: Draft, wall: int, now: float) -> float:
    """Return when a draft's moment was on the clock that never steps; ``wall`` and ``now`` are the present."""
    if draft.monotonic is not None:
        return draft.monotonic
    age = (wall - draft.time) / 1e9
    return now - age if 0 <= age <= LONGEST_WAY else now


def corrected(item: Waiting, stamp: Stamp, boot: str, rfc3339: Callable[[int], str]) -> Waiting:
    """Shift a record's times by what the clock was wrong when it was taken.

    What was taken in an earlier boot cannot be corrected any more: it is marked unknown.
    """
    if item.quality is not None or item.monotonic == math.inf or stamp.quality == "unknown":
        return item
    if item.boot != boot:
        return replace(item, quality="unknown")
    if item.monotonic > stamp.known_since:
        return item
    time = stamp.wall - round((stamp.monotonic - item.monotonic) * 1e9)
    shift = time - item.draft.time
    if abs(shift) <= JITTER_NS:
        return item
    return replace(item, draft=replace(item.draft, time=time), data=shifted(item.data, shift, rfc3339))


def shifted(data: bytes, shift: int, rfc3339: Callable[[int], str]) -> bytes:
    """Move every time in the JSON of a record's data by ``shift`` nanoseconds."""

    def moved(found: re.Match[bytes]) -> bytes:
        moment = datetime.fromisoformat(found[1].decode())
        return b'"%b"' % rfc3339((moment - EPOCH) // timedelta(microseconds=1) * 1000 + shift).encode()

    return TIME.sub(moved, data)


class HeldRows:
    """The records that wait, as facts that ride in the commits of the writer thread; a restart finds them."""

    def __init__(self, connection: sqlite3.Connection, boot: str) -> None:
        self._connection = connection
        self._boot = boot
        self.records = self.bytes = 0
        self.spoilt = 0  # records that the last change could not read
        self._changed = True
        self.refresh()

    def refresh(self) -> None:
        """Count what is there, if the last transaction has changed it."""
        if not self._changed:
            return
        self._changed = False
        rows = self._rows("name, length(value)").fetchall()
        self.records = sum(int(name.rpartition(".")[2]) for name, _ in rows)
        self.bytes = sum(size for _, size in rows)

    def oldest(self) -> float | None:
        """Return the monotonic time of the first that was taken in this boot."""
        loaded = (_load(value) for (value,) in self._rows("value"))
        return next((items[0].monotonic for items in loaded if items and items[0].boot == self._boot), None)

    def change(
        self, drafts: Mapping[Stream, Sequence[Waiting]], stamp: Stamp, release: int
    ) -> dict[Stream, list[Waiting]]:
        """Keep what has to wait, let at least ``release`` bytes go; returns what is to be written now, by stream."""
        self.spoilt = 0
        now = {stream: list(items) for stream, items in drafts.items()}
        if stamp.hold:
            self._add([item for items in now.values() for item in items if _waits(item)])
            at_once = {stream: [item for item in items if not _waits(item)] for stream, items in now.items()}
            return {stream: items for stream, items in at_once.items() if items}
        freed = self._take(release) if release else []
        for stream in {item.draft.stream for item in freed}:
            now[stream] = [item for item in freed if item.draft.stream == stream] + now.get(stream, [])
        return now

    def _add(self, items: Sequence[Waiting]) -> None:
        if not items:
            return
        self._changed = True
        newest = self._rows("name", order="DESC", limit=1).fetchone()
        number = int(newest[0][len(PREFIX) :].partition(".")[0]) + 1 if newest else 1
        rows = [
            (d.stream, d.type, d.source, d.subject, d.time, d.id, dict(d.extra), msgspec.Raw(item.data), item.monotonic)
            for item in items
            for d in (item.draft,)
        ]
        fact = (f"{PREFIX}{number:010d}.{len(rows)}", _pack.compress(_encode((self._boot, rows))))
        self._connection.execute("INSERT INTO facts (name, value, checksum) VALUES (?, ?, ?)", (*fact, checksum(*fact)))

    def _take(self, at_least: int) -> list[Waiting]:
        """Take the oldest out, whole rows until there are so many bytes of data, or all."""
        self._changed = True
        taken: list[Waiting] = []
        size = 0
        for name, value in self._rows("name, value").fetchall() if self.records else ():
            items = _load(value)
            if not items:
                lost = int(name.rpartition(".")[2])
                self.spoilt += lost
                DROPPED.labels(where="store", cause="damaged").inc(lost)
                log.error("damaged and lost: %s that waited for the clock", many(lost, "record"))
            self._connection.execute("DELETE FROM facts WHERE name = ?", (name,))
            taken += items
            size += sum(item.size for item in items)
            if size >= at_least:
                break
        return taken

    def _rows(self, what: str, order: str = "ASC", limit: int = -1) -> sqlite3.Cursor:
        return self._connection.execute(
            f"SELECT {what} FROM facts WHERE name >= ? AND name < ? ORDER BY name {order} LIMIT ?",  # noqa: S608
            (PREFIX, PREFIX[:-1] + "0", limit),
        )


def _waits(item: Waiting) -> bool:
    """Whether the clock of now has anything to say of it."""
    return item.quality is None and item.draft.stream not in AT_ONCE


def is_held(name: str) -> bool:
    """Tell whether a fact is a row of records that wait."""
    return name.startswith(PREFIX)


def _load(value: bytes) -> list[Waiting]:
    """Read what ``_add`` wrote; nothing when it is damaged: it has no numbers yet, and must not stop the start."""
    try:
        boot, rows = _decode(_unpack.decompress(value))
    except (zstandard.ZstdError, msgspec.DecodeError):
        return []
    found = []
    for stream, kind, source, subject, time, identity, extra, data, monotonic in rows:
        members: Mapping[str, object] = extra
        draft = Draft(stream, kind, source, subject, time, {}, identity, members, monotonic)
        found.append(Waiting(draft, bytes(data), None, monotonic, boot))
    return found
