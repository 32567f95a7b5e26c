"""Where the platform is and how we prove who we are: addresses and the Authorization header."""

import base64
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.contract import ConfigError
from gateway.settings.address import is_loopback
from gateway.settings.core import HttpSettings
from gateway.settings.secret import read_secret

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """An address that requests go to; ``target`` is what stands in the request line."""

    host: str
    port: int
    tls: bool
    target: str

    @property
    def authority(self) -> str:
        """The Host header (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS["https" if self.tls else "http"] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address for people: without a query, which may hold a key."""
        return f"{'https' if self.tls else 'http'}://{self.authority}{self.target.partition('?')[0]}"

    @property
    def insecure(self) -> bool:
        """Whether records and tokens cross a network in the clear."""
        return not self.tls and not is_loopback(self.host)


def origin(url: str) -> Origin:
    """Take an address of the settings apart; they have checked it."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Origin(parts.hostname or "", parts.port or PORTS[parts.scheme], parts.scheme == "https", target)


def media_origin(settings: HttpSettings) -> Origin:
    """Return the address below which media are put."""
    return origin(settings.media_url or settings.url.rstrip("/") + "/media")


def authorization(settings: HttpSettings) -> str | None:
    """Read the secret now, so that a changed file counts at once; ConfigError when it cannot be used."""
    if settings.token_file is not None:
        token = read_secret(settings.token_file)
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigError(f"{settings.token_file}: a token has printable ASCII characters only, and no space")
        return f"Bearer {token}"
    if settings.user is not None and settings.password_file is not None:
        pair = f"{settings.user}:{read_secret(settings.password_file)}"
        return "Basic " + base64.b64encode(pair.encode()).decode()
    return None
