"""A FAKE broker on a raw socket: says what mosquitto cannot be made to say. It checks nothing that it is not asked."""

import asyncio
import contextlib
import json
import struct
from collections.abc import Callable
from typing import Any

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 8, 12, 14
Verdict = int | str | None  # a PUBACK code, "never", "drop" (close the socket), or "kick 0x95"


class FakeBroker:
    """Takes one client after the other; ``judge`` says what becomes of each publish."""

    def __init__(self) -> None:
        self.connack = b"\x00\x00\x00"  # flags, reason code, properties
        self.judge: Callable[[str, list[dict[str, Any]]], Verdict] = lambda topic, events: 0
        self.published: list[tuple[str, list[dict[str, Any]]]] = []
        self.connects: list[bytes] = []
        self.most_unanswered = self.pings = 0
        self._unanswered = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._late: list[bytes] = []
        self._writer: asyncio.StreamWriter | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"mqtt://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> "FakeBroker":
        self._server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def release(self) -> None:
        """Answer, in reverse order, what was to be answered late."""
        assert self._writer is not None
        for packet in reversed(self._late):
            self._writer.write(packet)
            self._unanswered -= 1
        self._late.clear()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writer, self._unanswered = writer, 0
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while await self._packet(reader, writer):
                pass
        writer.close()
        self._tasks.discard(task)

    async def _packet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first = (await reader.readexactly(1))[0]
        length, shift = 0, 0
        while True:
            byte = (await reader.readexactly(1))[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        body = await reader.readexactly(length)
        kind = first >> 4
        if kind == CONNECT:
            self.connects.append(body)
            writer.write(bytes([0x20, len(self.connack)]) + self.connack)
            return self.connack[1] == 0
        if kind == SUBSCRIBE:
            writer.write(bytes([0x90, 4]) + body[:2] + b"\x00\x01")
        elif kind == PINGREQ:
            self.pings += 1
            writer.write(b"\xd0\x00")
        elif kind == PUBLISH:
            return self._publish(first, body, writer)
        return kind != DISCONNECT

    def _publish(self, first: int, body: bytes, writer: asyncio.StreamWriter) -> bool:
        size = struct.unpack("!H", body[:2])[0]
        topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
        if not first & 0x06:
            return True
        identifier, rest = rest[:2], rest[2:]
        properties = rest[0]
        payload = rest[1 + properties :]
        verdict: Verdict = 0
        if not topic.endswith("/state"):
            events = json.loads(payload)
            self.published.append((topic.rsplit("/", 1)[1], events))
            verdict = self.judge(topic.rsplit("/", 1)[1], events)
        self._unanswered += 1
        self.most_unanswered = max(self.most_unanswered, self._unanswered)
        if verdict == "late":
            self._late.append(bytes([0x40, 4]) + identifier + b"\x00\x00")
        elif verdict == "drop":
            return False
        elif isinstance(verdict, str) and verdict.startswith("kick"):
            writer.write(bytes([0xE0, 2, int(verdict[5:], 16), 0]))
            return False
        elif isinstance(verdict, int):
            self._unanswered -= 1
            writer.write(bytes([0x40, 4]) + identifier + bytes([verdict, 0]))
        return True


def connack(code: int = 0, **properties: int) -> bytes:
    """Build a CONNACK's body; properties: receive_maximum, maximum_qos, maximum_packet_size, server_keep_alive."""
    packed = b""
    forms = {"receive_maximum": (33, "!H"), "maximum_qos": (36, "!B"), "maximum_packet_size": (39, "!I"),
             "server_keep_alive": (19, "!H")}  # fmt: skip
    for name, value in properties.items():
        identifier, form = forms[name]
        packed += bytes([identifier]) + struct.pack(form, value)
    return bytes([0, code, len(packed)]) + packed
