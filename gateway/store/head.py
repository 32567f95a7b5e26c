"""Mends the first 100 bytes of a database that was set aside: nearly all of them are the same in every store.

Without them SQLite reads nothing at all, however sound the rest is (sqlite.org/fileformat2.html, 1.3).
"""

import logging
from pathlib import Path

SIZE = 100
BEFORE = ".head"  # the file beside it that keeps what stood there
MAGIC = b"SQLite format 3\x00"
PAGE = 512  # of every store that we made
PAGES = frozenset(512 << shift for shift in range(7))
TEXT = 1  # UTF-8
FORMAT = 4

log = logging.getLogger("linli.store")


def mend_head(path: Path) -> bool:
    """Put right what is wrong in the head of the file at ``path``; keeps the bytes that stood there beside it."""
    size = path.stat().st_size
    if size < SIZE:
        return False
    with path.open("r+b") as file:
        found = file.read(SIZE)
        mended = _mended(found, size)
        if mended == found:
            return False
        path.with_name(path.name + BEFORE).write_bytes(found)
        file.seek(0)
        file.write(mended)
    log.warning("the head of %s was damaged and is mended, to read what follows it", path.name)
    return True


def _mended(found: bytes, size: int) -> bytes:
    head = bytearray(found)
    head[:16] = MAGIC
    page = int.from_bytes(head[16:18], "big")
    if page not in PAGES or size % page:
        page = PAGE
        head[16:18] = page.to_bytes(2, "big")
    if head[18] not in (1, 2) or head[18] != head[19]:
        head[18] = head[19] = 2  # a write-ahead log
    head[20:24] = bytes((0, 64, 32, 32))
    pages = int.from_bytes(head[28:32], "big")
    if head[24:28] != head[92:96] or pages > size // page:
        # The size is believed only where the two counters agree.
        head[28:32] = (size // page).to_bytes(4, "big")
        head[92:96] = head[24:28]
    if int.from_bytes(head[44:48], "big") not in range(1, FORMAT + 1):
        head[44:48] = FORMAT.to_bytes(4, "big")
    head[52:56] = bytes(4)  # no store vacuums by itself
    head[56:60] = TEXT.to_bytes(4, "big")
    head[64:68] = bytes(4)
    head[72:92] = bytes(20)
    return bytes(head)
