"""Forgets passages of vehicles on no list before the rest of their stream: out of its middle, a few rows at a time."""

import contextlib
import sqlite3

import msgspec

from gateway.contract import Stream
from gateway.store.erasure import Eraser
from gateway.store.migrate import checksum
from gateway.store.packing import DamagedError
from gateway.store.retention import Gap

STREAM: Stream = "perception"
PASSAGE = b'"type":"linli.vehicle.passage.v1"'
FACT = "unlisted"  # up to which record it was looked, and in which epoch
LOOKED_AT = 256  # rows in one commit
FILED = 60 * 1_000_000_000  # ns by which a picture or clip is on the disk before the record that names it, at most
CHANGED = 16  # rows that are written anew in one commit: an alarm must not wait long behind them

Row = tuple[int, int, int, bytes]


class _Data(msgspec.Struct):
    list: str | None = None
    marks: tuple[str, ...] = ()
    unread: bool = False

    @property
    def ordinary(self) -> bool:
        """Surely on no list, and nothing unusual about it."""
        return not (self.list or self.marks or self.unread)


class _Passage(msgspec.Struct):
    sequence: str
    data: _Data


class Forgetting:
    """Inside the writer's transactions; ``behind``: more is too old than was looked at in one.

    ``awaited``: from when on (ns since 1970) files may belong to records that are not confirmed; None: there are none.
    """

    def __init__(self, connection: sqlite3.Connection, eraser: Eraser, epoch: str) -> None:
        self._connection, self._eraser, self._epoch = connection, eraser, epoch
        self.behind = False
        self.awaited: int | None = None

    def step(self, keep: int, now: int, confirmed: int | None) -> list[Gap]:
        """Erase those that are older than ``keep`` ns, going on from the last time; as ``Evictor.expire``."""
        self.awaited = self._awaited(confirmed)
        after = self._position()
        until, self.behind = self._too_old(after, keep, now, confirmed)
        gone: list[int] = []
        changed = 0
        rows = self._connection.execute(
            f'SELECT first, last, dictionary, payload FROM "{STREAM}" WHERE first > ? AND first <= ? ORDER BY first',  # noqa: S608
            (after, until),
        ).fetchall()
        for row in rows:
            if changed == CHANGED:
                self.behind = True
                break
            found = self._unlisted(row)
            changed += bool(found)
            gone += found
            after = row[1]
        if not rows:
            return []
        self._remember(after)
        return self._eraser.erase(STREAM, gone, "age")

    def _too_old(self, after: int, keep: int, now: int, confirmed: int | None) -> tuple[int, bool]:
        """The first record of the last row that is too old, and whether more may be."""
        until = looked = 0
        rows = self._connection.execute(
            f'SELECT first, last, recorded FROM "{STREAM}" WHERE first > ? ORDER BY first',  # noqa: S608
            (after,),
        )
        with contextlib.closing(rows):
            for first, last, recorded in rows:
                if 0 < recorded <= now:
                    free = confirmed is None or last <= confirmed
                    if recorded > now - (keep if free else 2 * keep):
                        return until, False
                    until = first
                    looked += 1
                    if looked == LOOKED_AT:
                        return until, True
        return until, False

    def _awaited(self, confirmed: int | None) -> int | None:
        if confirmed is None:
            return None
        row = self._connection.execute(
            f'SELECT recorded FROM "{STREAM}" WHERE first >= ifnull('  # noqa: S608
            f'(SELECT max(first) FROM "{STREAM}" WHERE first <= ?), 0) AND last > ? AND recorded > 0'
            " ORDER BY first LIMIT 1",
            (confirmed + 1, confirmed),
        ).fetchone()
        return row[0] - FILED if row else None

    def _unlisted(self, row: Row) -> list[int]:
        """Ordinary passages of vehicles on no list; a damaged row is for whoever reads it to find."""
        first, _, number, payload = row
        with contextlib.suppress(DamagedError):
            found = self._eraser.mentioning(PASSAGE, payload, first, number)
            return [sequence for json in found if (sequence := _ordinary(json)) is not None]
        return []

    def _position(self) -> int:
        row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (FACT,)).fetchone()
        epoch, _, sequence = (row[0] if row else b"").decode(errors="replace").partition(" ")
        return int(sequence) if epoch == self._epoch and sequence.isdecimal() else 0

    def _remember(self, sequence: int) -> None:
        fact = (FACT, f"{self._epoch} {sequence}".encode())
        self._connection.execute(
            "INSERT OR REPLACE INTO facts (name, value, checksum) VALUES (?, ?, ?)", (*fact, checksum(*fact))
        )


def _ordinary(json: bytes) -> int | None:
    """The sequence of a passage that may go; one that nobody understands stays."""
    try:
        passage = msgspec.json.decode(json, type=_Passage)
        return int(passage.sequence) if passage.data.ordinary else None
    except (msgspec.MsgspecError, ValueError):
        return None
