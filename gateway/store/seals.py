"""Finds positions, facts and gaps that are not what was written: a flipped bit may leave them plausible."""

import sqlite3
from collections.abc import Iterator

from gateway.store.migrate import SEALED, checksum

# Rows of records that wait for the clock are large and have a checksum inside, which is judged when they go.
ASIDE_FROM = {"facts": "WHERE name NOT BETWEEN 'held/' AND 'held0'"}


def broken_seals(connection: sqlite3.Connection) -> Iterator[str]:
    """Say which rows are not what was written; the schema has to be the newest."""
    for table, columns in SEALED.items():
        names = ", ".join(f'"{name}"' for name in columns)
        query = f'SELECT checksum, {names} FROM "{table}" {ASIDE_FROM.get(table, "")}'  # noqa: S608
        for seal, *said in connection.execute(query):
            if seal != checksum(*said):
                what = ", ".join(str(each)[:40] for each in said if not isinstance(each, bytes))
                yield f"a row of {table} ({what}) does not have the checksum it was written with"
