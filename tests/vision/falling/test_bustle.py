"""From where a thing came: what flew before is followed back, what is let go of is not, and their traits differ."""

import math

import numpy as np
import pytest

from gateway.settings.camera import FacadeSettings
from gateway.vision.falling.bustle import BEFORE, Bustle
from gateway.vision.falling.candidate import Measured, Way, measure
from gateway.vision.falling.facade import Facade
from gateway.vision.falling.spots import Spot
from tests.vision.falling.drawn import FACADE, HEIGHT, PER_METRE

WALL = Facade(FacadeSettings.model_validate(FACADE), HEIGHT)
RATE = 25.0


def going(place, first: float, seconds: float) -> Way:
    made = Way(1.0)
    for step in range(int(seconds * RATE)):
        time = first + step / RATE
        made.times.append(time)
        made.spots.append(Spot(*place(time), 5, 5, 20.0, 70, -1))
    made.frames, made.crowd, made.others = len(made.times), 2.0, 1.0
    return made


def bustle(place, until: float, since: float = 0.0, noise: int = 0) -> Bustle:
    dice, found = np.random.default_rng(3), Bustle()
    for step in range(int(until * RATE)):
        time = step / RATE
        places = [place(time)] if time >= since else []
        places += [(float(dice.uniform(300, 400)), float(dice.uniform(300, 600))) for _ in range(noise)]
        found.log.append((time, np.array(places, np.float64).reshape(-1, 2), 1))
    return found


def bird(time: float) -> tuple[float, float]:
    return 60 + 90 * time, 50 + 60 * time


def test_a_bird_is_followed_back_to_where_it_came_from() -> None:
    before = bustle(bird, 2.0, noise=4).ahead_of(going(bird, 2.0, 0.6))
    assert before.seconds == pytest.approx(BEFORE, abs=0.05)
    assert before.across / before.seconds == pytest.approx(90, rel=0.05)
    assert before.down / before.seconds == pytest.approx(60, rel=0.05)


def test_what_began_to_move_a_moment_before_is_followed_back_that_far() -> None:
    before = bustle(bird, 2.0, since=1.7).ahead_of(going(bird, 2.0, 0.6))
    assert before.seconds == pytest.approx(0.3, abs=0.05)


def test_what_comes_out_of_nowhere_came_from_nowhere() -> None:
    assert bustle(bird, 2.0, since=9.0, noise=4).ahead_of(going(bird, 2.0, 0.6)).seconds == 0.0
    assert Bustle().ahead_of(going(bird, 2.0, 0.6)).seconds == 0.0


def test_after_a_while_out_of_sight_it_is_another_thing() -> None:
    seen = bustle(bird, 1.5)
    assert seen.ahead_of(going(bird, 1.55, 0.6)).seconds > 0.9
    assert seen.ahead_of(going(bird, 1.9, 0.6)).seconds == 0.0


def turning(time: float) -> tuple[float, float]:
    """An even circle, from level flight to straight down."""
    reach = 6 * PER_METRE
    return 150 + reach * math.sin(time), 200 + reach * (1 - math.cos(time))


def falling(time: float) -> tuple[float, float]:
    return 240 + 10 * time, 100 + PER_METRE * 4.905 * (time + 0.2) ** 2


def measured(way: Way) -> Measured:
    found = measure(way, WALL, known=True, told=True)
    assert found is not None
    return found


def test_a_fall_is_pushed_along_its_way_and_a_bird_athwart() -> None:
    fall, turn = (measured(going(place, first, 1.0)).traits for place, first in ((falling, 0.0), (turning, 0.3)))
    assert fall["along"] == pytest.approx(9.81, rel=0.03)
    assert abs(fall["athwart"]) < 1.0
    assert turn["athwart"] == pytest.approx(6, rel=0.1)
    assert abs(turn["along"]) < 1.0
    assert fall["pace_growth"] > 4 > 0.5 > abs(turn["pace_growth"])
    assert turn["turning"] > 0.4


def test_the_traits_before_a_way_are_in_metres_whatever_the_size_of_the_picture() -> None:
    way = going(bird, 2.0, 0.6)
    way.before = bustle(bird, 2.0).ahead_of(way)
    traits = measured(way).traits
    assert traits["came_speed"] == pytest.approx(math.hypot(90, 60) / PER_METRE, rel=0.1)
    assert traits["came_down"] == pytest.approx(60 / PER_METRE, rel=0.1)
