"""The real daemon with a disk that a file makes slow or read-only: a seam in the writer, for what no mount can do here.

The file ``LINLI_CAMPAIGN_DISK`` holds one word. ``slow``: every commit and checkpoint takes 100 ms more, as an fsync of
a worn card does. ``readonly``: SQLite refuses to write (PRAGMA query_only), as on a file system that the kernel has
remounted read-only under open files.
"""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gateway.daemon import run
from gateway.store.database import Committed, Database

FSYNC = 0.1
CONTROL = Path(os.environ["LINLI_CAMPAIGN_DISK"])
commit, checkpoint = Database.commit, Database.checkpoint


def suffer(database: Database) -> None:
    """Be as bad as the file says."""
    word = CONTROL.read_text().strip()
    database._connection.execute(f"PRAGMA query_only = {'ON' if word == 'readonly' else 'OFF'}")  # noqa: SLF001 - the seam
    if word == "slow":
        time.sleep(FSYNC)


def bad_commit(database: Database, *arguments: object) -> Committed:
    """Commit on a bad disk."""
    suffer(database)
    return commit(database, *arguments)  # type: ignore[arg-type]


def bad_checkpoint(database: Database) -> None:
    """Checkpoint on a bad disk: two fsyncs."""
    suffer(database)
    suffer(database)
    checkpoint(database)


Database.commit, Database.checkpoint = bad_commit, bad_checkpoint  # type: ignore[method-assign,assignment]

if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[-1])))
