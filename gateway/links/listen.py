"""A line on which devices call us: TCP, for configured networks and stations only, bounded whatever callers do."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from typing import TYPE_CHECKING, Any, Protocol

from gateway.contract import Clock, LineKind, LinkError
from gateway.links.calls import Call, Ears
from gateway.links.refusals import Refusals
from gateway.links.standing import Standing
from gateway.links.tcp import KEEPALIVE
from gateway.metrics import LINE_BUSY, LINE_BYTES, LINE_ERRORS
from gateway.settings import LineSettings
from gateway.settings.address import host_port
from gateway.words import many

if TYPE_CHECKING:
    from gateway.links.pipe import Tap

log = logging.getLogger("linli.links")

MOST_CONNECTIONS = 64
MOST_OF_ONE_PEER = 16  # a station that lost its power leaves dead connections behind: the quietest of them goes
CHUNK = 4096
MOST_CALLS = 100  # a second and connection; whoever has more to say waits, and loses nothing
MOST_WITHOUT_A_CALL = 16384  # bytes
UNSENT = 65536  # bytes that a caller lets pile up without reading them
FIRST_CALL_WITHIN = 60.0
IDLE = 900.0  # at least; twice the longest silence that a station of the line may keep, if that is more
SWEEP = 5.0
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 10.0
BACKLOG = 16


class Station(Protocol):
    """One configured station, as its line sees it."""

    @property
    def station(self) -> tuple[str, str]:
        """Its protocol (the driver's name) and its address, as ``Call.station`` has it."""

    def ears(self) -> Ears:
        """Begin to hear a connection on which its protocol may be spoken."""

    async def take(self, call: Call) -> bytes:
        """Take a message; returns the reply once what was said is on the bus, and b"" for none."""


class _Connection:
    """One caller: its peer, and when it was last worth something. ``protocol`` is known from its first sound call."""

    def __init__(self, peer: str, writer: asyncio.StreamWriter, ears: dict[str, Ears], now: float) -> None:
        self.peer = peer
        self.writer = writer
        self.ears = ears
        self.began = self.heard = now
        self.useless = 0
        self.proven = False
        self.calls = 0  # since ``second``
        self.second = now

    def cut(self, data: bytes) -> list[tuple[str, Call]]:
        """The messages that are whole now. Faults of protocols that it may not even speak are nobody's."""
        calls = [(protocol, call) for protocol, ears in self.ears.items() for call in ears.feed(data)]
        spoken = next((protocol for protocol, call in calls if not call.fault), None)
        if len(self.ears) > 1 and spoken is not None:
            self.ears = {spoken: self.ears[spoken]}
            calls = [(protocol, call) for protocol, call in calls if protocol == spoken]
        return calls


class ListenLine(Standing):
    """The server of one line."""

    def __init__(self, settings: LineSettings, clock: Clock) -> None:
        super().__init__(settings.name, LineKind.LISTEN, settings.listen or "")
        self.port = 0  # that it really listens on, once open
        self._networks = tuple(ipaddress.ip_network(network) for network in settings.allow)
        self._clock = clock
        self._stations: dict[tuple[str, str], Station] = {}
        self._idle = IDLE
        self._connections: set[_Connection] = set()
        self._group: asyncio.TaskGroup
        self._refusals = Refusals(self.name)
        self._calls = self._faults = 0
        self._tap: Tap | None = None
        self._bytes_in = LINE_BYTES.labels(self.name, "in")
        self._bytes_out = LINE_BYTES.labels(self.name, "out")
        self._failures = LINE_ERRORS.labels(self.name)
        LINE_BUSY.labels(self.name).set(0)

    def admit(self, station: Station, silence: float) -> None:
        """Let a station call; ``silence`` seconds may pass between its calls."""
        self._stations[station.station] = station
        self._idle = max(self._idle, 2 * silence)

    def tap(self, on_frame: Tap | None) -> None:
        """Show every message and reply of this line to ``on_frame`` from now on, or to nobody: whole ones only."""
        self._tap = on_frame

    async def run(self) -> None:
        """Listen until cancelled."""
        backoff = FIRST_BACKOFF
        try:
            while True:
                try:
                    await self._listen()
                except LinkError as error:
                    self._fall(error)
                await self._clock.sleep(backoff)
                backoff = min(2 * backoff, LONGEST_BACKOFF)
        finally:
            self._fall(LinkError(f"line {self.name} is stopped", "stopped"), quiet=True)

    def view(self) -> dict[str, Any]:
        """What status shows of this line."""
        return {
            **self._view(),
            "busy": 0.0,
            "transactions": self._calls,
            "errors": self._faults,
            "connections": sorted(connection.peer for connection in self._connections),
            "refused": self._refusals.view(self._clock.rfc3339),
        }

    # ------------------------------------------------------------------------------------------------ the server

    async def _listen(self) -> None:
        server = await self._open()
        failure: OSError | None = None
        async with asyncio.TaskGroup() as self._group:
            try:
                await server.start_serving()
                self.port = server.sockets[0].getsockname()[1]
                self._enter("open")
                log.info("line %s: stations may call on %s", self.name, self.address)
                await self._sweep()
            except OSError as error:  # somebody else took the port between our binding and our listening
                failure = error
            finally:
                server.close()
        if failure is not None:
            raise self._cannot(failure)

    async def _open(self) -> asyncio.Server:
        host, port = host_port(self.address, any_port=True)
        try:
            server = await asyncio.start_server(
                self._called, host, port, limit=CHUNK, backlog=BACKLOG, start_serving=False
            )
        except (OSError, OverflowError) as error:
            raise self._cannot(error) from None
        for listener in server.sockets:
            # Accepted connections inherit these: a station that lost its power must not stay for ever.
            for level, name, value in KEEPALIVE:
                listener.setsockopt(level, getattr(socket, name), value)
        return server

    def _cannot(self, error: OSError | OverflowError) -> LinkError:
        why = getattr(error, "strerror", None) or error
        return LinkError(
            f"cannot listen on {self.address}: {why}; the address must be this machine's, and the port free", "listen"
        )

    async def _sweep(self) -> None:
        """Hang up, now and then, on whoever has nothing to say."""
        while True:
            await self._clock.sleep(SWEEP)
            now = self._clock.monotonic()
            for connection in list(self._connections):
                if not connection.proven and now - connection.began > FIRST_CALL_WITHIN:
                    self._refuse(connection.peer, "silent", "it called and sent no message of a configured station")
                    connection.writer.transport.abort()
                elif now - connection.heard > self._idle:
                    connection.writer.transport.abort()

    def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _peer_of(writer)
        if not self._is_allowed(peer):
            self._refuse(peer, "network", "it is in no network of allow; add its network if it is a station")
            writer.transport.abort()
            return
        if not self._make_room(peer):
            self._refuse(peer, "crowd", f"{MOST_CONNECTIONS} connections are open already")
            writer.transport.abort()
            return
        protocols = {key[0]: station for key, station in self._stations.items()}
        ears = {protocol: station.ears() for protocol, station in protocols.items()}
        connection = _Connection(peer, writer, ears, self._clock.monotonic())
        self._connections.add(connection)
        self._group.create_task(self._converse(connection, reader), name=f"line {self.name} {peer}")

    def _make_room(self, peer: str) -> bool:
        """Have the quietest of this peer go, or of all on which no station has spoken; False when all are needed."""
        mine = [one for one in self._connections if one.peer == peer]
        if len(mine) < MOST_OF_ONE_PEER:
            if len(self._connections) < MOST_CONNECTIONS:
                return True
            mine = [one for one in self._connections if not one.proven]
        quietest = min(mine, key=lambda one: one.heard, default=None)
        if quietest is None:
            return False
        self._connections.discard(quietest)  # at once: of a hundred that call together, each makes another one go
        quietest.writer.transport.abort()
        return True

    async def _converse(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        writer = connection.writer
        try:
            # The peer hung up or was hung up on, at whatever point: nothing is to be done about it.
            with contextlib.suppress(OSError):
                while data := await reader.read(CHUNK):
                    self._bytes_in.inc(len(data))
                    connection.useless += len(data)
                    for protocol, call in connection.cut(data):
                        await self._answer(connection, protocol, call)
                        await self._pace(connection)
                    if not self._is_worth_it(connection):
                        break
        finally:
            self._connections.discard(connection)
            writer.transport.abort() if writer.transport.get_write_buffer_size() > UNSENT else writer.close()

    async def _pace(self, connection: _Connection) -> None:
        """Let a station that has gone mad fill neither the bus nor the store."""
        now = self._clock.monotonic()
        if now - connection.second >= 1.0:
            connection.calls, connection.second = 0, now
        elif connection.calls >= MOST_CALLS:
            await self._clock.sleep(connection.second + 1.0 - now)

    async def _answer(self, connection: _Connection, protocol: str, call: Call) -> None:
        station = self._stations.get((protocol, call.station))
        if self._tap is not None:
            self._tap("in", call.frame, self._clock.monotonic())
        if call.fault:
            self._faults += 1
            self._failures.inc()
        else:
            self._calls += 1
        if station is None:
            if not call.fault:
                named = call.station if call.station.isprintable() else ascii(call.station)[1:-1]
                sentence = f'no device of this line has address = "{named}"; add it if it is a station'
                self._refuse(connection.peer, call.station, sentence)
            return
        reply = await station.take(call)
        if not call.fault:
            connection.heard = self._clock.monotonic()
            connection.useless = 0
            connection.calls += 1
            if not connection.proven:
                connection.proven = True
                self._refusals.welcome(connection.peer)
        if reply:
            if self._tap is not None:
                self._tap("out", reply, self._clock.monotonic())
            self._bytes_out.inc(len(reply))
            connection.writer.write(reply)

    def _is_worth_it(self, connection: _Connection) -> bool:
        if connection.useless > MOST_WITHOUT_A_CALL:
            sentence = f"{many(connection.useless, 'byte')} without a message of a configured station"
            self._refuse(connection.peer, "useless", sentence)
            return False
        return connection.writer.transport.get_write_buffer_size() <= UNSENT

    def _is_allowed(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def _refuse(self, peer: str, what: str, sentence: str) -> None:
        self._refusals.note(peer, what, sentence, self._clock.wall(), self._clock.monotonic())


def _peer_of(writer: asyncio.StreamWriter) -> str:
    """The caller's address, without a zone; empty when it is gone already."""
    name = writer.get_extra_info("peername")
    return str(name[0]).partition("%")[0] if name else ""
