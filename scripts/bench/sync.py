"""Measures catching up after an outage: rate beside a plain windowed paho publisher, alarms meanwhile, memory.

Everything in one run on loopback: a store with that many records waiting, the real store and uplink draining it into
a real mosquitto, and plain paho publishing the same payloads (made before, in memory) with the same window. Both go
through the links named, too: a proxy in between carries so many bytes a second and delays.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from stage import Broker

from tests.faults.proxy import FaultProxy

HERE = Path(__file__).resolve().parent
WINDOW, ROUNDS = 100, 3
ALARM_GOAL, RATIO_GOAL, MEMORY_GOAL = 1.0, 0.8, 30.0
MBIT = 125_000
LINKS = [("20 Mbit/s, 25 ms each way", 20 * MBIT, 0.025), ("100 Mbit/s", 100 * MBIT, 0.0)]


async def child(script: str, *words: object) -> Any:  # noqa: ANN401 - JSON
    """Run a part in a process of its own and read its line of JSON."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / script), *map(str, words), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"bench_sync: {script} ended with {process.returncode}")
    return json.loads(out) if out else None


def _rate(result: dict[str, Any]) -> float:
    return float(result["records"] / result["seconds"])


class Bench:
    """One run of everything."""

    def __init__(self, folder: Path, broker: Broker, seconds: float) -> None:
        self._state, self._payloads, self._broker, self._seconds = (
            folder / "state",
            folder / "payloads",
            broker,
            seconds,
        )
        self._copy = folder / "copy"
        self.missed: list[str] = []

    async def build(self, records: int) -> None:
        """The store, and the payloads for the plain publisher."""
        began = time.monotonic()
        self._state.mkdir()
        await child("backlog.py", self._state, self._payloads, records)
        print(f"built a store with {records:,} records waiting in {time.monotonic() - began:.0f} s")

    async def drain(self, port: int, seconds: float) -> dict[str, Any]:
        """Ours, on a fresh copy of the store."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._state, self._copy)
        return dict(await child("drain.py", self._copy, port, seconds, 0.2))

    async def whole(self) -> None:
        """The whole backlog with nothing in between: ours and the others in turn, the best of each counts."""
        rounds: dict[str, list[dict[str, Any]]] = {"ours": [], "plain paho": [], "plain paho from SQLite": []}
        for _ in range(ROUNDS):
            rounds["ours"].append(await self.drain(self._broker.port, 600))
            sources = (("plain paho", self._payloads), ("plain paho from SQLite", self._payloads.with_suffix(".db")))
            for name, source in sources:
                rounds[name].append(await child("plain.py", source, self._broker.port, self._seconds / ROUNDS, WINDOW))
        best = {name: max(each, key=_rate) for name, each in rounds.items()}
        ours = best["ours"]
        growth = max(each["most_mb"] - each["before_mb"] for each in rounds["ours"])
        print(f"\ndrained {ours['records']:,} records in {ours['seconds']:.1f} s, {ours['cpu_s']:.1f} s of them CPU")
        print(f"memory: {ours['before_mb']:.1f} MB before; it grew by {growth:.1f} MB at most")
        self._judge(growth <= MEMORY_GOAL, f"memory grows by {growth:.1f} MB, at most {MEMORY_GOAL:.0f} are wanted")
        self._views(ours["views"])
        for name, each in rounds.items():
            told = ", ".join(f"{_rate(one):,.0f}/s" for one in each)
            cpu = 1e6 * best[name]["cpu_s"] / best[name]["records"]
            print(f"  {name:<26}{told}; {cpu:.2f} us of CPU a record")
        durable = _rate(ours) / _rate(best["plain paho from SQLite"])
        print(f"  ours is {durable:.2f} of plain paho that reads whole batches from SQLite and decompresses them")
        print(f"\n{'link':<28}{'ours':>12}{'plain paho':>12}{'ratio':>8}{'alarms: n':>12}{'median':>10}{'worst':>10}")
        alarms = [alarm for each in rounds["ours"] for alarm in each["alarms"]]
        self._row("loopback, nothing between", _rate(ours), _rate(best["plain paho"]), alarms)

    async def over(self, name: str, rate: int, delay: float) -> None:
        """The same over a link, for a while."""
        async with FaultProxy(self._broker.port) as proxy:
            proxy.rate, proxy.delay = rate, delay
            ours = await self.drain(proxy.port, self._seconds)
            plain = await child("plain.py", self._payloads, proxy.port, self._seconds, WINDOW)
        self._row(name, _rate(ours), _rate(plain), ours["alarms"])

    def _row(self, name: str, ours: float, plain: float, alarms: list[float]) -> None:
        ranked = sorted(alarms) or [float("nan")]
        median, worst = ranked[len(ranked) // 2], ranked[-1]
        print(
            f"{name:<28}{ours:>10,.0f}/s{plain:>10,.0f}/s{ours / plain:>8.2f}{len(alarms):>12}"
            f"{median * 1000:>7.0f} ms{worst * 1000:>7.0f} ms"
        )
        self._judge(bool(alarms) and worst <= ALARM_GOAL, f"{name}: an alarm took {worst:.2f} s")
        self._judge(ours / plain >= RATIO_GOAL, f"{name}: {ours / plain:.2f} of plain paho, {RATIO_GOAL} is wanted")

    def _views(self, views: list[dict[str, Any]]) -> None:
        shown = [view for view in views if view["eta_s"] is not None]
        for view in shown[:: max(1, len(shown) // 4)][:4]:
            print(f"  status meanwhile: {view['backlog']:>9,} waiting, {view['rate']:,.0f}/s, {view['eta_s']} s left")

    def _judge(self, good: bool, sentence: str) -> None:
        if not good:
            self.missed.append(sentence)


async def run(records: int, seconds: float, folder: Path, mosquitto: str) -> list[str]:
    """Everything; returns what missed its goal."""
    broker = Broker(mosquitto, folder)
    broker.start()
    bench = Bench(folder, broker, seconds)
    try:
        await bench.build(records)
        await bench.whole()
        for name, rate, delay in LINKS:
            await bench.over(name, rate, delay)
    finally:
        broker.stop()
    return bench.missed


def main() -> None:
    """Parse the options, run, print what missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000, help="how many wait (default: 1,000,000)")
    parser.add_argument("--seconds", type=float, default=8.0, help="for each of the other measurements (default: 8)")
    options = parser.parse_args()
    mosquitto = shutil.which("mosquitto", path="/usr/bin:/usr/sbin:/usr/local/sbin")
    if mosquitto is None:
        raise SystemExit("bench_sync: mosquitto is missing; apt-get install mosquitto")
    with tempfile.TemporaryDirectory(prefix="linli-sync-") as folder:
        missed = asyncio.run(run(options.records, options.seconds, Path(folder), mosquitto))
    print(
        "\nOn loopback plain paho copies ready-made payloads out of memory, while ours reads every record from SQLite"
        "\nand puts it together again: there one core is the limit, on the other lines it is the link."
    )
    print("\n".join(f"MISSED: {sentence}" for sentence in missed) or "all goals are met")
    raise SystemExit(bool(missed))


if __name__ == "__main__":
    main()
