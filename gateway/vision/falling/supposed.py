"""Falls that may have been, and whether what was seen before a track was followed lies on their way."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.vision.falling.facade import Facade
from gateway.vision.falling.thrown import Places, Values, thrown

AHEAD = 0.6  # metres before the wall at the release
NEAREST = 0.3  # of the way from the camera to the wall: nothing comes closer
SIGHTS = (0.08, 0.35, 0.85)  # share of the frames in which a thing is seen that is not followed yet: faint to clear
SURE = 0.6  # by which a frame counts: neighbours are alike
PLACE, DRIFT = 1.0, 0.7  # pixels of the reduced picture by which a way may be wrong: at once, and a second earlier more
MOST = 5.0  # the same at most
REACH = 10.0  # pixels around the ways within which anything matters
ALWAYS, ASIDE = (3.0, 10.0), 0.25  # pixels around a spot, and seconds before and after it, in which others are as usual
FOLD = 3.0  # times as many are taken to be there: they lie on lines
RARE = 1e-5  # spots of a pixel, at least, that are something else's
RATIO = 3000.0  # by which one frame speaks for a way, at most
SPOTS = 300  # the last before the track
FEW = 24, 12  # ways that say where to look: of all, and of the longest


@dataclass(frozen=True, slots=True)
class Supposed:
    """Falls of the table: seconds since the release when the track begins, metres above the eye at the release.

    ``scale`` of the way down, ``across`` u at the release, ``aside`` u for each metre that it was carried.
    """

    fall: Places
    since: Values
    height: Values
    scale: Values
    across: Values
    aside: Values

    def only(self, which: Places) -> "Supposed":
        """Some of them."""
        return Supposed(
            self.fall[which],
            self.since[which],
            self.height[which],
            self.scale[which],
            self.across[which],
            self.aside[which],
        )

    def nearer(self, metres: float, facade: Facade) -> float:
        """By what the height above the eye is to be multiplied when it was released so far before the wall."""
        return 1 - (metres - AHEAD) / facade.distance

    def in_picture(self, seconds: Values, facade: Facade, scale: float) -> tuple[Values, Values]:
        """x and y in the reduced picture, (falls, n), so long (n, negative) before the track."""
        table = thrown()
        moments = self.since[:, None] + seconds
        fall = self.fall[:, None]
        carried = table.carried_after(fall, moments)
        closer = nearness(table.outward[fall] * carried, facade)
        down = self.scale[:, None] * table.down_after(fall, moments)
        v = (facade.eye + closer * (self.height[:, None] - down)) / facade.storey
        x, y = facade.placed(self.across[:, None] + self.aside[:, None] * carried, v)
        return (x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5


def nearness(out: Values, facade: Facade) -> Values:
    """How many times as high above the eye a thing looks that is so far (metres) from where it was let go."""
    return np.asarray(facade.distance / np.maximum(NEAREST * facade.distance, facade.distance - AHEAD - out))


def unfollowed(
    falls: Supposed, first: float, log: Sequence[tuple[float, Values, int]], facade: Facade, scale: float
) -> Values:
    """How much, in logarithms, the spots before the track's ``first`` (s) speak for each fall, and against it.

    A thing that is faint, that rises, or that is hidden by and by is seen for seconds before it can be followed.
    """
    rows = [row for row in log if first - falls.since.max() <= row[0] < first - 1e-6]
    if not rows:
        return np.zeros(len(falls.since))
    moments = np.array([row[0] for row in rows]) - first
    frames = len(rows) - np.searchsorted(moments, -falls.since)
    unseen = SURE * np.log(1 - np.array(SIGHTS))
    number, x, y, area = _near(falls, rows, moments, facade, scale)
    if not len(number):
        return _mean(frames[:, None] * unseen)
    at = moments[number]
    apart = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    asunder = np.abs(at[:, None] - at) > ASIDE
    others = np.full(len(x), max(RARE, len(x) / area))
    for reach in ALWAYS:
        always = ((apart < reach**2) & asunder).sum(axis=1)
        others = np.maximum(others, FOLD * always / (np.pi * reach**2 * max(10, len(rows))))
    wrong = np.minimum(MOST, PLACE - DRIFT * at)
    way_x, way_y = falls.in_picture(at, facade, scale)
    far = ((way_x - x) ** 2 + (way_y - y) ** 2) / wrong**2
    ratio = np.exp(-0.5 * far) / (2 * np.pi * wrong**2 * others)
    ratio[falls.since[:, None] < -at] = 0.0
    begins = np.flatnonzero(np.diff(number, prepend=-1))
    ratio = np.minimum(np.add.reduceat(ratio, begins, axis=1), RATIO)
    spoken = np.stack([np.log1p(ratio * (share / (1 - share))).sum(axis=1) for share in SIGHTS], axis=1)
    return _mean(SURE * spoken + frames[:, None] * unseen)


def _near(
    falls: Supposed, rows: Sequence[tuple[float, Values, int]], moments: Values, facade: Facade, scale: float
) -> tuple[Places, Values, Values, float]:
    """Of all spots near the ways the number of their row, x and y; and the area (pixels) of all rows together."""
    some = np.linspace(0, len(falls.since) - 1, FEW[0]).astype(np.intp)
    ways = falls.only(np.union1d(some, np.argsort(-falls.since)[: FEW[1]])).in_picture(moments, facade, scale)
    least, most = ([way.min(axis=0) - REACH for way in ways], [way.max(axis=0) + REACH for way in ways])
    number = np.repeat(np.arange(len(rows)), [len(row[1]) for row in rows])
    places = np.concatenate([row[1] for row in rows])
    inside = np.ones(len(places), np.bool_)
    for axis in (0, 1):
        inside &= (places[:, axis] > least[axis][number]) & (places[:, axis] < most[axis][number])
    found = np.flatnonzero(inside)[-SPOTS:]
    area = float(((most[0] - least[0]) * (most[1] - least[1])).sum())
    return number[found], places[found, 0], places[found, 1], area


def _mean(logs: Values) -> Values:
    most = logs.max(axis=1)
    return np.asarray(most + np.log(np.exp(logs - most[:, None]).mean(axis=1)), np.float64)
