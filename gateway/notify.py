"""Tells systemd how the daemon is: the notification datagram of sd_notify(3), without a library."""

import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger("linli.notify")

_unreachable: set[str] = set()


def notify(message: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send ``READY=1``, ``WATCHDOG=1``, ``STATUS=…``; True when it was sent, False without systemd or on a failure.

    Never raises for a missing or dead socket: a gateway must not stop because nobody listens.
    """
    place = environ.get("NOTIFY_SOCKET", "")
    if not place.startswith(("/", "@")):
        return False
    # An "@" stands for the zero byte of Linux' abstract namespace (systemd in a container uses it).
    address = "\0" + place[1:] if place[0] == "@" else place
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
            sender.sendto(message.encode(), address)
    except OSError as error:
        if place not in _unreachable:
            _unreachable.add(place)
            log.warning("systemd does not hear us at %s: %s", place, error.strerror or error)
        return False
    _unreachable.discard(place)
    return True


def watchdog_seconds(environ: Mapping[str, str] = os.environ) -> float:
    """Seconds within which systemd wants a ``WATCHDOG=1`` of this process, 0.0 when it wants none."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not (microseconds.isdecimal() and microseconds.isascii()):
        return 0.0
    # A child inherits the environment but is not the one that is watched.
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    return int(microseconds) / 1_000_000
