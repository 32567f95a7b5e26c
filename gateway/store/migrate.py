"""Creates and migrates the database file, as a short-lived child: the daemon has no memory for sqlite-utils."""

from __future__ import annotations

import secrets
import string
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlite_utils import Database

# A small commit rewrites whole pages: 512 bytes cost the fewest (scripts/bench_store prints the comparison).
PAGE_SIZE = 512
EPOCH_LETTERS = string.ascii_lowercase + string.digits
# Small rows of their own, whose every bit counts: by table, what the checksum of a row covers.
SEALED: Final = {
    "cursors": ("consumer", "stream", "sequence"),
    "facts": ("name", "value"),
    "gaps": ("stream", "sequence", "first", "last"),
}
ROWS = {"first": int, "last": int, "recorded": int, "dictionary": int, "payload": bytes}


def new_epoch() -> str:
    """Make a name for one incarnation of the store."""
    return "".join(secrets.choice(EPOCH_LETTERS) for _ in range(10))


def checksum(*said: object) -> int:
    """CRC-32 over what a row says, in the order of ``SEALED``."""
    return zlib.crc32(b"\0".join(each if isinstance(each, bytes) else str(each).encode() for each in said))


def _v1(database: Database, epoch: str) -> None:
    for stream in ("perception", "management", "alarm", "disposal"):
        database.table(stream).create(ROWS, pk="first", not_null=set(ROWS))
    database.table("dictionaries").create({"number": int, "content": bytes}, pk="number")
    database.table("gaps").create(
        {"stream": str, "sequence": int, "first": int, "last": int}, pk=("stream", "sequence")
    )
    database.table("cursors").create({"consumer": str, "stream": str, "sequence": int}, pk=("consumer", "stream"))
    database.table("facts").create({"name": str, "value": bytes}, pk="name")
    database.table("media").create(
        {"sha256": str, "bytes": int, "content_type": str, "suffix": str, "recorded": int}, pk="sha256"
    )
    database.table("about").create({"name": str, "value": str}, pk="name")
    database.table("about").insert_all(
        [{"name": "epoch", "value": epoch}, {"name": "created", "value": str(time.time_ns())}]
    )


def _v2(database: Database, epoch: str) -> None:
    for table, columns in SEALED.items():
        database.table(table).add_column("checksum", int)
        names = ", ".join(f'"{name}"' for name in columns)
        for row, *said in database.execute(f'SELECT rowid, {names} FROM "{table}"').fetchall():  # noqa: S608
            database.execute(f'UPDATE "{table}" SET checksum = ? WHERE rowid = ?', [checksum(*said), row])  # noqa: S608


def _v3(database: Database, epoch: str) -> None:
    media = database.table("media")
    media.add_column("kept", str, not_null_default="")
    media.create_index(["kept"])


# A released migration never changes: tests/store/released/ keeps every released schema to migrate from.
MIGRATIONS: Final[tuple[Callable[[Database, str], None], ...]] = (_v1, _v2, _v3)
VERSION = len(MIGRATIONS)
SCHEMA = 0x58A0F35E  # CRC-32 of the newest tables' SQL by name: a damaged schema is found at start


def migrate(path: Path, page_size: int = PAGE_SIZE, epoch: str = "") -> None:
    """Bring the database at ``path`` to the newest version, each step in one transaction; a new one gets ``epoch``."""
    import sqlite_utils

    database = sqlite_utils.Database(path)
    connection = database.conn
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        connection.execute(f"PRAGMA page_size = {page_size:d}")
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        with database.atomic():
            step(database, epoch or new_epoch())
            connection.execute(f"PRAGMA user_version = {number:d}")
    connection.close()


if __name__ == "__main__":
    migrate(Path(sys.argv[1]), epoch="".join(sys.argv[2:3]))
