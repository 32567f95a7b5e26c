"""Who may ask: bearer tokens of consumers, and the local socket's users."""

import hashlib
import hmac
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from gateway.api.patience import Patience
from gateway.api.problem import RefusalError
from gateway.contract import STREAMS, CommandError, Stream
from gateway.settings import ConsumerSettings

CHALLENGE = {"www-authenticate": 'Bearer realm="linli"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request. ``consumer`` is None on the local socket; ``actor`` goes into the audit."""

    actor: str
    consumer: str | None = None
    streams: frozenset[Stream] = frozenset(STREAMS)

    @property
    def local(self) -> bool:
        """Whether the request came over the Unix socket."""
        return self.consumer is None

    def may(self, stream: Stream) -> None:
        """CommandError 403 unless this caller takes the stream."""
        if stream not in self.streams:
            allowed = ", ".join(name for name in STREAMS if name in self.streams)
            raise CommandError(f"consumer {self.consumer!r} has no stream {stream!r}; it has: {allowed}", 403)

    def may_see(self, what: str) -> None:
        """CommandError 403 unless this caller takes a stream whose records name pictures; ``what`` it wanted to see."""
        if not self.streams & {"perception", "alarm"}:
            raise CommandError(f"consumer {self.consumer!r} has neither perception nor alarm, so no {what}", 403)


@dataclass(slots=True)
class Access:
    """Tells callers by their token. A valid token is never slowed down, whatever else its source sends."""

    consumers: Sequence[ConsumerSettings]
    patience: Patience

    async def caller(self, request: Request) -> Caller:
        """Return who asks; CommandError 401 without or with a wrong token, 429 after too many wrong ones."""
        uid = request.scope["state"].get("uid")
        if uid is not None:
            return Caller(f"uid:{uid}")
        header = request.headers.get("authorization", "")
        if not header:
            raise RefusalError("this needs a consumer's token: send 'Authorization: Bearer TOKEN'", 401, CHALLENGE)
        scheme, _, token = header.partition(" ")
        found = self._consumer(token.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            raise await self._refusal(source(request))
        return Caller(f"consumer:{found.name}", found.name, frozenset(found.streams))

    def _consumer(self, token: str) -> ConsumerSettings | None:
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        found = None
        for consumer in self.consumers:  # all of them, so that the time tells nothing
            if hmac.compare_digest(digest, consumer.token_sha256):
                found = consumer
        return found

    async def _refusal(self, origin: str) -> RefusalError:
        wait = await self.patience.wrong(origin)
        if not wait:
            return RefusalError("wrong token: this gateway knows no consumer with it", 401, CHALLENGE)
        seconds = max(1, round(wait))
        headers = {"retry-after": str(seconds)}
        return RefusalError(f"too many wrong tokens from your address: try again in {seconds} s", 429, headers)


def source(request: Request) -> str:
    """Return the address that counts as one source: IPv4 as it is, IPv6 by its /64."""
    host = request.client.host if request.client else "unknown"
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
