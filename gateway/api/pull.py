"""The pull interface: records by cursor with long poll, and acknowledgements."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.api.body import CURSOR_SCHEMA, AckBody, read_json
from gateway.api.endpoint import AFTER, LIMIT, STREAM, WAIT, Answer, Call, Endpoint
from gateway.commands.cursors import position
from gateway.contract import CommandError, Cursor, Record, Stream

if TYPE_CHECKING:
    from gateway.api.service import Context

ANSWER_BYTES = 8 << 20  # of records in one answer, whatever the limit: the gateway's memory is small
PIECE_BYTES = 256 * 1024

RECORDS_SCHEMA = {
    "type": "object",
    "required": ["records", "next", "more"],
    "properties": {
        "records": {"type": "array", "items": {"type": "object", "description": "A CloudEvents 1.0 event."}},
        "next": {**CURSOR_SCHEMA, "description": "Cursor to give as `after` next time."},
        "more": {"type": "boolean", "description": "Whether records behind `next` wait already."},
    },
}
SAME_STREAM = {"stream": "$request.path.stream"}
NEXT = {
    "further": {
        "operationId": "records",
        "parameters": {**SAME_STREAM, "after": "$response.body#/next"},
        "description": "Go on behind the last of these records.",
    },
    "confirm": {
        "operationId": "ack",
        "parameters": SAME_STREAM,
        "requestBody": {"cursor": "$response.body#/next"},
        "description": "Confirm that these records are stored.",
    },
}
ACKED_SCHEMA = {
    "type": "object",
    "required": ["acked", "lag"],
    "properties": {"acked": CURSOR_SCHEMA, "lag": {"type": "integer", "minimum": 0}},
}


async def records(context: "Context", call: Call) -> Response:
    """Answer records after a cursor, waiting for the first one if asked to."""
    stream: Stream = call.arguments["stream"]
    call.caller.may(stream)
    store = context.store
    cursor = call.arguments["after"]
    after = 0 if cursor is None else position(store, stream, cursor)
    limit = call.arguments["limit"]
    found = await store.records(stream, after, limit, ANSWER_BYTES)
    seconds = 0.0 if call.request.method == "HEAD" else call.arguments["wait"]
    if not found and seconds > 0 and await _news(context, call.request, stream, after, seconds):
        found = await store.records(stream, after, limit, ANSWER_BYTES)
    last = found[-1].sequence if found else after
    return _RecordsResponse(found, Cursor(store.epoch, stream, last), more=store.bounds(stream).last > last)


async def ack(context: "Context", call: Call) -> Response:
    """Confirm everything up to a cursor for the calling consumer."""
    stream: Stream = call.arguments["stream"]
    call.caller.may(stream)
    consumer = call.caller.consumer
    if consumer is None:
        raise CommandError("only a consumer can acknowledge; use the TCP address and the consumer's token", 403)
    store = context.store
    body = await read_json(call.request, AckBody)
    sequence = position(store, stream, Cursor.parse(body.cursor))
    store.confirm(consumer, stream, sequence)
    acked = max(sequence, store.position(consumer, stream))
    lag = max(0, store.bounds(stream).last - acked)
    answer = {"acked": str(Cursor(store.epoch, stream, acked)), "lag": lag}
    return Response(msgspec.json.encode(answer), media_type="application/json")


async def _news(context: "Context", request: Request, stream: Stream, after: int, seconds: float) -> bool:
    """Wait for a record; ends early when the client goes away or the API closes."""
    news = asyncio.ensure_future(context.store.wait((stream,), {stream: after}, seconds))
    others = [asyncio.ensure_future(_gone(request)), asyncio.ensure_future(context.closing.wait())]
    try:
        await asyncio.wait([news, *others], return_when=asyncio.FIRST_COMPLETED)
        return news.done() and news.result()
    finally:
        for task in (news, *others):
            task.cancel()
        await asyncio.gather(news, *others, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _RecordsResponse(Response):
    """The stored bytes of records with a frame around them, sent piece by piece and never encoded again."""

    media_type = "application/json"

    def __init__(self, found: Sequence[Record], cursor: Cursor, more: bool) -> None:
        self._found = found
        self._head = b'{"records":['
        self._tail = b'],"next":"%s","more":%s}' % (str(cursor).encode(), b"true" if more else b"false")
        length = len(self._head) + sum(len(record.json) + 1 for record in found) - bool(found) + len(self._tail)
        super().__init__(headers={"content-length": str(length)})

    def _pieces(self) -> Iterator[bytes]:
        piece = [self._head]
        size = 0
        for index, record in enumerate(self._found):
            if index:
                piece.append(b",")
            piece.append(record.json)
            size += len(record.json)
            if size >= PIECE_BYTES:
                yield b"".join(piece)
                piece, size = [], 0
        piece.append(self._tail)
        yield b"".join(piece)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for piece in self._pieces():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


PULL_ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/streams/{stream}/records",
        records,
        "Records of a stream, oldest first",
        {200: Answer("The records, and the cursor behind the last of them.", schema=RECORDS_SCHEMA, links=NEXT)},
        errors=(401, 403, 404, 410, 429, 503),
        parameters=(STREAM, AFTER, LIMIT, WAIT),
    ),
    Endpoint(
        "POST",
        "/v1/streams/{stream}/ack",
        ack,
        "Confirm everything up to a cursor for this consumer",
        {200: Answer("The consumer's position; going back changes nothing.", schema=ACKED_SCHEMA)},
        errors=(401, 403, 404, 408, 410, 413, 429),
        parameters=(STREAM,),
        body=AckBody,
    ),
)
