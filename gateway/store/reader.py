"""The reading side of the database: an own connection in an own thread, with the few rows read last kept unpacked."""

import sqlite3
import zlib
from collections import OrderedDict
from pathlib import Path

from gateway.contract import STREAMS, Record, Stream
from gateway.store import migrate
from gateway.store.database import connect
from gateway.store.packing import EMPTY, DamagedError, Dictionary, load_dictionary, unpack

ROWS_KEPT = 4
DICTIONARIES_KEPT = 3
CHECKED_WHOLE = 4 << 20  # bytes; a check of a whole large file would keep a start waiting


class Reader:
    """Reads committed records; raises sqlite3.Error, or DamagedError when a row is not what was written."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._connection.execute("PRAGMA query_only = ON")
        self._rows: OrderedDict[tuple[Stream, int], list[bytes]] = OrderedDict()
        self._dictionaries: OrderedDict[int, Dictionary] = OrderedDict()

    def records(self, stream: Stream, after: int, limit: int, max_bytes: int | None) -> list[Record]:
        """Return what follows ``after``, up to ``limit`` records and ``max_bytes`` (but at least one record)."""
        found: list[Record] = []
        size = 0
        start = self._connection.execute(
            f'SELECT max(first) FROM "{stream}" WHERE first <= ?',  # noqa: S608
            (after + 1,),
        ).fetchone()[0]
        rows = self._connection.execute(
            f'SELECT first, dictionary, payload FROM "{stream}" WHERE first >= ? ORDER BY first',  # noqa: S608
            (start or 0,),
        )
        try:
            for first, number, payload in rows:
                for sequence, json in enumerate(self._unpacked(stream, first, number, payload), start=first):
                    if sequence <= after:
                        continue
                    size += len(json)
                    if found and (len(found) >= limit or (max_bytes is not None and size > max_bytes)):
                        return found
                    found.append(Record(sequence, json))
        finally:
            rows.close()
        return found

    def _unpacked(self, stream: Stream, first: int, number: int, payload: bytes) -> list[bytes]:
        key = (stream, first)
        if key in self._rows:
            self._rows.move_to_end(key)
            return self._rows[key]
        row = self._rows[key] = unpack(payload, first, number, self._dictionary)
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
