"""Tells a damaged write-ahead log from one that a power cut has torn; SQLite passes over both in silence.

Every commit is synced before the next begins, so a cut tears nothing but the last. Whatever stands behind a commit
that SQLite does not believe was on disk before, and somebody may have been told of it. The format is that of
sqlite.org/fileformat2.html, 4.
"""

import contextlib
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HEAD = struct.Struct(">8I")
FRAME = struct.Struct(">6I")
INDEX_FRAMES = struct.Struct("=I")  # at 16 of the index: frames that SQLite believes
PAGES = frozenset(512 << shift for shift in range(8))


class Frame(NamedTuple):
    """One frame: the page, whether it ends a commit, the two salts, and where its content begins."""

    page: int
    commit: bool
    salts: tuple[int, int]
    at: int


def log_trouble(path: Path) -> str | None:
    """Say what is wrong with the log of the database at ``path``; None when nothing is, or there is none."""
    try:
        content = path.with_name(path.name + "-wal").read_bytes()
    except FileNotFoundError:
        return None
    if len(content) < HEAD.size + FRAME.size:
        return None
    _, _, _, _, salt1, salt2, _, _ = HEAD.unpack_from(content)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        page_size: int = connection.execute("PRAGMA page_size").fetchone()[0]
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        believed = _believed(path)
        if page_size not in PAGES or believed is None:
            return None
        frames = list(_frames(content, page_size))
        if believed == 0 and frames and frames[0].salts != (salt1, salt2):
            return _not_copied(path, content, frames, page_size)
    ended = 0  # the page whose frame ended the first commit that SQLite does not believe
    for frame in frames[believed:]:
        if frame.salts != (salt1, salt2):
            continue
        # Where a sector is larger than a page, SQLite fills it up with copies of the frame that ends the commit.
        if ended and not (frame.commit and frame.page == ended):
            return "a commit in the write-ahead log is not what was written, and others follow it"
        ended = frame.page if frame.commit else ended
    return None


def _believed(path: Path) -> int | None:
    """How many frames SQLite has found good; None when there is no index."""
    index = path.with_name(path.name + "-shm")
    try:
        with index.open("rb") as file:
            head = file.read(20)
    except FileNotFoundError:
        return None
    return int(INDEX_FRAMES.unpack_from(head, 16)[0]) if len(head) == 20 else None


def _frames(content: bytes, page_size: int) -> Iterator[Frame]:
    for at in range(HEAD.size, len(content) - page_size - FRAME.size + 1, FRAME.size + page_size):
        page, size, salt1, salt2, _, _ = FRAME.unpack_from(content, at)
        yield Frame(page, size != 0, (salt1, salt2), at + FRAME.size)


def _not_copied(path: Path, content: bytes, frames: list[Frame], page_size: int) -> str | None:
    """The log's head is no head of these frames: harmless if the database has them all, as before a log begins anew."""
    salts = frames[0].salts
    end = max(index for index, frame in enumerate(frames) if frame.salts == salts) + 1
    ends = [index for index, frame in enumerate(frames[:end]) if frame.commit]
    # One commit may have been on its way with the head, and frames of two generations mean the same.
    if len(ends) < 2 or any(frame.salts != salts for frame in frames[:end]):
        return None
    latest = {frame.page: frame.at for frame in frames[: ends[-1] + 1]}
    with path.open("rb") as database:
        for page, at in latest.items():
            database.seek((page - 1) * page_size)
            if database.read(page_size) != content[at : at + page_size]:
                return "the head of the write-ahead log is not what was written"
    return None
