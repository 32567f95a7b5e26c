"""Simulates many gateways against a real broker and a platform on PostgreSQL, breaks things, and proves completeness.

Everything is on loopback, in a temporary folder, and ends with this program. Exit code 0: nothing is missing, nothing
is there twice, and every fault was noticed; 1: something is; 2: a program is missing, nothing was measured.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from audit import Audit
from cluster import PROJECT, Child, MissingError, Mosquitto, Postgres, cpu, rss
from plan import SITES, Measured, plan
from report import failures, show, table

CONNECT_SECONDS = 60.0
DRAIN_SECONDS = 120.0
QUIET_SECONDS = 0.7  # without a message: everything has come
REMEMBER = 3600  # seconds that the broker keeps a consumer's session and what waits in it
LOST_MESSAGES = 3
FEW = 1000  # gateways: an extrapolation from fewer says more about timers than about records
VERIFIED_ROWS = 400_000  # above, the second proof would take longer than the run


class Consumers:
    """The members of the shared subscription, with what killed ones have counted."""

    def __init__(self, number: int, port: int, dsn: str) -> None:
        self._words = (port, dsn)
        self.names = [f"platform-{index + 1}" for index in range(number)]
        self.children: dict[str, Child] = {}
        self.counted: dict[str, dict[str, float]] = {}
        self._cpu: dict[str, float] = {}
        for name in self.names:
            self.start(name, REMEMBER)

    def start(self, name: str, expiry: int) -> None:
        """Start one; it goes on with the session that the broker has kept for its name."""
        self.children[name] = Child("consumer.py", *self._words, name, expiry)
        self.children[name].ask()

    def kill(self, name: str, *, hang: float = 0.0) -> None:
        """End one without a goodbye, after it has hung for so many seconds."""
        child = self.children.pop(name)
        before = child.ask()
        if hang:
            child.send(signal.SIGSTOP)
            time.sleep(hang)
        self._cpu[name] = self._cpu.get(name, 0.0) + child.cpu()
        self._add(name, before)
        child.end()

    def _add(self, name: str, tally: dict[str, float]) -> None:
        sums = self.counted.setdefault(name, {})
        for key, value in tally.items():
            sums[key] = sums.get(key, 0) + value

    def report(self) -> dict[str, dict[str, float]]:
        """What each has counted, over all its lives."""
        whole = {name: dict(sums) for name, sums in self.counted.items()}
        for name, child in self.children.items():
            sums = whole.setdefault(name, {})
            for key, value in child.ask().items():
                sums[key] = sums.get(key, 0) + value
        return whole

    def cpu(self) -> float:
        """CPU seconds of all, over all their lives."""
        return sum(self._cpu.values()) + sum(child.cpu() for child in self.children.values())

    def end(self) -> None:
        """End all."""
        for child in self.children.values():
            child.end()


class Fleet:
    """One run from start to proof."""

    def __init__(self, options: argparse.Namespace, folder: Path, stack: ExitStack) -> None:
        self.options = options
        self.postgres, self.broker = Postgres(folder), Mosquitto(folder)
        self.postgres.start()
        stack.callback(self.postgres.stop)
        self.broker.start()
        stack.callback(self.broker.stop)
        self._empty_broker = rss(self.broker.pid)
        self.consumers = Consumers(options.consumers, self.broker.port, self.postgres.dsn)
        stack.callback(self.consumers.end)
        self.faults: list[tuple[str, str]] = []
        count = options.gateways
        self.names = [f"fleet-{index:05d}" for index in range(count)]
        share = -(-count // options.processes)
        self.gateways = []
        for first in range(0, count, share):
            words = (self.broker.port, first, min(share, count - first), options.rate)
            self.gateways.append(Child("gateways.py", *words))
            stack.callback(self.gateways[-1].end)

    # ------------------------------------------------------------------------------------------------ run

    def run(self) -> dict[str, Any]:
        """Connect, let the fleet speak for the asked time with faults on the way, drain, prove; returns the figures."""
        self._until("connected", self.options.gateways, CONNECT_SECONDS)
        connected = rss(self.broker.pid)
        if not self.options.no_faults:
            self._fleet("break")
        before, sent_before, each_before = self._cpu(), self._fleet(), self.consumers.report()
        start = time.monotonic()
        for moment, action in self._script():
            time.sleep(max(0.0, start + moment - time.monotonic()))
            action()
        lively = time.monotonic() - start
        behind = self._fleet("finish")["made"] - self._rows()
        self._until("idle", self.options.gateways, DRAIN_SECONDS)
        self._drain()
        seconds = time.monotonic() - start - QUIET_SECONDS
        after, sent, each_after = self._cpu(), self._fleet(), self.consumers.report()
        each = {name: _less(tally, each_before.get(name, {})) for name, tally in each_after.items()}
        return {
            "seconds": lively, "drained": seconds - lively, "behind": behind,
            "cpu": {name: after[name] - before[name] for name in after},
            "sent": _less(sent, sent_before),
            "taken": _sum(each.values()),
            "connection_memory": (connected - self._empty_broker) / self.options.gateways,
            "consumers": each, "fleet": sent, "broker_memory": rss(self.broker.pid),
            "gateway_memory": sum(child.rss() for child in self.gateways) / self.options.gateways,
        }  # fmt: skip

    def _script(self) -> Iterator[tuple[float, Any]]:
        """What happens when, in seconds after the start."""
        whole = self.options.seconds
        if not self.options.no_faults:
            first, last = self.consumers.names[0], self.consumers.names[-1]
            yield 0.05 * whole, lambda: self.consumers.start("guest", 0)
            yield 0.15 * whole, lambda: self._fleet("epoch")
            yield 0.35 * whole, lambda: self._kill(first)
            yield 0.50 * whole, lambda: self.consumers.start(first, REMEMBER)
            yield 0.60 * whole, lambda: self._lose(last)
            yield 0.70 * whole, self._lose_guest
        yield whole, lambda: None

    def _kill(self, name: str) -> None:
        self.consumers.kill(name, hang=0.5)
        self.faults.append((f"consumer {name} hung, was killed (SIGKILL) and came back", "its session was kept"))

    def _lose(self, name: str) -> None:
        self.consumers.children[name].ask(f"lose {LOST_MESSAGES}")
        self.faults.append(
            (f"consumer {name} acknowledged {LOST_MESSAGES} messages it never wrote", "a platform's bug")
        )

    def _lose_guest(self) -> None:
        self.consumers.kill("guest", hang=1.0)
        self.faults.append(
            ("a consumer without a lasting session hung and was killed", "the broker drops what it held")
        )

    # ------------------------------------------------------------------------------------------------ watch

    def _fleet(self, word: str = "report") -> dict[str, float]:
        return _sum(child.ask(word) for child in self.gateways)

    def _rows(self) -> int:
        return int(_sum(self.consumers.report().values())["new"])

    def _cpu(self) -> dict[str, float]:
        return {
            "gateways": sum(child.cpu() for child in self.gateways),
            "broker": cpu(self.broker.pid),
            "consumers": self.consumers.cpu(),
            "PostgreSQL": self.postgres.cpu(),
        }

    def _until(self, key: str, number: int, patience: float) -> None:
        end = time.monotonic() + patience
        while (seen := self._fleet()).get(key, 0) < number:
            if time.monotonic() > end:
                raise RuntimeError(f"only {seen.get(key, 0)} of {number} gateways are {key} after {patience:.0f} s")
            time.sleep(0.25)

    def _drain(self) -> None:
        """Wait until the consumers have nothing more to take."""
        end, before = time.monotonic() + DRAIN_SECONDS, -1.0
        while (now := _sum(self.consumers.report().values())["messages"]) != before and time.monotonic() < end:
            before = now
            time.sleep(QUIET_SECONDS)

    # ------------------------------------------------------------------------------------------------ proof

    def prove(self) -> dict[str, Any]:
        """The completeness query, the replay of what it finds, and the query again."""
        audit = Audit(self.broker.port, self.postgres.dsn)
        try:
            answered = audit.learn_ends(self.names)
            start = time.monotonic()
            holes = audit.holes()
            query = time.monotonic() - start
            healed, refused = audit.heal(holes)
            left = audit.holes()
            audit.prove_on()
            start = time.monotonic()
            audit.prove_on()
            again = time.monotonic() - start
            plain, packed = audit.sample()
            return {
                "plain": plain,
                "packed": packed,
                "fleet": self._fleet(),
                "accounted": audit.one(
                    "SELECT sum(upper(span) - lower(span))::bigint FROM series, unnest(accounted(series, 0)) AS span"
                ),
                "answered": answered, "query_s": query, "again_s": again,
                "missing": sum(hole.count for hole in holes), "holes": len(holes),
                "healed": healed, "refused": refused, "left": sum(hole.count for hole in left),
                "rows": audit.one("SELECT count(*) FROM records"),
                "places": audit.one("SELECT count(DISTINCT (series, sequence)) FROM records"),
                "ids": audit.one("SELECT count(DISTINCT id) FROM records"),
                "explained": audit.one("SELECT coalesce(sum(last - first + 1), 0)::bigint FROM gaps"),
                "gaps": audit.one("SELECT count(*) FROM gaps"), "series": audit.one("SELECT count(*) FROM series"),
                "conflicts": audit.one("SELECT count(*) FROM conflicts"),
                "refusals": audit.one("SELECT count(*) FROM refused"),
                "table": audit.one("SELECT pg_table_size('records')"),
                "indexes": audit.one("SELECT pg_indexes_size('records')"),
                "wal": audit.one("SELECT wal_bytes::bigint FROM pg_stat_wal"),
                "server": audit.one("SHOW server_version"),
            }  # fmt: skip
        finally:
            audit.close()

    def verify(self) -> str:
        """The other proof, by scripts/verify_platform; its last line."""
        program = [sys.executable, str(PROJECT / "scripts" / "verify_platform"), "--postgres", self.postgres.dsn]
        done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=300)
        lines = (done.stdout + done.stderr).strip().splitlines()
        return lines[-1] if lines else f"exit {done.returncode} and not a word"


def _sum(tallies: Iterable[Mapping[str, float]]) -> dict[str, float]:
    whole: dict[str, float] = {}
    for tally in tallies:
        for key, value in tally.items():
            whole[key] = whole.get(key, 0) + value
    return whole


def _less(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    return {key: value - before.get(key, 0) for key, value in after.items()}


def main() -> int:
    """Run once and report."""
    parser = argparse.ArgumentParser(prog="scripts/fleet", description=__doc__.split("\n")[0])
    parser.add_argument("--gateways", type=int, default=100, metavar="N", help="simulated gateways (100)")
    parser.add_argument("--consumers", type=int, default=2, metavar="M", help="platform consumers (2)")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="how long the gateways speak (20)")
    parser.add_argument("--rate", type=float, default=2.0, metavar="R", help="perception records/s of a gateway (2)")
    parser.add_argument("--processes", type=int, default=1, metavar="P", help="processes for the gateways (1)")
    parser.add_argument("--no-faults", action="store_true", help="break nothing: for clean rates")
    parser.add_argument("--sites", type=int, default=SITES, help=f"extrapolate to so many sites ({SITES})")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    options = parser.parse_args()
    if min(options.gateways, options.consumers, options.processes, options.rate, options.seconds) <= 0:
        parser.error("numbers must be above 0")
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="linli-fleet-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(1))
        try:
            fleet = Fleet(options, folder, stack)
        except MissingError as missing:
            print(f"fleet: *** SKIPPED: {missing} is not installed (Debian: apt-get install mosquitto postgresql) ***")
            return 2
        if not options.json:
            word = "nothing is broken" if options.no_faults else "with faults"
            print(f"fleet: {options.gateways:,} gateways × {options.rate:g} records/s, {options.consumers} consumers,"
                  f" {options.seconds:g} s, {word}", flush=True)  # fmt: skip
        try:
            run = fleet.run()
            proof = fleet.prove()
            second = fleet.verify() if proof["rows"] <= VERIFIED_ROWS else ""
        except RuntimeError as error:
            print(f"fleet: FAILED: {error}", file=sys.stderr)
            return 1
    wrong = failures(options, run, proof)
    if options.json:
        print(json.dumps({"run": run, "proof": proof, "verify": second, "wrong": wrong}))
        return int(bool(wrong))
    show(options, run, proof, fleet.faults)
    if second:
        print(f"scripts/verify_platform says: {second}\n")
    figures = Measured(
        options.gateways, run["seconds"] + run["drained"], run["taken"]["records"], run["taken"]["messages"],
        run["taken"]["bytes"], run["cpu"]["broker"], int(run["connection_memory"] * options.gateways),
        run["cpu"]["consumers"], run["cpu"]["PostgreSQL"], proof["table"], proof["indexes"], proof["rows"],
        proof["plain"] / proof["packed"], proof["wal"],
    )  # fmt: skip
    table((f"EXTRAPOLATED to {options.sites:,} sites", "value", "formula"),
          [(what, value, formula) for what, formula, value in plan(figures, options.sites)])  # fmt: skip
    if options.gateways < FEW:
        print(f"Below {FEW:,} gateways idle costs weigh most: the cores are far too high.\n")
    print("fleet: " + (f"FAILED: {'; '.join(wrong)}" if wrong else "complete: every number is a record or explained"))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
