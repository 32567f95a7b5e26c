"""What changes the whole picture and is no fall: lights, shadows of clouds, exposure, a mast that sways."""

import math
from collections.abc import Callable

import cv2
import numpy as np
from scene import Luma, Scene

TWO_PI = 2 * math.pi

Change = Callable[[Luma, float], Luma]


def lights(scene: Scene, dice: np.random.Generator) -> Change:
    """Windows that are lit and go dark."""
    windows = scene.windows()
    chosen = [windows[place] for place in dice.choice(len(windows), min(14, len(windows)), replace=False)]
    periods = dice.uniform(0.4, 9, len(chosen))
    levels = dice.uniform(120, 240, len(chosen))

    def change(picture: Luma, time: float) -> Luma:
        for (left, top, right, bottom), period, level in zip(chosen, periods, levels, strict=True):
            if int(time / period) % 2:
                part = picture.shape[0] / scene.height
                x, y = round(max(0, left + 1) * part), round(max(0, top + 1) * part)
                picture[y : round(bottom * part), x : round(right * part)] = level
        return picture

    return change


def clouds(scene: Scene, dice: np.random.Generator) -> Change:
    """A shadow's soft edge that moves over everything."""
    speed = float(dice.uniform(40, 400)) * (1 if dice.random() < 0.5 else -1)
    depth, soft, start = float(dice.uniform(0.15, 0.45)), float(dice.uniform(40, 300)), float(dice.uniform(0, 3000))

    def change(picture: Luma, time: float) -> Luma:
        y = np.linspace(0, scene.height, picture.shape[0], dtype=np.float32)
        way = (y * 0.6 + start + speed * time) % 3200
        factor = 1 - depth / (1 + np.exp(-(np.abs(way - 1600) - 700) / soft))
        return cv2.multiply(picture, np.repeat(factor[:, None], picture.shape[1], axis=1).astype(np.float32), dtype=0)  # type: ignore[return-value]

    return change


def exposure(scene: Scene, dice: np.random.Generator) -> Change:
    """The camera's own control: slow breathing and sudden steps, once a switch to infrared."""
    steps = np.cumsum(dice.exponential(4, 40))
    gains = np.concatenate([[1.0], dice.uniform(0.7, 1.3, 40)])
    night = float(dice.uniform(8, 30))

    def change(picture: Luma, time: float) -> Luma:
        gain = gains[int(np.searchsorted(steps, time))] * (1 + 0.05 * math.sin(time))
        if night < time % 60 < night + 10:
            picture = cv2.LUT(picture, np.clip(90 + 0.5 * np.arange(256), 0, 255).astype(np.uint8))  # type: ignore[assignment]
        return cv2.LUT(picture, np.clip(np.arange(256) * gain, 0, 255).astype(np.uint8))  # type: ignore[return-value]

    return change


def shake(scene: Scene, dice: np.random.Generator) -> Change:
    """The mast sways by up to two pixels."""
    rates, phases = dice.uniform(0.3, 9, 4), dice.uniform(0, TWO_PI, 4)

    def change(picture: Luma, time: float) -> Luma:
        dx = math.sin(TWO_PI * rates[0] * time + phases[0]) + math.sin(TWO_PI * rates[1] * time + phases[1])
        dy = math.sin(TWO_PI * rates[2] * time + phases[2]) + math.sin(TWO_PI * rates[3] * time + phases[3])
        part = picture.shape[0] / scene.height
        matrix = np.array([[1, 0, dx * part], [0, 1, dy * part]], np.float32)
        size = (picture.shape[1], picture.shape[0])
        return cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]

    return change
