"""Pictures as they go into a request: read from the store, measured, and in base64."""

import base64
from pathlib import Path
from typing import NamedTuple

JPEG = "image/jpeg"
START, ANY = 0xD8, 0xFF
# ITU-T T.81, table B.1: the frame headers, which hold the size, and the markers that stand alone.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
ALONE = frozenset(range(0xD0, 0xD8)) | {0x01}


class Image(NamedTuple):
    """A JPEG: its size in pixels, and its bytes in base64."""

    width: int
    height: int
    base64: str


def load(path: Path, limit: int) -> Image | None:
    """Read a picture of at most ``limit`` bytes; None when it is larger, no JPEG or not there any more."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError:
        return None
    size = jpeg_size(data) if len(data) <= limit else None
    return None if size is None else Image(*size, base64.b64encode(data).decode("ascii"))


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels; None when this is no JPEG."""
    if data[:2] != bytes((ANY, START)):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == ANY:
        marker = data[at + 1]
        if marker in FRAMES:
            height, width = int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
            return (width, height) if width and height else None
        if marker == ANY:
            at += 1
        elif marker in ALONE:
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None
