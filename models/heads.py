"""Draws heads of nobody: shaded, with what a face detector looks for, for golden pictures, tests and rehearsals."""

from typing import Any

import cv2
import numpy as np

SKIN, SHADE, HAIR = (150, 180, 220), (70, 95, 130), (30, 35, 45)
FINE = 4  # bits of a pixel's fraction in which OpenCV draws

Canvas = Any  # (height, width, 3) of float32, BGR


def head(size: int) -> tuple[Canvas, Canvas]:
    """A head ``size`` pixels wide or so, looking ahead: its colours, and how much of them covers what is behind."""
    tall, wide = int(1.5 * size), int(1.2 * size)
    y, x = np.mgrid[0:tall, 0:wide].astype(np.float32)
    middle = (wide / 2, 0.72 * size)
    across, down = (x - middle[0]) / (0.42 * size), (y - middle[1]) / (0.56 * size)
    depth = np.sqrt(np.clip(1 - across**2 - down**2, 0, 1))
    light = 0.45 + 0.6 * np.clip(-0.25 * across - 0.35 * down + 0.9 * depth, 0, 1)
    colours = np.array(SKIN, np.float32) * light[..., None]
    cover = (across**2 + down**2 < 1).astype(np.float32)

    def spot(at: tuple[float, float], half: tuple[float, float], colour: Any, amount: float, **more: float) -> None:  # noqa: ANN401
        area = np.zeros((tall, wide), np.float32)
        place = [round((middle[axis] + at[axis] * size) * (1 << FINE)) for axis in (0, 1)]
        axes = [round(part * size * (1 << FINE)) for part in half]
        cv2.ellipse(area, place, axes, more.get("turn", 0.0), 0, 360, 1.0, -1, cv2.LINE_AA, FINE)
        if "soft" in more:
            area = cv2.GaussianBlur(area, (0, 0), more["soft"] * size)
        colours[:] = _over(colours, colour, amount * area)

    for side in (-1, 1):
        spot((side * 0.17, -0.10), (0.13, 0.075), SHADE, 0.7, soft=0.02)
        spot((side * 0.17, -0.08), (0.085, 0.036), (225, 230, 232), 1.0)
        spot((side * 0.17, -0.08), (0.038, 0.038), (25, 35, 50), 1.0)
        spot((side * 0.17, -0.19), (0.11, 0.022), HAIR, 0.95, soft=0.005, turn=-8.0 * side)
    spot((0.0, 0.06), (0.055, 0.15), (175, 205, 240), 0.5, soft=0.03)
    spot((0.0, 0.16), (0.085, 0.03), (60, 80, 120), 0.8, soft=0.012)
    spot((0.0, 0.31), (0.15, 0.035), (80, 75, 165), 0.9, soft=0.006)
    spot((0.0, 0.31), (0.14, 0.006), (40, 35, 80), 0.9)
    hair = _filled(tall, wide, (middle[0], middle[1] - 0.2 * size), (0.47 * size, 0.46 * size), 180)
    hair = np.clip(
        hair - _filled(tall, wide, (middle[0], middle[1] - 0.05 * size), (0.37 * size, 0.36 * size), 0), 0, 1
    )
    colours = _over(colours, HAIR, hair)
    cover = np.maximum(cover, hair)
    neck = np.zeros((tall, wide), np.float32)
    neck[round(middle[1] + 0.4 * size) :, round(middle[0] - 0.18 * size) : round(middle[0] + 0.18 * size)] = 1.0
    below = np.clip(neck - cover, 0, 1)
    colours = _over(colours, tuple(part / 2 for part in SKIN), below)
    return np.clip(colours, 0, 255), np.maximum(cover, neck)


def paste(canvas: Canvas, size: int, left: int, top: int) -> None:
    """Put a head into a BGR picture, in place; what reaches beyond it is cut off."""
    colours, cover = head(size)
    low, high = (max(0, -top), max(0, -left)), (canvas.shape[0] - top, canvas.shape[1] - left)
    part = canvas[max(0, top) : top + cover.shape[0], max(0, left) : left + cover.shape[1]]
    colours, cover = colours[low[0] : high[0], low[1] : high[1]], cover[low[0] : high[0], low[1] : high[1]]
    if part.size:
        part[:] = _over(part.astype(np.float32), colours, cover)


def _over(below: Canvas, colour: Any, amount: Canvas) -> Canvas:  # noqa: ANN401 - a colour, or one for each pixel
    return below * (1 - amount[..., None]) + np.asarray(colour, np.float32) * amount[..., None]


def _filled(tall: int, wide: int, at: tuple[float, float], half: tuple[float, float], begin: int) -> Canvas:
    area = np.zeros((tall, wide), np.float32)
    cv2.ellipse(area, [round(v) for v in at], [round(v) for v in half], 0, begin, 360, 1.0, -1, cv2.LINE_AA)
    return area
