"""A made-up facade and the camera that looks up at it: geometry in metres and pixels, and the empty picture."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]
FLOOR_HEIGHT = 2.9  # metres
EYE = 1.6  # height of the camera, metres
MARGIN = 0.94  # share of the picture's height that the facade fills


@dataclass(frozen=True, slots=True)
class Spot3:
    """A place: metres to the right of the facade's middle, in front of it, and above the ground."""

    x: float
    out: float
    z: float


class Scene:
    """One building and one camera, all from a seed. Pixels are of the full frame, x to the right and y down."""

    def __init__(self, seed: int, size: tuple[int, int] | None = None) -> None:
        """``size``: width and height of the frame; without it the seed chooses 1080p, upright half of the time."""
        dice = np.random.default_rng(seed)
        self.seed = seed
        self.floors = int(dice.integers(11, 34))
        self.columns = int(dice.integers(2, 7))
        self.width, self.height = size or ((1080, 1920) if dice.random() < 0.5 else (1920, 1080))
        self.distance = float(dice.uniform(22, 60))
        self.top = self.floors * FLOOR_HEIGHT
        low, high = math.atan2(-EYE, self.distance), math.atan2(self.top - EYE, self.distance)
        self._pitch = (low + high) / 2
        self._focal = self.height / 2 * MARGIN / math.tan((high - low) / 2)
        # The building is as wide as its flats, but never wider than the picture at its foot.
        fits = 0.9 * self.width * self.distance / self._focal
        self.breadth = min(self.columns * float(dice.uniform(6, 9)), fits)
        self._dice_seed = int(dice.integers(1 << 62))

    def pixel(self, spot: Spot3) -> tuple[float, float]:
        """Where a place is in the picture."""
        away, up = self.distance - spot.out, spot.z - EYE
        sine, cosine = math.sin(self._pitch), math.cos(self._pitch)
        depth = away * cosine + up * sine
        rise = up * cosine - away * sine
        return (
            self.width / 2 + self._focal * spot.x / depth,
            self.height / 2 - self._focal * rise / depth,
        )

    def scale(self, spot: Spot3) -> float:
        """Pixels a metre, for what stands across the line of sight there."""
        away, up = self.distance - spot.out, spot.z - EYE
        return self._focal / (away * math.cos(self._pitch) + up * math.sin(self._pitch))

    @cached_property
    def facade(self) -> dict[str, Any]:
        """The four corners as the configuration wants them, exact."""
        half = self.breadth / 2
        corners = {
            "ground": [self.pixel(Spot3(-half, 0, 0)), self.pixel(Spot3(half, 0, 0))],
            "roof": [self.pixel(Spot3(-half, 0, self.top)), self.pixel(Spot3(half, 0, self.top))],
        }
        points = {key: [[round(x, 1), round(y, 1)] for x, y in value] for key, value in corners.items()}
        return {"floors": self.floors, "columns": self.columns, **points}

    def floor_of(self, z: float) -> int:
        """The floor (ground is 1) at a height in metres."""
        return max(1, min(self.floors, int(z / FLOOR_HEIGHT) + 1))

    def column_of(self, x: float) -> int:
        """The column (1 at the left) at a place across the facade."""
        return max(1, min(self.columns, int((x / self.breadth + 0.5) * self.columns) + 1))

    @cached_property
    def picture(self) -> Luma:
        """The empty scene in grey: sky, walls with windows and balconies, and what stands before them."""
        dice = np.random.default_rng(self._dice_seed)
        sky = float(dice.uniform(120, 225))
        ramp = np.linspace(sky, sky - dice.uniform(0, 50), self.height, dtype=np.float32)
        canvas = np.repeat(ramp[:, None], self.width, axis=1)
        self._wall(canvas, dice)
        self._trees(canvas, dice)
        canvas = cv2.GaussianBlur(canvas, (0, 0), float(dice.uniform(0.5, 1.1)))  # type: ignore[assignment]
        dim = float(dice.uniform(0.75, 1.05)) if dice.random() < 0.85 else float(dice.uniform(0.3, 0.5))
        return np.clip(canvas * dim, 6, 250).astype(np.uint8)

    @cached_property
    def wall_level(self) -> float:
        """The median grey of the facade, for the contrast of what falls before it."""
        (left, low), (right, _) = self.facade["ground"]
        _, high = self.facade["roof"][0]
        part = self.picture[max(0, int(high)) : int(low), max(0, int(left)) : int(right)]
        return float(np.median(part))

    def windows(self) -> list[tuple[int, int, int, int]]:
        """Left, top, right, bottom in pixels of every window, from the ground up."""
        found = []
        per = 3 if self.breadth / self.columns > 6.5 else 2
        for floor in range(self.floors):
            for place in range(self.columns * per):
                x = (place + 0.5) / (self.columns * per) * self.breadth - self.breadth / 2
                wide = self.breadth / (self.columns * per) * 0.55
                left, low = self.pixel(Spot3(x - wide / 2, 0, floor * FLOOR_HEIGHT + 0.9))
                right, high = self.pixel(Spot3(x + wide / 2, 0, floor * FLOOR_HEIGHT + 2.3))
                found.append((int(left), int(high), int(right), int(low)))
        return found

    def balconies(self) -> list[tuple[int, int, int, int]]:
        """Left, top, right, bottom in pixels of the parapets, which hide what falls close to the wall."""
        dice = np.random.default_rng(self._dice_seed + 1)
        if dice.random() < 0.3:
            return []
        found = []
        chosen = [column for column in range(self.columns) if dice.random() < 0.6]
        tall = float(dice.uniform(0.6, 1.1))
        for floor in range(1, self.floors):
            for column in chosen:
                x = (column + 0.25) / self.columns * self.breadth - self.breadth / 2
                wide = self.breadth / self.columns * 0.6
                left, low = self.pixel(Spot3(x, 1.2, floor * FLOOR_HEIGHT))
                right, high = self.pixel(Spot3(x + wide, 1.2, floor * FLOOR_HEIGHT + tall))
                found.append((int(left), int(high), int(right), int(low)))
        return found

    def _wall(self, canvas: npt.NDArray[np.float32], dice: np.random.Generator) -> None:
        corners = [*self.facade["ground"], *reversed(self.facade["roof"])]
        level = float(dice.uniform(70, 200))
        area = np.array(corners, np.float32).round().astype(np.int32)
        cv2.fillPoly(canvas, [area], level)
        texture = dice.normal(0, dice.uniform(1, 6), (self.height // 6, self.width // 6)).astype(np.float32)
        inside = np.zeros(canvas.shape, np.uint8)
        cv2.fillPoly(inside, [area], 1)
        canvas += cv2.resize(texture, (self.width, self.height)) * inside
        for floor in range(self.floors + 1):
            left, y = self.pixel(Spot3(-self.breadth / 2, 0, floor * FLOOR_HEIGHT))
            right, _ = self.pixel(Spot3(self.breadth / 2, 0, floor * FLOOR_HEIGHT))
            cv2.line(canvas, (int(left), int(y)), (int(right), int(y)), level * 0.8, 1)
        glass = float(dice.uniform(25, 90))
        for left, top, right, bottom in self.windows():
            shade = glass + float(dice.normal(0, 12)) + (60 if dice.random() < 0.06 else 0)
            cv2.rectangle(canvas, (left, top), (right, bottom), shade, -1)
            cv2.rectangle(canvas, (left, top), (right, bottom), level * 0.9 + 20, 1)
            if dice.random() < 0.25:  # an air conditioner below
                cv2.rectangle(canvas, (left, bottom + 2), ((left + right) // 2, bottom + 7), 190.0, -1)
        for left, top, right, bottom in self.balconies():
            cv2.rectangle(canvas, (left, top), (right, bottom), level * 0.93 + 8, -1)
            cv2.line(canvas, (left, top), (right, top), level * 0.7, 1)

    def _trees(self, canvas: npt.NDArray[np.float32], dice: np.random.Generator) -> None:
        for _ in range(int(dice.integers(0, 5))):
            x, reach = int(dice.integers(0, self.width)), int(dice.integers(30, 110))
            for _ in range(60):
                spot = (x + int(dice.normal(0, reach / 2)), self.height - int(abs(dice.normal(0, reach))))
                cv2.circle(canvas, spot, int(dice.integers(3, 14)), float(dice.uniform(20, 80)), -1)
