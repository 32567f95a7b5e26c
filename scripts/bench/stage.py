"""Sets up one measurement: farm, broker, listener and the real daemon, each its own process, all on loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
LINLI = [str(Path(sys.executable).with_name("linli"))]
GATEWAY = "bench-gateway"
TICKS = os.sysconf("SC_CLK_TCK")


class Piped:
    """A helper process that answers each line with a line of JSON."""

    def __init__(self, script: str, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / script), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def read(self) -> Any:  # noqa: ANN401 - JSON
        """Read one line of JSON."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: a helper ended early: {self.process.args}")
        return json.loads(line)

    def ask(self, word: str = "report") -> Any:  # noqa: ANN401 - JSON
        """Send a word, read the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.read()

    def end(self) -> None:
        """Stop it."""
        self.process.kill()
        self.process.wait()


class Broker:
    """A real mosquitto that keeps its sessions over a restart."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self.port = program, free_port()
        self._config = folder / "mosquitto.conf"
        root = "user root\n" if os.geteuid() == 0 else ""
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\nautosave_interval 0\n"
            f"persistence_location {folder}/\nmax_queued_messages 0\nmax_inflight_messages 0\nlog_dest none\n{root}"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait for the port."""
        self._process = subprocess.Popen([self._program, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        wait_for(lambda: answers(self.port), 10, "mosquitto does not start")

    def stop(self) -> None:
        """Stop in order."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        """End it as a power cut would: what it holds and has not written is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None


class Daemon:
    """`linli run` on a configuration, with what the kernel says of it."""

    def __init__(self, config: Path, log: Path) -> None:
        self._config, self._log = config, log
        self._process: subprocess.Popen[bytes] | None = None
        self.started = 0.0

    def start(self) -> None:
        """Start; remembers when."""
        self.started = time.time()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*LINLI, "run", "-c", str(self._config)], stderr=log, stdout=log)

    def end(self, number: int = signal.SIGTERM) -> float:
        """Send a signal and wait; returns the seconds it took."""
        if self._process is None:
            return 0.0
        start = time.monotonic()
        self._process.send_signal(number)
        self._process.wait(30)
        self._process = None
        return time.monotonic() - start

    def check(self) -> None:
        """Stop the bench with the daemon's last words if it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            words = self._log.read_text(errors="replace")[-2000:]
            raise SystemExit(f"bench: linli run ended with {self._process.returncode}:\n{words}")

    def usage(self) -> dict[str, float]:
        """CPU seconds, resident MB and bytes written to disk so far."""
        self.check()
        assert self._process is not None
        proc = Path("/proc") / str(self._process.pid)
        fields = (proc / "stat").read_text().rsplit(") ", 1)[1].split()
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        io = dict(line.split(": ") for line in (proc / "io").read_text().splitlines())
        return {
            "cpu_s": (int(fields[11]) + int(fields[12])) / TICKS,
            "rss_mb": int(status["VmRSS"].split()[0]) / 1024,
            "written": float(io["write_bytes"]),
        }


class Stage:
    """Everything together, taken down at the end whatever happens."""

    def __init__(self, folder: Path, mosquitto: str, *, ports: int = 50, devices: int = 50, silent: int = 0,
                 every: str = "1s", commit: str = "500ms", timeout: str = "1s") -> None:  # fmt: skip
        folder.mkdir(parents=True)
        self.farm = Piped("farm.py", str(ports), str(silent))
        ports_of_farm: list[int] = self.farm.read()
        self.ports = ports_of_farm
        self.broker = Broker(mosquitto, folder)
        self.broker.start()
        self.listener = Piped("listener.py", str(self.broker.port), GATEWAY)
        config = folder / "linli.toml"
        config.write_text(configuration(folder, ports_of_farm, devices, self.broker.port, every, commit, timeout))
        write_profile(folder)
        self.daemon = Daemon(config, folder / "daemon.log")
        time.sleep(0.5)  # the listener's subscription

    def __enter__(self) -> "Stage":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.daemon.end(signal.SIGKILL)
        for helper in (self.farm, self.listener):
            helper.end()
        self.broker.stop()

    def upstream(self) -> dict[str, Any]:
        """What the platform has."""
        self.daemon.check()
        report: dict[str, Any] = self.listener.ask()
        return report

    def settle(self, seconds: float = 10.0) -> dict[str, Any]:
        """Wait until nothing new arrives any more."""
        before, end = self.upstream(), time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.7)
            now = self.upstream()
            if now["records"] == before["records"]:
                break
            before = now
        return self.upstream()


def configuration(
    folder: Path, ports: Sequence[int], devices: int, broker: int, every: str, commit: str, timeout: str
) -> str:
    """A configuration of ``devices`` slaves, spread over the farm's ports."""
    state = folder / "state"
    lines = [
        f'[gateway]\nid = "{GATEWAY}"\nstate = "{state}"\n',
        f'[store]\nrecords = "1GiB"\nmedia = "16MiB"\ncommit = "{commit}"\n',
        f'[api]\nlisten = "127.0.0.1:{free_port()}"\n',
        f'[uplink.mqtt]\nurl = "mqtt://127.0.0.1:{broker}"\nrequired = true\n',
    ]
    lines += [f'[[line]]\nname = "line-{index}"\ntcp = "127.0.0.1:{port}"\n' for index, port in enumerate(ports)]
    for number in range(devices):
        line = f"line-{number % len(ports)}"
        address = 1 + number // len(ports) if len(ports) == 1 else 100
        lines.append(
            f'[[device]]\nname = "device-{number:02d}"\nprofile = "bench-slave"\nline = "{line}"\n'
            f'address = {address}\nevery = "{every}"\ntimeout = "{timeout}"\n'
        )
    return "\n".join(lines)


def write_profile(folder: Path) -> None:
    """Lay the slave's profile beside the configuration: 20 registers, all recorded."""
    (folder / "devices").mkdir()
    lines = ['driver = "modbus"', 'model = "bench slave"']
    lines += [f'[points.r{number:02d}]\nat = "holding:{number}"\ntype = "uint16"' for number in range(20)]
    (folder / "devices" / "bench-slave.toml").write_text("\n".join(lines) + "\n")


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Callable[[], object], seconds: float, sentence: str) -> None:
    """Poll a condition; ends the bench with a sentence when it stays false."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"bench: {sentence}")
        time.sleep(0.02)
