"""What TCP and UDP pipes have in common: the address, the end, and what to look at when the far side is not reached."""

from __future__ import annotations

import asyncio
import socket

from gateway.contract import LinkError
from gateway.links.pipe import StreamPipe


class NetworkPipe(StreamPipe):
    """A pipe that asyncio fills; ``ends`` is the word for its end."""

    ends: str
    _transport: asyncio.Transport | asyncio.DatagramTransport

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end (asyncio calls this)."""
        why = f": {exc}" if exc else ""
        self._lost(LinkError(f"{self.address} {self.ends}{why}; it is opened again by itself", "closed"))

    def close(self) -> None:
        """Close at once; what was not yet sent is of no use to anyone."""
        self._transport.abort()


def split_address(address: str) -> tuple[str, int]:
    """Read ``host:port`` or ``[v6]:port``; LinkError when it is neither."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise LinkError(f'{address!r} is not host:port; write for example tcp = "192.168.10.20:502"', "address")
    return host.strip("[]"), int(port)


def unreachable(address: str, error: OSError) -> LinkError:
    """Say what to look at when a socket cannot be made."""
    if isinstance(error, socket.gaierror):
        host = split_address(address)[0]
        return LinkError(
            f"{host} cannot be resolved ({error.strerror}); check the name or use an IP address", "unresolved"
        )
    return LinkError(f"{address}: {error.strerror or error}; check the network", "unreachable")
