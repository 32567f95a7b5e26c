"""One file on its way to the platform: asked for first, then put whole or piece by piece, resumable."""

import asyncio
import base64
import ssl
from dataclasses import dataclass
from pathlib import Path

from gateway.contract import Clock, LinliError
from gateway.settings.core import HttpSettings
from gateway.uplink.address import tls_context
from gateway.uplink.answers import Verdict
from gateway.uplink.dial import ConnectionFailedError
from gateway.uplink.http import codes
from gateway.uplink.http.connection import Answer, Connection
from gateway.uplink.http.origin import authorization, media_origin
from gateway.uplink.http.pictures import Picture
from gateway.uplink.http.wire import USER_AGENT, acknowledgement

# A file up to LARGEST_PIECE goes as it is; a link that breaks on it is tried with less, so that some progress is sure.
LARGEST_PIECE, SMALLEST_PIECE = 1 << 20, 16 << 10
LARGEST_WHOLE = 16 << 20
RESYNCS = 3
NOTHING_THERE = frozenset({404, 410})
UNSUPPORTED = frozenset({405, 501})
OUT_OF_STEP = frozenset({409, 416})


class GoneError(LinliError):
    """The file is no longer here."""


@dataclass(eq=False)
class RefusedError(LinliError):
    """The platform answers with a status that is no success; ``verdict`` says what follows."""

    status: int
    verdict: Verdict
    text: str
    wait: float

    def __str__(self) -> str:
        return codes.sentence(self.status, "media", self.text)

    @property
    def discreet(self) -> str:
        """The sentence without the platform's own words, for the log."""
        return codes.sentence(self.status, "media")


class Transfer:
    """Puts files over one connection, which is kept between them."""

    def __init__(self, settings: HttpSettings, gateway: str, clock: Clock) -> None:
        self._settings, self._gateway, self._clock = settings, gateway, clock
        self._place = media_origin(settings)
        self._connection: Connection | None = None
        self._secret: str | None = None
        self._piece = self._largest = LARGEST_PIECE
        self._whole = False
        self._paid_until = 0.0
        self.sent_bytes = 0

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def deliver(self, picture: Picture, path: Path) -> bool:
        """Bring a file to the platform; False when it was there already.

        GoneError, RefusedError; ConnectionFailedError and ConfigError when it has to be tried again.
        """
        try:
            size = (await asyncio.to_thread(path.stat)).st_size
        except FileNotFoundError:
            raise GoneError(f"{picture.sha256} is gone") from None
        for _ in range(RESYNCS):
            offset = await self._there(picture, size)
            if offset >= size:
                return False
            if await self._put_all(picture, path, offset, size):
                return True
        raise RefusedError(409, Verdict.LATER, "it cannot say how much of a file it has", 0.0)

    async def _there(self, picture: Picture, size: int) -> int:
        """How many bytes of the file the platform has."""
        answer = await self._ask("HEAD", picture)
        if answer.status in NOTHING_THERE | UNSUPPORTED:
            return 0
        self._judge(answer)
        length = answer.headers.get("content-length", "")
        offset = _number(answer.headers.get("upload-offset", ""))
        if offset is not None:
            return min(offset, size)
        # Without an offset, the file is there, unless its length says that it was cut off.
        return 0 if (_number(length) or size) < size else size

    async def _put_all(self, picture: Picture, path: Path, offset: int, size: int) -> bool:
        """Put what is missing; False when the platform has another opinion of how much that is."""
        offset = 0 if self._whole else offset
        while offset < size:
            length = size - offset if self._whole else min(self._piece, size - offset)
            if length > LARGEST_WHOLE:
                raise RefusedError(413, Verdict.TOO_LARGE, "", 0.0)
            body = await asyncio.to_thread(_read, path, offset, length)
            headers = [("Content-Type", picture.content_type)]
            partial = length < size
            if partial:
                headers.append(("Content-Range", f"bytes {offset}-{offset + length - 1}/{size}"))
            if offset + length == size:
                digest = base64.b64encode(bytes.fromhex(picture.sha256)).decode()
                headers.append(("Repr-Digest", f"sha-256=:{digest}:"))  # RFC 9530
            try:
                answer = await self._ask("PUT", picture, headers, body)
            except ConnectionFailedError:
                self._piece = max(SMALLEST_PIECE, min(self._piece, length) // 2)
                raise
            if partial and answer.status in OUT_OF_STEP:
                return False
            if partial and not self._whole and answer.status in (400, 501):
                # RFC 9110, 14.5: what does not know partial PUTs refuses them with 400.
                self._whole, offset = True, 0
                continue
            if answer.status == codes.TOO_LARGE and length > SMALLEST_PIECE and not self._whole:
                self._piece = self._largest = max(SMALLEST_PIECE, length // 2)
                continue
            self._judge(answer)
            self._piece = min(self._largest, self._piece * 2)
            self.sent_bytes += length
            offset += length
            await self._pay(length)
        return True

    def _judge(self, answer: Answer) -> None:
        status, text, wait = acknowledgement(answer, self._clock)
        verdict = codes.verdict(status)
        if verdict is not Verdict.TAKEN:
            if status == codes.UNSUPPORTED_TYPE:
                verdict = Verdict.AT_FAULT  # it may well take another file
            raise RefusedError(status, verdict, text, wait)

    async def _ask(
        self, method: str, picture: Picture, more: list[tuple[str, str]] | None = None, body: bytes = b""
    ) -> Answer:
        if self._connection is None:
            tls: ssl.SSLContext | None = tls_context(self._settings) if self._place.tls else None
            self._secret = authorization(self._settings)
            self._connection = Connection(self._place, tls, self._settings.timeout)
        headers = [("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Linli-Gateway", self._gateway), *(more or [])]
        if self._secret is not None:
            headers.append(("Authorization", self._secret))
        target = f"{self._place.target.rstrip('/')}/{picture.sha256}"
        try:
            # A PUT that broke goes on where it broke, not from its beginning.
            answer = await self._connection.ask(method, target, headers, body, again=method == "HEAD")
        except ConnectionFailedError:
            self.close()
            raise
        if answer.status in (401, 403):
            self.close()  # the next one reads the secret and the certificates anew
        return answer

    async def _pay(self, size: int) -> None:
        """Keep to the rate of a metered link."""
        if self._settings.media_rate is None:
            return
        now = self._clock.monotonic()
        self._paid_until = max(self._paid_until, now) + size / self._settings.media_rate
        await self._clock.sleep(self._paid_until - now)


def _read(path: Path, offset: int, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except FileNotFoundError:
        raise GoneError(f"{path.name} is gone") from None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
