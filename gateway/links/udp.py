"""UDP datagrams as a pipe: Modbus devices and serial servers that answer without a connection."""

from __future__ import annotations

import asyncio
from typing import cast

from gateway.contract import Clock
from gateway.links.network import NetworkPipe, split_address, unreachable


class UdpPipe(NetworkPipe, asyncio.DatagramProtocol):
    """A socket that hears one peer only; made by ``open_udp``."""

    ends = "is closed"
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
    except OSError as error:
        raise unreachable(address, error) from None
    return pipe
