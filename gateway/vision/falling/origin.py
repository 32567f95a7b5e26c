"""From where it fell: floor and column of the release with an interval, by all falls that explain the track."""

from dataclasses import dataclass

import numpy as np

from gateway.vision.falling.candidate import Measured
from gateway.vision.falling.facade import Facade
from gateway.vision.falling.fit import Values, since

NOISE_PX = 0.7  # root mean square of a spot's place
NOISE_METRES = 0.03  # what the model of the fall leaves out
WORTH = 8.0  # independent points, at most, that a track is worth: neighbours err alike
LATE = 0.45  # seconds: how long, about, a thing falls before it is seen
STARTS = np.array((-1.2, -0.4, 0.4, 1.2))  # m/s downwards at the release
OUTWARD = np.array((0.3, 1.3, 2.3, 3.5))  # m/s away from the wall, which a camera below sees as rising
IN_FRONT = np.array((0.3, 0.6, 0.9))  # metres before the wall at the release
SILL = (0.7, 2.1)  # metres above its floor where a thing leaves a window or balcony, mostly
ELSEWHERE = 0.2
SHARE = 0.05  # of the weight beyond each end of the interval
WIDTH = 1.0  # by which the interval's uncertainty is widened, found on the tuning clips


@dataclass(frozen=True, slots=True)
class Origin:
    """Floor (ground is 1) and column (from 1 at the left), the lowest and highest floor of 90 %, seconds before."""

    floor: int
    column: int
    interval: tuple[int, int]
    before: float


def find_origin(measured: Measured, facade: Facade) -> Origin:
    """Weigh every fall of the fit by how well it goes with the track and with how things are let go."""
    fit = measured.early
    sigma = max(fit.misfit, float(np.hypot(NOISE_PX / measured.pixels_per_metre, NOISE_METRES)))
    worth = np.exp(-0.5 * WORTH / WIDTH * ((fit.misfits / sigma) ** 2 - (fit.misfit / sigma) ** 2))
    keep = worth > 1e-3
    worth = worth[keep]
    first = measured.wall[0, 1] * facade.storey - fit.offsets[keep]
    near, eye = facade.distance, facade.eye
    # Shape of all grids: falls, start speed, outward speed, metres before the wall.
    rise = (np.maximum(0.0, first - eye) / near)[:, None, None] * OUTWARD[None, None, :]
    starts = STARTS[None, :, None] - rise
    seconds, metres = since(fit.speeds[keep][:, None, None], fit.terminals[keep][:, None, None], starts)
    seen = first[:, None, None] + metres * fit.stretches[keep][:, None, None]
    weights = worth[:, None, None] * np.exp(-seconds / LATE)
    heights = eye + (seen[..., None] - eye) * (1 - IN_FRONT / near)
    weights = np.broadcast_to(weights[..., None] / len(IN_FRONT), heights.shape)
    floors = np.floor(heights / facade.storey).astype(int)
    sill = heights - floors * facade.storey
    weights = weights * np.where((sill > SILL[0]) & (sill < SILL[1]), 1.0, ELSEWHERE)
    inside = (floors >= 0) & (floors < facade.floors)
    if not inside.any():
        floor = facade.floor(float(first.mean()) / facade.storey)
        return Origin(floor, facade.column(float(measured.wall[0, 0])), (floor, floor), 0.0)
    share = np.bincount(floors[inside], weights[inside], facade.floors)
    share = share / share.sum()
    low, high = interval(share)
    before = float((weights * seconds[..., None]).sum() / weights.sum())
    return Origin(int(np.argmax(share)) + 1, _column(measured, facade, before), (low, high), before)


def interval(share: Values) -> tuple[int, int]:
    """Lowest and highest floor, beyond each of which lies less than ``SHARE`` of the weight."""
    reach = np.cumsum(share)
    low = int(np.searchsorted(reach, SHARE, side="right"))
    high = int(np.searchsorted(reach, 1 - SHARE, side="left"))
    return min(low, len(share) - 1) + 1, min(high, len(share) - 1) + 1


def _column(measured: Measured, facade: Facade, before: float) -> int:
    wall = measured.wall[: max(4, len(measured.wall) // 3)]
    across = float(wall[0, 0])
    if before > 0.05 and len(wall) >= 5:
        step = (wall[-1, 0] - wall[0, 0]) / max(1, len(wall) - 1)
        # At most a quarter of a second back: beyond it nobody knows how it was thrown.
        across -= float(step) * min(before, 0.25) * 25
    return facade.column(across)
