"""A daemon under trial, what it says, and the film and the servers that its cameras get."""

import json
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import av
import numpy as np

PROJECT = Path(__file__).resolve().parents[2]
RATE = 15  # frames a second
SYSTEM_PYTHON = "/usr/bin/python3"
EVERY = 6.0  # seconds between two vehicles


def film(path: Path, codec: str, size: tuple[int, int], seconds: float, container: str | None = None) -> None:
    """Noise, and a bright block that goes down through it every EVERY seconds."""
    random = np.random.default_rng(11)
    scene = random.integers(60, 160, (size[1] // 8, size[0] // 8, 1)).repeat(8, 0).repeat(8, 1).repeat(3, 2)
    block = random.integers(0, 250, (size[1] // 32, size[0] // 32, 3)).repeat(8, 0).repeat(8, 1)  # patches, like a car
    with av.open(str(path), "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": str(RATE), "threads": "1", "x265-params": "log-level=none"}
        for index in range(round(seconds * RATE)):
            picture = scene + random.integers(-2, 3, scene.shape)
            now = index / RATE % EVERY
            if now < 2.5:
                top = round(now / 2.5 * (size[1] + block.shape[0])) - block.shape[0]
                part = block[max(0, -top) : size[1] - top]
                picture[max(0, top) : max(0, top) + len(part), size[0] // 3 : size[0] // 3 + block.shape[1]] = part
            frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="bgr24")
            frame.pts = index
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def mute() -> int:
    """A port that accepts and never answers."""
    server = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def accept() -> None:
        while True:
            kept.append(server.accept()[0])

    threading.Thread(target=accept, daemon=True).start()
    return int(server.getsockname()[1])


class Server:
    """GStreamer's server in a process of its own."""

    def __init__(self, *words: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._words = words
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, str(PROJECT / "scripts" / "cameras" / "serve.py"), str(self.port), *self._words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self._process.stdout is None or not self._process.stdout.readline():
            _, why = self._process.communicate()
            raise SystemExit(f"GStreamer's server does not start: {why.strip().splitlines()[-1:]}; see --help")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """Its process; 0 while it does not run."""
        return self._process.pid if self._process is not None else 0


class Site:
    """The daemon, and what it says."""

    def __init__(self, folder: Path, config: Path, models: Path | None = None) -> None:
        """Start the daemon; without ``models`` it gets none: many trials are about the way from the camera only."""
        self._config = config
        self._linli = str(PROJECT / ".venv" / "bin" / "linli")
        if models is None:
            models = folder / "no-models"
            models.mkdir(exist_ok=True)
        self._log = (folder / "log").open("w")
        self._daemon = subprocess.Popen(
            [self._linli, "run", "-c", str(config)], stderr=self._log, env={"LINLI_MODELS": str(models)}
        )
        self.frames: dict[str, int] = {}

    def ask(self, *words: str) -> Any:  # noqa: ANN401 - JSON
        done = subprocess.run(
            [self._linli, *words, "-c", str(self._config)], capture_output=True, text=True, check=False
        )
        return done.stdout

    def cameras(self) -> dict[str, Any]:
        text = self.ask("status", "--json")
        return {camera["name"]: camera for camera in json.loads(text)["cameras"]} if text else {}

    def records(self, stream: str) -> list[Any]:
        return [json.loads(line) for line in self.ask("records", stream, "--json").splitlines() if line.startswith("{")]

    def until(self, wanted: dict[str, tuple[str, str]], patience: float) -> dict[str, float]:
        """Wait until each camera is as wanted (state, reason; an empty reason: any); seconds that each took."""
        began, took = time.monotonic(), dict[str, float]()
        while len(took) < len(wanted) and time.monotonic() - began < patience:
            for name, camera in self.cameras().items():
                state, reason = wanted.get(name, ("", ""))
                if name not in took and camera["state"] == state and reason in (camera["reason"], ""):
                    took[name] = time.monotonic() - began
            time.sleep(0.3)
        return took

    def stop(self) -> int:
        self._daemon.terminate()
        code = self._daemon.wait(20)
        self._log.close()
        return code
