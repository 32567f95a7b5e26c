"""What is somewhere for a moment only is found, also when it is so large or slow that it covers itself for a while."""

import numpy as np
import pytest

from gateway.vision.falling.spots import SpotFinder

WIDTH, HEIGHT, RATE = 960, 540, 25.0


def spots_of(size: int, step: float, frames: int = 40) -> list[int]:
    """Spots in each judged frame of a bright square that sinks ``step`` pixels a frame."""
    finder = SpotFinder(WIDTH, HEIGHT)
    dice = np.random.default_rng(3)
    wall = dice.integers(90, 110, (HEIGHT, WIDTH)).astype(np.uint8)
    found = []
    for index in range(frames):
        picture = wall.copy()
        top = round(100 + step * index)
        picture[top : top + size, 300 : 300 + size] = 200
        # No sensor sends the same frame twice: one pixel elsewhere is enough.
        picture[0, 0] = index
        found += [len(spots) for _, spots in finder.feed(finder.reduced(picture), index / RATE)]
    return found


@pytest.mark.parametrize(("size", "step"), [(3, 6.0), (8, 4.0), (5, 1.0), (8, 2.0)])
def test_one_thing_is_one_spot_in_every_frame(size: int, step: float) -> None:
    found = spots_of(size, step)
    assert found[4:] == [1] * (len(found) - 4)


def test_what_stands_still_is_none() -> None:
    assert set(spots_of(6, 0.0)) == {0}
