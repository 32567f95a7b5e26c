"""What moves in front of a facade and how it is drawn: falling objects with drag, and how to paint."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from scene import FLOOR_HEIGHT, Luma, Scene, Spot3

GRAVITY = 9.81
STEP = 1 / 250  # seconds of the integration
FINE = 4  # sub-pixels a pixel while drawing


@dataclass(frozen=True, slots=True)
class Blob:
    """An ellipse at a moment: middle and half axes in pixels, degrees, grey level, opacity, speed (pixels a second)."""

    x: float
    y: float
    half_long: float
    half_short: float
    angle: float
    level: float
    opacity: float = 1.0
    vx: float = 0.0
    vy: float = 0.0


class Body(Protocol):
    """Something that moves."""

    def blobs(self, time: float) -> Iterator[Blob]:
        """What of it is in the picture at this time (seconds)."""


@dataclass
class Fall:
    """One falling object: thrown or dropped, slowed by quadratic drag, gone at the ground.

    ``terminal`` is its terminal speed (m/s); ``size_px`` its mean size in the picture half way down.
    """

    scene: Scene
    release: float
    start: Spot3
    velocity: tuple[float, float, float]
    terminal: float
    size_px: float
    contrast: float
    aspect: float
    turns: float
    hidden: list[tuple[int, int, int, int]] = field(default_factory=list)
    path: list[tuple[float, Spot3]] = field(default_factory=list)

    def __post_init__(self) -> None:
        x, out, z = self.start.x, self.start.out, self.start.z
        vx, vout, vz = self.velocity
        time = 0.0
        while z > 0 and time < 15:
            self.path.append((time, Spot3(x, out, z)))
            speed = math.sqrt(vx * vx + vout * vout + vz * vz)
            drag = GRAVITY * speed / self.terminal**2
            vx -= drag * vx * STEP
            vout -= drag * vout * STEP
            vz -= (GRAVITY + drag * vz) * STEP
            x, out, z = x + vx * STEP, out + vout * STEP, z + vz * STEP
            time += STEP
        middle = self.path[len(self.path) // 2][1]
        self.metres = self.size_px / self.scene.scale(middle)
        self.impact_speed = math.sqrt(vx * vx + vout * vout + vz * vz)

    @property
    def ends(self) -> float:
        """When it meets the ground, seconds."""
        return self.release + self.path[-1][0]

    def place(self, time: float) -> Spot3 | None:
        """Where it is, or None before its release and after its end."""
        step = (time - self.release) / STEP
        if not 0 <= step < len(self.path) - 1:
            return None
        before, after, part = self.path[int(step)][1], self.path[int(step) + 1][1], step % 1
        return Spot3(
            before.x + part * (after.x - before.x),
            before.out + part * (after.out - before.out),
            before.z + part * (after.z - before.z),
        )

    def pixel(self, time: float) -> tuple[float, float] | None:
        """Where it is in the picture, whether hidden or not."""
        place = self.place(time)
        return None if place is None else self.scene.pixel(place)

    def is_hidden(self, x: float, y: float) -> bool:
        """Whether a parapet stands before it there."""
        return any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in self.hidden)

    def blobs(self, time: float) -> Iterator[Blob]:
        """One ellipse that tumbles, and nothing while it is hidden."""
        place, later = self.place(time), self.place(time + 0.004)
        if place is None or later is None:
            return
        x, y = self.scene.pixel(place)
        if self.is_hidden(x, y):
            return
        next_x, next_y = self.scene.pixel(later)
        size = self.metres * self.scene.scale(place)
        long, short = size * math.sqrt(self.aspect), size / math.sqrt(self.aspect)
        phase = self.turns * (time - self.release)
        seen = short + (long - short) * abs(math.cos(2 * math.pi * phase * 0.5))
        yield Blob(
            x,
            y,
            max(seen, short) / 2,
            short / 2,
            360 * phase,
            min(250.0, max(4.0, self.scene.wall_level + self.contrast)),
            1.0,
            (next_x - x) / 0.004,
            (next_y - y) / 0.004,
        )


def random_fall(scene: Scene, dice: np.random.Generator, release: float, size_px: float | None = None) -> Fall:
    """One fall with the parameters of the evaluation: terminal speed 5 to 45 m/s log-uniform, 2 to 16 px, and so on."""
    lowest = 2
    for _ in range(60):
        floor = int(dice.integers(lowest, scene.floors + 1))
        x = float(dice.uniform(-0.48, 0.48)) * scene.breadth
        start = Spot3(x, float(dice.uniform(0.2, 1.0)), (floor - 1) * FLOOR_HEIGHT + float(dice.uniform(0.9, 1.9)))
        velocity = (float(dice.uniform(-3, 3)), float(dice.uniform(0, 4)), float(dice.uniform(-1.5, 2)))
        pixels = size_px if size_px is not None else float(np.exp(dice.uniform(math.log(2), math.log(16))))
        contrast = float(dice.uniform(10, 80)) * (1 if dice.random() < 0.5 else -1)
        if not 8 <= scene.wall_level + contrast <= 248:
            contrast = -contrast
        behind = dice.random() < 0.3
        fall = Fall(
            scene,
            release,
            start,
            velocity,
            float(np.exp(dice.uniform(math.log(5), math.log(45)))),
            pixels,
            contrast,
            float(dice.uniform(1, 3)),
            float(dice.uniform(0, 12)),
            scene.balconies() if behind else [],
        )
        if hidden_share(fall) <= 0.4:
            return fall
    return fall


def hidden_share(fall: Fall) -> float:
    """Share of the way down that parapets hide."""
    spots = [fall.scene.pixel(place) for _, place in fall.path[:: max(1, len(fall.path) // 60)]]
    return sum(fall.is_hidden(x, y) for x, y in spots) / max(1, len(spots))


def paint(picture: Luma, blob: Blob, shutter: float) -> None:
    """Draw one ellipse into a grey picture, smeared along its way for ``shutter`` seconds, anti-aliased."""
    way_x, way_y = blob.vx * shutter, blob.vy * shutter
    reach = max(blob.half_long, blob.half_short) + 1.5
    left = math.floor(blob.x - abs(way_x) / 2 - reach)
    top = math.floor(blob.y - abs(way_y) / 2 - reach)
    right = math.ceil(blob.x + abs(way_x) / 2 + reach) + 1
    bottom = math.ceil(blob.y + abs(way_y) / 2 + reach) + 1
    tall, wide = picture.shape
    if right <= 0 or bottom <= 0 or left >= wide or top >= tall or right - left > 900 or bottom - top > 900:
        return
    length = math.hypot(way_x, way_y)
    opacity = blob.opacity
    fine = 2 if length >= 60 else FINE if blob.half_short > 0.6 else 2 * FINE
    mark = np.zeros(((bottom - top) * fine, (right - left) * fine), np.uint8)
    cover: npt.NDArray[np.float32]
    if length > 4 * blob.half_long:
        # A streak: as long as the way, and as faint as the object was short in each place.
        half = (way_x / 2, way_y / 2)
        ends = [
            (round((blob.x + way * half[0] - left) * fine * 16), round((blob.y + way * half[1] - top) * fine * 16))
            for way in (-1, 1)
        ]
        cv2.line(mark, ends[0], ends[1], 255, max(1, round(2 * blob.half_short * fine)), cv2.LINE_8, 4)
        cover = mark.astype(np.float32)
        opacity *= min(1.0, math.pi / 2 * blob.half_long / length)
        parts = 1
    else:
        parts = max(1, min(24, math.ceil(length / max(0.7, blob.half_short))))
        cover = np.zeros(mark.shape, np.float32)
        axes = (max(1, round(blob.half_long * fine * 16)), max(1, round(blob.half_short * fine * 16)))
        for part in range(parts):
            along = (part + 0.5) / parts - 0.5
            middle = (
                round((blob.x + along * way_x - left) * fine * 16),
                round((blob.y + along * way_y - top) * fine * 16),
            )
            mark[:] = 0
            cv2.ellipse(mark, middle, axes, blob.angle, 0, 360, 255, -1, cv2.LINE_8, 4)
            cover += mark
    alpha = cv2.resize(cover, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    alpha *= opacity / (255 * parts)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(wide, right), min(tall, bottom)
    share: npt.NDArray[np.float32] = alpha[y0 - top : y1 - top, x0 - left : x1 - left]
    patch = picture[y0:y1, x0:x1].astype(np.float32)
    picture[y0:y1, x0:x1] = np.clip(patch + (blob.level - patch) * share + 0.5, 0, 255).astype(np.uint8)
