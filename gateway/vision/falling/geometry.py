"""What a camera can see of a facade: the smallest object of every floor, and what lies outside of the picture."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from gateway.settings.camera import SHORT_SIDE, STOREY, FacadeSettings
from gateway.vision.evidence import Pixels, Polygons
from gateway.vision.falling.facade import Facade

SMALLEST_PX = 4.0  # pixels of the full frame: what is smaller is seen by luck
LEAST_PX = 2.0  # of the picture that is looked at: those 4 pixels of 1080p at the usual size
WANTED_CM = 20.0  # a bottle lies about there
ACROSS = (0.02, 0.5, 0.98)
COLOUR = (60, 230, 60)  # BGR


@dataclass(frozen=True, slots=True)
class FloorView:
    """One floor: pixels of what is a metre wide there, the smallest object (cm), the share of its width seen."""

    floor: int
    pixels_per_metre: float
    smallest_cm: float
    seen: float


@dataclass(frozen=True, slots=True)
class FacadeView:
    """All floors from the ground up, metres of a storey and from camera to wall, and how many cameras it takes."""

    floors: tuple[FloorView, ...]
    storey: float
    distance: float
    cameras: int

    @property
    def unseen(self) -> tuple[int, ...]:
        """Floors of which less than nine tenths are in the picture, and neither ignored nor masked."""
        return tuple(view.floor for view in self.floors if view.seen < 0.9)

    @property
    def small(self) -> tuple[int, ...]:
        """Floors where what is as small as ``WANTED_CM`` is not seen for sure."""
        return tuple(view.floor for view in self.floors if view.smallest_cm > WANTED_CM)


def facade_view(
    settings: FacadeSettings, width: int, height: int, hidden: Polygons = (), short_side: int = SHORT_SIDE
) -> FacadeView:
    """Work out what a picture of this size shows of a facade; in ``hidden`` areas nothing is looked for.

    ``short_side`` is what its shorter side is brought to before anything is looked for.
    """
    smallest = max(SMALLEST_PX, LEAST_PX * min(width, height) / short_side)
    facade = Facade(settings, height)
    shut = [np.array(area, np.float32) for area in hidden]
    floors = []
    for number in range(1, settings.floors + 1):
        v = number - 0.5
        scale = facade.pixels_per_metre(0.5, v) * facade.foreshortened(v)
        places = facade.in_picture([(u, v) for u in np.linspace(*ACROSS[::2], 21)])
        inside = (places[:, 0] >= 0) & (places[:, 0] < width) & (places[:, 1] >= 0) & (places[:, 1] < height)
        seen = [ok and not any(_holds(area, place) for area in shut) for ok, place in zip(inside, places, strict=True)]
        floors.append(FloorView(number, scale, smallest / max(1e-6, scale) * 100, sum(seen) / len(seen)))
    in_view = [view for view in floors if view.seen >= 0.9]
    worst = max((view.smallest_cm for view in in_view), default=math.inf)
    shares = len(floors) / max(1, len(in_view))
    cameras = math.ceil(shares * max(1.0, worst / WANTED_CM) - 0.05) if in_view else 0
    return FacadeView(tuple(floors), facade.storey, facade.distance, cameras)


def draw_floors(picture: Pixels, settings: FacadeSettings) -> Pixels:
    """Draw the facade's floors and columns into a BGR picture (in place) and give it back."""
    facade = Facade(settings, picture.shape[0])
    for number in range(settings.floors + 1):
        left, right = facade.in_picture([(0, number), (1, number)]).round().astype(int)
        cv2.line(picture, tuple(map(int, left)), tuple(map(int, right)), COLOUR, 1, cv2.LINE_AA)
        if number < settings.floors and (number + 1) % 5 in (0, 1):
            x, y = facade.in_picture([(1.01, number + 0.2)])[0].round().astype(int)
            cv2.putText(picture, str(number + 1), (int(x), int(y)), cv2.FONT_HERSHEY_SIMPLEX, 0.5, COLOUR, 1)
    for column in range(settings.columns + 1):
        low, high = facade.in_picture([(column / settings.columns, 0), (column / settings.columns, settings.floors)])
        cv2.line(picture, _pixel(low), _pixel(high), COLOUR, 1, cv2.LINE_AA)
    return picture


def facade_toml(settings: FacadeSettings) -> str:
    """The line for the configuration."""

    def points(pair: tuple[tuple[float, float], ...]) -> str:
        return "[" + ", ".join(f"[{x:g}, {y:g}]" for x, y in pair) + "]"

    columns = f", columns = {settings.columns}" if settings.columns > 1 else ""
    storey = f", storey = {settings.storey:g}" if settings.storey != STOREY else ""
    corners = f"ground = {points(settings.ground)}, roof = {points(settings.roof)}"
    return f"facade = {{ floors = {settings.floors}, {corners}{columns}{storey} }}"


def _holds(area: np.ndarray, place: np.ndarray) -> bool:
    return bool(cv2.pointPolygonTest(area, (float(place[0]), float(place[1])), False) > 0)


def _pixel(place: np.ndarray) -> tuple[int, int]:
    return round(float(place[0])), round(float(place[1]))
