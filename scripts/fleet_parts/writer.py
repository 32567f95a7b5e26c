"""Writes batches of records into PostgreSQL: idempotent, in one transaction a group, and nothing refused unseen."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
import psycopg

LARGEST = 2**63 - 1


class Event(msgspec.Struct):
    """What the platform reads of a record; a message in which any is of the wrong kind is refused."""

    id: UUID
    source: str
    type: str
    time: datetime
    stream: str
    epoch: str
    sequence: str


class Batch(NamedTuple):
    """One message: who published it (the broker's rules vouch for the topic), and its payload."""

    gateway: str
    stream: str
    payload: bytes


class Taken(NamedTuple):
    """What a group of messages came to."""

    records: int
    new: int
    refused: int


class Writer:
    """One connection to PostgreSQL, with the tables of docs/platform/postgresql.sql."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._connection.execute("CREATE TEMP TABLE incoming (LIKE incoming_shape) ON COMMIT DELETE ROWS")
        self._series: dict[tuple[str, str, str], int] = {}
        self._split = msgspec.json.Decoder(list[msgspec.Raw]).decode
        self._read = msgspec.json.Decoder(Event).decode

    def take(self, batches: Iterable[Batch]) -> Taken:
        """Write a group of messages; when this returns, they are on the server's disk."""
        lines: list[bytes] = []
        refused: list[tuple[Batch, str]] = []
        for batch in batches:
            try:
                lines += [self._line(batch, bytes(raw)) for raw in self._split(batch.payload)]
            except (msgspec.MsgspecError, ValueError) as error:
                refused.append((batch, str(error)))
        while True:
            try:
                return Taken(len(lines), self._write(lines, refused), len(refused))
            except psycopg.errors.DeadlockDetected:
                continue  # only records that disagree about ids can do that; one of the two goes first

    def _line(self, batch: Batch, raw: bytes) -> bytes:
        event = self._read(raw)
        number = int(event.sequence)
        if not 1 <= number <= LARGEST or event.stream != batch.stream or event.time.tzinfo is None:
            raise ValueError(f"sequence {event.sequence}, stream {event.stream}, time {event.time}")
        if event.source.split("/")[:3] != ["", "gateways", batch.gateway]:
            raise ValueError(f"{batch.gateway} speaks as {event.source}")
        key = (batch.gateway, event.epoch, event.stream)
        series = self._series.get(key) or self._number(key)
        return b"%d\t%d\t%b\t%b\t%b\t%b\n" % (
            series, number, str(event.id).encode(), _copy(event.type.encode()),
            event.time.isoformat().encode(), _copy(raw),
        )  # fmt: skip

    def _number(self, key: tuple[str, str, str]) -> int:
        self._connection.execute(
            "INSERT INTO series (gateway, epoch, stream) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", key
        )
        row = self._connection.execute(
            "SELECT series FROM series WHERE gateway = %s AND epoch = %s AND stream = %s", key
        ).fetchone()
        assert row is not None
        self._series[key] = row[0]
        return int(row[0])

    def _write(self, lines: Sequence[bytes], refused: Iterable[tuple[Batch, str]]) -> int:
        new = 0
        with self._connection.transaction(), self._connection.cursor() as cursor:
            if lines:
                with cursor.copy("COPY incoming (series, sequence, id, type, time, record) FROM STDIN") as copy:
                    copy.write(b"".join(lines))
                row = cursor.execute("SELECT take_in()").fetchone()
                assert row is not None
                new = row[0]
            for batch, reason in refused:
                cursor.execute(
                    "INSERT INTO refused (topic, payload, reason) VALUES (%s, %s, %s)",
                    (f"{batch.gateway}/{batch.stream}", batch.payload, reason),
                )
        return new

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def _copy(value: bytes) -> bytes:
    """Escape for COPY's text format; JSON has no raw control characters in strings, but may have them between."""
    return (
        value.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
        if b"\\" in value or b"\n" in value or b"\t" in value or b"\r" in value
        else value
    )
