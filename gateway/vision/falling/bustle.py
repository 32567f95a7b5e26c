"""What moved in the last seconds, and from where a thing came: what falls comes out of nowhere, a bird flew before."""

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gateway.vision.falling.candidate import Before, Way

BEFORE = 1.0  # seconds before a way
AROUND = (15.0, 45.0)  # pixels of the reduced picture around its beginning
BEGUN = 8  # spots that tell from where it came
GATE, GATE_SHARE, BENDING = 3.0, 0.3, 60.0  # pixels, share of the step, and pixels a second by which that may be wrong
UNSEEN = 0.2  # seconds without a sight after which it was not there

Places = npt.NDArray[np.float64]


@dataclass(slots=True)
class Bustle:
    """How much moved in each of the last frames: time, places of the spots, how many tracks were open."""

    log: deque[tuple[float, Places, int]] = field(default_factory=lambda: deque(maxlen=800))

    def between(self, first: float, last: float) -> tuple[int, float, float]:
        """Frames, mean spots and mean tracks of a time."""
        rows = [row for row in self.log if first - 1e-6 <= row[0] <= last + 1e-6]
        count = max(1, len(rows))
        return len(rows), sum(len(row[1]) for row in rows) / count, sum(row[2] for row in rows) / count

    def ahead_of(self, way: Way) -> Before:
        """What moved just before a way where it begins, and how far back the way itself can be followed."""
        first, last = way.times[0] - BEFORE, way.times[0] - 1e-6
        rows = [row for row in self.log if first <= row[0] < last]
        if not rows:
            return Before()
        away = [float(np.abs(row[1] - way.spots[0][:2]).max(axis=1).min(initial=1e9)) for row in rows]
        near, around = (sum(one < reach for one in away) / len(rows) for reach in AROUND)
        return Before(near, around, *_followed_back(way, [row[:2] for row in rows]))


def _followed_back(way: Way, rows: list[tuple[float, Places]]) -> tuple[float, float, float]:
    """Seconds by which a way can be followed back in these frames, and pixels that it went across and down in them."""
    start = way.spots[0]
    seen = deque(
        ((at, spot.x, spot.y) for at, spot in zip(way.times[:BEGUN], way.spots[:BEGUN], strict=True)), maxlen=BEGUN
    )
    seen.reverse()
    for time, places in reversed(rows):
        at, x, y = seen[-1]
        step = at - time
        if step > UNSEEN:
            break
        if not len(places):
            continue
        across, down = _speed(seen)
        away = np.hypot(places[:, 0] - x + across * step, places[:, 1] - y + down * step)
        nearest = int(away.argmin())
        if away[nearest] < GATE + (GATE_SHARE * math.hypot(across, down) + BENDING) * step:
            seen.append((time, float(places[nearest, 0]), float(places[nearest, 1])))
    at, x, y = seen[-1]
    return max(0.0, way.times[0] - at), start.x - x, start.y - y


def _speed(seen: deque[tuple[float, float, float]]) -> tuple[float, float]:
    """Pixels a second across and down, by least squares."""
    count = len(seen)
    middle = sum(one[0] for one in seen) / count
    power = sum((one[0] - middle) ** 2 for one in seen) or 1.0
    across = sum((one[0] - middle) * one[1] for one in seen) / power
    down = sum((one[0] - middle) * one[2] for one in seen) / power
    return across, down
