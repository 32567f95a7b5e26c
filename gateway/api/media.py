"""Pictures and clips by their SHA-256, whole or one range of them (RFC 9110, 14)."""

import asyncio
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.api.endpoint import SHA256, Answer, Call, Endpoint
from gateway.api.problem import problem
from gateway.contract import CommandError

if TYPE_CHECKING:
    from gateway.api.service import Context

PIECE_BYTES = 256 * 1024
MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp", "video/mp4", "video/x-matroska")


async def media(context: "Context", call: Call) -> Response:
    """Answer a picture or clip."""
    call.caller.may_see("media")
    sha256 = call.arguments["sha256"]
    path, content_type = context.store.media(sha256) or (None, "")
    opened = await asyncio.to_thread(_open, path) if path else None
    if path is None or opened is None:
        raise CommandError("no such media file: it was never here, or its time to be kept is over", 404)
    file, size = opened
    asked = call.request.headers
    tag = f'"{sha256}"'
    headers = {"etag": tag, "accept-ranges": "bytes", "cache-control": "private, no-cache"}
    if _matches(asked.get("if-none-match", ""), tag):
        file.close()
        return Response(status_code=304, headers=headers)
    part = _range(asked.get("range", ""), size) if asked.get("if-range", tag) == tag else None
    if part is None:
        first, length, status = 0, size, 200
    else:
        first, length, status = part[0], part[1] - part[0] + 1, 206
        if length <= 0:
            file.close()
            return problem(416, f"the file has {size} bytes", {**headers, "content-range": f"bytes */{size}"})
        headers["content-range"] = f"bytes {part[0]}-{part[1]}/{size}"
    headers["content-disposition"] = f'inline; filename="{path.name}"'
    return _FileResponse(file, first, length, status, headers, content_type)


def _open(path: Path) -> tuple[BinaryIO, int] | None:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    return file, os.fstat(file.fileno()).st_size


def _matches(header: str, tag: str) -> bool:
    return header.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in header.split(","))


def _range(header: str, size: int) -> tuple[int, int] | None:
    """Return first and last byte of a single range; last < first cannot be satisfied; None asks for the whole."""
    match = re.fullmatch(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", header, re.IGNORECASE | re.ASCII)
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        suffix = min(int(match[2]), size)
        return size - suffix, size - 1
    first = int(match[1])
    last = int(match[2]) if match[2] else max(first, size - 1)
    if last < first:
        return None
    return (first, min(last, size - 1)) if first < size else (size, size - 1)


class _FileResponse(Response):
    """Part of an opened file, read piece by piece off the event loop; closes the file in the end."""

    def __init__(
        self, file: BinaryIO, first: int, length: int, status: int, headers: dict[str, str], content_type: str
    ) -> None:
        super().__init__(None, status, {**headers, "content-length": str(length)}, content_type)
        self._file, self._first, self._length = file, first, length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left = 0 if scope["method"] == "HEAD" else self._length
        with self._file:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            self._file.seek(self._first)
            while left:
                piece = await asyncio.to_thread(self._file.read, min(left, PIECE_BYTES))
                if not piece:
                    raise OSError(f"{self._file.name} became shorter while it was sent")
                left -= len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


MEDIA_ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/media/{sha256}",
        media,
        "A picture or clip that a record names",
        {
            200: Answer("The whole file.", MEDIA_TYPES),
            206: Answer("One range of it.", MEDIA_TYPES),
            304: Answer("Not modified since the tag in If-None-Match.", ()),
        },
        errors=(401, 403, 404, 416, 429),
        parameters=(SHA256,),
    ),
)
