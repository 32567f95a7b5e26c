"""The floor and column of a release are found from a track, also when it was followed late, rose, or was joined."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest

from gateway.settings.camera import FacadeSettings
from gateway.vision.falling.candidate import Way, measure
from gateway.vision.falling.facade import Facade
from gateway.vision.falling.origin import Origin, find_origin, interval
from gateway.vision.falling.spots import Spot
from gateway.vision.falling.thrown import DOWNWARD, OUTWARD, TERMINALS, thrown

STOREYS, COLUMNS, STOREY, EYE = 26, 4, 2.9, 1.6
TILT, FOCAL, AWAY, WIDE = np.radians(48), 620.0, 34.0, 24.0  # of a camera that sees all of it in 540 by 960 pixels
WIDTH, HEIGHT = 540, 960
RATE = 25.0
Log = list[tuple[float, np.ndarray, int]]


def pixel(x: float, out: float, z: float) -> tuple[float, float]:
    depth = (AWAY - out) * np.cos(TILT) + (z - EYE) * np.sin(TILT)
    rise = (z - EYE) * np.cos(TILT) - (AWAY - out) * np.sin(TILT)
    return WIDTH / 2 + FOCAL * x / depth, HEIGHT / 2 - FOCAL * rise / depth


def facade(times: float = 1.0) -> Facade:
    """Of a picture that is so many times as large."""
    tall = STOREYS * STOREY
    corners = {
        "ground": [pixel(-WIDE / 2, 0, 0), pixel(WIDE / 2, 0, 0)],
        "roof": [pixel(-WIDE / 2, 0, tall), pixel(WIDE / 2, 0, tall)],
    }
    drawn = {key: (np.array(places) * times).tolist() for key, places in corners.items()}
    return Facade(
        FacadeSettings.model_validate({"floors": STOREYS, "columns": COLUMNS, **drawn}), round(HEIGHT * times)
    )


class Let(NamedTuple):
    """Let go of: floor, metres right of the middle, m/s outwards, sideways and down, and terminal speed."""

    floor: int
    x: float = 2.0
    out: float = 0.5
    aside: float = 0.4
    down: float = 0.0
    terminal: float = 25.0

    def way(self) -> np.ndarray:
        """Seconds since, x and y for every frame until the ground."""
        place = np.array([self.x, 0.5, (self.floor - 1) * STOREY + 1.3])
        speed = np.array([self.aside, self.out, -self.down])
        rows, step, age = [], 1 / (RATE * 10), 0
        while place[2] > 0:
            if age % 10 == 0:
                rows.append((age * step, *pixel(*place)))
            speed = speed + (np.array([0, 0, -9.81]) - 9.81 * np.linalg.norm(speed) / self.terminal**2 * speed) * step
            place = place + speed * step
            age += 1
        return np.array(rows)


def followed(rows: np.ndarray, scale: float = 1.0) -> Way:
    """A track of these rows, seen as well as spots are; ``scale`` of the picture was looked at."""
    dice = np.random.default_rng(3)
    way = Way(scale)
    for time, x, y in rows:
        way.times.append(float(time))
        x, y = np.array((x, y)) + dice.normal(0, 0.25, 2)
        way.spots.append(Spot(float(x), float(y), 2.0, 3.0, 5.0, 40.0, 1))
    return way


def logged(rows: np.ndarray, others: int = 0, always: Sequence[tuple[float, float]] = ()) -> Log:
    """What was seen in each frame before: of the thing (x below 0: nothing), so much else, and what is always there."""
    dice = np.random.default_rng(4)
    log: Log = []
    for time, x, y in rows:
        places = [dice.uniform((0, 0), (WIDTH, HEIGHT), (others, 2)), np.array(always, np.float64).reshape(-1, 2)]
        if x >= 0:
            places.append(np.array([[x, y]]) + dice.normal(0, 0.4, 2))
        log.append((float(time), np.concatenate(places), 0))
    return log


def origin(way: Way, log: Log = [], times: float = 1.0) -> Origin:  # noqa: B006 - never changed
    wall = facade(times)
    measured = measure(way, wall, known=True, told=True)
    assert measured is not None
    return find_origin(way, measured, wall, log)


def test_the_table_is_a_fall_with_drag() -> None:
    table = thrown()
    fall = np.flatnonzero(table.outward == OUTWARD[0])
    terminals, speeds = (part.ravel() for part in np.meshgrid(TERMINALS, DOWNWARD, indexing="ij"))
    for seconds in (0.5, 2.0, 6.0):
        start = np.arctanh(speeds / terminals)
        metres = terminals**2 / 9.81 * np.log(np.cosh(9.81 * seconds / terminals + start) / np.cosh(start))
        assert table.down_after(fall, np.array(seconds)) == pytest.approx(metres, rel=0.02, abs=0.15)
    # Without drag it goes on as it was thrown.
    assert table.carried_after(fall[-1:], np.array(0.5)) == pytest.approx(0.5, rel=0.02)


def test_the_interval_leaves_a_twentieth_on_either_side() -> None:
    share = np.array([0.04, 0.06, 0.5, 0.3, 0.06, 0.04])
    assert interval(share) == (2, 5)
    assert interval(np.array([0.0, 1.0, 0.0])) == (2, 2)


@pytest.mark.parametrize("floor", [4, 13, 26])
@pytest.mark.parametrize("terminal", [6.0, 14.0, 40.0])
@pytest.mark.parametrize("late", [0.1, 0.5])
def test_the_floor_is_found_from_the_first_second(floor: int, terminal: float, late: float) -> None:
    rows = Let(floor, terminal=terminal).way()
    told = origin(followed(rows[rows[:, 0] >= late]))
    assert abs(told.floor - floor) <= 1
    assert told.interval[0] <= floor <= told.interval[1]
    assert told.column == 3


@pytest.mark.parametrize("times", [1.0, 2.0])
def test_what_is_thrown_outwards_seems_to_rise_and_is_told_from_where_it_began(times: float) -> None:
    # From below it seems to rise by floors before it comes down: only then is it followed.
    rows = Let(23, out=3.8, terminal=35.0).way()
    after = int(np.argmin(rows[:, 2])) + 3
    assert facade().on_wall(rows[after : after + 1, 1:])[0, 1] > 23.5
    rows[:, 0] += 5.0
    told = origin(followed(rows[after:], 1 / times), logged(rows[:after]), times)
    assert told.floor == 23
    assert told.interval[1] - told.interval[0] <= 1


def faint(floor: int) -> tuple[np.ndarray, np.ndarray]:
    """What sinks at its terminal speed when it is followed at last, and what was seen of it before: one frame in five.

    A second and a half before it there was nothing.
    """
    rows = Let(floor, terminal=9.0).way()
    rows[:, 0] += 10.0
    after = int(3.6 * RATE)
    before = rows[:after].copy()
    before[np.arange(after) % 5 > 0, 1] = -1
    empty = np.stack([np.arange(10 - 1.5, 10.0, 1 / RATE), *np.full((2, 38), -1.0)], axis=1)
    return np.concatenate([empty, before]), rows[after:]


@pytest.mark.parametrize("others", [0, 5, 40])
def test_what_was_seen_now_and_then_before_it_was_followed_counts(others: int) -> None:
    before, after = faint(22)
    way = followed(after)
    blind = origin(way)
    assert blind.floor < 20
    told = origin(way, logged(before, others))
    assert abs(told.floor - 22) <= 1
    assert told.interval[0] <= 22 <= told.interval[1]
    assert told.interval[1] - told.interval[0] <= 3


@pytest.mark.parametrize("others", [0, 5, 40])
@pytest.mark.parametrize("rope", [False, True])
def test_what_was_seen_elsewhere_or_is_always_there_does_not(others: int, rope: bool) -> None:
    rows = Let(15, terminal=7.0, aside=0.0).way()
    rows[:, 0] += 10.0
    earlier = np.arange(4.0, 10.8, 1 / RATE)
    nothing = np.stack([earlier, *np.full((2, len(earlier)), -1.0)], axis=1)
    # It hangs above, on the very way, and sways in every frame.
    above = [(float(rows[0, 1]), float(y)) for y in np.arange(10.0, rows[0, 2], 9.0)] if rope else []
    told = origin(followed(rows[20:]), logged(nothing, others, above))
    assert abs(told.floor - 15) <= 1
    assert told.interval[0] <= 15
    assert told.interval[1] <= 18


def test_what_was_joined_but_came_from_elsewhere_is_left_out() -> None:
    rows = Let(12, terminal=18.0).way()
    rows[:, 0] += 5.0
    bird = np.array([(3.6 + index / RATE, rows[0, 1] - 70 + 3 * index, rows[0, 2] - 90 + index) for index in range(14)])
    clean = origin(followed(rows[4:]))
    told = origin(followed(np.concatenate([bird, rows[4:]])))
    assert clean.floor == told.floor == 12
    # The same thing over the same gap is one: nothing is left out.
    hidden = rows[(rows[:, 0] < 5.5) | (rows[:, 0] > 6.0)]
    assert origin(followed(hidden)).floor == 12


def test_from_the_roof_it_is_the_highest_floor() -> None:
    told = origin(followed(Let(STOREYS + 2, terminal=30.0).way()[2:]))
    assert told.floor == STOREYS
    assert told.interval[1] == STOREYS


@pytest.mark.parametrize("seconds", [0.04, 0.9])
def test_a_track_of_eight_spots_is_enough_however_far_apart_they_are(seconds: float) -> None:
    rows = Let(20, terminal=5.0, aside=0.0).way()
    told = origin(followed(rows[3 :: max(1, round(seconds * RATE))][:8]))
    assert 18 <= told.floor <= 22
