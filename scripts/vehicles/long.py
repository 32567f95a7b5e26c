"""Long scenes in little time: a vehicle hidden for half a minute, one that parks for hours, one that stands all day.

The pictures are drawn and go to the gate as they are, without an encoder: between moments in which something moves
only one in many seconds is looked at, as in a sleeping lane.
"""

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from bodies import Body, body, road
from figures import share
from kinds import plate_of
from render import KINDS
from scenes import HEIGHT, LANES, LINE_Y, RATE, WIDTH, paste

from gateway.settings import CameraSettings
from gateway.vision.capture import Frame
from gateway.vision.gate import VehicleGate
from gateway.vision.lists import PlateLists
from gateway.vision.look import PlateSight
from gateway.vision.messages import Passage

HIDDEN = 30.0  # seconds
DAY = 86400.0
SELDOM = 60.0  # seconds between two pictures while nothing moves
STANDS = 0.34  # of a vehicle's way, short of the line
PAST = 0.5  # and beyond it
LOW = 0.62  # and so far that its plate is below the picture
Way = tuple[tuple[float, float], ...]  # (seconds, share of the way); outside these times it is away


@dataclass(frozen=True, slots=True)
class Car:
    """A vehicle: what is on its plate, what its records must say, where it is when, and how it looks."""

    text: str
    expected: tuple[str, ...]
    way: Way
    x: float
    body: Body

    def done(self, now: float) -> float | None:
        """The share of its way at ``now``, None while it is away."""
        if not self.way[0][0] <= now <= self.way[-1][0]:
            return None
        return float(np.interp(now, [time for time, _ in self.way], [done for _, done in self.way]))


@dataclass(frozen=True, slots=True)
class Scene:
    """Vehicles, what stands before them when (begin, end, share of the width), and how long it all takes (s)."""

    name: str
    cars: tuple[Car, ...]
    screens: tuple[tuple[float, float, float], ...]
    seconds: float


def scenes(seed: int) -> Iterator[Scene]:
    """One of each kind of scene; the plates' kinds go round with ``seed``."""
    chance = random.Random(f"long {seed}")
    kinds = iter([*KINDS[seed % len(KINDS) :], *KINDS] * 4)

    def car(expected: tuple[str, ...], way: Way, x: float) -> Car:
        plate = plate_of(next(kinds), False, chance)
        return Car(plate.text, expected, way, x, body(plate, chance))

    through = 2.6
    places = (
        ("hidden for 30 s before the line", STANDS),
        ("hidden for 30 s behind the line", PAST),
        ("stands for 30 s with its plate out of sight", LOW),
    )
    for name, share_of_way in places:
        stops, goes = 0.6 + through * share_of_way, 0.6 + through * share_of_way + HIDDEN + 2.5
        way: Way = ((0.6, 0.0), (stops, share_of_way), (goes, share_of_way), (goes + through, 1.0))
        screens = ((stops + 0.5, goes - 1.0, 0.28),) if share_of_way != LOW else ()
        yield Scene(name, (car(("in",), way, 0.28),), screens, goes + through + 2.0)
    hours = 6 * 3600.0
    stays: Way = ((0.6, 0.0), (2.2, PAST), (hours, PAST), (hours + 1.6, 0.0))
    yield Scene("parks for six hours", (car(("in", "out"), stays, 0.28),), (), hours + 4.0)
    cars = [car((), ((0.0, STANDS), (DAY, STANDS)), 0.75)]
    for number in range(12):
        begin = (number + 0.5) * DAY / 12 + chance.uniform(0, 600)
        ends = (0.0, 1.0) if number % 2 else (1.0, 0.0)
        cars.append(car(("in" if number % 2 else "out",), ((begin, ends[0]), (begin + 2.6, ends[1])), 0.26))
    yield Scene("parked for a day, twelve others pass", tuple(cars), (), DAY)


def _times(scene: Scene) -> Iterator[float]:
    """Every frame while something moves, and a while before and after it; else one in SELDOM seconds."""
    moving = [
        (one - 1.0, other + 3.0)
        for car in scene.cars
        for (one, there), (other, then) in zip(car.way, car.way[1:], strict=False)
        if there != then
    ] + [(at - 0.5, at + 1.5) for begin, end, _ in scene.screens for at in (begin, end)]
    now = 0.0
    while now < scene.seconds:
        yield now
        inside = any(begin <= now <= end for begin, end in moving)
        begins = min((begin for begin, _ in moving if begin > now), default=scene.seconds)
        now += 1 / RATE if inside else max(1 / RATE, min(SELDOM if begins - now > SELDOM else 1.0, begins - now))


def _light(now: float, seconds: float) -> float:
    """The day's light, and clouds."""
    if seconds < DAY:
        return 1.0
    sun = max(0.0, math.sin(math.pi * (now / DAY * 24 - 6) / 12))
    return 0.35 + 0.7 * sun + 0.06 * math.sin(now / 700) * sun


def _frames(scene: Scene, seed: int) -> Iterator[Frame]:
    chance = random.Random(f"ground {seed}")
    ground = road((WIDTH, HEIGHT), chance)
    noise = np.random.default_rng(seed)
    grain = np.clip(noise.normal(0, 2, (HEIGHT + 64, WIDTH + 64)), -20, 20).astype(np.int16)[..., None].repeat(3, 2)
    for index, now in enumerate(_times(scene)):
        canvas: Any = ground.copy()
        for car in scene.cars:
            done = car.done(now)
            if done is not None:
                bottom = 1.95 * done**1.2 * HEIGHT
                width = (0.22 + 0.24 * bottom / HEIGHT) * WIDTH
                paste(canvas, car.body.sprite, (car.x * WIDTH, bottom, width, 1.0), 0.0, 0.0)
        for begin, end, x in scene.screens:
            _screen(canvas, now - begin, end - now, x)
        lit = cv2.convertScaleAbs(canvas, alpha=_light(now, scene.seconds))
        down, right = noise.integers(0, 64, 2)
        shown = cv2.add(lit, grain[down : down + HEIGHT, right : right + WIDTH], dtype=cv2.CV_8U)
        picture = av.VideoFrame.from_ndarray(shown, format="bgr24").reformat(format="yuv420p")
        yield Frame(picture, now, index, (), round(now * 1e9))


def _screen(canvas: Any, since: float, left: float, x: float) -> None:  # noqa: ANN401 - OpenCV's array
    """A lorry's side that rolls in from the left, stands and rolls on to the left again."""
    if since < 0 or left < -1.0:
        return
    there = min(1.0, since, 1.0 + left)
    end = int(there * (x + 0.3) * WIDTH)
    cv2.rectangle(canvas, (0, 20), (end, HEIGHT - 60), (120, 110, 96), -1)
    for place in range(end - 40, 0, -120):
        cv2.line(canvas, (place, 20), (place, HEIGHT - 60), (90, 84, 70), 4)


def watch(scene: Scene, seed: int, sight: PlateSight) -> dict[str, Any]:
    """What was told of one scene beside what should have been."""
    lanes = [
        {"name": name, "line": ((begin * WIDTH, LINE_Y), (end * WIDTH, LINE_Y)), "enter": "down"}
        for name, (begin, end) in LANES.items()
    ]
    camera = {"name": "gate", "url": "clip.mp4", "purpose": "evaluation", "vehicles": {"lanes": lanes}}
    gate = VehicleGate(CameraSettings.model_validate(camera), sight, PlateLists({}))
    told: list[Passage] = []
    looked = 0
    for frame in _frames(scene, seed):
        looked += 1
        told += gate.offer(frame, frame.wall) or []
    told += gate.finish()
    expected = sorted((way, car.text) for car in scene.cars for way in car.expected)
    found = sorted((one.direction, one.text) for one in told)
    return {
        "scene": scene.name,
        "seed": seed,
        "frames": looked,
        "expected": expected,
        "told": [[one.direction, one.text, round(one.time / 1e9, 1)] for one in told],
        "right": sorted(way for way, _ in expected) == sorted(way for way, _ in found),
    }


def run(count: int, results: Path, sight: PlateSight) -> None:
    """Watch ``count`` of each scene that are not in ``results`` yet."""
    done = set()
    if results.exists():
        done = {(row["scene"], row["seed"]) for row in map(json.loads, results.read_text().splitlines())}
    with results.open("a", encoding="utf-8") as out:
        for seed in range(count):
            for scene in scenes(seed):
                if (scene.name, seed) not in done:
                    out.write(json.dumps(watch(scene, seed, sight), ensure_ascii=False) + "\n")
                    out.flush()


def report(path: Path) -> None:
    """Print a line a kind of scene."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    print("synthetic, drawn without an encoder, time pressed together where nothing moves:")
    for name in dict.fromkeys(row["scene"] for row in rows):
        mine = [row for row in rows if row["scene"] == name]
        records, wanted = sum(len(row["told"]) for row in mine), sum(len(row["expected"]) for row in mine)
        right = sum(row["right"] for row in mine)
        print(f"  {name:<52} {records} records of {wanted} passages, all right in {share(right, len(mine))}")
