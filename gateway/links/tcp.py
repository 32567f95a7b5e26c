"""A TCP connection as a pipe: Modbus TCP and serial servers."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from gateway.contract import Clock, LinkError
from gateway.links.network import NetworkPipe, split_address, unreachable
from gateway.links.pipe import SETTLE

OPEN_TIMEOUT = 5.0
# A peer that lost its power says nothing; these make the kernel notice within about 20 s.
KEEPALIVE = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 10),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 3),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 10_000),
)


class TcpPipe(NetworkPipe, asyncio.Protocol):
    """One connection; made by ``open_tcp``."""

    ends = "closed the connection"
    _transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio calls this)."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("socket")
        for level, name, value in KEEPALIVE:
            if hasattr(socket, name):
                peer.setsockopt(level, getattr(socket, name), value)

    def data_received(self, data: bytes) -> None:
        """Take what came (asyncio calls this)."""
        self._received(data)

    async def settle(self) -> None:
        """As on a serial port: behind a serial server there is one."""
        await self._clock.sleep(SETTLE)

    async def _send(self, data: bytes) -> float:
        self._transport.write(data)
        return 0.0


async def open_tcp(address: str, turnaround: float, clock: Clock) -> TcpPipe:
    """Connect; LinkError says what to look at."""
    host, port = split_address(address)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(OPEN_TIMEOUT):
            _, pipe = await loop.create_connection(lambda: TcpPipe(address, turnaround, clock), host, port)
    except TimeoutError:
        raise LinkError(
            f"{address} does not answer within {OPEN_TIMEOUT:g} s; check its power, cable and address", "unreachable"
        ) from None
    except ConnectionRefusedError:
        raise LinkError(
            f"{address} refuses the connection; check the port, and that no other master is connected", "refused"
        ) from None
    except OSError as error:
        raise unreachable(address, error) from None
    return pipe
