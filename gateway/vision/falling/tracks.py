"""Links spots of successive frames to tracks that go on smoothly, several at once, over short gaps."""

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gateway.vision.falling.spots import Spot

LONGEST_GAP = 0.30  # seconds a track may be hidden (a parapet) before it ends
YOUNG_GAP = 0.09  # the same, for a track of fewer than GROWN spots
GROWN = 5
FASTEST = 2400.0  # pixels of the reduced picture a second
GATE = 3.0  # pixels between where a spot is expected and found, and more with speed
GATE_SHARE = 0.16  # of the way of one frame
SIZE_SHARE = 0.35  # of the root of a spot's area
BEGIN = 60  # spots without a track that may begin new ones
MOST_TRACKS = 150
STORM = 2500  # pairs of spots in two frames: nothing can be told apart then
SIDEWAYS, DRIFT = 1.2, 90.0  # what begins a track moves down: sideways at most this share of it, and pixels a second
BENDING = 35.0  # pixels a second that the way may change from frame to frame
STEP = 0.032  # seconds at least between the spots that begin a track: at 50 frames a second a slow thing hardly moves
SLOW = 2.2  # times the longest step from frame to frame: no track ends sooner
STILL = 0.4  # pixels that a thing moves at least from frame to frame, where they are
PACE = 0.03  # seconds apart
LOOK_BACK = 0.22  # seconds of a track that say where it goes on


@dataclass(slots=True)
class Track:
    """One moving thing: times (s) and spots, in order."""

    number: int
    times: list[float] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)

    def add(self, time: float, spot: Spot) -> None:
        """Go on with this spot."""
        self.times.append(time)
        self.spots.append(spot)

    def expected(self, time: float) -> tuple[float, float]:
        """Where the next spot should be, by the last few: a parabola when there are enough, else a straight line."""
        t0 = self.times[-1]
        last = self.spots[-1]
        count = min(3, len(self.times))
        while count < min(14, len(self.times)) and (count < 6 or t0 - self.times[-count - 1] <= LOOK_BACK):
            count += 1
        if count < 2:
            return last.x, last.y
        ages = [at - t0 for at in self.times[-count:]]
        xs = [spot.x for spot in self.spots[-count:]]
        ys = [spot.y for spot in self.spots[-count:]]
        ahead = time - t0
        if count < 4:
            span = ages[0]
            return last.x + (xs[0] - last.x) / span * ahead, last.y + (ys[0] - last.y) / span * ahead
        return _ahead(ages, xs, ys, ahead)

    @property
    def speed(self) -> float:
        """Pixels a second over the last spots."""
        if len(self.times) < 2:
            return 0.0
        before = max(0, len(self.times) - 4)
        seconds = self.times[-1] - self.times[before]
        first, last = self.spots[before], self.spots[-1]
        return math.hypot(last.x - first.x, last.y - first.y) / max(1e-6, seconds)


class _Across:
    """The spots of one frame from left to right, to find those near a place without asking all."""

    def __init__(self, spots: Sequence[Spot]) -> None:
        self._spots = spots
        self._order = sorted(range(len(spots)), key=lambda place: spots[place].x)
        self._xs = [spots[place].x for place in self._order]

    def places(self, x: float, reach: float) -> list[int]:
        """Which spots are no farther than this to either side, and perhaps one that is by a hair."""
        reach += 1e-6
        return self._order[bisect_left(self._xs, x - reach) : bisect_right(self._xs, x + reach)]

    def near(self, x: float, reach: float) -> list[Spot]:
        """The same, the spots themselves."""
        return [self._spots[place] for place in self.places(x, reach)]


class Linker:
    """Holds the open tracks; ``feed`` returns those that ended."""

    def __init__(self) -> None:
        self.open: list[Track] = []
        self._numbers = 0
        self._before = 0.0
        # Seconds between frames: a slow camera, or one that sends every third frame twice, needs more patience.
        self._paces: deque[float] = deque([0.0], maxlen=4)
        self._across = _Across(())
        self._loose: deque[tuple[float, list[Spot]]] = deque(maxlen=14)

    def feed(self, time: float, spots: Sequence[Spot]) -> list[Track]:
        """Link the spots of one frame; older tracks choose first, each the spot nearest to where it expects one."""
        self._paces.append(time - self._before)
        self._before = time
        free = self._fresh(spots)
        if free:
            self._follow(time, spots, free)
        loose = [spots[place] for place in sorted(free)]
        self._begin(time, loose)
        slow = SLOW * max(self._paces)
        ended = [track for track in self.open if time - track.times[-1] > max(slow, _patience(track))]
        if ended:
            self.open = [track for track in self.open if time - track.times[-1] <= max(slow, _patience(track))]
        return ended

    def drop(self, track: Track) -> None:
        """Forget an open track: another one goes on with its thing."""
        self.open = [other for other in self.open if other is not track]

    def _fresh(self, spots: Sequence[Spot]) -> set[int]:
        """The spots that are not just where one was in the frame before: that frame was sent twice, or it flickers."""
        before, self._across = self._across, _Across(spots)
        everyone = set(range(len(spots)))
        if min(self._paces) < PACE:
            return everyone
        for place, spot in enumerate(spots):
            for other in before.near(spot.x, STILL):
                if abs(spot.x - other.x) < STILL and abs(spot.y - other.y) < STILL:
                    everyone.discard(place)
                    break
        return everyone

    def _follow(self, time: float, spots: Sequence[Spot], free: set[int]) -> None:
        tracks = sorted(self.open, key=lambda track: -len(track.times))
        if not tracks:
            return
        expected = [track.expected(time) for track in tracks]
        reaches = [
            GATE
            + GATE_SHARE * track.speed * (time - track.times[-1])
            + (4.0 if len(track.times) < 3 else 0.0)
            # The middle of a large thing that tumbles, or that half a window's frame hides, jumps about.
            + SIZE_SHARE * math.sqrt(track.spots[-1].area)
            for track in tracks
        ]
        for track, (x, y), reach in zip(tracks, expected, reaches, strict=True):
            given = {
                place
                for place in self._across.places(x, 1.5 * reach)
                if place in free and abs(x - spots[place].x) + abs(y - spots[place].y) <= 1.5 * reach
            }
            chosen = _nearest(track.spots[-1], spots, given, (x, y), reach)
            if chosen is not None:
                free.discard(chosen)
                track.add(time, spots[chosen])

    def _begin(self, time: float, loose: Sequence[Spot]) -> None:
        """Begin a track with every triple of loose spots that moves evenly downwards."""
        third = sorted(loose, key=lambda spot: -spot.peak)[:BEGIN]
        t2, second = self._loose_before(time)
        t1, first = self._loose_before(t2)
        self._loose.append((time, third))
        if not (first and second and third) or time - t1 > max(LONGEST_GAP, SLOW * 2 * max(self._paces)):
            return
        places = [[(spot.x, spot.y) for spot in part] for part in (first, second, third)]
        triples = _triples(places[0], places[1], places[2], (t2 - t1, time - t2))
        for one, two, end in triples[: max(0, MOST_TRACKS - len(self.open))]:
            self._numbers += 1
            track = Track(self._numbers)
            for at, spot in ((t1, first[one]), (t2, second[two]), (time, third[end])):
                track.add(at, spot)
            self.open.append(track)
        # What now belongs to a track begins no other one.
        taken, passed = {end for _, _, end in triples}, {two for _, two, _ in triples}
        second[:] = [spot for place, spot in enumerate(second) if place not in passed]
        third[:] = [spot for place, spot in enumerate(third) if place not in taken]

    def _loose_before(self, time: float) -> tuple[float, list[Spot]]:
        """The loose spots of the newest frame with any that is at least a step older; an empty list without one."""
        for at, spots in reversed(self._loose):
            if spots and at <= time - STEP:
                return at, spots
        return time, []


Places = list[tuple[float, float]]


def _triples(first: Places, second: Places, third: Places, seconds: tuple[float, float]) -> list[tuple[int, int, int]]:
    """Places of three successive frames that lie on an even way downwards, the straightest first, each used once."""
    a, b, c = (np.array(part, np.float64) for part in (first, second, third))
    way = (b[None, :, :] - a[:, None, :]) / seconds[0]
    speed = np.hypot(way[..., 0], way[..., 1])
    falls = (way[..., 1] > 0) & (speed < FASTEST) & (np.abs(way[..., 0]) < SIDEWAYS * way[..., 1] + DRIFT)
    starts, goes = np.nonzero(falls)
    if not 0 < len(starts) <= STORM:
        return []
    expected = b[goes] + way[starts, goes] * seconds[1]
    # Gravity bends the way downwards: along it a miss counts a little less.
    miss = np.hypot(expected[:, None, 0] - c[None, :, 0], 0.8 * (expected[:, None, 1] - c[None, :, 1]))
    reach = GATE + (GATE_SHARE * speed[starts, goes] + BENDING) * seconds[1]
    pairs, ends = np.nonzero(miss <= reach[:, None])
    found: list[tuple[int, int, int]] = []
    used: tuple[set[int], set[int], set[int]] = (set(), set(), set())
    for at in np.argsort(miss[pairs, ends]):
        triple = int(starts[pairs[at]]), int(goes[pairs[at]]), int(ends[at])
        if not any(place in taken for place, taken in zip(triple, used, strict=True)):
            found.append(triple)
            for place, taken in zip(triple, used, strict=True):
                taken.add(place)
    return found


def _nearest(
    last: Spot, spots: Sequence[Spot], given: set[int], expected: tuple[float, float], reach: float
) -> int | None:
    """Which of the given spots goes on best after ``last``; None when all are out of reach."""
    best, least = None, reach
    for place in sorted(given):
        spot = spots[place]
        away = math.hypot(spot.x - expected[0], spot.y - expected[1])
        away *= 1.0 + 0.25 * abs(math.log((spot.area + 4) / (last.area + 4))) + (0.4 if spot.sign != last.sign else 0.0)
        if away < least:
            best, least = place, away
    return best


def _patience(track: Track) -> float:
    return LONGEST_GAP if len(track.times) >= GROWN else YOUNG_GAP


def _ahead(ages: Sequence[float], xs: Sequence[float], ys: Sequence[float], ahead: float) -> tuple[float, float]:
    """A line through the xs and a parabola through the ys, by least squares, read ``ahead``.

    One plain loop: for so few points numpy is too slow.
    """
    count = len(ages)
    middle, mean_x, mean_y = sum(ages) / count, sum(xs) / count, sum(ys) / count
    s2 = s3 = s4 = x1 = y1 = y2 = 0.0
    for age, x, y in zip(ages, xs, ys, strict=True):
        away = age - middle
        square = away * away
        s2 += square
        s3 += square * away
        s4 += square * square
        x1 += away * (x - mean_x)
        y1 += away * (y - mean_y)
        y2 += square * (y - mean_y)
    at = ahead - middle
    across = mean_x + x1 / max(1e-9, s2) * at
    spread = s4 - s2 * s2 / count
    below = s2 * spread - s3 * s3
    if below <= 1e-18:
        return across, mean_y + y1 / max(1e-9, s2) * at
    bend, slope = (s2 * y2 - s3 * y1) / below, (spread * y1 - s3 * y2) / below
    return across, mean_y - bend * s2 / count + slope * at + bend * at * at
