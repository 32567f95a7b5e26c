"""From where it fell: floor and column of the release with an interval, by all falls that explain what was seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gateway.vision.falling.candidate import Measured, Way
from gateway.vision.falling.facade import Facade
from gateway.vision.falling.fit import early
from gateway.vision.falling.supposed import Supposed, nearness, unfollowed
from gateway.vision.falling.thrown import LONGEST, STEP, Values, thrown

NOISE_PX = 0.7  # of the reduced picture: root mean square of a spot's place
NOISE_METRES = 0.03  # what the model of the fall leaves out
BLOCKS = 8  # means of successive spots that a fit is made to: neighbours err alike
WORTH = 10.0  # independent points, at most, that a track is worth
SCALE = 0.08  # by which a storey's height, or the clock, may lie
THROWN = 2.0  # m/s sideways at the release, mostly
ALIKE, AT_LEAST = 0.2, 0.3  # share, and metres, by which a fall that is weighed may come down otherwise than the track
SINCE = np.concatenate([np.arange(0, 1.4, 0.06), np.arange(1.4, 3, 0.12), np.arange(3, LONGEST, 0.2)])
# What falls is followed as soon as it comes down in the picture, by so many chances a second: mostly, or it is faint,
# or hidden. While it seems to rise faster than that (pixels of the reduced picture a second) hardly ever.
CHANCES = ((0.85, 8.0), (0.12, 1.5), (0.03, 0.4))
RISING, HARDLY = 15.0, 0.03
IN_FRONT = (0.3, 0.6, 0.9)  # metres before the wall at the release
SILL = (0.7, 2.1)  # metres above its floor where a thing leaves a window or balcony, mostly
ELSEWHERE = 0.2
SHARE = 0.05  # of the weight beyond each end of the interval
FEWEST = 20  # falls, at least, that are weighed
LEAST = -9.0  # of the logarithm of a weight
BELIEVED, MOST_BELIEVED = -16.0, 600  # the same before it is asked what was seen earlier, and falls that are asked
GAP = 0.25  # seconds out of sight after which what goes on may be another thing
AROUND = 0.6  # seconds before and after such a gap
LEAST_AFTER, LEAST_AROUND, MOST_AROUND = 8, 3, 12  # spots after such a gap, and on either side
BENT = 0.7  # pixels of the reduced picture by which one thing's way across differs from a parabola over the gap


@dataclass(frozen=True, slots=True)
class Origin:
    """Floor (ground is 1) and column (from 1 at the left), and the lowest and highest floor of 90 %."""

    floor: int
    column: int
    interval: tuple[int, int]


class _Seen(NamedTuple):
    """How a track begins, in a few means: when (s), seconds since, metres above the eye, u, shares of its spots."""

    first: float
    times: Values
    heights: Values
    across: Values
    shares: Values


def find_origin(way: Way, measured: Measured, facade: Facade, log: Sequence[tuple[float, Values, int]] = ()) -> Origin:
    """Weigh every fall by how well it goes with the track, and with what was seen before it was followed.

    ``log``: time (s), places (n, 2; pixels of the reduced picture) of all spots, and another number of each frame.
    """
    seen = _beginning(way, measured, facade)
    pixels = measured.pixels_per_metre * way.scale
    falls, weights = _explained(seen, pixels, facade)
    keep = np.flatnonzero(weights > weights.max() + BELIEVED)
    if len(keep) > MOST_BELIEVED:
        keep = keep[np.argpartition(-weights[keep], MOST_BELIEVED)[:MOST_BELIEVED]]
    falls, weights = falls.only(keep), weights[keep]
    weights = weights + unfollowed(falls, seen.first, log, facade, way.scale)
    keep = np.flatnonzero(weights > weights.max() + LEAST)
    return _told(falls.only(keep), np.exp(weights[keep] - weights.max()), facade)


def interval(share: Values) -> tuple[int, int]:
    """Lowest and highest floor, beyond each of which lies less than ``SHARE`` of the weight."""
    reach = np.cumsum(share)
    low = int(np.searchsorted(reach, SHARE, side="right"))
    high = int(np.searchsorted(reach, 1 - SHARE, side="left"))
    return min(low, len(share) - 1) + 1, min(high, len(share) - 1) + 1


def _explained(seen: _Seen, pixels: float, facade: Facade) -> tuple[Supposed, Values]:
    """Every fall, and where it has to begin to go with the track; and the logarithm of its weight, unseen so far."""
    table = thrown()
    # As a fall from here would look, at any time: a grid of falls and seconds since.
    closer = nearness(table.outward[:, None] * table.carried, facade)
    looks = closer * (seen.heights[0] / closer[:, :1] - table.down)
    sinking = np.diff(looks, axis=1, prepend=looks[:, :1]) * (-pixels / STEP)
    sinking[:, 0] = sinking[:, 1]
    easy = np.clip(1 + sinking / RISING, HARDLY, 1.0)
    passed = np.cumsum(easy, axis=1) * STEP
    at = (SINCE / STEP).round().astype(np.intp)
    easy, passed = easy[:, at], (passed - passed[:, :1])[:, at]
    weights = np.log(sum(share * chance * easy * np.exp(-chance * passed) for share, chance in CHANCES))
    weights += np.log(np.gradient(SINCE))
    # Most fall too quickly or slowly: of them no more is asked.
    last = table.down.shape[1] - 1
    begun, ended = (np.minimum(((SINCE + time) / STEP).round(), last).astype(np.intp) for time in seen.times[[0, -1]])
    below = table.down[:, ended] - table.down[:, begun]
    fallen = seen.heights[0] * (1 - closer[:, ended] / closer[:, begun]) + closer[:, ended] * below
    drop = float(seen.heights[0] - seen.heights[-1])
    noise = float(np.hypot(NOISE_PX / pixels, NOISE_METRES))
    otherwise = np.abs(fallen - drop) / (ALIKE * abs(drop) + 3 * noise + AT_LEAST)
    fall, since = np.nonzero(otherwise <= max(1.0, float(np.partition(otherwise.ravel(), FEWEST)[FEWEST])))
    weights = weights[fall, since]
    # Least squares for the height of the release and the scale of the way down, which is near 1.
    moments = SINCE[since][:, None] + seen.times
    carried = table.carried_after(fall[:, None], moments)
    closer = nearness(table.outward[fall][:, None] * carried, facade)
    ways = closer * table.down_after(fall[:, None], moments)
    firm = (noise / SCALE) ** 2 / WORTH
    s11 = (closer * closer) @ seen.shares
    s12 = -(closer * ways) @ seen.shares
    s22 = (ways * ways) @ seen.shares + firm
    t1 = closer @ (seen.shares * seen.heights)
    t2 = firm - ways @ (seen.shares * seen.heights)
    root = np.maximum(1e-9, s11 * s22 - s12 * s12)
    height, scale = (t1 * s22 - t2 * s12) / root, (s11 * t2 - s12 * t1) / root
    rest = closer * height[:, None] - ways * scale[:, None] - seen.heights
    squares = (rest * rest) @ seen.shares + firm * (scale - 1) ** 2
    least = float(squares.min())
    weights -= 0.5 * WORTH * (squares - least) / max(least, noise**2)
    # Sideways it is carried as far as outwards; where that hardly tells, it was hardly thrown.
    away = carried - (carried @ seen.shares)[:, None]
    middle = float(seen.across @ seen.shares)
    still = (NOISE_PX / pixels / THROWN) ** 2 / WORTH
    aside = (away @ (seen.shares * (seen.across - middle))) / ((away * away) @ seen.shares + still)
    across = middle - aside * (carried @ seen.shares)
    return Supposed(fall, SINCE[since], height, scale, across, aside), weights


def _told(falls: Supposed, weights: Values, facade: Facade) -> Origin:
    share = np.zeros(facade.floors)
    for metres in IN_FRONT:
        heights = facade.eye + falls.height * falls.nearer(metres, facade)
        floors = np.floor(heights / facade.storey).astype(np.intp)
        sill = heights - floors * facade.storey
        likely = np.where((sill > SILL[0]) & (sill < SILL[1]), weights, ELSEWHERE * weights)
        inside = (floors >= 0) & (floors < facade.floors)
        share += np.bincount(floors[inside], likely[inside], facade.floors)
    columns = np.clip(falls.across * facade.columns, 0, facade.columns - 1).astype(np.intp)
    column = int(np.argmax(np.bincount(columns, weights))) + 1
    if share.sum() <= 0:
        # From the roof, or from below the ground as it was drawn.
        floor = facade.floor((facade.eye + float(np.average(falls.height, weights=weights))) / facade.storey)
        return Origin(floor, column, (floor, floor))
    share /= share.sum()
    return Origin(int(np.argmax(share)) + 1, column, interval(share))


def _beginning(way: Way, measured: Measured, facade: Facade) -> _Seen:
    times = np.array(way.times[: len(measured.wall)])
    begin = _one_thing(times, way)
    since = times[begin:] - times[begin]
    count = early(since)
    wall = measured.wall[begin : begin + count]
    edges = np.linspace(0, count, min(count, BLOCKS) + 1).round().astype(np.intp)
    sizes = np.diff(edges).astype(np.float64)
    since, across, heights = (
        np.add.reduceat(values, edges[:-1]) / sizes
        for values in (since[:count], wall[:, 0], wall[:, 1] * facade.storey - facade.eye)
    )
    return _Seen(float(times[begin]), since, heights, across, sizes / count)


def _one_thing(times: Values, way: Way) -> int:
    """From which spot on a way is one thing: what was joined over a gap need not have gone on there."""
    begin = 0
    for place in np.flatnonzero(np.diff(times) > GAP) + 1:
        if place > len(times) // 2 or len(times) - place < LEAST_AFTER:
            break
        away = times - times[place]
        gap = times[place] - times[place - 1]
        around = np.flatnonzero((away > -gap - AROUND) & (away < AROUND) & (np.arange(len(times)) >= begin))
        around = around[(around >= place - MOST_AROUND) & (around < place + MOST_AROUND)]
        if min((around < place).sum(), (around >= place).sum()) < LEAST_AROUND:
            continue
        across = np.array([way.spots[one].x for one in around])
        bent = np.polynomial.polynomial.polyfit(away[around], across, 2)
        rest = across - np.polynomial.polynomial.polyval(away[around], bent)
        if float(np.sqrt(np.mean(rest * rest))) > BENT:
            begin = int(place)
    return begin
