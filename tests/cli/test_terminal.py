"""On a terminal: colours, a table that renews itself, and a clean end at Ctrl-C; in a real pseudo-terminal."""

import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

from tests.cli.served import Served


class Somewhere(Protocol):
    """What has a gateway."""

    @property
    def state(self) -> Path: ...


def on_a_terminal(
    served: Somewhere, *arguments: str, until: bytes = b"", then: bytes = b"", columns: int = 120
) -> tuple[int, bytes]:
    """Run `linli` in a pseudo-terminal; once ``until`` is on the screen, type ``then``."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns)}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "gateway", *arguments, "--state", str(served.state)]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(theirs, __import__("termios").TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    screen, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        try:
            screen += os.read(ours, 4096)
        except OSError:  # the other end is closed: the program has ended
            break
        if then and until in screen:
            os.write(ours, then)
            then = b""
    os.close(ours)
    return process.wait(10), screen


def test_status_has_colours(served: Served) -> None:
    served.desk.level(3.0)
    code, screen = on_a_terminal(served, "status")
    assert code == 0
    assert b"\x1b[1;31mmajor" in screen
    assert "水位高".encode() in screen


def test_watch_renews_itself_and_ends_at_ctrl_c(served: Served) -> None:
    code, screen = on_a_terminal(served, "watch", "--every", "0.1", until=b"Ctrl-C ends", then=b"\x03")
    assert code == 0
    assert b"sump" in screen
    assert b"Traceback" not in screen
    assert b"Aborted" not in screen


def test_watch_outlives_a_restart_of_the_gateway(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with Served(tmp_path / "state") as first:
        pass
    code, screen = on_a_terminal(first, "watch", "--every", "0.1", "--count", "2")
    assert code == 0
    assert b"the gateway is not running" in screen


def test_what_a_device_sends_reaches_no_terminal(served: Served) -> None:
    _, screen = on_a_terminal(served, "read", "pump")
    assert b"auto" in screen
    assert b"auto\x1b[31m" not in screen


def test_following_records_ends_at_ctrl_c(served: Served) -> None:
    served.desk.level(3.0)
    code, screen = on_a_terminal(served, "records", "alarm", "--follow", until=b"raised", then=b"\x03")
    assert code == 0
    assert b"next cursor: k3f9.alarm.1" in screen
