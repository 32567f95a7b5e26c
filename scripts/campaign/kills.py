"""Kills the real daemon at random instants, again and again, while a platform pulls; nothing it saw may ever change."""

import http.client
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from report import Row, is_sound
from site_under_test import TOKEN, free_port, serve, write_config

STREAMS = ("alarm", "disposal", "management", "perception")
AGAIN = 300  # records before its cursor that the platform reads again after every start
INSPECT_EVERY = 20  # kills


class Page(msgspec.Struct):
    """One answer of the pull API."""

    records: list[msgspec.Raw]
    next: str


class Place(msgspec.Struct):
    """What of a record tells its place."""

    id: str
    epoch: str
    sequence: str


@dataclass
class Seen:
    """All that the platform ever saw of one stream, by sequence; ``wrong`` are sentences."""

    records: dict[int, bytes] = field(default_factory=dict)
    last: int = 0
    pages: int = 0
    wrong: list[str] = field(default_factory=list)


class Platform:
    """Follows every stream over HTTP, in a thread each, through all restarts."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.seen = {stream: Seen() for stream in STREAMS}
        self.ids: dict[str, tuple[str, int]] = {}
        self.epochs: set[str] = set()
        self.connections = 0
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._follow, args=(stream,), daemon=True) for stream in STREAMS]

    def start(self) -> None:
        """Begin to follow."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop following."""
        self._end.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def _follow(self, stream: str) -> None:
        while not self._end.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            try:
                connection.connect()
                if stream == "perception":
                    self.connections += 1
                # After every start, what was seen before has to be there as it was.
                after = max(0, self.seen[stream].last - AGAIN)
                while not self._end.is_set():
                    after = self._page(connection, stream, after)
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
            finally:
                connection.close()

    def _page(self, connection: http.client.HTTPConnection, stream: str, after: int) -> int:
        (epoch,) = self.epochs or {""}
        cursor = f"&after={epoch}.{stream}.{after}" if epoch else ""
        head = {"Authorization": f"Bearer {TOKEN}"}
        connection.request("GET", f"/v1/streams/{stream}/records?limit=1000&wait=1{cursor}", headers=head)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            self.seen[stream].wrong.append(f"{stream}: status {answer.status}: {body[:200]!r}")
            raise OSError
        page = msgspec.json.decode(body, type=Page)
        for raw in page.records:
            after = self._take(stream, after, bytes(raw))
        self.seen[stream].pages += 1
        return after

    def _take(self, stream: str, after: int, record: bytes) -> int:
        seen = self.seen[stream]
        place = msgspec.json.decode(record, type=Place)
        sequence = int(place.sequence)
        if sequence != after + 1:
            seen.wrong.append(f"{stream}: {sequence} follows {after}")
        with self._lock:
            self.epochs.add(place.epoch)
            if self.ids.setdefault(place.id, (stream, sequence)) != (stream, sequence):
                seen.wrong.append(f"{stream} {sequence}: its id was {self.ids[place.id]}")
        if seen.records.setdefault(sequence, record) != record:
            seen.wrong.append(f"{stream} {sequence} has changed")
        seen.last = max(seen.last, sequence)
        return sequence

    def read_all_again(self) -> None:
        """Compare every record of every stream with what was seen first; the daemon has to run."""
        for stream in STREAMS:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            after, end = 0, self.seen[stream].last
            while after < end:
                before, after = after, self._page(connection, stream, after)
                if after == before:
                    self.seen[stream].wrong.append(f"{stream}: ends at {after}, {end} was seen")
                    break
            connection.close()

    def wrong(self) -> list[str]:
        """Everything that was not as it has to be."""
        found = [text for seen in self.seen.values() for text in seen.wrong]
        return found + ([f"epochs {sorted(self.epochs)}"] if len(self.epochs) > 1 else [])


def start(config: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start the daemon as its own process."""
    with log.open("ab") as out:
        command = [sys.executable, "-m", "gateway", "run", "-c", str(config)]
        return subprocess.Popen(command, stdout=out, stderr=out)


def wait_until_up(daemon: subprocess.Popen[bytes], port: int, seconds: float = 30.0) -> float | None:
    """Wait for the API; returns how long it took in s, None when the daemon ended or never came up."""
    begun = time.monotonic()
    while time.monotonic() < begun + seconds and daemon.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            return time.monotonic() - begun
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)
        finally:
            connection.close()
    return None


def campaign(folder: Path, kills: int) -> Row:
    """Run it; the row says what came of it."""
    port = free_port()
    config, log, state = write_config(folder, port, serve()), folder / "daemon.log", folder / "state"
    platform = Platform(port)
    corrupt: list[str] = []
    recovered: list[float] = []
    daemon = start(config, log)
    usual = wait_until_up(daemon, port)
    if usual is None:
        raise SystemExit(f"the daemon does not start:\n{log.read_text()[-2000:]}")
    platform.start()
    daemon.kill()
    daemon.wait()
    begun = time.monotonic()
    while_starting = 0
    for number in range(1, kills + 1):
        daemon = start(config, log)
        if number % 5 == 0:  # now and then, measure how long it takes to be there again
            took = wait_until_up(daemon, port)
            if took is None:
                corrupt.append(f"start {number} did not come up; exit code {daemon.poll()}")
            else:
                recovered.append(took)
                usual = took
        connections = platform.connections
        time.sleep(random.uniform(0, 2.2 * usual))
        while_starting += platform.connections == connections and number % 5 != 0
        if daemon.poll() is not None:
            corrupt.append(f"start {number} ended by itself with exit code {daemon.returncode}")
        daemon.kill()
        daemon.wait()
        if list(state.glob("*damaged*")):
            corrupt.append(f"start {number} set a database aside")
            break
        if number % INSPECT_EVERY == 0:
            corrupt += [f"after kill {number}: {finding}" for finding in is_sound(state)]
            total = sum(seen.last for seen in platform.seen.values())
            print(f"kills: {number} of {kills}, {total} records seen, {time.monotonic() - begun:.0f} s", flush=True)
    daemon = start(config, log)
    took = wait_until_up(daemon, port)
    if took is None:
        corrupt.append(f"the last start did not come up:\n{log.read_text()[-2000:]}")
    else:
        platform.stop()
        platform.read_all_again()
    daemon.send_signal(signal.SIGTERM)
    if daemon.wait(timeout=30):
        corrupt.append(f"the orderly stop ended with {daemon.returncode}")
    corrupt += is_sound(state, media=True)
    wrong = platform.wrong()
    total = sum(seen.last for seen in platform.seen.values())
    lost = sum(seen.last - len(seen.records) for seen in platform.seen.values())
    note = f"{total} records seen by the platform, {platform.seen['alarm'].last} of them alarms;"
    note += f" {while_starting} kills before the daemon was up"
    return Row("kill -9 at a random instant", kills, lost, wrong, corrupt, max(recovered, default=0.0), note)
