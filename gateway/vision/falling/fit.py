"""Fits a fall with quadratic drag to a track: how well gravity explains it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

GRAVITY = 9.81
EARLY = 1.0  # seconds: later on drag hides gravity, and a parallax bends the way
MOST = 28  # points of a fit; more are thinned out
TERMINALS = np.array((4.5, 5.5, 7.0, 9.0, 12.0, 17.0, 25.0, 40.0, 90.0))  # m/s
STRETCH = (0.93, 1.35)  # by which a drop may look too large: parallax, an estimated storey, a lying clock
SPEEDS = 30
SLOWEST = -4.0  # m/s downwards; thrown upwards, or outwards and therefore seen to rise
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FallFit:
    """A fall with drag: speed downwards at the first point and terminal speed (m/s), and how well it fits.

    ``misfit`` is the root mean square in metres, ``plain`` the same for an even speed, ``acceleration`` (m/s²) what a
    parabola finds, ``stretch`` by how much the drop has to be scaled for gravity to hold, ``drop`` metres.
    """

    speed: float
    terminal: float
    misfit: float
    plain: float
    acceleration: float
    stretch: float
    drop: float

    def speed_after(self, seconds: float) -> float:
        """Speed downwards (m/s) so long after the first point."""
        start = np.arctanh(np.clip(self.speed / self.terminal, -0.95, 0.9999))
        return float(self.terminal * np.tanh(GRAVITY * seconds / self.terminal + start))


def early(times: Values) -> int:
    """How many points of a track (seconds from its first) are its early part; at least 8, if it has them."""
    return max(min(8, len(times)), int(np.searchsorted(times, EARLY, side="right")))


def fit_fall(times: Values, drops: Values, stretch: tuple[float, float] = STRETCH) -> FallFit:
    """``times`` in seconds and ``drops`` in metres downwards, both from the first point on; at least 4 points."""
    if len(times) > MOST:
        chosen = np.linspace(0, len(times) - 1, MOST).round().astype(int)
        times, drops = times[chosen], drops[chosen]
    plain, acceleration = _even(times, drops)
    ways = _fallen(times, _STARTS[..., None], _TERMINALS[..., None])
    mean = ways.mean(axis=-1, keepdims=True)
    away = drops - drops.mean()
    ways -= mean
    power = np.maximum(1e-9, np.einsum("ijk,ijk->ij", ways, ways))
    common = ways @ away
    stretches = np.clip(common / power, *stretch)
    squares = np.maximum(0.0, away @ away - 2 * stretches * common + stretches**2 * power)
    misfits = np.sqrt(squares / len(times))
    best = np.unravel_index(int(np.argmin(misfits)), misfits.shape)
    return FallFit(
        float(_SPEEDS[best]),
        float(_TERMINALS[best]),
        float(misfits[best]),
        plain,
        acceleration,
        float(stretches[best]),
        float(drops[-1] - drops[0]),
    )


def _fallen(times: Values, start: Values, terminal: Values) -> Values:
    turn = GRAVITY / terminal * times + start
    return np.asarray(terminal**2 / GRAVITY * (_log_cosh(turn) - _log_cosh(start)), np.float64)


def _even(times: Values, drops: Values) -> tuple[float, float]:
    """Root mean square about an even speed (metres), and the acceleration of a parabola (m/s²), by least squares."""
    since_middle, below_middle = times - times.mean(), drops - drops.mean()
    squares = since_middle * since_middle
    s2, s3, s4 = float(squares.sum()), float(squares @ since_middle), float(squares @ squares)
    y1, y2 = float(since_middle @ below_middle), float(squares @ below_middle)
    rest = below_middle - y1 / s2 * since_middle
    bend = (s2 * y2 - s3 * y1) / (s2 * (s4 - s2 * s2 / len(times)) - s3 * s3)
    return float(np.sqrt(rest @ rest / len(times))), 2 * bend


def _log_cosh(values: Values) -> Values:
    size = np.abs(values)
    return np.asarray(size + np.log1p(np.exp(-2 * size)) - np.log(2), np.float64)


# Every fall that is tried: the same for each track.
_SPEEDS = SLOWEST + (0.985 * TERMINALS[:, None] - SLOWEST) * np.linspace(0, 1, SPEEDS) ** 1.3
_TERMINALS = np.broadcast_to(TERMINALS[:, None], _SPEEDS.shape)
_STARTS = np.arctanh(np.clip(_SPEEDS / _TERMINALS, -0.95, 0.9999))
