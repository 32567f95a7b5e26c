"""Batches as POST requests: the headers, compression if asked for, and what the platform says to them."""

import asyncio
import gzip
import hashlib
import ssl
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from gateway import __version__
from gateway.contract import Clock, Stream
from gateway.settings.core import HttpSettings
from gateway.uplink.answers import Ack, Verdict
from gateway.uplink.http import codes
from gateway.uplink.http.connection import Answer, Connection
from gateway.uplink.http.origin import authorization, origin
from gateway.uplink.reasons import clean
from gateway.uplink.topics import BATCH_TYPE

USER_AGENT = f"linli-gateway/{__version__}"
# No record is near this; what is too large, the platform says with a 413.
LARGEST_BODY = 16 * 1024 * 1024


class HttpWire:
    """Posts batches over up to ``window`` connections, the one that was used last first."""

    def __init__(
        self,
        settings: HttpSettings,
        gateway: str,
        epoch: str,
        tls: ssl.SSLContext | None,
        clock: Clock,
        heard: Callable[[], Awaitable[None]],
    ) -> None:
        """ConfigError when the token or password cannot be read. ``heard`` is awaited on every answer."""
        self.window = settings.window
        self._settings, self._clock, self._heard = settings, clock, heard
        place = origin(settings.url)
        self._target = place.target
        self._idle = [Connection(place, tls, settings.timeout) for _ in range(settings.window)]
        self._connections = tuple(self._idle)
        self._group: asyncio.TaskGroup | None = None
        self._head = [("User-Agent", USER_AGENT), ("Content-Type", BATCH_TYPE), ("Accept", "*/*")]
        self._head += [("Linli-Gateway", gateway), ("Linli-Epoch", epoch)]
        self._authorization = authorization(settings)
        self._compress = _compressor(settings.compress)

    async def open(self) -> None:
        """Connect, so that the platform is known to be there; ConnectionFailedError otherwise."""
        await self._idle[-1].open()

    def close(self) -> None:
        """End all connections."""
        for connection in self._connections:
            connection.close()

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Let requests run in ``group``; one that has no answer ends it with ConnectionFailedError."""
        self._group = group

    def room(self, stream: Stream) -> int:
        """Largest body in bytes, before compression."""
        return LARGEST_BODY

    def publish(self, stream: Stream, payload: bytes, cursor: str, done: Callable[[Ack], None]) -> int:
        """Post; returns the body's bytes on the wire, 0 when it is too large to be sent."""
        if len(payload) > LARGEST_BODY or self._group is None:
            return 0
        # The cursor alone would not do: after a restart a batch may end at the same record and begin at another.
        key = f'"{cursor}-{hashlib.sha256(payload).hexdigest()[:16]}"'
        headers = [*self._head, ("Linli-Stream", stream), ("Linli-Cursor", cursor), ("Idempotency-Key", key)]
        body = payload
        if self._compress is not None:
            body = self._compress(payload)
            headers.append(("Content-Encoding", self._settings.compress))
        self._group.create_task(self._post(self._idle.pop(), headers, body, done))
        return len(body)

    async def _post(
        self, connection: Connection, headers: list[tuple[str, str]], body: bytes, done: Callable[[Ack], None]
    ) -> None:
        if self._authorization is not None:
            headers.append(("Authorization", self._authorization))
        answer = await connection.ask("POST", self._target, headers, body)
        self._idle.append(connection)
        await self._heard()
        if answer.status in (401, 403):
            self._authorization = authorization(self._settings)  # the file may hold another by now
        done(acknowledgement(answer, self._clock))


def acknowledgement(answer: Answer, clock: Clock) -> Ack:
    """Turn a response into what the outbox judges."""
    status, headers = answer.status, answer.headers
    wait = 0.0
    if codes.verdict(status) is Verdict.LATER:
        wait = codes.retry_after(headers.get("retry-after", ""), headers.get("date", ""), clock.wall() / 1e9)
    return Ack(status, "" if 200 <= status < 300 else _said(answer), wait)


def _said(answer: Answer) -> str:
    """What the platform says to people: a redirect's target, a problem's detail (RFC 9457), or plain text."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if 300 <= answer.status < 400:
        return clean(answer.headers.get("location", ""))
    if kind.endswith("json"):
        try:
            problem = msgspec.json.decode(answer.body, type=_Problem)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return ""
        return clean(problem.detail or problem.title)
    return clean(answer.body.decode("utf-8", "replace")).strip() if kind == "text/plain" else ""


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""


def _compressor(kind: str) -> Callable[[bytes], bytes] | None:
    if kind == "gzip":
        return partial(gzip.compress, compresslevel=6, mtime=0)
    if kind == "zstd":
        import zstandard  # needs memory only where it is asked for

        compress: Callable[[bytes], bytes] = zstandard.ZstdCompressor(level=3).compress
        return compress
    return None
