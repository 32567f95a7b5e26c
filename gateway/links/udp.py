"""UDP datagrams as a pipe: Modbus devices and serial servers that answer without a connection."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from gateway.contract import Clock, LinkError
from gateway.links.pipe import StreamPipe
from gateway.links.tcp import split_address


class UdpPipe(StreamPipe, asyncio.DatagramProtocol):
    """A socket that hears one peer only; made by ``open_udp``."""

    _transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio calls this)."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, _address: object) -> None:
        """Take what came (asyncio calls this)."""
        if data:
            self._received(data)

    def error_received(self, exc: Exception) -> None:
        """A peer that is restarting refuses for a while (asyncio calls this): that is silence, not a broken line."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end (asyncio calls this)."""
        why = f": {exc}" if exc else ""
        self._lost(LinkError(f"{self.address} is closed{why}; it is opened again by itself", "closed"))

    def close(self) -> None:
        """Close at once."""
        self._transport.abort()

    async def _send(self, data: bytes) -> float:
        self._transport.sendto(data)
        return 0.0


async def open_udp(address: str, turnaround: float, clock: Clock) -> UdpPipe:
    """Make the socket; whether anybody answers shows only later. LinkError says what to look at."""
    host, port = split_address(address)
    loop = asyncio.get_running_loop()
    try:
        _, pipe = await loop.create_datagram_endpoint(
            lambda: UdpPipe(address, turnaround, clock), remote_addr=(host, port)
        )
    except socket.gaierror as error:
        raise LinkError(
            f"{host} cannot be resolved ({error.strerror}); check the name or use an IP address", "unresolved"
        ) from None
    except OSError as error:
        raise LinkError(f"{address}: {error.strerror or error}; check the network", "unreachable") from None
    return pipe
