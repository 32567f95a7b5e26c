"""Simulated reads of passages: a plate comes through a real encoder, is found, straightened, read and fused.

Of a vehicle only the surroundings of its plate are drawn, so that thousands of passages take minutes. Left out against
whole clips: roads and other traffic, motion, tracking, missed beginnings and stops.
"""

import argparse
import io
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from bodies import BODY, PAINTS, PLATE_SHARE, Pixels
from figures import share, upper
from fusion import VARIANTS
from kinds import TWO_ROWED, plate_of
from render import KINDS, Drawn
from scenes import HEIGHT, RATE, WIDTH, Passing, Weather, weather, where

from gateway.vision.fuse import Verdict, fuse, reconsidered
from gateway.vision.gate import SETTLED_EVERY
from gateway.vision.look import SURE, PlateSight, darkly, look_again, look_at
from gateway.vision.shapes import Box
from gateway.vision.track import PlateTrack

PATCH = (176, 112)  # pixels of the surroundings of a plate
AIR = 32  # pixels of more metal around them: the detector misses what fills its picture
LEAST = 42.0  # pixels of plate width from which a passage is drawn: less is not read
PLATE_FOOT = 0.1  # of a vehicle's width: how far above its lower edge the plate's middle is


class Approach:
    """One plate on its way, ``seed`` counting through all kinds; of those with two rows every second one has them."""

    def __init__(self, seed: int, *, degraded: bool, split: str) -> None:
        chance = random.Random(f"reads {split} {seed} {degraded}")
        turn, place = divmod(seed, len(KINDS))
        self.kind = KINDS[place]
        self.plate = plate_of(self.kind, self.kind in TWO_ROWED and bool(turn % 2), chance)
        self.weather = weather(degraded, chance)
        self._chance = chance
        self._noise = np.random.default_rng(chance.getrandbits(32))
        self._mounted = _mounted(self.plate, chance)
        self._slant = np.array([[chance.gauss(0, 0.02), chance.gauss(0, 0.035)] for _ in range(4)], np.float32)
        self._way = chance.choice(("in", "out"))
        self._lasts = chance.uniform(2.0, 3.2)
        self._aside = chance.uniform(0.2, 0.8)

    def frames(self) -> Iterator[tuple[float, tuple[int, int], Pixels]]:
        """Seconds, place of the patch in a whole picture, and the patch as it comes out of the decoder."""
        spots = [
            (now, spot) for now in np.arange(0.0, self._lasts, 1 / RATE) if (spot := self._spot(float(now))) is not None
        ]
        patches = [self._patch(spot) for _, spot in spots]
        corners = [(round(x) - PATCH[0] // 2, round(y) - PATCH[1] // 2) for _, (x, y, _, _) in spots]
        yield from zip([now for now, _ in spots], corners, _coded(patches, self.weather), strict=True)

    def _spot(self, now: float) -> tuple[float, float, float, float] | None:
        """Middle of the plate and its width (pixels), and how far it moves while the shutter is open."""
        scale = self.weather.scale
        one = Passing("", "", False, "", "", "pass", self._way, "", 0.0, self._lasts, self._aside, None, scale)  # type: ignore[arg-type]
        here, ahead = where(one, now), where(one, now + self.weather.shutter)
        if here is None:
            return None
        x, bottom, width, _ = here
        across = width * BODY * PLATE_SHARE * self.plate.picture.shape[1] / 220
        y = bottom - PLATE_FOOT * width
        if across < LEAST or not across / 3 < y < HEIGHT - across / 3:
            return None
        return x, y, across, abs(ahead[1] - bottom) if ahead else 0.0

    def _patch(self, spot: tuple[float, float, float, float]) -> Pixels:
        x, y, across, moved = spot
        source: Any = self._mounted
        tall, wide = source.shape[:2]
        shrink = across * wide / self.plate.picture.shape[1]
        size = (max(8, round(shrink)), max(8, round(shrink * tall / wide)))
        small = cv2.resize(source, size, interpolation=cv2.INTER_AREA)
        middle = np.array([PATCH[0] / 2 + x - round(x), PATCH[1] / 2 + y - round(y)], np.float32)
        unit = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], np.float32)
        goal = (unit + self._slant) * np.array(size, np.float32) + middle
        start = (unit + 0.5) * np.array(size, np.float32)
        matrix = cv2.getPerspectiveTransform(start, goal.astype(np.float32))
        patch = cv2.warpPerspective(small, matrix, PATCH, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if moved >= 1.5:
            patch = cv2.blur(patch, (1, max(2, round(moved))))
        if self.weather.blur > 0.0:
            patch = cv2.GaussianBlur(patch, (0, 0), self.weather.blur)
        grain = self._noise.normal(0, self.weather.grain, (PATCH[1], PATCH[0], 1))
        return np.clip(patch * np.float32(self.weather.light) + grain, 0, 255).astype(np.uint8)


def _mounted(plate: Drawn, chance: random.Random) -> Pixels:
    """The plate with its dark frame on painted metal, three times as wide as the plate."""
    tall, wide = plate.picture.shape[:2]
    paint = np.array(PAINTS[chance.choice(list(PAINTS))], np.float32)
    ramp = np.linspace(1.1, 0.75, 3 * tall, dtype=np.float32)[:, None, None]
    metal: Any = np.clip(np.broadcast_to(paint, (3 * tall, 3 * wide, 3)) * ramp, 0, 255).astype(np.uint8)
    metal[tall - 6 : 2 * tall + 6, wide - 7 : 2 * wide + 7] = chance.choice((24, 40, 60))
    metal[tall : 2 * tall, wide : 2 * wide] = plate.picture
    return metal  # type: ignore[no-any-return]


def _coded(patches: list[Pixels], seen: Weather) -> list[Pixels]:
    """Through H.264 and back."""
    if not patches:
        return []
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *PATCH, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": str(seen.crf), "g": str(RATE), "threads": "1"}
        for patch in patches:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(patch, format="bgr24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def watch(approach: Approach, sight: PlateSight, *, rules: bool = False) -> dict[str, Any]:
    """One line of the results: what the reads of one passage came to, with ``rules`` by each variant of the rule."""
    track = PlateTrack(1)
    wide, tall = PATCH[0] + 2 * AIR, PATCH[1] + 2 * AIR
    canvas = np.zeros((HEIGHT + tall, WIDTH + wide, 3), np.uint8)
    spent, looked, dark = 0.0, -1.0, True
    for now, (left, top), patch in approach.frames():
        known = track.last.size if track.path else 0.0
        wait = SETTLED_EVERY if track.settled else 0.0
        if now - looked < wait:
            continue
        looked = now
        left, top = left + PATCH[0] // 2, top + PATCH[1] // 2
        canvas[top : top + tall, left : left + wide] = cv2.copyMakeBorder(patch, *(AIR,) * 4, cv2.BORDER_REPLICATE)
        region = Box(left, top, left + wide, top + tall)
        began = time.process_time()
        wall = round(now * 1e9)
        dark = darkly(track) if track.path else not dark
        found = sight.find(canvas, region, known, dark=dark)[:1]
        track.misses += 1
        for plate in found:
            track.dark = dark
            track.add(now, wall, plate)
            look_at(sight, track, canvas, (now, wall), plate)
        spent += time.process_time() - began
    began = time.process_time()
    look_again(sight, track)
    spent += time.process_time() - began
    verdict = track.verdict
    reads = track.reads
    best = max(reads, key=lambda read: read.weight, default=None)
    surest = max(reads, key=lambda read: read.read.weakest, default=None)
    return {
        "text": approach.plate.text,
        "kind": approach.kind,
        "told": verdict.text if verdict else "",
        "accepted": verdict is not None and verdict.status == "accepted",
        "largest": [best.read.text, best.read.weakest >= SURE] if best else ["", False],
        "surest": [surest.read.text, surest.read.weakest >= SURE] if surest else ["", False],
        "reads": len(reads),
        "cpu": round(spent, 4),
        "rules": _by_rules(track) if rules else {},
    }


def _by_rules(track: PlateTrack) -> dict[str, tuple[str, bool]]:
    """What each variant of the rule makes of a passage; where the one in use accepts, no look was read once more."""
    once = fuse(track.reads, witnesses=track.witnesses)
    told = {"in use": _told(track.verdict), "no look is read once more by our own": _told(once)}
    for name, rule in VARIANTS:
        verdict = fuse(track.reads, rule, track.witnesses)
        if track.reread and verdict is not None and verdict.status != "accepted":
            verdict = reconsidered(track.reads, track.reread, rule)
        told[name] = _told(verdict)
    return told


def _told(verdict: Verdict | None) -> tuple[str, bool]:
    return (verdict.text, verdict.status == "accepted") if verdict else ("", False)


def run(options: argparse.Namespace, sight: PlateSight) -> None:
    """Watch what ``options.reads`` asks for (passages a kind) and is not in ``options.results`` yet."""
    done = set()
    if options.results.exists():
        rows = map(json.loads, options.results.read_text().splitlines())
        done = {(row["seed"], row["degraded"]) for row in rows if row["split"] == options.split}
    until = time.monotonic() + options.minutes * 60
    with options.results.open("a", encoding="utf-8") as out:
        for number in range(options.reads * len(KINDS)):
            seed, degraded = number // 2, bool(number % 2)
            if (seed, degraded) in done:
                continue
            if time.monotonic() > until:
                break
            row = watch(Approach(seed, degraded=degraded, split=options.split), sight, rules=options.rules)
            row |= {"seed": seed, "degraded": degraded, "split": options.split}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            out.flush()


def report(path: Path, split: str) -> None:
    """Print per kind and for all what was right, accepted, and accepted but wrong, beside the best single looks."""
    rows = [row for row in map(json.loads, path.read_text().splitlines()) if row["split"] == split]
    print(
        f"synthetic: plates on metal through H.264, found, read and fused ({split} split); {len(rows)} passages' reads"
    )
    for degraded in (False, True):
        _table("degraded" if degraded else "clean", [row for row in rows if row["degraded"] is degraded])
    accepted = [row for row in rows if row["accepted"]]
    wrong = [row for row in accepted if row["told"] != row["text"]]
    print(f"wrong but accepted: {len(wrong)} of {len(rows)}, at most {upper(len(wrong), len(rows)):.3%} with 95 %")
    print(f"  of the {len(accepted)} accepted: {share(len(wrong), len(accepted))}, ", end="")
    print(f"at most {upper(len(wrong), len(accepted)):.3%} with 95 %")
    for row in wrong:
        print(f"  {row['text']} was told as {row['told']}")
    unread = [row["degraded"] for row in rows if not row["reads"]]
    print(f"never read (mostly plates not found): {unread.count(False)} clean, {unread.count(True)} degraded")
    spent = [row["cpu"] for row in rows]
    print(f"CPU: {1000 * sum(spent) / max(1, len(spent)):.0f} ms a passage for finding and reading")


def rules(path: Path, split: str) -> None:
    """Print what each variant of the rule makes of the same reads: right, accepted, accepted but wrong."""
    rows = [row for row in map(json.loads, path.read_text().splitlines()) if row["split"] == split and row["rules"]]
    parts = [[row for row in rows if row["degraded"] is degraded] for degraded in (False, True)]
    print(f"synthetic reads, {split} split: {len(parts[0])} clean, {len(parts[1])} degraded; right, accepted, wrong")
    for name in rows[0]["rules"]:
        cells = []
        for part in parts:
            told = [(row["text"], *row["rules"][name]) for row in part]
            right = sum(text == truth for truth, text, _ in told) / max(1, len(part))
            sure = sum(accepted for *_, accepted in told) / max(1, len(part))
            wrong = sum(accepted and text != truth for truth, text, accepted in told)
            cells.append(f"{right:6.1%} {sure:6.1%} {wrong:2d}")
        print(f"  {name:<52} {'   '.join(cells)}")


def _table(name: str, rows: list[dict[str, Any]]) -> None:
    kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        kinds[row["kind"]].append(row)
    print(f"{name:<16}     N   fused  accepted  wrong  largest, sharpest  surest  wrong")
    for kind in (*KINDS, ""):
        _line(kind or "all", kinds[kind] if kind else rows)


def _line(name: str, rows: Iterable[dict[str, Any]]) -> None:
    rows = list(rows)
    count = max(1, len(rows))

    def part(key: Any) -> float:  # noqa: ANN401 - a function of a row
        return sum(key(row) for row in rows) / count

    wrong = sum(row["accepted"] and row["told"] != row["text"] for row in rows)
    sure_wrong = sum(row["surest"][1] and row["surest"][0] != row["text"] for row in rows)
    print(
        f"  {name:<14} {len(rows):5d} {part(lambda row: row['told'] == row['text']):7.1%} "
        f"{part(lambda row: row['accepted']):9.1%} {wrong:6d} "
        f"{part(lambda row: row['largest'][0] == row['text']):18.1%} "
        f"{part(lambda row: row['surest'][0] == row['text']):7.1%} {sure_wrong:6d}"
    )
