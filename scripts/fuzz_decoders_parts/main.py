"""Throws spoilt answers at every decoder of drivers/, in several processes, and counts what comes out.

An input is one whole read (or one call of ``decode``): true answers that are damaged blindly, true answers whose
fields are changed and whose checksum is made right again, noise, and sound answers among noise. What must not be: any
exception but DeviceError, a read that takes a second, memory that grows, and a good value that is not the true one
while no frame with a right checksum but the true one stood on the wire. Where one did, the damage passed the
checksum by chance: nobody can tell, and the table says how often.

The same --seed gives the same inputs; --state keeps what is done, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from attack import Attack, Count
from targets import Target, all_targets

BATCH = 1000
GROWTH = 16 * 1024 * 1024  # bytes that a worker may gain behind its first rounds
WARM = 3  # rounds


_targets: dict[str, Target] = {}


def work(job: tuple[str, int, int, int]) -> tuple[str, int, Count, int, int]:
    """One batch in a worker: (target, seed, number, inputs) to (target, number, count, worker, its memory in bytes)."""
    name, seed, number, inputs = job
    if not _targets:
        _targets.update((target.name, target) for target in all_targets())
    count = Attack(_targets[name], seed, number).run(inputs)
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return name, number, count, os.getpid(), pages * os.sysconf("SC_PAGE_SIZE")


class Campaign:
    """All batches, shared out so that every driver gets as many inputs."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self.targets = all_targets(options.driver)
        if options.target:
            self.targets = [target for target in self.targets if target.name == options.target]
        if not self.targets:
            raise SystemExit("fuzz_decoders: there is no such driver or target; without --driver it takes all")
        self.counts: dict[str, Count] = {target.name: Count() for target in self.targets}
        self.done: dict[str, int] = dict.fromkeys(self.counts, 0)  # batches, by target
        self.memory: dict[int, list[int]] = {}
        self._restore()

    def run(self) -> None:
        """Go through all batches, and say from time to time how far it is."""
        jobs, began, said = self._jobs(), time.monotonic(), time.monotonic()
        total, seen = len(jobs), 0
        with multiprocessing.get_context("spawn").Pool(self._options.processes) as pool:
            for name, _number, count, worker, memory in pool.imap_unordered(work, jobs, chunksize=1):
                seen += 1
                self.counts[name].add(count)
                self.done[name] += 1
                self.memory.setdefault(worker, []).append(memory)
                now = time.monotonic()
                if now - said > 10 or seen == total:
                    said = now
                    self._save()
                    inputs = sum(count.inputs for count in self.counts.values())
                    left = (now - began) / seen * (total - seen)
                    failures = sum(len(count.failures) for count in self.counts.values())
                    print(
                        f"  {inputs:>12,} inputs, {failures} failures, {left / 60:.0f} min left",
                        file=sys.stderr,
                        flush=True,
                    )

    def _jobs(self) -> list[tuple[str, int, int, int]]:
        """In rounds over all targets: an interrupted run has been everywhere."""
        if self._options.batch is not None:
            return [(self.targets[0].name, self._options.seed, self._options.batch, BATCH)]
        names = Counter(target.driver for target in self.targets)
        share = self._options.inputs / len(names)
        size = min(BATCH, max(1, int(self._options.inputs / len(self.targets))))
        batches = {target.name: -(-int(share / names[target.driver]) // size) for target in self.targets}
        rounds = max(batches.values())
        return [
            (name, self._options.seed, number, size)
            for number in range(rounds)
            for name, wanted in batches.items()
            if self.done[name] <= number < wanted
        ]

    def growth(self) -> int:
        """Bytes that the worst worker gained since it was warm."""
        warm = WARM * len(self.targets) // max(1, self._options.processes)
        return max(
            (seen[-1] - max(seen[: warm + 1]) for seen in self.memory.values() if len(seen) > 2 * warm), default=0
        )

    def _restore(self) -> None:
        state = self._options.state
        if state is None or not state.exists():
            return
        kept = json.loads(state.read_text("utf-8"))
        if kept["seed"] != self._options.seed:
            raise SystemExit(f"fuzz_decoders: {state} is of --seed {kept['seed']}; give that seed or another file")
        for name, row in kept["targets"].items():
            if name in self.counts:
                self.counts[name], self.done[name] = Count(**row["count"]), row["done"]

    def _save(self) -> None:
        if self._options.state is None:
            return
        rows = {name: {"done": self.done[name], "count": vars(count)} for name, count in self.counts.items()}
        new = self._options.state.with_suffix(".new")
        new.write_text(json.dumps({"seed": self._options.seed, "targets": rows}), "utf-8")
        new.replace(self._options.state)


def table(campaign: Campaign) -> list[str]:
    """Lines of Markdown, as in docs/lines.md."""
    rows: dict[str, Count] = {}
    for target in campaign.targets:
        rows.setdefault(target.driver, Count()).add(campaign.counts[target.name])
    rows["all"] = Count()
    for count in list(rows.values())[:-1]:
        rows["all"].add(count)
    lines = [
        "| driver | inputs | DeviceError | with a good value | checksum right by chance | slowest | failures |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, count in rows.items():
        lines.append(
            f"| {name} | {count.inputs:,} | {count.refused:,} | {count.good:,} | {count.passed:,} "
            f"| {1000 * count.slowest:.0f} ms | {len(count.failures)} |"
        )
    return lines


def main() -> None:
    """Parse the options, run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000_000, help="how many altogether (default: 10 million)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other inputs (default: 1)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="default: one a core")
    parser.add_argument("--state", type=Path, help="file that keeps what is done")
    parser.add_argument("--driver", default="", help="only this driver")
    parser.add_argument("--target", default="", help="only this target, as a failure names it")
    parser.add_argument("--batch", type=int, help="only this batch of it")
    parser.add_argument("--list", action="store_true", help="print the targets and end")
    options = parser.parse_args()
    campaign = Campaign(options)
    if options.list:
        print("\n".join(f"{target.driver:10} {target.name}" for target in campaign.targets))
        return
    began = time.monotonic()
    campaign.run()
    growth = campaign.growth()
    print("\n".join(table(campaign)))
    print(
        f"\n{len(campaign.targets)} targets, {options.processes} processes, {time.monotonic() - began:.0f} s; "
        f"the worst worker grew by {growth / 1048576:.1f} MiB once warm"
    )
    failures = [failure for count in campaign.counts.values() for failure in count.failures]
    if growth > GROWTH:
        failures.append(f"a worker grew by {growth / 1048576:.1f} MiB")
    print("\n".join(f"FAILED {failure}" for failure in failures) or "nothing failed")
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
