"""The reading side of the database: an own connection in an own thread, with the few rows read last kept unpacked."""

import sqlite3
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from gateway.contract import STREAMS, Record, Run, Stream
from gateway.store import migrate
from gateway.store.assembly import LINE
from gateway.store.database import connect
from gateway.store.packing import EMPTY, DamagedError, Dictionary, load_dictionary, unpack, unpack_lines
from gateway.store.runs import RunWriter

ROWS_KEPT = 4
DICTIONARIES_KEPT = 3
AHEAD_BYTES, AHEAD_RUNS = 512 << 10, 64  # read in one go for an uplink that catches up
CHECKED_WHOLE = 4 << 20  # bytes; a check of a whole large file would keep a start waiting


class Reader:
    """Reads committed records; raises sqlite3.Error, or DamagedError when a row is not what was written."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._connection.execute("PRAGMA query_only = ON")
        self._rows: OrderedDict[tuple[Stream, int, int], bytes] = OrderedDict()
        self._dictionaries: OrderedDict[int, Dictionary] = OrderedDict()

    def records(self, stream: Stream, after: int, limit: int, max_bytes: int | None) -> list[Record]:
        """Return what follows ``after``, up to ``limit`` records and ``max_bytes`` (but at least one record)."""
        found: list[Record] = []
        size = 0
        for first, _, lines in self._rows_from(stream, after + 1):
            for sequence, json in enumerate(lines[:-1].split(LINE), start=first):
                if sequence <= after:
                    continue
                size += len(json)
                if found and (len(found) >= limit or (max_bytes is not None and size > max_bytes)):
                    return found
                found.append(Record(sequence, json))
        return found

    def runs(self, stream: Stream, after: int, last: int, limit: int, max_bytes: int) -> list[Run]:
        """Return what follows ``after`` up to ``last``, as some runs of up to ``limit`` records and ``max_bytes``.

        A run ends where a row does, unless a single row is more than that.
        """
        runs: list[Run] = []
        total, whole = 0, RunWriter(after)
        for first, end, lines in self._rows_from(stream, after + 1):
            if first > last or total >= AHEAD_BYTES or len(runs) >= AHEAD_RUNS:
                break
            total += len(lines)
            if first > whole.last and end <= last and end - first < limit and len(lines) < max_bytes:
                if whole.count + end - first >= limit or whole.size + len(lines) > max_bytes:
                    runs.append(whole.finish())
                whole.add(lines, end, end - first + 1)
                continue
            for sequence, json in enumerate(lines[:-1].split(LINE), start=first):
                if whole.last < sequence <= last:
                    if whole.count and (whole.count >= limit or whole.size + len(json) + 1 > max_bytes):
                        runs.append(whole.finish())
                    whole.add(json + LINE, sequence, 1)
        return [*runs, whole.finish()] if whole.count else runs

    def _rows_from(self, stream: Stream, sequence: int) -> Iterator[tuple[int, int, bytes]]:
        """Give first, last and lines of the row that holds a sequence, and of all that follow."""
        start = self._connection.execute(
            f'SELECT max(first) FROM "{stream}" WHERE first <= ?',  # noqa: S608
            (sequence,),
        ).fetchone()[0]
        rows = self._connection.execute(
            f'SELECT first, last, dictionary, payload FROM "{stream}" WHERE first >= ? ORDER BY first',  # noqa: S608
            (start or 0,),
        )
        try:
            for first, last, number, payload in rows:
                yield first, last, self._unpacked((stream, first, last), number, payload)
        finally:
            rows.close()

    def _unpacked(self, key: tuple[Stream, int, int], number: int, payload: bytes) -> bytes:
        # With the last number too: a row that has lost records to an erasure is another row.
        if key in self._rows:
            self._rows.move_to_end(key)
            return self._rows[key]
        row = self._rows[key] = unpack_lines(payload, key[1], number, self._dictionary)
        if len(self._rows) > ROWS_KEPT:
            self._rows.popitem(last=False)
        return row

    def _dictionary(self, number: int) -> Dictionary:
        if number == 0:
            return EMPTY
        if number not in self._dictionaries:
            row = self._connection.execute("SELECT content FROM dictionaries WHERE number = ?", (number,)).fetchone()
            if row is None:
                raise DamagedError(f"dictionary {number} is missing, so rows that need it cannot be read")
            self._dictionaries[number] = load_dictionary(number, row[0])
            if len(self._dictionaries) > DICTIONARIES_KEPT:
                self._dictionaries.popitem(last=False)
        return self._dictionaries[number]

    def trouble(self, *, newest: bool = True) -> str | None:
        """Read both ends of every stream (of the ``newest`` schema), and a small file whole; None when all is well."""
        try:
            if newest and self._schema() != migrate.SCHEMA:
                return "its tables are not those that were made"
            if newest and not self._connection.execute("SELECT value FROM about WHERE name = 'epoch'").fetchall():
                return "it has no epoch"
            for table in ("cursors", "facts", "gaps", "media") if newest else ():
                self._connection.execute(f'SELECT count(*), max(rowid) FROM "{table}"').fetchone()  # noqa: S608
            if newest and (wrong := self._out_of_bounds()):
                return wrong
            for stream in STREAMS if newest else ():
                for order in ("ASC", "DESC"):
                    rows = self._connection.execute(
                        f'SELECT first, dictionary, payload FROM "{stream}" ORDER BY first {order} LIMIT 1'  # noqa: S608
                    ).fetchall()
                    for first, number, payload in rows:
                        unpack(payload, first, number, self._dictionary)
            pages: int = self._connection.execute("PRAGMA page_count").fetchone()[0]
            page_size: int = self._connection.execute("PRAGMA page_size").fetchone()[0]
            if pages * page_size <= CHECKED_WHOLE:
                verdict: str = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                return None if verdict == "ok" else verdict
        except (sqlite3.DatabaseError, DamagedError) as error:
            return str(error)
        return None

    def _schema(self) -> int:
        rows = self._connection.execute("SELECT ifnull(sql, '') FROM sqlite_master ORDER BY name").fetchall()
        return zlib.crc32("\n".join(sql for (sql,) in rows).encode())

    def _out_of_bounds(self) -> str | None:
        """Find positions and gaps that cannot be: they have no checksum of their own."""
        for stream in STREAMS:
            last = self._connection.execute(f'SELECT ifnull(max(last), 0) FROM "{stream}"').fetchone()[0]  # noqa: S608
            for table, column in (("cursors", "sequence"), ("gaps", "last")):
                query = f'SELECT count(*) FROM "{table}" WHERE stream = ? AND "{column}" NOT BETWEEN 0 AND ?'  # noqa: S608
                if self._connection.execute(query, (stream, last)).fetchone()[0]:
                    return f"{table} say more of {stream} than there is"
        return None

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
