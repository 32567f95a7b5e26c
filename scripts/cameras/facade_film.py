"""Facades on film for cameras that are watched in real time: drawn clips of the test split, repeated without a gap."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from film import SPLITS, Film, random_take
from scene import Scene

KINDS = ("birds", "leaves", "laundry", "insects")
SEEDS = SPLITS["test"] + 950_000
BITS = 4_000_000  # a second
RATE = 25.0
KEY_EVERY = 50


def facade_films(folder: Path, count: int, seconds: float, *, calm: bool = False) -> list[Path]:
    """Film what is not there yet: 1080p25 H.264, one thing that falls and one distractor in each, or neither."""
    made = []
    for number in range(count):
        path = folder / f"{'calm' if calm else 'facade'}-{number}-{seconds:g}.mp4"
        made.append(path)
        if path.with_suffix(".json").exists():
            continue
        seed = SEEDS + number
        take = random_take(
            np.random.default_rng(seed), seconds, 0 if calm else 1, [] if calm else [KINDS[number % len(KINDS)]]
        )
        take = replace(take, rate=RATE, codec="h264", bit_rate=BITS, key_every=KEY_EVERY, lost=0.0, doubled=False)
        print(f"drawing {path.name}: {', '.join(take.distractors) or 'calm'}", flush=True)
        Film(Scene(seed), take, seed).write(path, "faster")  # its truth is written last
    return made


def looped(path: Path, to: Path, seconds: float) -> Path:
    """The same packets again and again until ``seconds`` are full, time stamps going on."""
    with av.open(str(path)) as source, av.open(str(to), "w") as target:
        stream = source.streams.video[0]
        packets: list[tuple[Any, int, int]] = []
        for packet in source.demux(stream):
            if packet.size and packet.pts is not None:
                packets.append((packet, packet.pts, packet.pts if packet.dts is None else packet.dts))
        step = round(1 / (stream.average_rate * stream.time_base))
        length = max(pts for _, pts, _ in packets) + step
        out = target.add_stream_from_template(stream)
        rounds = max(1, round(seconds / float(length * stream.time_base)) + 1)
        for number in range(rounds):
            for packet, pts, dts in packets:
                packet.pts, packet.dts = pts + number * length, dts + number * length
                packet.stream, packet.time_base = out, stream.time_base
                target.mux(packet)
    return to
