"""Measures the whole spine: farm -> linli run -> mosquitto -> platform; each figure beside its floor."""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stage import HERE, PROJECT, Piped, Stage, wait_for

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
Row = tuple[str, str, str]  # what, measured, to be passed


class Bench:
    """One run: a folder, a pace (quick or full), and the rows found so far."""

    def __init__(self, folder: Path, mosquitto: str, quick: bool) -> None:
        self.folder, self.mosquitto, self.quick = folder, mosquitto, quick
        self.rows: list[Row] = []
        self.figures: dict[str, Any] = {}
        self._count = 0

    def stage(self, **options: Any) -> Stage:  # noqa: ANN401 - as Stage takes them
        """Set up a fresh site."""
        self._count += 1
        return Stage(self.folder / f"stage-{self._count}", self.mosquitto, **options)

    def row(self, what: str, measured: str, bar: str = "") -> None:
        """Keep a row and show it at once."""
        self.rows.append((what, measured, bar))
        say(f"  {what:<58} {measured:>24}   {bar}")


def say(text: str) -> None:
    """Show progress on stderr; the table goes to stdout."""
    print(text, file=sys.stderr, flush=True)


def milliseconds(up: dict[str, Any]) -> str:
    """Write the latencies of a report."""
    return f"p50 {1000 * up['p50']:.0f} ms, p99 {1000 * up['p99']:.0f} ms"


def baseline(*words: str) -> dict[str, float]:
    """Run one raw loop in its own process."""
    out = subprocess.run(
        [sys.executable, str(HERE / "baselines.py"), *words], capture_output=True, text=True, check=True
    )
    result: dict[str, float] = json.loads(out.stdout)
    return result


def floor(bench: Bench) -> None:
    """The raw loops: what polling and writing cost without a gateway."""
    seconds = "3" if bench.quick else "10"
    farm = Piped("farm.py", "50", "0")
    try:
        ports = json.dumps(farm.read())
        paced = baseline("poll", ports, seconds, "1.0")
        fast = baseline("poll", ports, seconds, "0")
    finally:
        farm.end()
    folder = bench.folder / "raw"
    folder.mkdir()
    grouped = baseline("insert", str(folder), seconds, "25", "50")
    single = baseline("insert", str(folder), seconds, "1", "50")
    bulk = baseline("insert", str(folder), seconds, "500", "0")
    bench.figures["floor"] = {
        "poll": paced,
        "poll_max": fast,
        "insert": grouped,
        "insert_1": single,
        "insert_max": bulk,
    }
    bench.row("raw asyncio poll, 1,000 readings/s, nothing kept", f"{paced['cpu_percent']:.1f} % CPU")
    bench.row("raw asyncio poll, as fast as it goes", f"{fast['readings_s']:,.0f} readings/s")
    bench.row("raw sqlite3 FULL, 2 commits/s, 1,000 readings/s", f"{grouped['bytes_per_reading']:.0f} B/reading")
    bench.row("raw sqlite3 FULL, a commit per read, 1,000 readings/s", f"{single['bytes_per_reading']:.0f} B/reading")
    bench.row("raw sqlite3 FULL, 500 reads a commit, as fast as it goes", f"{bulk['readings_s']:,.0f} readings/s")


def thousand(bench: Bench) -> None:
    """1,000 readings/s: CPU, memory, disk, start, latency, loss, stop."""
    with bench.stage() as stage:
        stage.daemon.start()
        wait_for(lambda: stage.upstream()["first"], 30, "nothing arrives upstream within 30 s")
        start = stage.upstream()["first"] - stage.daemon.started
        time.sleep(3)
        stage.listener.ask("reset")
        before, farm, seen, began = stage.daemon.usage(), stage.farm.ask()["served"], stage.upstream(), time.monotonic()
        time.sleep(15 if bench.quick else 60)
        after, up, took = stage.daemon.usage(), stage.upstream(), time.monotonic() - began
        readings = (stage.farm.ask()["served"] - farm) * 20
        stop = stage.daemon.end()
        end, served = stage.listener.ask(), stage.farm.ask()["served"] * 20
    cpu = 100 * (after["cpu_s"] - before["cpu_s"]) / took
    disk = (after["written"] - before["written"]) / max(1, up["readings"] - seen["readings"])
    bench.figures["thousand"] = {
        "readings_s": readings / took, "cpu_percent": cpu, "rss_mb": after["rss_mb"], "bytes_per_reading": disk,
        "start_s": start, "p50_s": up["p50"], "p99_s": up["p99"], "stop_s": stop, "holes": end["holes"],
        "at_stop": served - end["readings"], "missing": end["missing"], "duplicates": end["duplicates"],
    }  # fmt: skip
    bench.row("1,000 readings/s: polled", f"{readings / took:,.0f} readings/s")
    bench.row("1,000 readings/s: CPU of one core", f"{cpu:.1f} %", "<= 6 %")
    bench.row("1,000 readings/s: resident memory", f"{after['rss_mb']:.1f} MB", "<= 60 MB (goal 50)")
    bench.row("1,000 readings/s: written to disk", f"{disk:.1f} B/reading", "<= 35 (goal 20)")
    bench.row("start to first reading upstream", f"{start:.2f} s", "<= 1.5 s (goal 1.0)")
    bench.row(
        "read to upstream, commit 500 ms",
        milliseconds(up),
        "p50 <= 350 ms",
    )
    bench.row("SIGTERM to end", f"{stop:.2f} s", "<= 10 s")
    bench.row("1,000 readings/s: answered by a slave, never arrived", f"{end['holes']} readings", "0")
    bench.row("the same at SIGTERM (polls on the line at that moment)", f"{served - end['readings']} readings")


def latency(bench: Bench) -> None:
    """Latency with a commit window of 50 ms."""
    with bench.stage(commit="50ms") as stage:
        stage.daemon.start()
        wait_for(lambda: stage.upstream()["first"], 30, "nothing arrives upstream within 30 s")
        time.sleep(3)
        stage.listener.ask("reset")
        time.sleep(8 if bench.quick else 20)
        up = stage.upstream()
    bench.figures["latency"] = {"p50_s": up["p50"], "p99_s": up["p99"]}
    bench.row(
        "read to upstream, commit 50 ms",
        milliseconds(up),
        "p50 <= 50 ms",
    )


def most(bench: Bench) -> None:
    """20,000 readings/s polled, stored, acknowledged."""
    with bench.stage(every="50ms") as stage:
        stage.daemon.start()
        wait_for(lambda: stage.upstream()["first"], 30, "nothing arrives upstream within 30 s")
        time.sleep(3)
        farm, before, seen, began = stage.farm.ask()["served"], stage.daemon.usage(), stage.upstream(), time.monotonic()
        time.sleep(10 if bench.quick else 30)
        up, after, took = stage.upstream(), stage.daemon.usage(), time.monotonic() - began
        polled = (stage.farm.ask()["served"] - farm) * 20 / took
        arrived = (up["readings"] - seen["readings"]) / took
        stage.daemon.end()
        end, served = stage.settle(), stage.farm.ask()["served"] * 20
    cpu = 100 * (after["cpu_s"] - before["cpu_s"]) / took
    bench.figures["most"] = {
        "polled_s": polled, "arrived_s": arrived, "holes": end["holes"], "at_stop": served - end["readings"],
        "cpu_percent": cpu,
        "missing": end["missing"], "rss_mb": after["rss_mb"],
    }  # fmt: skip
    bench.row("50 devices every 50 ms: polled", f"{polled:,.0f} readings/s", ">= 20,000")
    bench.row("50 devices every 50 ms: acknowledged by the broker", f"{arrived:,.0f} readings/s", ">= 20,000")
    bench.row("50 devices every 50 ms: answered, never arrived", f"{end['holes']} readings", "0")
    bench.row("50 devices every 50 ms: polls on the line at SIGTERM", f"{served - end['readings']} readings")
    bench.row("50 devices every 50 ms: missing in sequence", f"{end['missing']}", "0")
    bench.row("50 devices every 50 ms: CPU, memory", f"{cpu:.0f} %, {after['rss_mb']:.0f} MB")


def outage(bench: Bench) -> None:
    """The broker away, and the daemon killed twice meanwhile."""
    seconds = 15 if bench.quick else 60
    with bench.stage() as stage:
        stage.daemon.start()
        wait_for(lambda: stage.upstream()["first"], 30, "nothing arrives upstream within 30 s")
        time.sleep(4)
        say(f"  broker stopped for {seconds} s, kill -9 at one and two thirds")
        stage.broker.stop()
        down = time.monotonic()
        for part in (1, 2):
            time.sleep(max(0.0, down + part * seconds / 3 - time.monotonic()))
            stage.daemon.end(signal.SIGKILL)
            stage.daemon.start()
        time.sleep(max(0.0, down + seconds - time.monotonic()))
        held = stage.listener.ask()["records"]
        stage.broker.start()
        back = time.time()
        wait_for(lambda: stage.upstream()["newest"] > time.time() - 1.6, 60, "no catching up within 60 s")
        caught = time.time() - back
        held = stage.upstream()["records"] - held
        time.sleep(2)
        stage.daemon.end()
        end, served = stage.settle(), stage.farm.ask()["served"] * 20
    bench.figures["outage"] = {
        "seconds": seconds, "caught_up_s": caught, "caught_up_records": held, "missing": end["missing"],
        "duplicates": end["duplicates"], "unkept": served - end["readings"],
    }  # fmt: skip
    bench.row(f"broker away {seconds} s, two kill -9: missing in sequence", f"{end['missing']} records", "0")
    bench.row(f"broker away {seconds} s, two kill -9: repeated, by id", f"{end['duplicates']} records")
    what = f"broker away {seconds} s, two kill -9: {held:,} records caught up after"
    bench.row(what, f"{caught:.1f} s", "<= 5 s")
    bench.row("polls lost by two kill -9 (window 500 ms each)", f"{served - end['readings']} readings", "<= 1,000")


def silent(bench: Bench) -> None:
    """Some of 50 slaves on one connection silent: how the others fare."""
    for count, bar in ((0, ""), (1, ">= 95 %"), (5, ">= 90 %")):
        with bench.stage(ports=1, silent=count) as stage:
            stage.daemon.start()
            wait_for(lambda stage=stage: stage.upstream()["first"], 30, "nothing arrives upstream within 30 s")
            time.sleep(2)  # the silent ones are found out at once; what follows is the lasting state, from the start on
            before, began = stage.farm.ask()["served"], time.monotonic()
            time.sleep(15 if bench.quick else 60)
            rate = (stage.farm.ask()["served"] - before) / (time.monotonic() - began)
        share = 100 * rate / (50 - count)
        bench.figures[f"silent_{count}"] = {"percent": share}
        bench.row(f"{count} of 50 on one connection silent: rate of the others", f"{share:.1f} %", bar)


PARTS: dict[str, Callable[[Bench], None]] = {
    "floor": floor, "thousand": thousand, "latency": latency, "most": most, "outage": outage, "silent": silent,
}  # fmt: skip


def main() -> None:
    """Run the parts and print the table."""
    parser = argparse.ArgumentParser(prog="scripts/bench_spine", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter windows: about two minutes instead of eight")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be repeated")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON instead of the table")
    options = parser.parse_args()
    if MOSQUITTO is None:
        raise SystemExit("bench: mosquitto is not installed: apt-get install mosquitto")
    build = PROJECT / "build"
    build.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=build))  # a real disk, not a memory file system
    try:
        bench = Bench(folder, MOSQUITTO, options.quick)
        for name in options.only or PARTS:
            say(f"{name}: {(PARTS[name].__doc__ or '').splitlines()[0]}")
            PARTS[name](bench)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps(bench.figures, indent=2))
        return
    width = max(len(what) for what, _, _ in bench.rows)
    for what, measured, bar in bench.rows:
        print(f"{what:<{width}}  {measured:>24}  {bar}")


if __name__ == "__main__":
    main()
