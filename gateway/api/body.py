"""Reads request bodies: bounded in size, time and depth, and typed."""

import asyncio
from typing import Annotated, Any, TypeVar

import msgspec
from starlette.requests import Request

from gateway.contract import STREAMS, CommandError

BODY_BYTES = 64 * 1024
BODY_WITHIN = 10.0  # seconds
CURSOR_SCHEMA = {
    "type": "string",
    "pattern": rf"^[0-9A-Za-z]+\.({'|'.join(STREAMS)})\.[0-9]{{1,20}}$",
    "examples": ["k3f9.perception.1042"],
}

T = TypeVar("T")


class AckBody(msgspec.Struct):
    """Body of an acknowledgement: everything up to and including this cursor is safe with the consumer."""

    # Only described: a cursor that does not fit is refused with a sentence by whoever parses it.
    cursor: Annotated[str, msgspec.Meta(extra_json_schema=CURSOR_SCHEMA)]


async def read_json(request: Request, kind: type[T]) -> T:
    """Read a JSON body as ``kind``; CommandError 400, 408 or 413."""
    data = await _bytes(request)
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CommandError(f"the body is not the JSON that is expected here: {str(error)[:200]}") from None


async def read_arguments(request: Request) -> dict[str, Any]:
    """Read a JSON object of arguments; an empty body is an empty object."""
    return await read_json(request, dict[str, Any]) if request.headers.get("content-length") != "0" else {}


async def _bytes(request: Request) -> bytes:
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > BODY_BYTES:
        raise _too_large()
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN):
            async for chunk in request.stream():
                data += chunk
                if len(data) > BODY_BYTES:
                    raise _too_large()
    except TimeoutError:
        raise CommandError(f"the body did not arrive within {BODY_WITHIN:g} s", 408) from None
    return bytes(data)


def _too_large() -> CommandError:
    return CommandError(f"the body is larger than {BODY_BYTES // 1024} KiB", 413)
