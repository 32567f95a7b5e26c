"""Everything that runs beside the fleet: a private PostgreSQL, a mosquitto, child processes, and the CPU they took.

Every child dies with this process, even if this is killed.
"""

import ctypes
import json
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
SCHEMA = PROJECT / "docs" / "platform" / "postgresql.sql"
TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
ANSWER_SECONDS = 60.0

_libc = ctypes.CDLL(None, use_errno=True)


class MissingError(Exception):
    """A program that is needed is not installed; the text says which."""


def die_with_parent(number: int) -> Callable[[], None]:
    """A preexec function: the kernel sends the child this signal when its parent ends, however it ends."""
    return lambda: _libc.prctl(PR_SET_PDEATHSIG, number) and None


class Postgres:
    """A private cluster in a folder of its own, on a Unix socket only, durable as PostgreSQL is by default."""

    def __init__(self, folder: Path) -> None:
        self._programs = postgres_programs()
        self._folder = folder / "postgres"
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root.
        self._user = _unprivileged() if os.geteuid() == 0 else None

    @property
    def dsn(self) -> str:
        """How to connect."""
        return f"host={self._folder} dbname=postgres user=platform"

    @property
    def pid(self) -> int:
        """The postmaster's."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Make the cluster, start it, load the tables; RuntimeError with the server's words when it does not start."""
        import psycopg

        self._folder.mkdir()
        if self._user:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
            self._folder.parent.chmod(0o711)
        data = self._folder / "data"
        as_user: dict[str, Any] = (
            {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []} if self._user else {}
        )
        made = subprocess.run(
            [self._programs / "initdb", "-D", data, "-U", "platform", "-A", "trust", "-E", "UTF8", "--locale=C"],
            capture_output=True, text=True, check=False, cwd="/", **as_user,
        )  # fmt: skip
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stderr.strip()[-400:]}")
        options = ("listen_addresses=", f"unix_socket_directories={self._folder}", "max_wal_size=2GB", "jit=off")
        log = self._folder / "log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", data, *(word for option in options for word in ("-c", option))],
                stdout=output, stderr=output, cwd="/", preexec_fn=die_with_parent(signal.SIGQUIT), **as_user,
            )  # fmt: skip
        end = time.monotonic() + 30
        while True:
            try:
                connection = psycopg.connect(self.dsn, autocommit=True)
                break
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"PostgreSQL does not start: {log.read_text()[-400:]}") from None
                time.sleep(0.05)
        with connection:
            connection.execute(SCHEMA.read_text(encoding="utf-8"))
        connection.close()

    def cpu(self) -> float:
        """CPU seconds of the postmaster and all its processes, ended ones included."""
        fields = _stat(self.pid)
        whole = sum(int(fields[index]) for index in (11, 12, 13, 14))
        for child in _children(self.pid):
            fields = _stat(child)
            whole += int(fields[11]) + int(fields[12]) if fields else 0
        return whole / TICKS

    def stop(self) -> None:
        """Stop at once; the cluster is thrown away."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
            self._process = None


class Mosquitto:
    """A real broker on a free loopback port, with unlimited queues, so that what is lost is lost for another reason."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if program is None:
            raise MissingError("mosquitto")
        self._program, self.port = program, free_port()
        self._config = folder / "mosquitto.conf"
        root = "user root\n" if os.geteuid() == 0 else ""
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n"
            f"log_dest none\n{root}"
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The broker's."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and return when the port answers."""
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._config)],
            stderr=subprocess.DEVNULL, preexec_fn=die_with_parent(signal.SIGTERM),
        )  # fmt: skip
        end = time.monotonic() + 10
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"mosquitto does not start: see {self._config}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop in order."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None


class Child:
    """A Python program of this folder that answers each line with a line of JSON."""

    def __init__(self, script: str, *words: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / script), *map(str, words)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent(signal.SIGKILL),
        )  # fmt: skip

    def ask(self, word: str = "report") -> dict[str, Any]:
        """Send a word, read the answer; RuntimeError when the child has ended or is silent."""
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: PT018
        try:
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise RuntimeError(f"{self._process.args} has ended") from None
        ready, _, _ = select.select([self._process.stdout], [], [], ANSWER_SECONDS)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            raise RuntimeError(f"{self._process.args} does not answer")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def send(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def cpu(self) -> float:
        """CPU seconds so far."""
        return cpu(self._process.pid)

    def rss(self) -> int:
        """Bytes of memory."""
        return rss(self._process.pid)

    def end(self) -> None:
        """Kill it, if it still runs."""
        self._process.kill()
        self._process.wait()


def cpu(pid: int) -> float:
    """CPU seconds of a process; 0 if it is gone."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS if fields else 0.0


def rss(pid: int) -> int:
    """Resident bytes of a process; 0 if it is gone."""
    fields = _stat(pid)
    return int(fields[21]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def _stat(pid: int) -> Sequence[str]:
    """Fields of /proc/PID/stat after the name, so that index 11 is utime (proc(5) field 14)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ()


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_programs() -> Path:
    """Where initdb and postgres are, the newest from 14 on; MissingError when nowhere."""
    # Debian keeps them off the path.
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: float(place.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    places += [Path(on_path).resolve().parent] if on_path else []
    for place in places:
        version = float(place.parent.name) if place.parent.name.replace(".", "").isdecimal() else 99
        if version >= 14 and (place / "initdb").exists() and (place / "postgres").exists():
            return place
    raise MissingError("postgresql (14 or newer)")


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise MissingError("an unprivileged user for PostgreSQL")
