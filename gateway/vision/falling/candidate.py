"""What can be measured on a track: how far it is a fall, in numbers for the rule and for the verifier."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gateway.vision.falling.facade import Facade
from gateway.vision.falling.fit import STRETCH, FallFit, early, fit_fall
from gateway.vision.falling.spots import EDGE, Spot

LEAST_POINTS = 6
LEAST_DROP, LEAST_SPEED = 1.5, 2.0  # metres, and metres a second at the end of a way, below which nothing is a fall
MISFIT, MISFIT_PX = 0.12, 1.5  # of the drop, or pixels: what gravity and drag explain worse is no fall
BACKWARDS = -4.0  # m/s²: what slows down more than this is none either
BESIDE = 0.3  # of the wall's width by which what was thrown sideways may be beside it when it is first seen
TURNED = 1.11  # times as large as it looks in the mean is what tumbles: it shows its narrow side as well
UNKNOWN = (0.4, 2.5)  # stretch without a facade: metres are guessed then
TRAITS = (
    "points",
    "seconds",
    "filled",
    "drop_early",
    "drop",
    "misfit_px",
    "misfit_share",
    "gain",
    "acceleration",
    "acceleration_whole",
    "speed",
    "terminal",
    "stretch",
    "misfit_whole_share",
    "gain_whole",
    "speed_whole",
    "sideways_misfit_px",
    "sideways_speed",
    "sideways_bend",
    "speed_last",
    "speed_growth",
    "size",
    "size_spread",
    "peak",
    "peak_spread",
    "one_sign",
    "height",
    "across",
    "inside",
    "crowd",
    "others",
    "rising",
    "long_spot",
    "before_near",
    "before_around",
    "came_seconds",
    "came_speed",
    "came_down",
    "along",
    "athwart",
    "along_whole",
    "athwart_whole",
    "pace",
    "pace_growth",
    "braking",
    "turning",
    "gain_bent",
    "beat",
    "area_rough",
    "peak_rough",
)
Vector = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]


class Before(NamedTuple):
    """Share of the frames in the second before a way in which something moved near its beginning, and farther around.

    And for how many of these seconds it can be followed back, and the pixels that it went across and down in them.
    """

    near: float = 0.0
    around: float = 0.0
    seconds: float = 0.0
    across: float = 0.0
    down: float = 0.0


@dataclass(slots=True)
class Way:
    """The points of one moving thing: times (s), places in pixels of the full frame, and its spots, in order."""

    scale: float
    times: list[float] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)
    frames: int = 0
    crowd: float = 0.0
    others: float = 0.0
    before: Before | None = None
    early: tuple[int, FallFit] | None = None
    joint: int = 0

    def tail(self) -> "Way":
        """What came after the last gap, by itself."""
        return Way(self.scale, self.times[self.joint :], self.spots[self.joint :])

    def places(self) -> npt.NDArray[np.float64]:
        """(n, 2) pixels of the full frame; a reduced pixel's middle is not at its corner."""
        return (np.array([(spot.x, spot.y) for spot in self.spots], np.float64) + 0.5) / self.scale - 0.5

    def size(self) -> float:
        """Mean extent of the object in pixels of the full frame: what its motion adds to a spot is left out."""
        # An object's area is what it covers while the shutter is open; across its way it is as wide as it is.
        narrow = [min(spot.wide, math.sqrt(spot.area)) for spot in self.spots]
        return max(1.0, (float(np.median(narrow)) - EDGE) / self.scale)

    def extents(self) -> Values:
        """(n,) how large the object itself is by each sight of it, in pixels of the full frame: what people are told.

        ``size`` is what a way is judged by, and smaller: of width and area it takes what is less each time.
        """
        wide, area = np.array([(spot.wide, spot.area) for spot in self.spots], np.float64).T
        # Width leaves out the motion and area the corners: things are round rather than square.
        looks: Values = np.sqrt(wide * np.sqrt(4 / math.pi * area)) - EDGE
        return looks * (TURNED / self.scale)


@dataclass(frozen=True, slots=True)
class Measured:
    """A way seen before the wall: early and whole fit, u and v of its points, pixels a metre, and all traits."""

    early: FallFit
    whole: FallFit
    wall: npt.NDArray[np.float64]
    pixels_per_metre: float
    traits: dict[str, float]

    def vector(self) -> Vector:
        """The traits in the order of ``TRAITS``, for the verifier."""
        return np.array([self.traits[name] for name in TRAITS], np.float32)


def goes_down(way: Way, facade: Facade) -> bool:
    """Whether a way is worth measuring: it goes down over a metre and a half of the wall, and not at a stroll."""
    first, third = way.spots[0], way.spots[-max(2, len(way.times) // 3)]
    if way.spots[-1].y <= first.y:
        return False
    ends = (np.array([spot[:2] for spot in (first, third, way.spots[-1])], np.float64) + 0.5) / way.scale - 0.5
    wall = facade.on_wall(ends)
    if not (-0.5 < wall[0, 0] < 1.5 and -3 < wall[0, 1] < 1.1 * facade.floors):
        return False
    drop, end = (wall[:2, 1] - wall[2, 1]) * facade.storey
    seconds = way.times[-1] - way.times[-max(2, len(way.times) // 3)]
    return bool(drop > LEAST_DROP and end > LEAST_SPEED / 2 * seconds)


def measure(way: Way, facade: Facade, *, known: bool, told: bool = False) -> Measured | None:
    """Take all measures of a way of at least ``LEAST_POINTS`` points. ``known``: the facade is the site's own.

    None when it cannot be a fall whatever a judge thinks, unless it was ``told`` already.
    """
    times = np.array(way.times) - way.times[0]
    places = way.places()
    wall = facade.on_wall(places)
    drops = (wall[0, 1] - wall[:, 1]) * facade.storey
    begin = wall[:5]
    beside = np.maximum(-begin[:, 0], begin[:, 0] - 1)
    near = (beside < BESIDE) & (begin[:, 1] > -1) & (begin[:, 1] < facade.floors + 1.5)
    inside = near & (beside < 0.08)
    third = max(2, len(times) // 3)
    last = _slope(times[-third:], drops[-third:])
    quick = last > LEAST_SPEED and drops[-1] > LEAST_DROP
    if not told and not (quick and near.mean() > 0.5 and wall[0, 1] < 1.1 * facade.floors):
        return None
    count = early(times)
    stretch = STRETCH if known else UNKNOWN
    if way.early is None or way.early[0] != count:
        way.early = count, fit_fall(times[:count], drops[:count], stretch)
    first = way.early[1]
    u, v = float(np.median(wall[:count, 0])), float(np.median(wall[:count, 1]))
    per_metre = max(0.5, facade.pixels_per_metre(u, v))
    # What is thrown outwards hangs in the picture for a second: pixels say more than shares of nothing.
    explained = max(MISFIT * first.drop, MISFIT_PX / way.scale / per_metre)
    if not told and not (first.misfit < explained and first.acceleration > BACKWARDS):
        return None
    whole = fit_fall(times, drops, stretch) if count < len(times) else first
    aside = places[:count, 0] / per_metre
    bend = np.polyfit(times[:count], aside, 2)
    aside_misfit = float(np.sqrt(np.mean((np.polyval(bend, times[:count]) - aside) ** 2))) * per_metre
    speeds = np.diff(drops) / np.maximum(1e-3, np.diff(times))
    begun = _slope(times[:third], drops[:third])
    areas = np.array([spot.area for spot in way.spots])
    peaks = np.array([spot.peak for spot in way.spots])
    signs = np.array([spot.sign for spot in way.spots])
    extents = np.array([(spot.wide, spot.tall) for spot in way.spots])
    smooth = np.convolve(speeds, np.ones(3) / 3, mode="valid") if len(speeds) >= 4 else speeds
    before = way.before or Before()
    came = max(1e-3, before.seconds) * per_metre * way.scale
    traits = {
        "points": math.log(len(times)),
        "seconds": float(times[-1]),
        "filled": len(times) / max(1, way.frames),
        "drop_early": first.drop,
        "drop": whole.drop,
        # Pixels are those that are looked at: a track is as good as they are, whatever the camera's own are.
        "misfit_px": first.misfit * per_metre * way.scale,
        "misfit_share": first.misfit / max(0.3, first.drop),
        "gain": math.log((first.plain + 0.003) / (first.misfit + 0.003)),
        "acceleration": _within(first.acceleration, 30),
        "acceleration_whole": _within(whole.acceleration, 30),
        "speed": first.speed,
        "terminal": math.log(first.terminal),
        "stretch": first.stretch,
        "misfit_whole_share": whole.misfit / max(0.3, whole.drop),
        "gain_whole": math.log((whole.plain + 0.003) / (whole.misfit + 0.003)),
        "speed_whole": whole.speed,
        "sideways_misfit_px": aside_misfit * way.scale,
        "sideways_speed": abs(_slope(times[:count], aside)),
        "sideways_bend": _within(abs(2 * float(bend[0])), 30),
        "speed_last": last,
        "speed_growth": last - begun,
        "size": math.log(way.size() * way.scale),
        "size_spread": float(np.std(np.log(areas + 2))),
        "peak": math.log(float(peaks.mean())),
        "peak_spread": float(np.std(np.log(peaks))),
        "one_sign": abs(float(signs.mean())),
        "height": float(wall[0, 1]) / facade.floors,
        "across": float(wall[0, 0]),
        "inside": float(inside.mean()),
        "crowd": math.log1p(way.crowd),
        "others": math.log1p(way.others),
        "rising": float((np.diff(smooth) > 0).mean()) if len(smooth) > 1 else 0.0,
        "long_spot": float(np.median(extents[:, 1] / np.maximum(1, extents[:, 0]))),
        "before_near": before.near,
        "before_around": before.around,
        "came_seconds": before.seconds,
        "came_speed": _within(math.hypot(before.across, before.down) / came, 30),
        "came_down": _within(before.down / came, 30),
        **_bends(times, places / per_metre, count, first.misfit),
        **_restlessness(times, np.log(areas + 2), np.log(np.maximum(1, peaks))),
    }
    return Measured(first, whole, wall, per_metre, traits)


def _bends(times: Values, metres: Values, count: int, misfit: float) -> dict[str, float]:
    """How it becomes quicker, and how it turns: a bird turns at an even pace, what falls becomes quicker on its way."""
    early, third = slice(count), max(3, count // 3)
    begun, ends = (
        (_slope(times[part], metres[part, 0]), _slope(times[part], metres[part, 1]))
        for part in (slice(third), slice(count - third, count))
    )
    along, athwart, sideways, rest = _pushed(times[early], metres[early])
    whole = _pushed(times, metres) if count < len(times) else (along, athwart)
    return {
        "along": along,
        "athwart": athwart,
        "along_whole": whole[0],
        "athwart_whole": whole[1],
        "pace": math.hypot(*begun),
        "pace_growth": math.hypot(*ends) - math.hypot(*begun),
        "braking": sideways,
        "turning": abs(math.atan2(*begun)) - abs(math.atan2(*ends)),
        "gain_bent": math.log((misfit + 0.003) / (rest + 0.003)),
    }


def _pushed(times: Values, metres: Values) -> tuple[float, float, float, float]:
    """Acceleration (m/s²) along the way, athwart, and of what goes sideways, and what two parabolas leave (metres)."""
    since = times - times.mean()
    powers = np.stack([since * since, since, np.ones(len(since))], axis=1)
    found = np.linalg.lstsq(powers, metres, rcond=None)[0]
    (ax, ay), (vx, vy) = 2 * found[0], found[1]
    pace = max(0.3, math.hypot(vx, vy))
    rest = metres[:, 1] - powers @ found[:, 1]
    return (
        _within(float(ax * vx + ay * vy) / pace, 30),
        _within(abs(float(ax * vy - ay * vx)) / pace, 30),
        _within(float(ax * np.sign(vx)), 20),
        float(np.sqrt(rest @ rest / len(rest))),
    )


def _restlessness(times: Values, areas: Values, peaks: Values) -> dict[str, float]:
    """How size and brightness change from sight to sight: wings beat, what tumbles turns, rain is another drop."""
    away, mean = times - times.mean(), areas - areas.mean()
    rest = mean - (away @ mean) / max(1e-9, float(away @ away)) * away
    return {
        "beat": float(rest[1:] @ rest[:-1]) / max(1e-6, float(rest @ rest)),
        "area_rough": float(np.abs(np.diff(areas)).mean()),
        "peak_rough": float(np.abs(np.diff(peaks)).mean()),
    }


def _slope(times: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> float:
    away = times - times.mean()
    return float((away * values).sum() / max(1e-9, (away * away).sum()))


def _within(value: float, most: float) -> float:
    return max(-most, min(most, value))
