"""The facade's plane: from pixels to floors and columns and back, by the four corners of the configuration."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from gateway.settings.camera import FacadeSettings

EYE = 1.6  # metres: how high a camera stands that looks up; two more or less change little
UPRIGHT = 1.05  # times as wide as the roof the ground may look before the camera is taken to look up
FAR = 1.0  # of the wall's height: the distance that is taken when the corners do not tell it
Points = npt.NDArray[np.float64]
Floors = TypeVar("Floors", float, Points)


class Facade:
    """Maps the picture to the wall: ``u`` 0 to 1 from left to right, ``v`` in floors above the ground (ground is 0).

    ``storey`` is a floor's height in metres.
    """

    def __init__(self, settings: FacadeSettings, height: int) -> None:
        """Of ground left, ground right, roof right, roof left, which may lie outside the picture ``height`` tall."""
        self.floors, self.columns, self.storey = settings.floors, settings.columns, settings.storey
        corners = [*settings.ground, *reversed(settings.roof)]
        plane = [(0, 0), (1, 0), (1, settings.floors), (0, settings.floors)]
        self._to_wall: Any = cv2.getPerspectiveTransform(np.array(corners, np.float32), np.array(plane, np.float32))
        self._to_picture = np.linalg.inv(self._to_wall)
        self.eye = EYE
        self.distance = _distance(np.array(corners, np.float64), settings.floors * settings.storey, height)
        self._sine, self._cosine = _tilt(settings, self)

    def on_wall(self, pixels: Sequence[tuple[float, float]] | Points) -> Points:
        """(n, 2) u and v of pixels of the full frame."""
        return _mapped(self._to_wall, pixels)

    def in_picture(self, places: Sequence[tuple[float, float]] | Points) -> Points:
        """(n, 2) pixels of the full frame of places u, v."""
        return _mapped(self._to_picture, places)

    def placed(self, u: Points, v: Points) -> tuple[Points, Points]:
        """x and y pixels of the full frame of places u, v, of any shape: for many, which need not be put together."""
        m = self._to_picture / self._to_picture[2, 2]
        depth = np.maximum(1e-3, m[2, 0] * u + m[2, 1] * v + 1)  # nothing is behind the camera
        return (m[0, 0] * u + m[0, 1] * v + m[0, 2]) / depth, (m[1, 0] * u + m[1, 1] * v + m[1, 2]) / depth

    def floor(self, v: float) -> int:
        """The floor, ground is 1."""
        return max(1, min(self.floors, int(np.floor(v)) + 1))

    def column(self, u: float) -> int:
        """The column, 1 at the left."""
        return max(1, min(self.columns, int(np.floor(u * self.columns)) + 1))

    def pixels_per_metre(self, u: float, v: float) -> float:
        """Upright pixels of the full frame that a metre of the wall takes there."""
        return float(self._upright(np.array([(u, v)]))[0])

    def scales(self, wall: Points) -> Points:
        """(n,) pixels of the full frame that a metre of what falls before the wall takes at (n, 2) u and v."""
        return np.maximum(0.5, self._upright(wall) * self.foreshortened(wall[:, 1]))

    def _upright(self, wall: Points) -> Points:
        """(n,) pixels of the full frame that an upright metre of the wall takes around (n, 2) u and v."""
        low, high = (self.in_picture(wall + np.array([0.0, half])) for half in (-0.5, 0.5))
        return np.asarray(np.hypot(*(high - low).T) / self.storey, np.float64)

    def foreshortened(self, v: Floors) -> Floors:
        """How many times as large a thing that falls before the wall looks as what is as tall on the wall there."""
        return self._cosine + (v * self.storey - self.eye) / self.distance * self._sine


def _mapped(matrix: Any, points: Sequence[tuple[float, float]] | Points) -> Points:  # noqa: ANN401 - OpenCV
    given = np.asarray(points, np.float64).reshape(-1, 1, 2)
    return np.asarray(cv2.perspectiveTransform(given, np.asarray(matrix, np.float64)), np.float64).reshape(-1, 2)


def _tilt(settings: FacadeSettings, facade: Facade) -> tuple[float, float]:
    """Sine and cosine of the angle by which the camera looks up: how much narrower the roof looks tells it."""
    ground, roof = (math.dist(*corners) for corners in (settings.ground, settings.roof))
    more = ground / max(1e-6, roof) - 1
    if more < UPRIGHT - 1:
        return 0.0, 1.0
    angle = math.atan2(facade.distance * more, settings.floors * settings.storey + facade.eye * more)
    return math.sin(angle), math.cos(angle)


def _distance(corners: Points, tall: float, height: int) -> float:
    """Metres from the camera to the wall, by how much narrower the roof looks than the ground.

    Supposes a camera at ``EYE`` that is tilted but not turned, and the lens's axis in the middle of the picture.
    """
    ground, roof = np.hypot(*(corners[1] - corners[0])), np.hypot(*(corners[2] - corners[3]))
    ratio = float(ground / max(1e-6, roof))
    if ratio < UPRIGHT:
        return tall * FAR
    below, above = float(corners[:2, 1].mean()), float(corners[2:, 1].mean())
    best, least = tall * FAR, np.inf
    for angle in np.radians(np.arange(2, 70, 0.25)):
        sine, cosine = np.sin(angle), np.cos(angle)
        away = sine / cosine * (tall - EYE + ratio * EYE) / (ratio - 1)
        rises = [(z - EYE) * cosine - away * sine for z in (0.0, tall)]
        depths = [away * cosine + (z - EYE) * sine for z in (0.0, tall)]
        focal = (height / 2 - below) * depths[0] / rises[0]
        wrong = abs(height / 2 - focal * rises[1] / depths[1] - above)
        if focal > 0 and wrong < least:
            best, least = float(away), wrong
    return best
