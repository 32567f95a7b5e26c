"""Opens the socket to the broker in a thread that a stopping daemon need not wait for."""

import asyncio
import socket
import ssl
import threading

from gateway.contract import LinliError
from gateway.uplink.address import Broker

DIAL_SECONDS = 5.0


class ConnectionFailedError(LinliError):
    """No connection, or no longer. ``code``: the broker's reason, if it gave one. ``refused``: somebody must act."""

    def __init__(self, sentence: str, code: int | None = None, *, refused: bool = False) -> None:
        super().__init__(sentence)
        self.code, self.refused = code, refused


async def dial(broker: Broker, tls: ssl.SSLContext | None) -> socket.socket:
    """Connect and shake hands; ConnectionFailedError in one sentence otherwise."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[socket.socket] = loop.create_future()

    def work() -> None:
        outcome: socket.socket | OSError | ValueError
        try:
            outcome = _connected_socket(broker, tls)
        except (OSError, ValueError) as problem:
            outcome = problem
        try:
            loop.call_soon_threadsafe(_hand_over, future, outcome)
        except RuntimeError:  # the loop is gone: the daemon has stopped meanwhile
            if isinstance(outcome, socket.socket):
                outcome.close()

    threading.Thread(target=work, name="uplink-dial", daemon=True).start()
    try:
        return await future
    except (OSError, ValueError) as error:
        raise _failure(broker, error) from None


def _hand_over(future: "asyncio.Future[socket.socket]", outcome: socket.socket | OSError | ValueError) -> None:
    if not isinstance(outcome, socket.socket):
        if not future.done():
            future.set_exception(outcome)
    elif future.done():  # nobody waits for it any more
        outcome.close()
    else:
        future.set_result(outcome)


def _failure(broker: Broker, error: OSError | ValueError) -> ConnectionFailedError:
    if isinstance(error, ssl.SSLCertVerificationError):
        sentence = f"the certificate of {broker.url} is not trusted: {error.verify_message.rstrip('.')}"
        return ConnectionFailedError(f"{sentence}; check ca_file and the host in url", refused=True)
    if isinstance(error, ssl.SSLError):
        sentence = f"{broker.url} does not finish the TLS handshake: {error.reason or error}"
        return ConnectionFailedError(f"{sentence}; check the port and the client certificate")
    if isinstance(error, TimeoutError):
        return ConnectionFailedError(f"{broker.url} does not answer; check address, network and firewall")
    if isinstance(error, ConnectionRefusedError):
        return ConnectionFailedError(f"nothing listens at {broker.url}; is the broker running, and the port right?")
    if isinstance(error, socket.gaierror):
        return ConnectionFailedError(f"the name {broker.host} cannot be resolved; check url and the network's DNS")
    why = (isinstance(error, OSError) and error.strerror) or str(error)
    return ConnectionFailedError(f"{broker.url} cannot be reached: {why}; check the network")


def _connected_socket(broker: Broker, tls: ssl.SSLContext | None) -> socket.socket:
    sock = socket.create_connection((broker.host, broker.port), timeout=DIAL_SECONDS)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            return tls.wrap_socket(sock, server_hostname=broker.host)
    except (OSError, ValueError):
        sock.close()
        raise
    return sock
