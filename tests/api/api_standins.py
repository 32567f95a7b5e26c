"""Small in-memory stand-ins for the store and the commands, and a raw HTTP client that hides nothing."""

import asyncio
import hashlib
import json
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gateway.contract import STREAMS, CommandError, Cursor, Draft, Record
from gateway.settings import Settings

TOKEN = "linli-test-token-of-the-district"
ALARM_TOKEN = "linli-test-token-of-the-alarm-desk"
EPOCH = "k3f9"


def settings(state: Path, listen: str = "127.0.0.1:0", **api: Any) -> Settings:
    """A whole configuration: gateway, store and API with two consumers."""
    consumer = [
        {"name": "district-platform", "token_sha256": hashlib.sha256(TOKEN.encode()).hexdigest(), "required": True},
        {
            "name": "alarm-desk",
            "token_sha256": hashlib.sha256(ALARM_TOKEN.encode()).hexdigest(),
            "streams": ["alarm"],
        },
    ]
    return Settings.model_validate(
        {
            "gateway": {"id": "sh-pudong-0421", "site": "Garden Lane 12", "state": str(state)},
            "api": {"listen": listen, "consumer": consumer, **api},
        }
    )


class Bounds(NamedTuple):
    first: int
    last: int


class MemoryStore:
    """A store in memory (a fake: nothing is durable)."""

    def __init__(self) -> None:
        self.epoch = EPOCH
        self.failing: str | None = None
        self.streams: dict[str, list[Record]] = {stream: [] for stream in STREAMS}
        self.positions: dict[tuple[str, str], int] = {}
        self.files: dict[str, tuple[Path, str]] = {}
        self.waiting = 0
        self.drafts: list[Draft] = []
        self._news = asyncio.Condition()

    async def add(self, stream: str, count: int = 1, data: Any = None) -> None:
        for _ in range(count):
            sequence = len(self.streams[stream]) + 1
            event = {"specversion": "1.0", "stream": stream, "sequence": f"{sequence:020d}", "data": data or {}}
            self.streams[stream].append(Record(sequence, json.dumps(event, ensure_ascii=False).encode()))
        async with self._news:
            self._news.notify_all()

    async def put(self, drafts: Sequence[Draft], *, urgent: bool = False) -> None:
        self.drafts += drafts

    async def records(self, stream: str, after: int, limit: int, max_bytes: int | None = None) -> list[Record]:
        found, size = [], 0
        for record in self.streams[stream][after : after + limit]:
            size += len(record.json)
            if found and max_bytes is not None and size > max_bytes:
                break
            found.append(record)
        return found

    async def wait(self, streams: Collection[str], after: Mapping[str, int], timeout: float) -> bool:
        def news() -> bool:
            return any(len(self.streams[stream]) > after[stream] for stream in streams)

        self.waiting += 1
        try:
            async with asyncio.timeout(timeout), self._news:
                await self._news.wait_for(news)
            return True
        except TimeoutError:
            return False
        finally:
            self.waiting -= 1

    def bounds(self, stream: str) -> Bounds:
        return Bounds(1, len(self.streams[stream]))

    def position(self, consumer: str, stream: str) -> int:
        return self.positions.get((consumer, stream), 0)

    def confirm(self, consumer: str, stream: str, sequence: int) -> None:
        self.positions[consumer, stream] = max(sequence, self.position(consumer, stream))

    def check(self, cursor: Cursor) -> None:
        if cursor.epoch != self.epoch:
            first = Cursor(self.epoch, cursor.stream, 0)
            raise CommandError("the cursor is of another epoch; start again", 410, cursor=str(first))

    def media(self, sha256: str) -> tuple[Path, str] | None:
        return self.files.get(sha256)


class MemoryCommands:
    """Commands that remember what was asked of them (a fake)."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.asked: list[tuple[str, Any, str]] = []
        self.answer: dict[str, Any] = {}

    async def execute(self, verb: str, arguments: Mapping[str, Any], actor: str) -> Any:
        self.asked.append((verb, dict(arguments), actor))
        if verb == "status":
            return {**self.status(), **self.answer}
        if verb == "fail":
            raise RuntimeError("a bug, on purpose")
        if verb == "echo":
            return dict(arguments)
        raise CommandError(f"there is no command {verb!r}", 404)

    def status(self) -> dict[str, Any]:
        consumers = [
            {
                "consumer": name,
                "stream": stream,
                "acked": str(Cursor(EPOCH, stream, self.store.position(name, stream))),
                "lag": self.store.bounds(stream).last - self.store.position(name, stream),
            }
            for name in ("district-platform", "alarm-desk")
            for stream in STREAMS
        ]
        return {
            "gateway": "sh-pudong-0421",
            "epoch": EPOCH,
            "version": "0.1.0",
            "uptime_s": 12.0,
            "problems": [],
            "devices": [],
            "cameras": [],
            "lines": [],
            "streams": {stream: {"first": 1, "last": self.store.bounds(stream).last} for stream in STREAMS},
            "consumers": consumers,
            "store": {"bytes": 4096, "quota": 1 << 20, "media_bytes": 512, "media_quota": 1 << 20},
            "alarms": [],
        }


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def split(address: str) -> tuple[str, int]:
    """Take ``host:port`` apart."""
    host, _, port = address.rpartition(":")
    return host, int(port)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until something that no event announces is so."""
    while not condition():  # noqa: ASYNC110 - the product must not grow events for its tests
        await asyncio.sleep(0)


async def exchange(address: str | Path, data: bytes, tls: ssl.SSLContext | None = None) -> Answer:
    """Send raw bytes, read until the server closes, and take the answer apart."""
    if isinstance(address, Path):
        reader, writer = await asyncio.open_unix_connection(address)
    else:
        host, port = split(address)
        reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    try:
        writer.write(data)
        await writer.drain()
        raw = await reader.read(-1)
    finally:
        writer.close()
    return take_apart(raw)


def take_apart(raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    if headers.get("transfer-encoding") == "chunked":
        whole, rest = b"", body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            whole, rest = whole + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        body = whole
    return Answer(int(lines[0].split()[1]), headers, body)


async def fetch(
    address: str | Path,
    target: str,
    *,
    method: str = "GET",
    token: str | None = TOKEN,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """Make one request over a connection of its own."""
    lines = [f"{method} {target} HTTP/1.1", "Host: gateway", "Connection: close"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return await exchange(address, "\r\n".join([*lines, "", ""]).encode("latin-1") + body, tls)
