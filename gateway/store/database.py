"""The writer's side of the database: one transaction a commit, from drafts to rows. Lives in the writer thread."""

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.contract import STREAMS, Draft, Record, Stream
from gateway.store.early import HeldRows, corrected, is_held
from gateway.store.envelope import Envelope, Stamp, Waiting, waiting
from gateway.store.erasure import Erased, Eraser, Erasure, overwrite_free_pages
from gateway.store.media import MediaIndex, MediaLimits
from gateway.store.migrate import checksum
from gateway.store.notices import gap_told, held_damaged
from gateway.store.packing import Dictionary, Packer, load_dictionary, save_dictionary
from gateway.store.queue import Batch, CursorKey
from gateway.store.retention import Budget, Evictor, Gap

if TYPE_CHECKING:
    from gateway.store.forgetting import Forgetting

log = logging.getLogger("linli.store")

Row = tuple[int, int, int, int, bytes]
ROW_RECORDS = 256
ROW_BYTES = 256 << 10
CACHE = -512  # KiB of page cache: the hot path touches a handful of pages
EVICT_AT_ONCE = 8 << 20  # a smaller quota than before is reached in steps, not in one long stall
FRAME = 24  # bytes of a frame of the write-ahead log besides its page
SHRINK_IN_MEMORY = 16 << 20  # VACUUM keeps its copy in memory
# Debian's SQLite overwrites deleted pages with zeros, which would write every byte a third time; FAST does so only
# within pages that are written anyway, and what is erased on demand is overwritten whole.
SECURE_DELETE = "FAST"
PAGES_PER_COMMIT = 6  # of the tree, besides those of the payload


@dataclass(frozen=True, slots=True)
class Expiry:
    """Age limits (ns) to apply in a commit: by stream ``(keep, confirmed)`` as in ``Evictor.expire``.

    ``media``: to files, too. ``unlisted``: that of passages of vehicles on no list, 0 without one of their own.
    """

    streams: Mapping[Stream, tuple[int, int | None]] = field(default_factory=dict)
    media: bool = False
    unlisted: int = 0


NOTHING = Expiry()


@dataclass(frozen=True, slots=True)
class Known:
    """What a database says when it is opened: first and last by stream, facts and positions, sizes in bytes.

    ``newest`` is the latest commit time (ns, 0: none), ``oldest_held`` as in ``HeldRows.oldest``.
    """

    epoch: str
    last: dict[Stream, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))
    firsts: dict[Stream, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))
    facts: dict[str, bytes] = field(default_factory=dict)
    positions: dict[CursorKey, int] = field(default_factory=dict)
    used: int = 0
    media_bytes: int = 0
    newest: int = 0
    held: int = 0
    oldest_held: float | None = None


@dataclass(slots=True)
class Committed:
    """What a commit did: new records by stream, the first kept of each, and sizes in bytes."""

    records: dict[Stream, list[Record]] = field(default_factory=dict)
    firsts: dict[Stream, int] = field(default_factory=dict)
    used: int = 0
    media_bytes: int = 0
    filed: list[str] = field(default_factory=list)  # names of media files that the index has learned
    doomed: list[str] = field(default_factory=list)  # names of media files that the index has forgotten
    again: bool = False  # more is to be evicted than was done at once
    behind: bool = False  # more is too old than was deleted at once
    held: int = 0  # records that still wait for the clock, and their bytes
    held_bytes: int = 0
    erased: frozenset[Stream] = frozenset()  # streams that have lost records from their middle


class Database:
    """The only writer of the file. Raises sqlite3.Error; a commit that raised has changed nothing."""

    def __init__(
        self,
        path: Path,
        gateway: str,
        budget: Budget,
        media: MediaLimits,
        rfc3339: Callable[[int], str],
        boot: str = "",
    ) -> None:
        self._rfc3339 = rfc3339
        self.gateway = gateway
        self._budget = budget
        self._connection = connect(path)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        # A safety net only: checkpoints are called for when nothing urgent waits.
        page_size: int = self._connection.execute("PRAGMA page_size").fetchone()[0]
        self._page_size = page_size
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {2 * budget.checkpoint // page_size:d}")
        self._connection.execute(f"PRAGMA journal_size_limit = {budget.log:d}")
        about = dict(self._connection.execute("SELECT name, value FROM about").fetchall())
        self.epoch: str = about["epoch"]
        self.last: dict[Stream, int] = {stream: self._edge("max(last)", stream) for stream in STREAMS}
        self.firsts: dict[Stream, int] = {stream: self._edge("min(first)", stream) for stream in STREAMS}
        self._envelope = Envelope(gateway, self.epoch)
        self._evictor = Evictor(self._connection, budget)
        self._eraser = Eraser(self._connection)
        self._forgetting: Forgetting | None = None
        self.media = MediaIndex(self._connection, media)
        self.boot = boot
        self.held = HeldRows(self._connection, boot)
        self._packers = {stream: Packer() for stream in STREAMS}
        newest = self._connection.execute(
            "SELECT number, content FROM dictionaries ORDER BY number DESC LIMIT 1"
        ).fetchone()
        if newest:
            self._packers["perception"] = Packer(load_dictionary(*newest))
        log_file = path.with_name(path.name + "-wal")
        self._log_bytes = log_file.stat().st_size if log_file.exists() else 0

    def _edge(self, what: str, stream: Stream) -> int:
        number: int | None = self._connection.execute(f'SELECT {what} FROM "{stream}"').fetchone()[0]  # noqa: S608
        return number or 0

    def known(self) -> Known:
        """Everything that others have to know at the start; facts without the records that wait for the clock."""
        facts = self._connection.execute("SELECT name, value FROM facts")
        positions = self._connection.execute("SELECT consumer, stream, sequence FROM cursors")
        return Known(
            self.epoch,
            dict(self.last),
            dict(self.firsts),
            {name: value for name, value in facts if not is_held(name)},
            {(consumer, stream): sequence for consumer, stream, sequence in positions},
            self.used(),
            self.media.bytes,
            self._newest(),
            self.held.records,
            self.held.oldest(),
        )

    def _newest(self) -> int:
        rows = [
            self._connection.execute(f'SELECT recorded FROM "{stream}" ORDER BY first DESC LIMIT 1').fetchone()  # noqa: S608
            for stream in STREAMS
        ]
        return max((row[0] for row in rows if row), default=0)

    def used(self) -> int:
        """Bytes of pages in use."""
        return self._evictor.used()

    def commit(self, batch: Batch, stamp: Stamp, expiry: Expiry = NOTHING, release: int = 0) -> Committed:
        """Write a batch, evict what has to go, and tell it: all in one transaction.

        Perception and management wait while ``stamp.hold``; ``release`` bytes of what waits, or more, go first.
        """
        done = Committed()
        last = dict(self.last)
        self._evictor.behind = False
        with self._transaction():
            gaps: list[Gap] = []
            for stream, (keep, confirmed) in expiry.streams.items():
                gaps += self._evictor.expire(stream, keep, stamp.wall, confirmed)
            gaps += self._forget(done, stamp, expiry)
            drafts = self.held.change(batch.drafts, stamp, release)
            notices = self.media.account(batch, stamp, aged=expiry.media)
            if self.held.spoilt:
                notices.append(held_damaged(self.gateway, stamp.wall, self.held.spoilt))
            for erasure in batch.erasures:
                gaps += self._erase(erasure, drafts, notices, stamp)
                done.erased |= {gap.stream for gap in gaps if gap.cause == "erased"}
            for notice in notices:
                drafts.setdefault("management", []).append(waiting(notice, stamp.quality))
            rows: dict[Stream, list[Row]] = {}
            for stream, items in drafts.items():
                self._append(done, rows, last, stream, items, stamp)
            need = sum(len(row[-1]) + 3 * self._page_size for each in rows.values() for row in each)
            need += self._page_size * PAGES_PER_COMMIT
            gaps += self._evictor.make_room(need, EVICT_AT_ONCE)
            for gap in gaps:
                self._append(done, rows, last, gap.stream, [gap_told(gap, stamp)], stamp)
                self._evictor.told(gap, last[gap.stream])
            for stream, each in rows.items():
                self._connection.executemany(
                    f'INSERT INTO "{stream}" (first, last, recorded, dictionary, payload) VALUES (?, ?, ?, ?, ?)',  # noqa: S608
                    each,
                )
            self._ride_along(batch)
            if gaps:
                self._drop_dictionaries()
            packer = self._learn()
            done.used = self._evictor.used()
        self.last = last
        if packer:
            self._packers["perception"] = packer
        done.filed = [f"{entry.sha256}.{entry.suffix}" for entry in batch.media]
        done.doomed = self.media.settle()
        done.firsts = {stream: self._edge("min(first)", stream) for stream in STREAMS}
        done.media_bytes = self.media.bytes
        done.again = done.used > self._budget.pages
        done.behind = done.behind or self._evictor.behind or self.media.behind
        self.held.refresh()
        done.held, done.held_bytes = self.held.records, self.held.bytes
        self._log_bytes += need + 32 * len(gaps) * (self._page_size + FRAME)
        return done

    def _forget(self, done: Committed, stamp: Stamp, expiry: Expiry) -> list[Gap]:
        if not expiry.unlisted:
            return []
        if self._forgetting is None:
            from gateway.store.forgetting import Forgetting  # most sites have no use for it

            self._forgetting = Forgetting(self._connection, self._eraser, self.epoch)
        gaps = self._forgetting.step(expiry.unlisted, stamp.wall, expiry.streams["perception"][1])
        self.media.awaited = self._forgetting.awaited
        done.erased, done.behind = frozenset(gap.stream for gap in gaps), self._forgetting.behind
        return gaps

    def _erase(
        self, erasure: Erasure, drafts: dict[Stream, list[Waiting]], notices: list[Draft], stamp: Stamp
    ) -> list[Gap]:
        self._connection.execute("PRAGMA secure_delete = ON")
        gaps = [gap for stream, each in erasure.records.items() for gap in self._eraser.erase(stream, each)]
        told, files, size = self.media.erase(erasure.files, stamp)
        notices += told
        counts = {
            stream: sum(gap.last - gap.first + 1 for gap in gaps if gap.stream == stream) for stream in erasure.records
        }
        erasure.done = Erased(counts, files, size)
        told_by = erasure.tell(erasure.done)
        drafts.setdefault(told_by.stream, []).append(waiting(told_by, stamp.quality))
        return gaps

    def scrub(self) -> None:
        """Overwrite what earlier deletions left in free pages, and put the log away, which has it too."""
        try:
            with self._transaction():
                overwrite_free_pages(self._connection, self._page_size)
        except sqlite3.OperationalError as error:
            log.warning("free pages of the store are not overwritten: %s", error)
        finally:
            self._connection.execute(f"PRAGMA secure_delete = {SECURE_DELETE}")
        busy, *_ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._log_bytes = self._log_bytes if busy else 0

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        done = False
        try:
            yield
            self._connection.execute("COMMIT")
            done = True
        finally:
            if not done:
                self._roll_back()

    def _roll_back(self) -> None:
        # On a full or broken disk SQLite has often rolled back by itself.
        with contextlib.suppress(sqlite3.OperationalError):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _append(
        self,
        done: Committed,
        rows: dict[Stream, list[Row]],
        last: dict[Stream, int],
        stream: Stream,
        items: Sequence[Waiting],
        stamp: Stamp,
    ) -> None:
        """Correct, number, write out and pack the next records of a stream."""
        settled = (corrected(item, stamp, self.boot, self._rfc3339) for item in items)
        records = [
            Record(sequence, self._envelope.json(item, self._rfc3339(item.draft.time), sequence, stamp))
            for sequence, item in enumerate(settled, start=last[stream] + 1)
        ]
        last[stream] += len(records)
        done.records.setdefault(stream, []).extend(records)
        rows.setdefault(stream, []).extend(self._rows(stream, records, stamp))

    def _rows(self, stream: Stream, records: Sequence[Record], stamp: Stamp) -> list[Row]:
        packer = self._packers[stream]
        rows = []
        for part in _parts(records):
            first, last = part[0].sequence, part[-1].sequence
            payload = packer.pack([record.json for record in part], first)
            rows.append((first, last, stamp.trusted, packer.dictionary.number, payload))
        return rows

    def _ride_along(self, batch: Batch) -> None:
        """Write what rides along: facts and cursors."""
        self._connection.executemany(
            "INSERT INTO facts (name, value, checksum) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value, checksum = excluded.checksum",
            [(*fact, checksum(*fact)) for fact in batch.facts.items() if fact[1] is not None],
        )
        self._connection.executemany(
            "DELETE FROM facts WHERE name = ?", [(name,) for name, value in batch.facts.items() if value is None]
        )
        self._connection.executemany(
            "INSERT INTO cursors (consumer, stream, sequence, checksum) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (consumer, stream) DO UPDATE SET sequence = excluded.sequence, checksum = excluded.checksum",
            [(*key, sequence, checksum(*key, sequence)) for key, sequence in batch.cursors.items()],
        )

    def _learn(self) -> Packer | None:
        """Store a better dictionary when the packer has one; it is used from the next commit on."""
        content = self._packers["perception"].lesson()
        if content is None:
            return None
        small = save_dictionary(content)
        kept: int = self._connection.execute("SELECT ifnull(sum(length(content)), 0) FROM dictionaries").fetchone()[0]
        if kept + len(small) > self._budget.dictionaries:
            return None
        number = self._packers["perception"].dictionary.number + 1
        self._connection.execute("INSERT INTO dictionaries (number, content) VALUES (?, ?)", (number, small))
        return Packer(Dictionary(number, content))

    def _drop_dictionaries(self) -> None:
        """Delete those that no row needs any more: rows of a stream use ever newer ones."""
        oldest = self._connection.execute("SELECT dictionary FROM perception ORDER BY first LIMIT 1").fetchone()
        if oldest:
            self._connection.execute("DELETE FROM dictionaries WHERE number < ?", oldest)

    def log_is_long(self) -> bool:
        """Tell whether it is time for a checkpoint."""
        return self._log_bytes >= self._budget.checkpoint

    def checkpoint(self) -> None:
        """Copy the write-ahead log into the database, as far as readers let us; a failure only leaves it longer."""
        busy, frames, copied = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._log_bytes = 0 if frames == copied and not busy else (frames - copied) * (self._page_size + FRAME)

    def shrink(self) -> None:
        """Give pages back to the file system after the quota was made smaller."""
        pages: int = self._connection.execute("PRAGMA page_count").fetchone()[0]
        used = self.used()
        if pages * self._page_size > self._budget.pages >= used and used <= SHRINK_IN_MEMORY:
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Copy the log into the database and close."""
        with contextlib.suppress(sqlite3.OperationalError):  # a full or read-only disk: the log keeps it all
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()


# SQLite's messages quote what it found, and Python may be unable to decode even the message.
SQLITE_TROUBLE = (sqlite3.DatabaseError, UnicodeDecodeError)


def is_damage(error: Exception) -> bool:
    """Tell whether the file itself is not what was written. Text that is no text has no code of its own."""
    if isinstance(error, UnicodeDecodeError):
        return True
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "decode to UTF-8" in str(error)


def connect(path: Path) -> sqlite3.Connection:
    """Open with what writer and reader share."""
    # On a read-only disk SQLite refuses a file whose log was put away, unless it hears that nobody can change it.
    still = path.exists() and not os.access(path, os.W_OK) and not path.with_name(path.name + "-wal").exists()
    address = f"{path.absolute().as_uri()}{'?immutable=1' if still else ''}"
    connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=5.0, check_same_thread=False)
    connection.execute(f"PRAGMA cache_size = {CACHE:d}")
    connection.execute(f"PRAGMA secure_delete = {SECURE_DELETE}")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _parts(records: Sequence[Record]) -> Iterator[list[Record]]:
    part: list[Record] = []
    size = 0
    for record in records:
        if part and (len(part) >= ROW_RECORDS or size + len(record.json) > ROW_BYTES):
            yield part
            part, size = [], 0
        part.append(record)
        size += len(record.json)
    if part:
        yield part
