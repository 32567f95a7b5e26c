"""Fits a fall with quadratic drag to a track: how well gravity explains it, and where and when it began."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

GRAVITY = 9.81
EARLY = 24  # points: later on drag hides gravity, and a parallax bends the way
TERMINALS = (4.0, 5.5, 7.5, 10.0, 14.0, 20.0, 30.0, 45.0, 90.0)  # m/s
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FallFit:
    """A fall: speed downwards at the first point (m/s), terminal speed (m/s), the misfit, and the plain acceleration.

    ``misfit`` is the root mean square in metres, ``plain`` the same for an even speed, ``acceleration`` (m/s²) what a
    parabola finds, ``stretch`` by how much the drop has to be scaled for gravity to hold (parallax, wrong clocks).
    """

    speed: float
    terminal: float
    misfit: float
    plain: float
    acceleration: float
    stretch: float
    drop: float

    def before(self, start_speed: float = 0.0) -> tuple[float, float]:
        """Seconds and metres from a release at ``start_speed`` (m/s downwards) to the first point."""
        return _since(self.speed, self.terminal, start_speed)


def fit_fall(times: Values, drops: Values) -> FallFit:
    """``times`` in seconds and ``drops`` in metres downwards, both from the first point on; at least 5 points."""
    times, drops = times[:EARLY], drops[:EARLY]
    curve = np.polyfit(times, drops, 2)
    line = np.polyfit(times, drops, 1)
    plain = float(np.sqrt(np.mean((np.polyval(line, times) - drops) ** 2)))
    best: tuple[float, float, float, float] | None = None
    for terminal in TERMINALS:
        for stretch in (1.0, 1.15, 1.3):
            speed, misfit = _fit_speed(times, drops / stretch, terminal)
            misfit = misfit * stretch * (1.0 + 0.12 * (stretch - 1.0))
            if best is None or misfit < best[0]:
                best = misfit, speed, terminal, stretch
    if best is None:
        raise ValueError("no terminal speeds to try")
    misfit, speed, terminal, stretch = best
    return FallFit(speed, terminal, misfit, plain, float(2 * curve[0]), stretch, float(drops[-1] - drops[0]))


def _fit_speed(times: Values, drops: Values, terminal: float) -> tuple[float, float]:
    """The speed at the first point that fits best, and its misfit; a search by golden section over the speed."""
    low, high = -3.0, terminal * 0.999
    ratio = (math.sqrt(5) - 1) / 2

    def misfit(speed: float) -> float:
        way = fallen(times, speed, terminal)
        away = drops - way
        away = away - away.mean()
        return float(np.sqrt(np.mean(away * away)))

    one, two = high - ratio * (high - low), low + ratio * (high - low)
    at_one, at_two = misfit(one), misfit(two)
    for _ in range(14):
        if at_one < at_two:
            high, two, at_two = two, one, at_one
            one = high - ratio * (high - low)
            at_one = misfit(one)
        else:
            low, one, at_one = one, two, at_two
            two = low + ratio * (high - low)
            at_two = misfit(two)
    speed = (low + high) / 2
    return speed, misfit(speed)


def fallen(times: Values, speed: float, terminal: float) -> Values:
    """Metres fallen after each time with quadratic drag, from ``speed`` (m/s downwards, negative is upwards)."""
    ratio = max(-0.95, min(0.9999, speed / terminal))
    start = math.atanh(ratio)
    turn = GRAVITY / terminal * times + start
    with np.errstate(over="ignore"):
        return terminal**2 / GRAVITY * (_log_cosh(turn) - float(_log_cosh(np.array([start]))[0]))


def _log_cosh(values: Values) -> Values:
    size = np.abs(values)
    return np.asarray(size + np.log1p(np.exp(-2 * size)) - math.log(2), np.float64)


def _since(speed: float, terminal: float, start: float) -> tuple[float, float]:
    ratio, first = (math.atanh(max(-0.95, min(0.9995, value / terminal))) for value in (speed, start))
    if ratio <= first:
        return 0.0, 0.0
    seconds = terminal / GRAVITY * (ratio - first)
    metres = float(fallen(np.array([seconds]), start, terminal)[0])
    return seconds, metres
