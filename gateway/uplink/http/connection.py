"""One HTTP/1.1 connection to the platform: h11 speaks it, asyncio carries it, and every wait has an end."""

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import h11

from gateway.uplink.dial import HANDSHAKE_SECONDS, ConnectionFailedError, dial, failure
from gateway.uplink.http.origin import Origin

PIECE_BYTES = 16 * 1024
# What is read of an answer's body before the connection is given up; and what is kept of it.
LARGEST_ANSWER, KEPT_ANSWER = 64 * 1024, 2048
CHALLENGES = "www-authenticate"

Headers = Sequence[tuple[str, str]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Answer(NamedTuple):
    """A response: status, headers by lower-case name, and the beginning of the body."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """Opened when it is needed; asks one thing at a time. ``timeout``: seconds without progress, and for an answer.

    ``kept``: bytes that are kept of an answer's body.
    """

    def __init__(self, place: Origin, tls: ssl.SSLContext | None, timeout: float, kept: int = KEPT_ANSWER) -> None:
        self._place, self._tls, self._timeout, self._kept = place, tls, timeout, kept
        self._h11 = h11.Connection(h11.CLIENT)
        self._streams: Streams | None = None

    @property
    def is_open(self) -> bool:
        """Whether a request needs no dialling, as far as is known."""
        return self._streams is not None and not self._streams[0].at_eof()

    async def open(self) -> Streams:
        """Connect and shake hands; ConnectionFailedError in one sentence otherwise."""
        self.close()
        sock = await dial(self._place, None)
        sock.setblocking(False)
        try:
            if self._tls is None:
                self._streams = await asyncio.open_connection(sock=sock)
            else:
                self._streams = await asyncio.open_connection(
                    sock=sock,
                    ssl=self._tls,
                    server_hostname=self._place.host,
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                )
        except (OSError, ValueError) as error:
            # The socket is the transport's, which has closed it, or will: nobody else may.
            raise failure(self._place, error) from None
        self._h11 = h11.Connection(h11.CLIENT)
        return self._streams

    def close(self) -> None:
        """End it at once; what was asked may or may not have been done."""
        if self._streams is not None:
            # Not close(): over TLS that waits for the other end, which may be gone.
            self._streams[1].transport.abort()
            self._streams = None

    async def ask(self, method: str, target: str, headers: Headers, body: bytes = b"", *, again: bool = True) -> Answer:
        """Send one request and return its answer; ConnectionFailedError when there is none.

        The platform may have closed a kept connection meanwhile: then it is asked once more over a new one, unless
        ``again`` says no. That is safe, since everything that we ask may come twice.
        """
        about = [("Host", self._place.authority), *headers]
        if method != "HEAD":
            about.append(("Content-Length", str(len(body))))
        fields = [(name.encode("ascii"), value.encode("latin-1")) for name, value in about]
        head = h11.Request(method=method, target=target, headers=fields)
        if self.is_open and self._streams is not None:
            try:
                return await self._exchange(self._streams, head, body)
            except _UnheardError:
                if not again:
                    raise
        return await self._exchange(await self.open(), head, body)

    async def _exchange(self, streams: Streams, head: h11.Request, body: bytes) -> Answer:
        exchange = _Exchange(self._h11, *streams, self._timeout, self._kept)
        kept = False
        try:
            answer = await exchange.run(head, body)
            kept = exchange.reusable()
            return answer
        except TimeoutError:
            doing = "answer" if exchange.sent else "take a request"
            raise ConnectionFailedError(f"{self._place.url} does not {doing} within {self._timeout:g} s") from None
        except h11.RemoteProtocolError as error:
            if not exchange.heard:
                raise _UnheardError(f"{self._place.url} closes the connection without an answer") from None
            why, port = f"{self._place.url} does not answer as HTTP/1.1 does", "is it the right port?"
            raise ConnectionFailedError(f"{why}: {error}; {port}", discreet=f"{why}; {port}") from None
        except ssl.SSLError as error:
            raise failure(self._place, error) from None
        except OSError as error:
            kind = ConnectionFailedError if exchange.heard else _UnheardError
            raise kind(f"the connection to {self._place.url} broke: {error.strerror or error}") from None
        finally:
            if not kept:
                self.close()


class _UnheardError(ConnectionFailedError):
    """The connection ended before a single byte of an answer."""


class _Exchange:
    """One request and its answer over an open connection."""

    def __init__(
        self,
        speech: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        timeout: float,
        kept: int,
    ) -> None:
        self._h11, self._reader, self._writer, self._timeout, self._kept = speech, reader, writer, timeout, kept
        self.sent = self.heard = False

    async def run(self, head: h11.Request, body: bytes) -> Answer:
        """Read while writing: a platform may refuse, and close, before it has everything."""
        async with asyncio.timeout(self._timeout) as limit:
            sending = asyncio.ensure_future(self._send(head, body, limit))
            try:
                return await self._receive()
            finally:
                sending.cancel()
                await asyncio.wait((sending,))
                if not sending.cancelled():
                    sending.exception()  # what counts is the answer, or that there is none

    def reusable(self) -> bool:
        """Make ready for the next request; False when the connection has to be closed."""
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE or self._h11.trailing_data[0]:
            return False
        self._h11.start_next_cycle()
        return True

    async def _send(self, head: h11.Request, body: bytes, limit: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        self._writer.write(self._h11.send(head))
        for start in range(0, len(body), PIECE_BYTES):
            self._writer.write(self._h11.send(h11.Data(data=body[start : start + PIECE_BYTES])))
            await self._writer.drain()
            limit.reschedule(loop.time() + self._timeout)
        self._writer.write(self._h11.send(h11.EndOfMessage()))
        await self._writer.drain()
        self.sent = True
        limit.reschedule(loop.time() + self._timeout)

    async def _receive(self) -> Answer:
        status = 0
        headers: dict[str, str] = {}
        body, size = b"", 0
        while size <= LARGEST_ANSWER:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                data = await self._reader.read(PIECE_BYTES)
                self.heard = self.heard or bool(data)
                self._h11.receive_data(data)
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = _headers(event.headers)
            elif isinstance(event, h11.Data):
                size += len(event.data)
                body += bytes(event.data)[: self._kept - len(body)]
            elif isinstance(event, h11.EndOfMessage):
                break
        return Answer(status, headers, body)


def _headers(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The first of each name, but all challenges: they may come in several fields (RFC 9110, 11.6.1)."""
    headers: dict[str, str] = {}
    for raw, value in fields:
        name, text = raw.decode("ascii"), value.decode("latin-1")
        if name == CHALLENGES and name in headers:
            headers[name] += f", {text}"
        else:
            headers.setdefault(name, text)
    return headers
