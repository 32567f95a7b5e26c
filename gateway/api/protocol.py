"""One HTTP/1.1 connection: uvicorn's h11 protocol with patience limits, peer credentials and problem JSON."""

import asyncio
import logging
import socket
import struct
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from gateway.api.problem import CONTENT_TYPE, problem_body

REQUEST_WITHIN = 10.0  # seconds for the head of a request, so that half requests cannot pile up
LINGER = 2.0  # seconds to read the refusal of what was not HTTP
KEEP_ALIVE = 30  # seconds of idleness
CONNECTIONS = 256  # at once; more are closed unanswered
HEADER_BYTES = 16 * 1024
PEER = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid

# uvicorn warns for every malformed request, which is a stranger's choice; only our own failures belong in the log.
log = logging.getLogger("linli.http")
log.setLevel(logging.ERROR)


class Connection(H11Protocol):
    """A client's connection; ``app_state["uid"]`` is the peer's user on the Unix socket, else None."""

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        super().__init__(config, server_state, app_state, asyncio.get_running_loop())
        self.logger = log
        self.lost = asyncio.Event()
        self._discarding = False
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or close it when there are too many."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()
            return
        self.app_state = {"uid": peer_uid(transport)}
        self._watch(waiting=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._calm()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self.lost.set()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a request that does not become whole in time ends the connection."""
        if self._discarding:
            return
        super().data_received(data)
        if not self._discarding:
            self._watch()

    def on_response_complete(self) -> None:
        """Go on with what came meanwhile."""
        super().on_response_complete()
        self._watch()

    def shutdown(self) -> None:
        """Close now when idle, else after the answer that is on its way."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP; an answer in the making has lost its client."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE) or self.transport.is_closing():
            self.transport.close()
            return
        body = problem_body(400, f"not a readable HTTP/1.1 request, or more than {HEADER_BYTES // 1024} KiB of headers")
        headers = [
            (b"content-type", CONTENT_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        answer = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self._linger()

    def _linger(self) -> None:
        """Close, but not before the other side had time to read: unread input would turn into a reset."""
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self._discarding = True
        self.transport.write_eof()
        self._calm()
        self._patience = self.loop.call_later(LINGER, self.transport.abort)

    def _watch(self, waiting: bool = False) -> None:
        """Start or stop the patience timer: it runs while a request is begun but not yet being answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._calm()
            return
        half = bool(self.conn.trailing_data[0]) or self.conn.their_state is h11.SEND_BODY
        if waiting or half:
            if self._patience is None:
                self._patience = self.loop.call_later(REQUEST_WITHIN, self.transport.abort)
        else:
            self._calm()

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def peer_uid(transport: asyncio.BaseTransport) -> int | None:
    """Return the user id at the other end of a Unix socket (SO_PEERCRED), or None on any other transport."""
    endpoint = transport.get_extra_info("socket")
    if endpoint is None or endpoint.family != socket.AF_UNIX:
        return None
    _, uid, _ = PEER.unpack(endpoint.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
    return int(uid)
