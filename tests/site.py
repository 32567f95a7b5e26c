"""A small real site for end-to-end tests: a Modbus TCP server that is not ours, and the daemon as its own process."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyModbusTCP.server import ModbusServer

TOKEN = "a-token-that-only-tests-know"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def modbus_server(port: int | None = None) -> Iterator[ModbusServer]:
    """pyModbusTCP's server on loopback: a peer, not our code."""
    server = ModbusServer(host="127.0.0.1", port=port or free_port(), no_block=True)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def head(state: Path, port: int = 0, commit: str = "100ms") -> str:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    return f"""
[gateway]
id = "test-gate"
site = "Test Lane 1"
state = "{state}"
[store]
commit = "{commit}"
[api]
listen = "127.0.0.1:{port}"
[[api.consumer]]
name = "platform"
token_sha256 = "{digest}"
required = true
"""


def line(name: str, port: int) -> str:
    return f'\n[[line]]\nname = "{name}"\ntcp = "127.0.0.1:{port}"\n'


def device(name: str, line_name: str, unit: int = 1, every: str = "100ms", points: int = 2, extra: str = "") -> str:
    text = (
        f'\n[[device]]\nname = "{name}"\ndriver = "modbus"\nline = "{line_name}"\naddress = {unit}\nevery = "{every}"\n'
    )
    text += extra
    for number in range(points):
        text += f'[device.points.p{number}]\nat = "holding:{number}"\ntype = "uint16"\nunit = "V"\n'
    return text


class Daemon:
    """``linli run`` as a real process; ``program`` is what Python runs for it."""

    program: tuple[str, ...] = ("-m", "gateway")

    def __init__(self, config: Path, port: int) -> None:
        self.config, self.port = config, port
        self.log = config.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, wait: float = 20.0, *, ill: bool = False) -> "Daemon":
        """Start it and wait until it is healthy, or for one that will be ``ill``, until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, "run", "-c", str(self.config)], stdout=log, stderr=log
            )
        until = time.monotonic() + wait
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.log.read_text()}")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=1)
                return self
            except OSError as error:
                if ill and isinstance(error, urllib.error.HTTPError):
                    return self
                time.sleep(0.05)
        raise AssertionError(f"the daemon did not come up:\n{self.log.read_text()}")

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(with_signal)
        return self.process.wait(timeout=15)

    def metrics(self) -> str:
        """What Prometheus would see."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read(), "utf-8")

    def get(self, path: str) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=70) as answer:
            return json.load(answer)

    def post(self, path: str, body: object) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def pull(self, stream: str, at_least: int, seconds: float = 20.0, after: str = "") -> list[dict[str, Any]]:
        """Pull until there are so many records, or fail."""
        found: list[dict[str, Any]] = []
        until = time.monotonic() + seconds
        while len(found) < at_least:
            assert time.monotonic() < until, f"only {len(found)} of {at_least} {stream} records:\n{self.tail()}"
            suffix = f"&after={after}" if after else ""
            page = self.get(f"/v1/streams/{stream}/records?limit=1000&wait=2{suffix}")
            found += page["records"]
            after = page["next"]
        return found

    def tail(self) -> str:
        return self.log.read_text()[-4000:]

    def linli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "COLUMNS": "120"},
        )


def contiguous(records: list[dict[str, Any]]) -> bool:
    numbers = [int(record["sequence"]) for record in records]
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))
