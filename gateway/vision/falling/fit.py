"""Fits a fall with quadratic drag to a track: how well gravity explains it, and how it was before it was seen."""

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
    The grids hold every fall that was tried: terminal and first speed, stretch, misfit and where it puts the first
    point (metres below the track's first).
    """

    speed: float
    terminal: float
    misfit: float
    plain: float
    acceleration: float
    stretch: float
    drop: float
    terminals: Values
    speeds: Values
    stretches: Values
    misfits: Values
    offsets: Values

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
    curve = np.polyfit(times, drops, 2)
    line = np.polyfit(times, drops, 1)
    plain = float(np.sqrt(np.mean((np.polyval(line, times) - drops) ** 2)))
    speeds = SLOWEST + (0.985 * TERMINALS[:, None] - SLOWEST) * np.linspace(0, 1, SPEEDS) ** 1.3
    terminals = np.broadcast_to(TERMINALS[:, None], speeds.shape)
    ways = fallen(times, speeds[..., None], terminals[..., None])
    mean = ways.mean(axis=-1, keepdims=True)
    away = drops - drops.mean()
    ways_away = ways - mean
    power = np.maximum(1e-9, (ways_away**2).sum(axis=-1))
    common = (ways_away * away).sum(axis=-1)
    stretches = np.clip(common / power, *stretch)
    squares = np.maximum(0.0, (away**2).sum() - 2 * stretches * common + stretches**2 * power)
    misfits = np.sqrt(squares / len(times))
    offsets = drops.mean() - stretches * mean[..., 0]
    best = np.unravel_index(int(np.argmin(misfits)), misfits.shape)
    return FallFit(
        float(speeds[best]),
        float(terminals[best]),
        float(misfits[best]),
        plain,
        float(2 * curve[0]),
        float(stretches[best]),
        float(drops[-1] - drops[0]),
        terminals,
        speeds,
        stretches,
        misfits,
        offsets,
    )


def fallen(times: Values, speed: Values, terminal: Values) -> Values:
    """Metres fallen after each time with quadratic drag, from ``speed`` (m/s downwards, negative is upwards)."""
    start = np.arctanh(np.clip(speed / terminal, -0.95, 0.9999))
    turn = GRAVITY / terminal * times + start
    return np.asarray(terminal**2 / GRAVITY * (_log_cosh(turn) - _log_cosh(start)), np.float64)


def since(speed: Values, terminal: Values, start: Values) -> tuple[Values, Values]:
    """Seconds and metres that lie between a release at ``start`` and ``speed`` (m/s downwards); 0 when it is slower."""
    one = np.arctanh(np.clip(speed / terminal, -0.95, 0.9995))
    two = np.arctanh(np.clip(start / terminal, -0.95, 0.9995))
    seconds = np.maximum(0.0, terminal / GRAVITY * (one - two))
    return seconds, fallen(seconds, start, terminal)


def _log_cosh(values: Values) -> Values:
    size = np.abs(values)
    return np.asarray(size + np.log1p(np.exp(-2 * size)) - np.log(2), np.float64)
