"""The daemon under attack: its configuration, records and a picture in its store, its life and its memory."""

import asyncio
import hashlib
import http.client
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from gateway.clock import SystemClock
from gateway.contract import STREAMS, Draft, record_id
from gateway.settings.load import load
from gateway.store import Store

TOKEN = "fuzz-token-of-a-platform"
SEEDED = 500  # records in each stream before the attack
UP_WITHIN = 30.0  # seconds


class Prey:
    """A daemon of its own in ``folder``. ``epoch`` and ``picture`` are names that exist in it."""

    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        self.log = folder / "log"
        self._config = folder / "linli.toml"
        self._config.write_text(_configuration(folder, self.port), encoding="utf-8")
        self.epoch, self.picture = asyncio.run(_seed(self._config))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait for its API; RuntimeError when it does not come up."""
        with self.log.open("ab") as out:
            command = [sys.executable, "-m", "gateway", "run", "-c", str(self._config)]
            self._process = subprocess.Popen(command, stdout=out, stderr=out)
        begun = time.monotonic()
        while time.monotonic() < begun + UP_WITHIN and self.alive():
            if self.healthy():
                return
            time.sleep(0.05)
        raise RuntimeError(f"the daemon did not come up, see {self.log}")

    def stop(self) -> int:
        """End it in order; returns its exit code."""
        if self._process is None:
            return 0
        self._process.terminate()
        return self._process.wait(20)

    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def healthy(self) -> bool:
        """Whether it answers 200 at /healthz."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def description(self) -> bytes:
        """Its OpenAPI document."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/openapi.json")
            return connection.getresponse().read()
        finally:
            connection.close()

    def rss(self) -> int:
        """Its resident memory in KiB."""
        assert self._process is not None
        text = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS")))

    def files(self) -> int:
        """How many file descriptors it holds."""
        assert self._process is not None
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))  # noqa: PTH208 - entries vanish while they are read

    def troubles(self) -> list[str]:
        """What its log says of mistakes of its own."""
        marks = ("Traceback", " ERROR ", "ERROR:", "<3>", "Exception")
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if any(mark in line for mark in marks)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _configuration(folder: Path, port: int) -> str:
    return f"""
[gateway]
id = "fuzz"
site = "Fuzz Lane 1"
state = "{folder / "state"}"
[api]
listen = "127.0.0.1:{port}"
[[api.consumer]]
name = "platform"
token_sha256 = "{hashlib.sha256(TOKEN.encode()).hexdigest()}"
required = true
"""


async def _seed(config: Path) -> tuple[str, str]:
    """Fill the store; returns its epoch and the SHA-256 of a picture."""
    settings = load(config).settings
    clock = SystemClock()
    settings.gateway.state.mkdir(parents=True, exist_ok=True)
    store = await Store.open(settings.store, settings.gateway.state, settings.gateway.id, clock, {})
    try:
        now = clock.wall()
        for stream in STREAMS:
            data = {"points": {"level": {"value": 1.5, "unit": "m", "quality": "good"}}}
            await store.put(
                [Draft(stream, "linli.reading.v1", "pit", "pit", now, data, record_id(now)) for _ in range(SEEDED)]
            )
        filed = await store.put_media(b"\xff\xd8\xff" + bytes(5000), "image/jpeg", "jpg")
        await store.committed()
        return store.epoch, str(filed["sha256"])
    finally:
        await store.close()
