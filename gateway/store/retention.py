"""What is deleted, and the gap that says so: by quota (lowest class, oldest first) and by age."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from gateway.contract import Stream
from gateway.store.migrate import checksum

KIB, MIB = 1 << 10, 1 << 20
SHARED_MEMORY = 32 * KIB  # the -shm file beside the database
WORTH = 2 * KIB  # bytes of payload below which a stream is not worth a gap record
ROWS_AT_ONCE = 512

EVICTED_FIRST: tuple[Stream, ...] = ("perception", "management", "disposal", "alarm")

Cause = Literal["quota", "age", "erased"]


@dataclass(frozen=True, slots=True)
class Budget:
    """How a quota for records is shared out, all in bytes; together never more than the quota."""

    quota: int

    @property
    def reserve(self) -> int:
        """Kept free for alarms on a full disk."""
        return _within(self.quota // 16, 64 * KIB, MIB)

    @property
    def checkpoint(self) -> int:
        """Write-ahead log at which it is copied into the database: rarely is cheaper, page by page."""
        return _within(self.quota // 16, 64 * KIB, 2 * MIB)

    @property
    def transaction(self) -> int:
        """Raw bytes that one commit takes."""
        return _within(self.quota // 8, 128 * KIB, 4 * MIB)

    @property
    def log(self) -> int:
        """The largest write-ahead log that is planned for."""
        return self.checkpoint + self.transaction + self.transaction // 2

    @property
    def pages(self) -> int:
        """What the database's pages in use may take."""
        return self.quota - self.reserve - self.log - SHARED_MEMORY

    @property
    def chunk(self) -> int:
        """Evicted at once: few gap records, but no long stall."""
        return _within(self.pages // 64, 16 * KIB, MIB)

    @property
    def held(self) -> int:
        """What records that wait for the clock may take, compressed."""
        return self.pages // 4

    @property
    def dictionaries(self) -> int:
        """What dictionaries of the packer may take, compressed."""
        return self.pages // 16


def _within(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


class Gap(NamedTuple):
    """Records ``first`` to ``last`` of a stream are gone; it contains every gap whose own record went with them."""

    stream: Stream
    first: int
    last: int
    cause: Cause


class Evictor:
    """Deletes rows inside the writer's transaction and remembers which gaps have to be told."""

    def __init__(self, connection: sqlite3.Connection, budget: Budget) -> None:
        self._connection = connection
        self._budget = budget
        self._page_size: int = connection.execute("PRAGMA page_size").fetchone()[0]
        self.behind = False  # more is too old than was deleted at once

    def used(self) -> int:
        """Bytes of pages in use."""
        pages: int = self._connection.execute("PRAGMA page_count").fetchone()[0]
        free: int = self._connection.execute("PRAGMA freelist_count").fetchone()[0]
        return (pages - free) * self._page_size

    def make_room(self, need: int, at_most: int) -> list[Gap]:
        """Evict by quota until ``need`` more bytes fit, but no more than about ``at_most`` bytes now."""
        gaps: dict[Stream, Gap] = {}
        evicted = 0
        while (over := self.used() + need - self._budget.pages) > 0 and evicted < at_most:
            target = max(over, self._budget.chunk)
            for stream in EVICTED_FIRST:
                last, freed = self._oldest(stream, target)
                if freed:
                    self._delete(gaps, stream, last, "quota")
                    evicted += freed
                    break
            else:
                break
        return self._tell(gaps)

    def _oldest(self, stream: Stream, target: int) -> tuple[int, int]:
        """Find the last record of the oldest rows that hold ``target`` bytes together; (0, 0): not worth it."""
        last = freed = 0
        rows = self._connection.execute(f'SELECT last, length(payload) FROM "{stream}" ORDER BY first')  # noqa: S608
        for last, size in rows:  # noqa: B007 - the last one is what we look for
            freed += size + 64
            if freed >= target:
                break
        rows.close()
        return (last, freed) if freed >= WORTH else (0, 0)

    def expire(self, stream: Stream, keep: int, now: int, confirmed: int | None) -> list[Gap]:
        """Evict what is older than ``keep`` ns and confirmed by all who must, or older than twice that.

        ``confirmed`` is None when nobody has to confirm. A row whose time cannot be trusted, or lies ahead of now,
        is as old as the next one that can.
        """
        limit = ROWS_AT_ONCE
        until, more = self._too_old(stream, keep, now, confirmed, limit)
        while until and self._only_gaps(stream, until):
            if not more:
                return []
            limit *= 2
            until, more = self._too_old(stream, keep, now, confirmed, limit)
        if until == 0:
            return []
        self.behind = self.behind or more
        gaps: dict[Stream, Gap] = {}
        self._delete(gaps, stream, until, "age")
        return self._tell(gaps)

    def _too_old(self, stream: Stream, keep: int, now: int, confirmed: int | None, limit: int) -> tuple[int, bool]:
        """Find the last record that is too old among the first ``limit`` rows (0: none), and whether more may be."""
        rows = self._connection.execute(
            f'SELECT last, recorded FROM "{stream}" ORDER BY first LIMIT ?',  # noqa: S608
            (limit,),
        ).fetchall()
        until = 0
        for last, recorded in rows:
            if 0 < recorded <= now:
                free = confirmed is None or last <= confirmed
                if recorded > now - (keep if free else 2 * keep):
                    return until, False
                until = last
        return until, len(rows) == limit

    def _only_gaps(self, stream: Stream, until: int) -> bool:
        """Tell whether there is nothing but gap records up to there: replacing them by another gains nothing."""
        first: int = self._connection.execute(f'SELECT min(first) FROM "{stream}"').fetchone()[0]  # noqa: S608
        told: int = self._connection.execute(
            "SELECT count(*) FROM gaps WHERE stream = ? AND sequence <= ?", (stream, until)
        ).fetchone()[0]
        return told >= until - first + 1

    def _delete(self, gaps: dict[Stream, Gap], stream: Stream, until: int, cause: Cause) -> None:
        first: int = self._connection.execute(f'SELECT min(first) FROM "{stream}"').fetchone()[0]  # noqa: S608
        # Every gap kept here is disjoint from the others: a gap whose own record goes now must be inside the new one,
        # and so is, whole, every other one that begins after it.
        lost: int | None = self._connection.execute(
            "SELECT min(first) FROM gaps WHERE stream = ? AND sequence <= ?", (stream, until)
        ).fetchone()[0]
        before = gaps.get(stream)
        firsts = [first, lost or first, before.first if before else first]
        self._connection.execute(f'DELETE FROM "{stream}" WHERE first <= ?', (until,))  # noqa: S608
        gaps[stream] = Gap(stream, min(firsts), until, cause)

    def _tell(self, gaps: Mapping[Stream, Gap]) -> list[Gap]:
        for gap in gaps.values():
            self._forget_inside(gap)
        return list(gaps.values())

    def told(self, gap: Gap, sequence: int) -> None:
        """Remember where a gap's own record stands."""
        if gap.last > gap.first:  # a single number has no gap inside
            self._forget_inside(gap)
        row = (gap.stream, sequence, gap.first, gap.last)
        self._connection.execute(
            "INSERT INTO gaps (stream, sequence, first, last, checksum) VALUES (?, ?, ?, ?, ?)", (*row, checksum(*row))
        )

    def _forget_inside(self, gap: Gap) -> None:
        self._connection.execute(
            "DELETE FROM gaps WHERE stream = ? AND first >= ? AND last <= ?", (gap.stream, gap.first, gap.last)
        )
