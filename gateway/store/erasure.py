"""Erases single records for good: rows are written anew without them, and what deleted pages held is overwritten."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from gateway.contract import Draft, Stream
from gateway.store.packing import EMPTY, Dictionary, Packer, load_dictionary, mentions, unpack
from gateway.store.retention import Cause, Gap

FILL = 16 << 20  # bytes of zeros in one row while free pages are overwritten


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure took: records by stream, files and their bytes."""

    records: Mapping[Stream, int]
    files: int
    bytes: int


@dataclass(slots=True)
class Erasure:
    """What is to be erased in one commit: sequences by stream, files by SHA-256. ``tell`` makes the record of it."""

    records: Mapping[Stream, Sequence[int]]
    files: Sequence[str]
    tell: Callable[[Erased], Draft]
    done: Erased | None = field(default=None)


class Eraser:
    """Takes records out of their rows, inside the writer's transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def erase(self, stream: Stream, sequences: Iterable[int], cause: Cause = "erased") -> list[Gap]:
        """Delete these records where they are still there; every row keeps the rest of what it held."""
        gone: list[int] = []
        wanted = sorted(set(sequences))
        while wanted:
            row = self._connection.execute(
                f'SELECT first, last, recorded, dictionary, payload FROM "{stream}" WHERE first <= ?'  # noqa: S608
                " ORDER BY first DESC LIMIT 1",
                (wanted[0],),
            ).fetchone()
            if row is None or row[1] < wanted[0]:
                wanted.pop(0)
                continue
            inside = [sequence for sequence in wanted if sequence <= row[1]]
            wanted = wanted[len(inside) :]
            self._rewrite(stream, row, set(inside))
            gone += inside
        return [Gap(stream, first, last, cause) for first, last in _ranges(gone)]

    def mentioning(self, word: bytes, payload: bytes, first: int, number: int) -> list[bytes]:
        """The JSON of a row's records that have ``word`` in it; DamagedError when it is not what was written."""
        dictionary = self._dictionary(number)
        if not mentions(word, payload, first, number, dictionary):
            return []
        return [json for json in unpack(payload, first, number, lambda _: dictionary) if word in json]

    def _rewrite(self, stream: Stream, row: tuple[int, int, int, int, bytes], without: set[int]) -> None:
        first, _, recorded, number, payload = row
        dictionary = self._dictionary(number)
        records = unpack(payload, first, number, lambda _: dictionary)
        self._connection.execute(f'DELETE FROM "{stream}" WHERE first = ?', (first,))  # noqa: S608
        kept = [first + at for at in range(len(records)) if first + at not in without]
        for begin, end in _ranges(kept):
            packed = Packer(dictionary).pack(records[begin - first : end - first + 1], begin)
            self._connection.execute(
                f'INSERT INTO "{stream}" (first, last, recorded, dictionary, payload) VALUES (?, ?, ?, ?, ?)',  # noqa: S608
                (begin, end, recorded, number, packed),
            )

    def _dictionary(self, number: int) -> Dictionary:
        if number == 0:
            return EMPTY
        row = self._connection.execute("SELECT content FROM dictionaries WHERE number = ?", (number,)).fetchone()
        return load_dictionary(number, row[0] if row else b"")


def overwrite_free_pages(connection: sqlite3.Connection, page_size: int) -> None:
    """Fill every free page with zeros, inside a transaction; sqlite3.Error when the disk has no room for the log."""
    connection.execute("CREATE TABLE overwritten (zeros BLOB)")
    while (free := connection.execute("PRAGMA freelist_count").fetchone()[0]) > 0:
        size = min(FILL, max(1, (free - 2) * (page_size - 4)))
        connection.execute("INSERT INTO overwritten VALUES (zeroblob(?))", (size,))
    connection.execute("DROP TABLE overwritten")


def _ranges(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of every run of consecutive ascending numbers."""
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        yield run[0], run[-1]
