"""A platform that takes HTTP pushes: a real server on a real socket, told by the test how to misbehave."""

import asyncio
import gzip
import json
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import h11

READ_BYTES = 65536


@dataclass
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def stream(self) -> str:
        return self.headers.get("linli-stream", "")

    def events(self) -> list[dict[str, Any]]:
        body = gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body
        return json.loads(body)

    def sequences(self) -> list[int]:
        return [int(event["sequence"]) for event in self.events()]


@dataclass
class Reply:
    """What to answer. ``status`` 0 hangs up; ``silent`` never answers."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    silent: bool = False
    close: bool = False


Judge = Callable[[Asked], Reply | Awaitable[Reply] | None]


class HttpPlatform:
    """Keeps every record by id and every file by SHA-256, and proves completeness as a platform would."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.asked: list[Asked] = []
        self.connections = 0
        self.judge: Judge = lambda asked: None
        self.early: Callable[[Asked], Reply | None] = lambda asked: None
        self.events: dict[str, dict[str, dict[str, Any]]] = {}
        self.files: dict[str, bytearray] = {}
        self.partial = True
        self.cut_after: int | None = None  # bytes of bodies, all together, after which connections are cut
        self.speaks = asyncio.Event()  # cleared: take connections and bytes, and say nothing
        self.speaks.set()

    async def __aenter__(self) -> "HttpPlatform":
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def posts(self, stream: str = "") -> list[Asked]:
        return [asked for asked in self.asked if asked.method == "POST" and stream in ("", asked.stream)]

    def delivered(self, stream: str) -> list[int]:
        """Sequences of the records that were answered with success, each id once."""
        return sorted(int(event["sequence"]) for event in self.events.get(stream, {}).values())

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, h11.RemoteProtocolError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        speech = h11.Connection(h11.SERVER)
        while (asked := await self._request(speech, reader, writer)) is not None:
            self.asked.append(asked)
            await self.speaks.wait()
            judged = self.judge(asked)
            reply = await judged if isinstance(judged, Awaitable) else judged
            reply = self._take(asked) if reply is None else reply
            if reply.silent:
                await asyncio.Event().wait()
            if not reply.status or not await self._answer(speech, writer, asked, reply):
                return

    async def _request(
        self, speech: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Asked | None:
        asked: Asked | None = None
        while True:
            event = speech.next_event()
            if event is h11.NEED_DATA:
                speech.receive_data(await reader.read(READ_BYTES))
            elif isinstance(event, h11.Request):
                headers = {name.decode(): value.decode() for name, value in event.headers}
                asked = Asked(event.method.decode(), event.target.decode(), headers, b"")
                reply = self.early(asked)
                if reply is not None:
                    await self._answer(speech, writer, asked, reply)
                    return None
            elif isinstance(event, h11.Data):
                assert asked is not None
                asked.body += bytes(event.data)
                if self.cut_after is not None:
                    self.cut_after -= len(event.data)
                    if self.cut_after <= 0:
                        self._keep_part(asked)
                        self.cut_after = None
                        return None
            elif isinstance(event, h11.EndOfMessage):
                return asked
            else:
                return None

    async def _answer(self, speech: h11.Connection, writer: asyncio.StreamWriter, asked: Asked, reply: Reply) -> bool:
        headers = {"Content-Length": str(len(reply.body)), **reply.headers}
        if reply.status == 204:
            headers.pop("Content-Length", None)
        if reply.close:
            headers["Connection"] = "close"
        data = speech.send(h11.Response(status_code=reply.status, headers=list(headers.items())))
        if asked.method != "HEAD":
            data += speech.send(h11.Data(data=reply.body)) if reply.body else b""
        data += speech.send(h11.EndOfMessage())
        writer.write(data)
        await writer.drain()
        if speech.our_state is not h11.DONE or speech.their_state is not h11.DONE:
            await asyncio.sleep(0.05)  # let the answer arrive before the reset that follows an unread body
            return False
        speech.start_next_cycle()
        return True

    # ------------------------------------------------------------------------------------------------ what it takes

    def _take(self, asked: Asked) -> Reply:
        if asked.method == "POST":
            for event in asked.events():
                known = self.events.setdefault(event["stream"], {}).setdefault(event["id"], event)
                assert known == event, "a record changed between two deliveries"
            return Reply()
        name = asked.target.rsplit("/", 1)[1]
        if asked.method == "HEAD":
            return self._head(name)
        return self._put(name, asked)

    def _head(self, name: str) -> Reply:
        if name not in self.files:
            return Reply(404)
        size = len(self.files[name])
        return Reply(200, {"Upload-Offset": str(size), "Content-Length": "0"} if self.partial else {})

    def _put(self, name: str, asked: Asked) -> Reply:
        span = asked.headers.get("content-range")
        if span is None:
            self.files[name] = bytearray(asked.body)
            return Reply(201)
        if not self.partial:
            return Reply(400)
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", span)
        assert match is not None
        first, last, _ = map(int, match.groups())
        assert len(asked.body) == last - first + 1
        have = self.files.setdefault(name, bytearray())
        if len(have) != first:
            return Reply(409)
        have += asked.body
        return Reply(201)

    def _keep_part(self, asked: Asked) -> None:
        """A connection broke within a PUT: what came is kept, as a resumable platform does."""
        if asked.method == "PUT" and self.partial:
            span = asked.headers.get("content-range", "bytes 0-")
            first = int(span.removeprefix("bytes ").partition("-")[0])
            have = self.files.setdefault(asked.target.rsplit("/", 1)[1], bytearray())
            if len(have) == first:
                have += asked.body
