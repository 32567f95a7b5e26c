"""Where a simulated line meets the gateway: a pseudo-terminal, a TCP server or a UDP socket on the loopback."""

import asyncio
import contextlib
import errno
import os
import pty
import socket
import termios
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

from gateway.contract import LinkError

LOOPBACK = "127.0.0.1"
CALL_AGAIN = 1.0  # seconds
MOST_SENDERS = 64  # of datagrams, that are remembered
# From termios' codes to bit/s; codes that are not here (odd speeds) count as "any".
SPEEDS = {
    getattr(termios, name): int(name[1:]) for name in dir(termios) if name[0] == "B" and name[1:].isdecimal()
}  # fmt: skip
Send = Callable[[bytes], None]


class Peer(Protocol):
    """Whoever speaks with the line; there is one per connection."""

    def heard(self, data: bytes) -> None:
        """Bytes came."""

    def gone(self) -> None:
        """The connection is closed."""


Meet = Callable[[Send], Peer]


class Port(Protocol):
    """One end of a line."""

    address: str

    async def open(self, meet: Meet) -> None:
        """Be there for the gateway; LinkError when that is not possible."""

    async def close(self) -> None:
        """Be gone."""

    def speed(self) -> int | None:
        """Bit/s that the gateway has set, None when the port knows none."""


class PtyPort:
    """A pseudo-terminal; ``link`` is a symbolic link that always leads to it."""

    def __init__(self, link: Path) -> None:
        self.address = str(link)
        self._link = link
        self._wire = self._terminal = -1
        self._peer: Peer | None = None

    async def open(self, meet: Meet) -> None:
        """See ``Port``."""
        self._wire, self._terminal = pty.openpty()
        tty.setraw(self._terminal)  # our own open end keeps it alive between two masters
        os.set_blocking(self._wire, False)
        partial = self._link.with_name(f".{self._link.name}.new")
        try:
            partial.unlink(missing_ok=True)
            partial.symlink_to(os.ttyname(self._terminal))
            partial.replace(self._link)
        except OSError as error:
            self._shut()
            raise LinkError(f"{self._link} cannot be made ({error.strerror}); give --ports another folder") from None
        self._peer = meet(self._send)
        asyncio.get_running_loop().add_reader(self._wire, self._readable)

    async def close(self) -> None:
        """See ``Port``."""
        if self._wire >= 0:
            asyncio.get_running_loop().remove_reader(self._wire)
            with contextlib.suppress(OSError):
                self._link.unlink()
            self._shut()
        if self._peer is not None:
            self._peer.gone()
            self._peer = None

    def speed(self) -> int | None:
        """See ``Port``."""
        return SPEEDS.get(termios.tcgetattr(self._terminal)[5]) if self._terminal >= 0 else None

    def _shut(self) -> None:
        os.close(self._wire)
        os.close(self._terminal)
        self._wire = self._terminal = -1

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._wire, 4096)
            if self._peer is not None:
                self._peer.heard(data)

    def _send(self, data: bytes) -> None:
        if self._wire >= 0:
            with contextlib.suppress(BlockingIOError):  # nobody reads: a wire has no memory either
                os.write(self._wire, data)


class _Connection(asyncio.Protocol):
    def __init__(self, port: "TcpPort", meet: Meet) -> None:
        self._port = port
        self._meet = meet
        self.transport: asyncio.Transport | None = None
        self.closed = asyncio.Event()
        self._peer: Peer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self.transport = transport
            self._port.connections.add(self)
            self._peer = self._meet(self._send)

    def data_received(self, data: bytes) -> None:
        if self._peer is not None:
            self._peer.heard(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._port.connections.discard(self)
        self.closed.set()
        if self._peer is not None:
            self._peer.gone()

    def _send(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)


class TcpPort:
    """A TCP server, on the port it is asked for when that is free, else on another, which it then keeps."""

    def __init__(self, wanted: int = 0) -> None:
        self.address = ""
        self.connections: set[_Connection] = set()
        self._wanted = wanted
        self._server: asyncio.Server | None = None

    async def open(self, meet: Meet) -> None:
        """See ``Port``."""
        loop = asyncio.get_running_loop()
        for port in (self._wanted, 0):
            try:
                self._server = await loop.create_server(lambda: _Connection(self, meet), LOOPBACK, port)
            except OSError as error:
                if port and not self.address and error.errno in (errno.EADDRINUSE, errno.EACCES):
                    continue
                raise LinkError(f"{LOOPBACK}:{port} cannot be served ({error.strerror})") from None
            break
        if self._server is None:
            raise LinkError(f"{LOOPBACK} offers no port")
        self._wanted = self._server.sockets[0].getsockname()[1]
        self.address = f"{LOOPBACK}:{self._wanted}"

    async def close(self) -> None:
        """See ``Port``."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.gather(*(connection.closed.wait() for connection in list(self.connections)))

    def speed(self) -> int | None:
        """See ``Port``."""
        return None


class CallPort:
    """A connection to the gateway, made again whenever it is lost: for stations that call."""

    def __init__(self, port: int) -> None:
        self.address = f"{LOOPBACK}:{port}"
        self._port = port
        self._task: asyncio.Task[None] | None = None

    async def open(self, meet: Meet) -> None:
        """See ``Port``."""
        self._task = asyncio.create_task(self._call(meet), name=f"calls {self.address}")

    async def close(self) -> None:
        """See ``Port``."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def speed(self) -> int | None:
        """See ``Port``."""
        return None

    async def _call(self, meet: Meet) -> None:
        while True:
            with contextlib.suppress(OSError):  # nobody listens yet, or any more
                await self._converse(meet)
            await asyncio.sleep(CALL_AGAIN)

    async def _converse(self, meet: Meet) -> None:
        reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
        peer = meet(writer.write)
        try:
            while data := await reader.read(4096):
                peer.heard(data)
        finally:
            peer.gone()
            writer.close()


def free_port(wanted: int) -> int:
    """The port that is wanted when nobody listens there, else another one; LinkError when there is none."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            found: int = probe.getsockname()[1]
            return found
    raise LinkError(f"{LOOPBACK} offers no port")


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, meet: Meet) -> None:
        self._meet = meet
        self._transport: asyncio.DatagramTransport | None = None
        self._peers: dict[tuple[str, int], Peer] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not every Python's transport for datagrams is a DatagramTransport by class.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        peer = self._peers.pop(sender, None) or self._meet(lambda answer: self._send(answer, sender))
        self._peers[sender] = peer
        if len(self._peers) > MOST_SENDERS:
            self._peers.pop(next(iter(self._peers))).gone()
        peer.heard(data)

    def connection_lost(self, _error: Exception | None) -> None:
        for peer in self._peers.values():
            peer.gone()

    def _send(self, answer: bytes, sender: tuple[str, int]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(answer, sender)


class UdpPort:
    """A UDP socket; each datagram is a question of its own. Chosen like ``TcpPort``'s."""

    def __init__(self, wanted: int = 0) -> None:
        self.address = ""
        self._wanted = wanted
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self, meet: Meet) -> None:
        """See ``Port``."""
        loop = asyncio.get_running_loop()
        for port in (self._wanted, 0):
            try:
                self._transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(meet), (LOOPBACK, port))
            except OSError as error:
                if port and not self.address and error.errno in (errno.EADDRINUSE, errno.EACCES):
                    continue
                raise LinkError(f"{LOOPBACK}:{port} cannot be served ({error.strerror})") from None
            break
        if self._transport is None:
            raise LinkError(f"{LOOPBACK} offers no port")
        self._wanted = self._transport.get_extra_info("sockname")[1]
        self.address = f"{LOOPBACK}:{self._wanted}"

    async def close(self) -> None:
        """See ``Port``."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None
            await asyncio.sleep(0)

    def speed(self) -> int | None:
        """See ``Port``."""
        return None
