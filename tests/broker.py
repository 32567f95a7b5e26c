"""A real mosquitto on a free loopback port, as a fixture; what needs it is skipped, loudly, where it is missing."""

import os
import shutil
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
START_SECONDS = 10.0


class Mosquitto:
    """One broker process; the same port and configuration over every stop and start."""

    def __init__(self, folder: Path, lines: str = "", listener: str = "", port: int | None = None) -> None:
        self.port = port or free_port()
        self.folder = folder
        self._config = folder / "mosquitto.conf"
        self._process: subprocess.Popen[bytes] | None = None
        text = f"listener {self.port} 127.0.0.1\n{listener}\nlog_dest none\n{lines}\n"
        if os.geteuid() == 0:
            text += "user root\n"  # it would give root up, and then not read the test's folders
        if "allow_anonymous" not in text:
            text += "allow_anonymous true\n"
        self._config.write_text(text)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and return when the port answers."""
        assert MOSQUITTO is not None
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise AssertionError(f"mosquitto ended with {self._process.returncode}: see {self._config}")
            with socket.socket() as probe:
                probe.settimeout(0.2)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("mosquitto does not open its port")

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def need_mosquitto() -> None:
    """Skip the test, and say so aloud, where there is no mosquitto."""
    if MOSQUITTO is None:
        warnings.warn("mosquitto is missing: the MQTT tests against a real broker are SKIPPED", stacklevel=2)
        pytest.skip("mosquitto is not installed; `apt-get install mosquitto` to run this test")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running broker that takes everybody."""
    need_mosquitto()
    one = Mosquitto(tmp_path)
    one.start()
    yield one
    one.stop()
