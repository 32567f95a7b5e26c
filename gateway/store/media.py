"""Pictures and clips: files named by SHA-256, an index in the database, an own quota, and a notice of what went."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from gateway.contract import Draft, record_id
from gateway.store.envelope import Stamp
from gateway.store.queue import Batch

CONTENT_TYPES = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "mp4": "video/mp4",
    "mkv": "video/x-matroska",
    "json": "application/json",
    "bin": "application/octet-stream",
}
NAMED_AT_ONCE = 64  # files that one notice names


class MediaIndex:
    """The media table, inside the writer's transactions."""

    def __init__(self, connection: sqlite3.Connection, quota: int) -> None:
        self._connection = connection
        self._quota = quota
        self.bytes: int = connection.execute("SELECT ifnull(sum(bytes), 0) FROM media").fetchone()[0]
        # As the transaction has it so far; only ``settle`` makes it so, since a transaction may come to nothing.
        self._bytes = self.bytes
        self._doomed: list[str] = []

    def account(self, batch: Batch, stamp: Stamp, keep: int) -> list[Draft]:
        """Enter new files; forget what is over the quota, or older than ``keep`` ns (0: no limit); say what went."""
        self._bytes, self._doomed = self.bytes, []
        for entry in batch.media:
            self._forget(entry.sha256)
            self._connection.execute(
                "INSERT INTO media (sha256, bytes, content_type, suffix, recorded) VALUES (?, ?, ?, ?, ?)",
                (entry.sha256, entry.bytes, entry.content_type, entry.suffix, entry.recorded),
            )
            self._bytes += entry.bytes
        notices = []
        if keep and stamp.trusted:
            notices += self._evict("age", stamp, before=stamp.wall - keep)
        while over := max(0, self._bytes + batch.media_room - self._quota):
            told = self._evict("quota", stamp, over=over)
            if not told:
                break
            notices += told
        return notices

    def erase(self, files: Iterable[str], stamp: Stamp) -> tuple[list[Draft], int, int]:
        """Forget these files, behind ``account`` in a transaction: what says so, how many they were, their bytes."""
        gone: list[str] = []
        freed = 0
        for sha256 in dict.fromkeys(files):
            row = self._connection.execute("SELECT bytes, suffix FROM media WHERE sha256 = ?", (sha256,)).fetchone()
            if row:
                self._forget(sha256)
                self._doomed.append(f"{sha256}.{row[1]}")
                gone.append(sha256)
                freed += row[0]
        told = []
        for at in range(0, len(gone), NAMED_AT_ONCE):
            part = gone[at : at + NAMED_AT_ONCE]
            data = {"count": len(part), "bytes": freed if not at else 0, "cause": "erased", "sha256": part}
            told.append(Draft("management", "linli.media.gap.v1", "", "media", stamp.wall, data, record_id(stamp.wall)))
        return told, len(gone), freed

    def _forget(self, sha256: str) -> None:
        row = self._connection.execute("SELECT bytes FROM media WHERE sha256 = ?", (sha256,)).fetchone()
        if row:
            self._connection.execute("DELETE FROM media WHERE sha256 = ?", (sha256,))
            self._bytes -= row[0]

    def _evict(self, cause: str, stamp: Stamp, *, before: int = 0, over: int = 0) -> list[Draft]:
        """Forget the oldest files, up to a notice's worth: those recorded ``before``, or ``over`` bytes of them."""
        rows = self._connection.execute(
            "SELECT sha256, bytes, suffix, recorded FROM media ORDER BY rowid LIMIT ?", (NAMED_AT_ONCE,)
        ).fetchall()
        gone: list[str] = []
        freed = 0
        for sha256, size, suffix, recorded in rows:
            if (before and not 0 < recorded <= before) or (over and freed >= over):
                break
            gone.append(sha256)
            freed += size
            self._doomed.append(f"{sha256}.{suffix}")
        if not gone:
            return []
        self._connection.executemany("DELETE FROM media WHERE sha256 = ?", [(each,) for each in gone])
        self._bytes -= freed
        data = {"count": len(gone), "bytes": freed, "cause": cause, "sha256": gone}
        return [Draft("management", "linli.media.gap.v1", "", "media", stamp.wall, data, record_id(stamp.wall))]

    def settle(self) -> list[str]:
        """The transaction is on disk: return the names of the files that it has forgotten."""
        self.bytes = self._bytes
        return self._doomed


class MediaFolder:
    """The files themselves, ``<folder>/ab/<sha256>.<suffix>``; everything here blocks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, sha256: str) -> tuple[Path, str] | None:
        """Find a file and its content type."""
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            return None
        for suffix, content_type in CONTENT_TYPES.items():
            path = self.path(f"{sha256}.{suffix}")
            if path.is_file():
                return path, content_type
        return None

    def write(self, data: bytes, suffix: str) -> str:
        """Write a file whole or not at all; returns its SHA-256. OSError when the disk does not take it."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.path(f"{sha256}.{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        try:
            with unfinished.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
        return sha256

    def remove(self, names: list[str]) -> None:
        """Delete files; those that are not there are as good as deleted."""
        for name in names:
            self.path(name).unlink(missing_ok=True)

    def sweep(self, database: Path) -> None:
        """Delete files that never got into the index, because the power went in between."""
        connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
        try:
            for folder in sorted(self._folder.glob("[0-9a-f][0-9a-f]")):
                rows = connection.execute(
                    "SELECT sha256 || '.' || suffix FROM media WHERE sha256 >= ? AND sha256 < ?",
                    (folder.name, folder.name + "g"),
                )
                known = {name for (name,) in rows}
                self.remove([path.name for path in folder.iterdir() if path.name not in known])
        finally:
            connection.close()

    def path(self, name: str) -> Path:
        """Where a file lies, by its name ``<sha256>.<suffix>``."""
        return self._folder / name[:2] / name


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
