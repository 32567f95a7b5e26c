"""Opens the socket to the far end in a thread that a stopping daemon need not wait for."""

import asyncio
import socket
import ssl
import threading
from typing import Protocol

from gateway.contract import LinliError

DIAL_SECONDS = 5.0
# A handshake is several round trips, and certificates are large: a link of 600 ms each way needs some seconds.
HANDSHAKE_SECONDS = 10.0
# RFC 5482: what the far end's TCP has not acknowledged for so long breaks the connection.
UNACKNOWLEDGED_MS = 10_000
EXPIRED, NOT_YET, OTHER_NAME, OTHER_ADDRESS = 10, 9, 62, 64  # OpenSSL's X509_V_ERR_… numbers


class ConnectionFailedError(LinliError):
    """No connection, or no longer. ``code``: the far end's reason, if it gave one. ``refused``: somebody must act.

    ``discreet`` is the sentence without the far end's own words, for the log: a plate may stand in them.
    """

    def __init__(
        self, sentence: str, code: int | None = None, *, refused: bool = False, discreet: str | None = None
    ) -> None:
        super().__init__(sentence)
        self.code, self.refused, self.discreet = code, refused, discreet or sentence


class Place(Protocol):
    """Where to: ``url`` is the address for people."""

    @property
    def host(self) -> str:
        """Name or address."""

    @property
    def port(self) -> int:
        """TCP port."""

    @property
    def url(self) -> str:
        """Without credentials."""


async def dial(place: Place, tls: ssl.SSLContext | None) -> socket.socket:
    """Connect and shake hands; ConnectionFailedError in one sentence otherwise."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[socket.socket] = loop.create_future()

    def work() -> None:
        outcome: socket.socket | OSError | ValueError
        try:
            outcome = _connected_socket(place, tls)
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
        raise failure(place, error) from None


def _hand_over(future: "asyncio.Future[socket.socket]", outcome: socket.socket | OSError | ValueError) -> None:
    if not isinstance(outcome, socket.socket):
        if not future.done():
            future.set_exception(outcome)
    elif future.done():  # nobody waits for it any more
        outcome.close()
    else:
        future.set_result(outcome)


def failure(place: Place, error: OSError | ValueError) -> ConnectionFailedError:
    """Say in a sentence why there is no connection, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectionFailedError(_distrust(place, error), refused=True)
    if isinstance(error, ssl.SSLError):
        sentence = f"{place.url} does not finish the TLS handshake: {error.reason or error}"
        return ConnectionFailedError(f"{sentence}; check the port and the client certificate")
    if isinstance(error, TimeoutError):
        return ConnectionFailedError(f"{place.url} does not answer; check address, network and firewall")
    if isinstance(error, ConnectionRefusedError):
        return ConnectionFailedError(f"nothing listens at {place.url}; is it running, and the port right?")
    if isinstance(error, socket.gaierror):
        return ConnectionFailedError(f"the name {place.host} cannot be resolved; check url and the network's DNS")
    why = (isinstance(error, OSError) and error.strerror) or str(error)
    return ConnectionFailedError(f"{place.url} cannot be reached: {why}; check the network")


def _distrust(place: Place, error: ssl.SSLCertVerificationError) -> str:
    """Say why a certificate is not trusted and who can do what."""
    sentence = f"the certificate of {place.url} is not trusted: {error.verify_message.rstrip('.')}"
    match error.verify_code:
        case n if n == EXPIRED:
            return f"{sentence}; renew it there, or correct this gateway's clock if that is wrong"
        case n if n == NOT_YET:
            return f"{sentence}; correct this gateway's clock: timedatectl shows its state"
        case n if n in (OTHER_NAME, OTHER_ADDRESS):
            return f"{sentence}; write the name into url that stands in the certificate"
    return f"{sentence}; check that ca_file holds the authority that signed it"


def _connected_socket(place: Place, tls: ssl.SSLContext | None) -> socket.socket:
    sock = socket.create_connection((place.host, place.port), timeout=DIAL_SECONDS)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; without it the system resends for a quarter of an hour
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
        if tls is not None:
            sock.settimeout(HANDSHAKE_SECONDS)
            return tls.wrap_socket(sock, server_hostname=place.host)
    except (OSError, ValueError):
        sock.close()
        raise
    return sock
