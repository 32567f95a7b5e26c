"""Opens what the API listens on: a TCP address, with TLS where configured, and the local Unix socket."""

import asyncio
import contextlib
import errno
import grp
import logging
import os
import socket
import ssl
import stat
from collections.abc import Callable
from pathlib import Path

from gateway.contract import ConfigError, LinkError
from gateway.places import SOCKET_NAME, spare_socket
from gateway.settings import ApiSettings
from gateway.settings.address import host_port, is_loopback

DISK_ERRORS = frozenset({errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOENT})
SOCKET_MODE = 0o660
SOCKET_GROUP = "linli"
SOCKET_PATH_BYTES = 107  # sun_path of unix(7) less its NUL
BACKLOG = 128
HANDSHAKE_SECONDS = 10.0
STUCK_MILLISECONDS = 120_000  # a peer that takes no byte for so long is gone
PROBE_SECONDS = 60  # of silence on a connection before the kernel asks whether the peer lives

Factory = Callable[[], asyncio.Protocol]

log = logging.getLogger("linli.api")


def tls_context(settings: ApiSettings) -> ssl.SSLContext | None:
    """Load certificate and key (TLS 1.2 at least); ConfigError when they cannot be used, None without TLS."""
    if settings.tls_cert is None and settings.tls_key is None:
        return None
    if settings.tls_cert is None or settings.tls_key is None:
        raise ConfigError("api: tls_cert and tls_key go together; one of them is missing")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # An encrypted key must fail here: OpenSSL would ask for its passphrase on the terminal.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"api.tls_cert, api.tls_key: {settings.tls_cert} and {settings.tls_key} cannot be used ({error}); "
            "give a PEM certificate and its unencrypted private key, readable by this service"
        ) from error
    return context


async def listen_tcp(settings: ApiSettings, factory: Factory) -> asyncio.Server:
    """Open the TCP address; LinkError when it is taken or not ours, ConfigError when it must not be opened."""
    host, port = host_port(settings.listen, any_port=True)
    tls = tls_context(settings)
    if tls is None and not is_loopback(host):
        raise ConfigError(f"api.listen: {settings.listen!r} is reachable from outside; set tls_cert and tls_key")
    loop = asyncio.get_running_loop()
    handshake = None if tls is None else HANDSHAKE_SECONDS
    try:
        server = await loop.create_server(
            factory,
            host,
            port,
            ssl=tls,
            backlog=BACKLOG,
            ssl_handshake_timeout=handshake,
            start_serving=False,
        )
    except (OSError, OverflowError) as error:
        raise LinkError(
            f"cannot listen on {settings.listen} ({error}); stop the program that has it or change [api] listen"
        ) from error
    for listener in server.sockets:
        # Accepted connections inherit these: peers behind a lost link must not stay for ever.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_SECONDS)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MILLISECONDS)
    await server.start_serving()
    return server


async def listen_local(state: Path, factory: Factory) -> tuple[asyncio.Server | None, Path]:
    """Open ``<state>/linli.sock``, or on a disk that cannot be written the one of ``spare_socket``; no server: neither.

    LinkError when it is in use, ConfigError when its path is too long.
    """
    path = state / SOCKET_NAME
    try:
        return await listen_unix(path, factory), path
    except LinkError as error:
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in DISK_ERRORS:
            raise
    spare = spare_socket(state)
    try:
        spare.parent.mkdir(exist_ok=True)
        return await listen_unix(spare, factory), spare
    except (OSError, LinkError) as error:
        log.error("there is no local socket for linli status: neither %s nor %s can be opened (%s)", path, spare, error)
        return None, spare


async def listen_unix(path: Path, factory: Factory) -> asyncio.Server:
    """Open a socket for this machine's users of the group; a stale one is replaced."""
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
        raise ConfigError(
            f"gateway.state: {path} is longer than the {SOCKET_PATH_BYTES} bytes that a Unix socket's path may have; "
            "choose a shorter state directory"
        )
    endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        endpoint.setblocking(False)
        endpoint.bind(os.fspath(path))
        # Nobody can connect before listen(), so the mode is in time.
        _give_to_group(path)
        return await asyncio.get_running_loop().create_unix_server(factory, sock=endpoint, backlog=BACKLOG)
    except OSError as error:
        endpoint.close()
        raise LinkError(f"cannot open the local socket {path} ({error}); the state directory must be ours") from error
    except LinkError:
        endpoint.close()
        raise


def remove_socket(path: Path) -> None:
    """Take the socket's name away after closing it."""
    with contextlib.suppress(OSError):
        path.unlink()


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise LinkError(f"{path} is in the way of the local socket and is no socket; move it elsewhere")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
    raise LinkError(f"another linli already runs with {path.parent}; stop it or choose another state directory")


def _give_to_group(path: Path) -> None:
    path.chmod(SOCKET_MODE)
    try:
        group = grp.getgrnam(SOCKET_GROUP).gr_gid
    except KeyError:
        return
    try:
        os.chown(path, -1, group)
    except PermissionError:
        log.warning("cannot give %s to group %s: only the service's own user can use it", path, SOCKET_GROUP)
