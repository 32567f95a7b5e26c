"""Pictures and clips: files named by SHA-256, an index in the database, an own quota, and a notice of what went."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.contract import Draft, Kept, record_id
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
AGED_AT_ONCE = 512  # files that go for their age in one commit
KEPT: tuple[Kept, ...] = ("", "vehicle", "unlisted")  # the longest first
# What is none of these, said so that the index finds it.
STRANGE = "kept > '' AND kept < 'unlisted' OR kept > 'unlisted' AND kept < 'vehicle' OR kept > 'vehicle'"
ENDLESS = (1 << 63) - 1  # beyond every rowid

Row = tuple[str, int, str]  # SHA-256, bytes, suffix


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """What all files may take (bytes), and by how they are kept at what age they go (ns)."""

    quota: int
    ages: Mapping[Kept, int]


class MediaIndex:
    """The media table, inside the writer's transactions; ``behind``: more is too old than was deleted at once."""

    def __init__(self, connection: sqlite3.Connection, limits: MediaLimits) -> None:
        self._connection = connection
        self._limits = limits
        self.behind = False
        self.awaited: int | None = None  # of passages on no list: from when on somebody waits for them (ns since 1970)
        self.bytes: int = connection.execute("SELECT ifnull(sum(bytes), 0) FROM media").fetchone()[0]
        # As the transaction has it so far; only ``settle`` makes it so, since a transaction may come to nothing.
        self._bytes = self.bytes
        self._doomed: list[str] = []

    def account(self, batch: Batch, stamp: Stamp, *, aged: bool) -> list[Draft]:
        """Enter new files; forget what is over the quota and, if ``aged``, what is too old; say what went."""
        self._bytes, self._doomed = self.bytes, []
        self.behind = False
        for entry in batch.media:
            before = self._forget(entry.sha256)
            kept = entry.kept if before is None else _longer(before, entry.kept)
            self._connection.execute(
                "INSERT INTO media (sha256, bytes, content_type, suffix, recorded, kept) VALUES (?, ?, ?, ?, ?, ?)",
                (entry.sha256, entry.bytes, entry.content_type, entry.suffix, entry.recorded, kept),
            )
            self._bytes += entry.bytes
        notices: list[Draft] = []
        if aged and stamp.trusted:
            # A flipped bit must not keep a file for ever.
            self._connection.execute(f"UPDATE media SET kept = '' WHERE {STRANGE}")  # noqa: S608
            for kept, age in self._limits.ages.items():
                until = stamp.wall - age
                if kept == "unlisted" and self.awaited is not None:
                    until = max(until - age, min(until, self.awaited))
                rows = self._too_old(kept, until, stamp.wall)
                self.behind = self.behind or len(rows) == AGED_AT_ONCE
                notices += self._evict("age", stamp, rows)
        while (over := self._bytes + batch.media_room - self._limits.quota) > 0:
            rows = self._first_to_go(over, stamp.trusted or ENDLESS)
            if not rows:
                break
            notices += self._evict("quota", stamp, rows)
        return notices

    def _too_old(self, kept: Kept, before: int, now: int) -> list[Row]:
        """Find the oldest that were recorded ``before``; one whose time nobody knows is as old as the next one's."""
        young = self._connection.execute(
            "SELECT rowid FROM media WHERE kept = ? AND recorded > ? AND recorded <= ? ORDER BY rowid LIMIT 1",
            (kept, max(0, before), now),
        ).fetchone()
        until = self._connection.execute(
            "SELECT rowid FROM media WHERE kept = ? AND rowid < ? AND recorded > 0 AND recorded <= ?"
            " ORDER BY rowid DESC LIMIT 1",
            (kept, young[0] if young else ENDLESS, before),
        ).fetchone()
        return self._oldest(kept, until[0], AGED_AT_ONCE) if until else []

    def _oldest(self, kept: Kept, until: int, limit: int) -> list[Row]:
        return self._connection.execute(
            "SELECT sha256, bytes, suffix FROM media WHERE kept = ? AND rowid <= ? ORDER BY rowid LIMIT ?",
            (kept, until, limit),
        ).fetchall()

    def _first_to_go(self, over: int, now: int) -> list[Row]:
        """Find what has the least time left of its age, about ``over`` bytes of it, a notice's worth at most.

        One whose time nobody knows, or lies ahead of ``now``, is as old as the next file that has one.
        """
        heads: list[tuple[int, int, Kept]] = []
        ages = self._limits.ages
        for kept, age in ages.items():
            row = self._connection.execute(
                "SELECT rowid FROM media WHERE kept = ? ORDER BY rowid LIMIT 1", (kept,)
            ).fetchone()
            if row:
                known = self._connection.execute(
                    "SELECT recorded FROM media WHERE rowid >= ? AND recorded > 0 AND recorded <= ?"
                    " ORDER BY rowid LIMIT 1",
                    (row[0], now),
                ).fetchone()
                recorded = known[0] if known else now
                heads.append((recorded + age if len(set(ages.values())) > 1 else 0, row[0], kept))
        rows: list[Row] = []
        for row in self._oldest(min(heads)[2], ENDLESS, NAMED_AT_ONCE) if heads else ():
            if over <= 0:
                break
            rows.append(row)
            over -= row[1]
        return rows

    def erase(self, files: Iterable[str], stamp: Stamp) -> tuple[list[Draft], int, int]:
        """Forget these files, behind ``account`` in a transaction: what says so, how many they were, their bytes."""
        rows: list[Row] = []
        for sha256 in dict.fromkeys(files):
            row = self._connection.execute(
                "SELECT sha256, bytes, suffix FROM media WHERE sha256 = ?", (sha256,)
            ).fetchone()
            if row:
                rows.append(row)
        return self._evict("erased", stamp, rows), len(rows), sum(row[1] for row in rows)

    def _forget(self, sha256: str) -> Kept | None:
        """Take a file out that is entered anew; how it was kept, None when it was not there."""
        row = self._connection.execute("SELECT bytes, kept FROM media WHERE sha256 = ?", (sha256,)).fetchone()
        if row is None:
            return None
        self._connection.execute("DELETE FROM media WHERE sha256 = ?", (sha256,))
        self._bytes -= row[0]
        return next((kept for kept in KEPT if kept == row[1]), "")

    def _evict(self, cause: str, stamp: Stamp, rows: Sequence[Row]) -> list[Draft]:
        """Forget these files, and say so in as many notices as it takes."""
        told = []
        for at in range(0, len(rows), NAMED_AT_ONCE):
            part = rows[at : at + NAMED_AT_ONCE]
            gone, freed = [sha256 for sha256, _, _ in part], sum(size for _, size, _ in part)
            self._doomed += [f"{sha256}.{suffix}" for sha256, _, suffix in part]
            self._connection.executemany("DELETE FROM media WHERE sha256 = ?", [(each,) for each in gone])
            self._bytes -= freed
            data = {"count": len(gone), "bytes": freed, "cause": cause, "sha256": gone}
            told.append(Draft("management", "linli.media.gap.v1", "", "media", stamp.wall, data, record_id(stamp.wall)))
        return told

    def settle(self) -> list[str]:
        """The transaction is on disk: return the names of the files that it has forgotten."""
        self.bytes = self._bytes
        return self._doomed


def _longer(one: Kept, other: Kept) -> Kept:
    """Of a picture that two records name, who keeps it longer."""
    return next(kept for kept in KEPT if kept in (one, other))


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
