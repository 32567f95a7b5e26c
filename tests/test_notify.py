"""The datagram reaches path and abstract sockets; a missing or dead systemd never stops the daemon."""

import logging
import os
import socket
import uuid
from pathlib import Path

import pytest

from gateway.notify import notify, watchdog_seconds


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_datagram_arrives(kind: str, tmp_path: Path) -> None:
    place = str(tmp_path / "s") if kind == "path" else f"@linli-test-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(place if kind == "path" else "\0" + place[1:])
        receiver.setblocking(False)
        assert notify("READY=1\nSTATUS=3 devices, 门", {"NOTIFY_SOCKET": place})
        assert receiver.recv(100).decode() == "READY=1\nSTATUS=3 devices, 门"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "relative/socket"}])
def test_without_systemd_nothing_is_sent(environ: dict[str, str]) -> None:
    assert not notify("READY=1", environ)


def test_a_dead_socket_is_named_once_until_it_was_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = str(tmp_path / "s")
    environ = {"NOTIFY_SOCKET": place}
    with caplog.at_level(logging.WARNING, "linli.notify"):
        assert not notify("WATCHDOG=1", environ)
        assert not notify("WATCHDOG=1", environ)
        assert len(caplog.records) == 1
        assert place in caplog.text
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            receiver.bind(place)
            assert notify("WATCHDOG=1", environ)
        assert not notify("WATCHDOG=1", environ)
        assert len(caplog.records) == 2


def test_a_full_socket_does_not_block(tmp_path: Path) -> None:
    place = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(place)
        assert not all(notify("WATCHDOG=1", {"NOTIFY_SOCKET": place}) for _ in range(100_000))


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({"WATCHDOG_USEC": "-5"}, 0.0),
        ({"WATCHDOG_USEC": "٣"}, 0.0),
    ],
)
def test_watchdog_seconds(environ: dict[str, str], seconds: float) -> None:
    assert watchdog_seconds(environ) == seconds
