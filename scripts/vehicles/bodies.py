"""Draws vehicles from the front or the back with a plate on them, and the roads that they move on; all made here."""

import random
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from render import Drawn

Pixels = npt.NDArray[np.uint8]

SIDE = 640  # pixels of a sprite's width; the body takes BODY of it
BODY = 0.84
PLATE_SHARE = 440 / 1800  # of the body's width, as on a car

PAINTS = {
    "white": (228, 230, 232),
    "black": (26, 26, 28),
    "grey": (110, 112, 114),
    "silver": (176, 178, 180),
    "red": (36, 34, 160),
    "blue": (150, 80, 32),
    "yellow": (40, 180, 220),
    "green": (70, 110, 50),
    "brown": (48, 72, 104),
}


@dataclass(frozen=True, slots=True)
class Body:
    """A drawn vehicle: BGRA sprite, its shape (car, van, truck) and the name of its paint."""

    sprite: Pixels
    shape: str
    paint: str


def body(plate: Drawn | None, chance: random.Random, *, night: bool = False) -> Body:
    """One vehicle; without a plate its place stays empty."""
    shape = chance.choice(("car", "car", "car", "van", "truck"))
    paint = chance.choice(list(PAINTS))
    tall = {"car": 520, "van": 640, "truck": 760}[shape]
    sprite: Any = np.zeros((tall, SIDE, 4), np.uint8)
    jitter = [chance.randint(-10, 10) for _ in range(3)]
    colour = tuple(int(np.clip(value + shift, 0, 255)) for value, shift in zip(PAINTS[paint], jitter, strict=True))
    dark = tuple(value * 6 // 10 for value in colour)
    left, right = SIDE * (1 - BODY) / 2, SIDE * (1 + BODY) / 2
    foot, belt = tall - 70, tall - (250 if shape == "car" else 300)
    cv2.ellipse(sprite, (SIDE // 2, foot + 22), (310, 34), 0, 0, 360, (18, 18, 18, 140), -1, cv2.LINE_AA)
    for x in (left + 14, right - 94):
        cv2.rectangle(sprite, (int(x), foot - 40), (int(x) + 80, foot + 40), (24, 24, 24, 255), -1)
    slope = 0.13 if shape == "car" else 0.03
    roof = 20
    outline = [
        (left, foot),
        (left, belt),
        (left + slope * SIDE, roof),
        (right - slope * SIDE, roof),
        (right, belt),
        (right, foot),
    ]
    cv2.fillPoly(sprite, [np.array(outline, np.int32)], (*colour, 255), cv2.LINE_AA)
    glass = [
        (left + 26, belt - 8),
        (left + slope * SIDE + 24, roof + 26),
        (right - slope * SIDE - 24, roof + 26),
        (right - 26, belt - 8),
    ]
    cv2.fillPoly(sprite, [np.array(glass, np.int32)], (84, 72, 62, 255), cv2.LINE_AA)
    cv2.line(sprite, (int(left), belt + 6), (int(right), belt + 6), (*dark, 255), 5, cv2.LINE_AA)
    lamp = (250, 252, 255, 255) if night else (205, 205, 200, 255)
    for x in (left + 62, right - 62):
        cv2.ellipse(sprite, (int(x), belt + 62), (46, 24), 0, 0, 360, lamp, -1, cv2.LINE_AA)
    for row in range(3):
        y = belt + 44 + 16 * row
        cv2.line(sprite, (int(left + 140), y), (int(right - 140), y), (34, 34, 34, 255), 6, cv2.LINE_AA)
    if plate is not None:
        _mount(sprite, plate, foot, chance)
    grain = np.random.default_rng(chance.getrandbits(32)).normal(0, 3, (*sprite.shape[:2], 1))
    sprite[..., :3] = np.clip(sprite[..., :3] + grain, 0, 255).astype(np.uint8)
    return Body(_turned(sprite, chance), shape, paint)


def _mount(sprite: Pixels, plate: Drawn, foot: int, chance: random.Random) -> None:
    across = round(SIDE * BODY * PLATE_SHARE * plate.picture.shape[1] / 220)
    down = round(across * plate.picture.shape[0] / plate.picture.shape[1])
    small = cv2.resize(plate.picture, (across, down), interpolation=cv2.INTER_AREA)
    x = SIDE // 2 - across // 2 + chance.randint(-40, 40)
    y = foot - 30 - down - chance.randint(0, 24)
    sprite[y - 5 : y + down + 5, x - 6 : x + across + 6, :3] = chance.choice((24, 40, 60))
    sprite[y : y + down, x : x + across, :3] = small


def _turned(sprite: Any, chance: random.Random) -> Pixels:  # noqa: ANN401 - OpenCV's arrays
    """Seen a little from the side and from above, as gate cameras hang."""
    tall, wide = sprite.shape[:2]
    yaw, roll = chance.uniform(-0.06, 0.06), chance.uniform(-0.03, 0.03)
    source = np.array([[0, 0], [wide, 0], [wide, tall], [0, tall]], np.float32)
    goal = source.copy()
    goal[0, 1] += wide * (roll + yaw)
    goal[3, 1] += wide * (roll - yaw) * 0.6
    goal[0, 0] += 0.03 * wide
    goal[1, 0] -= 0.03 * wide
    goal[:, 1] += max(0.0, -goal[:, 1].min())
    height = int(goal[:, 1].max()) + 1
    matrix = cv2.getPerspectiveTransform(source, goal)
    return cv2.warpPerspective(sprite, matrix, (wide, height), flags=cv2.INTER_LINEAR)  # type: ignore[return-value]


def road(size: tuple[int, int], chance: random.Random) -> Pixels:
    """Asphalt with patches, kerbs, dashes, walls and shadows; BGR of ``size`` (width, height)."""
    wide, tall = size
    noise = np.random.default_rng(chance.getrandbits(32))
    grey = chance.uniform(80, 130) + cv2.resize(noise.normal(0, 8, (tall // 2, wide // 2)).astype(np.float32), size)
    grey += cv2.resize(noise.normal(0, 12, (9, 16)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    picture: Any = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    tint = np.array([chance.uniform(0.92, 1.05) for _ in range(3)], np.float32)
    picture = np.clip(picture * tint, 0, 255).astype(np.uint8)
    for x in (0.5 + chance.uniform(-0.03, 0.03),):
        for top in range(chance.randint(0, 60), tall, 120):
            cv2.line(picture, (int(x * wide), top), (int(x * wide), top + 55), (200, 200, 200), 6, cv2.LINE_AA)
    verge = chance.randint(40, 100)
    green = (60, chance.randint(80, 120), 70)
    cv2.fillPoly(picture, [np.array([(0, 0), (verge + 60, 0), (verge - 30, tall), (0, tall)], np.int32)], green)
    cv2.line(picture, (verge + 60, 0), (verge - 30, tall), (185, 185, 185), 7, cv2.LINE_AA)
    if chance.random() < 0.5:
        wall = chance.randint(60, 150)
        cv2.rectangle(picture, (wide - wall, 0), (wide, tall // 2), (wall, wall + 20, wall + 30), -1)
    for _ in range(chance.randint(0, 3)):
        spots = np.array([[chance.randrange(wide), chance.randrange(tall)] for _ in range(3)], np.int32)
        shade = picture.copy()
        cv2.fillPoly(shade, [spots], (30, 30, 30))
        picture = cv2.addWeighted(picture, 0.7, shade, 0.3, 0)
    return picture  # type: ignore[no-any-return]
