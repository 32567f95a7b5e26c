"""Drives simulated vehicles through the gate and prints what it got right; every number here is synthetic."""

import argparse
import json
import math
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "models" / "plates")]

import cv2  # noqa: E402 - the folders of this script's parts come first
import long  # noqa: E402
import reads  # noqa: E402
from figures import digest, share, upper  # noqa: E402
from fusion import table  # noqa: E402
from play import Watched, drawn, play  # noqa: E402
from scenes import Clip  # noqa: E402

from gateway.vision.packs import models_folder  # noqa: E402
from gateway.vision.sight import ModelSight  # noqa: E402

KEPT = ROOT / "build" / "eval_vehicles.jsonl"
KEPT_LONG = ROOT / "build" / "eval_long.jsonl"
KEPT_READS = ROOT / "build" / "eval_reads.jsonl"
CLIPS = ROOT / "build" / "eval_vehicles"
DRAWS = ("scripts/vehicles/scenes.py", "scripts/vehicles/bodies.py", "models/plates/render.py")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=180, help="clips of about three passages, half of them degraded")
    parser.add_argument("--first", type=int, default=0, help="seed of the first clip")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this long; run again to go on")
    parser.add_argument("--results", type=Path, default=KEPT, help="a JSON line a clip; what is in it is not run again")
    parser.add_argument("--both", action="store_true", help="read every look with both readers, for --fusion")
    parser.add_argument("--fusion", action="store_true", help="print the table of fusing rules from such results")
    parser.add_argument("--report", action="store_true", help="only print what the results say")
    parser.add_argument("--reads", type=int, default=0, help="instead: the reads of so many passages of each kind")
    parser.add_argument(
        "--split", choices=("test", "tune"), default="test", help="of --reads: rules are chosen by tune"
    )
    parser.add_argument("--rules", action="store_true", help="of --reads: compare variants of the fusing rule")
    parser.add_argument("--long", type=int, default=0, help="instead: so many of each of the long scenes")
    options = parser.parse_args()
    if options.long:
        options.results = KEPT_LONG if options.results == KEPT else options.results
    if options.reads and options.results == KEPT:
        options.results = KEPT_READS
    options.results.parent.mkdir(parents=True, exist_ok=True)
    if options.long:
        if not options.report:
            cv2.setNumThreads(1)
            long.run(options.long, options.results, ModelSight(models_folder()))
        long.report(options.results)
        return 0
    if options.reads:
        if not options.report:
            cv2.setNumThreads(1)
            reads.run(options, ModelSight(models_folder()))
        (reads.rules if options.rules else reads.report)(options.results, options.split)
        return 0
    if not options.report and not options.fusion:
        run(options)
    clips = [json.loads(line) for line in options.results.read_text().splitlines()]
    if options.fusion:
        table(clips)
    else:
        report(clips)
    return 0


def run(options: argparse.Namespace) -> None:
    cv2.setNumThreads(1)
    done = set()
    if options.results.exists():
        done = {(row["seed"], row["degraded"]) for row in map(json.loads, options.results.read_text().splitlines())}
    sight = Watched(ModelSight(models_folder()), both=options.both)
    until = time.monotonic() + options.minutes * 60
    folder = CLIPS / digest([ROOT / path for path in DRAWS])
    with options.results.open("a", encoding="utf-8") as out:
        for number in range(options.clips):
            seed, degraded = options.first + number // 2, bool(number % 2)
            if (seed, degraded) in done:
                continue
            if time.monotonic() > until:
                break
            clip = Clip(seed, degraded=degraded)
            row = play(clip, drawn(clip, folder), sight)
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            out.flush()
            if sys.stderr.isatty():
                print(f"\r{number + 1} of {options.clips} clips", end="", file=sys.stderr, flush=True)


def report(clips: list[dict[str, Any]]) -> None:
    passings = [(clip, one) for clip in clips for one in clip["passings"]]
    print(f"synthetic: drawn vehicles, H.264, {clips[0]['size'][0]} x {clips[0]['size'][1]}; {len(passings)} passages")
    one_each = [len(one["records"]) == 1 for _, one in passings]
    strays = sum(len(clip["strays"]) for clip in clips)
    print(f"exactly one record     {share(sum(one_each), len(one_each))}; records of no vehicle: {strays}")
    ways = [one["records"][0]["direction"] == one["direction"] for _, one in passings if one["records"]]
    print(f"right direction        {share(sum(ways), len(ways))}")
    drift = sum(_net(one["records"]) - _way(one["direction"]) for _, one in passings)
    drift += sum(_net(clip["strays"]) for clip in clips)
    print(f"occupancy drift        {drift:+d} vehicles after {len(passings)} passages")
    for behaviour in sorted({one["behaviour"] for _, one in passings} | {clip["behaviour"] for clip in clips}):
        inside = [one for clip, one in passings if clip["behaviour"] == behaviour]
        right = sum(len(one["records"]) == 1 and _right_way(one) for one in inside)
        print(f"  {behaviour:<10} one record, right direction  {share(right, len(inside))}")
    for degraded in (False, True):
        _plates("degraded" if degraded else "clean", [one for clip, one in passings if clip["degraded"] == degraded])
    named = [(one["paint"], row["paint"]) for _, one in passings for row in one["records"] if row["paint"] != "unknown"]
    right = share(sum(paint == told for paint, told in named), len(named))
    print(f"vehicle's colour named {share(len(named), len(passings))}; right where named {right}")
    for name, degraded in (("clean", False), ("degraded", True)):
        _cpu(name, [clip for clip in clips if clip["degraded"] is degraded])


def _cpu(name: str, clips: list[dict[str, Any]]) -> None:
    count = max(1, sum(len(clip["passings"]) for clip in clips))
    cost = {what: 1000 * sum(clip["cpu"][what] for clip in clips) / count for what in ("find", "read", "all")}
    looks = sum(clip["cpu"]["finds"] for clip in clips) / count
    print(
        f"CPU a {name} passage: {cost['find']:.0f} ms for detection ({looks:.0f} runs), {cost['read']:.0f} ms "
        f"for reading, {cost['all']:.0f} ms with decoding and following"
    )


def _plates(name: str, passings: list[dict[str, Any]]) -> None:
    told = [(one, max(one["records"], key=lambda row: len(row["reads"]))) for one in passings if one["records"]]
    right = sum(row["text"] == one["text"] for one, row in told)
    accepted = [(one, row) for one, row in told if row["status"] == "accepted"]
    wrong = sum(row["text"] != one["text"] for one, row in accepted)
    print(f"{name}: all characters right {share(right, len(passings))}")
    print(f"  accepted {share(len(accepted), len(passings))}; wrong but accepted {wrong} of {len(accepted)}", end="")
    print(f" (at most {upper(wrong, len(accepted)):.2%} with 95 %)" if accepted else "")
    for what, place in (("largest and sharpest", 3), ("most confident read", 2)):
        singles = [max(row["reads"], key=lambda read, at=place: read[at], default=[0, ""]) for _, row in told]
        single = sum(read[1] == one["text"] for (one, _), read in zip(told, singles, strict=True))
        gain = 100 * (right - single) / max(1, len(passings))
        print(f"  best single frame, {what:<21} {share(single, len(passings))}; fused {gain:+.1f} points")
    kinds: dict[str, Counter[bool]] = defaultdict(Counter)
    for one in passings:
        kinds[one["kind"]][any(row["text"] == one["text"] for row in one["records"])] += 1
    for kind, counts in sorted(kinds.items()):
        print(f"    {kind:<16} {share(counts[True], counts.total())}")


def _right_way(one: dict[str, Any]) -> bool:
    return bool(one["records"][0]["direction"] == one["direction"])


def _way(direction: str) -> int:
    return {"in": 1, "out": -1}.get(direction, 0)


def _net(records: Iterable[dict[str, Any]]) -> int:
    return sum(_way(row["direction"]) for row in records)


if __name__ == "__main__":
    sys.exit(main())
