"""Two vehicles whose plates are in the picture at once, or one behind another: each keeps its own."""

import itertools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gateway.vision.beam import Guess
from gateway.vision.gate import VehicleGate
from gateway.vision.lists import PlateLists
from gateway.vision.messages import Passage
from gateway.vision.plates import FoundPlate, PlateRead
from gateway.vision.shapes import Box
from tests.vision.lane import camera_settings
from tests.vision.test_lost import sighting

FIRST, SECOND = "沪A12345", "京B67890"
GREY = {FIRST: 200, SECOND: 60}
SIZE = (960, 540)
PAINT = {
    text: np.random.default_rng(seed).integers(30, 220, (SIZE[1], SIZE[0], 1), np.uint8)
    for seed, text in enumerate(GREY)
}


class Drawn:
    """Grey vehicles with plates on a grey road, and a sight that finds and reads them by their brightness.

    The first one's plate is found down to ``until`` only, and never read twice as the same unless ``clear``.
    """

    def __init__(self, until: float = 1000.0, *, clear: bool = True) -> None:
        self.plates: list[FoundPlate] = []
        self._until, self._clear, self._last = until, clear, itertools.cycle("378")

    def frame(self, now: float, cars: dict[str, tuple[float, float] | None]) -> Any:
        """``cars``: the middle of each vehicle's plate, by its text."""
        picture = np.full((SIZE[1], SIZE[0], 3), 110, np.uint8)
        self.plates = []
        for text, middle in cars.items():
            if middle is None:
                continue
            x, y = middle
            body = np.s_[max(0, int(y) - 160) : max(0, int(y) + 40), max(0, int(x) - 150) : int(x) + 150]
            picture[body] = PAINT[text][body]
            picture[max(0, int(y) - 20) : max(0, int(y) + 20), int(x) - 50 : int(x) + 50] = GREY[text]
            if text != FIRST or y < self._until:
                self.plates.append(sighting(x, y))
        return SimpleNamespace(
            time=now, arrived=0.0, width=SIZE[0], height=SIZE[1], bgr=picture, luma=picture[..., 0].copy()
        )

    def find(self, picture: Any, region: Box, expected: float = 0.0, *, dark: bool = False) -> list[FoundPlate]:
        return [plate for plate in self.plates if region.holds(plate.middle) and Box(0, 0, *SIZE).holds(plate.middle)]

    def read(self, crop: Any) -> PlateRead | None:
        level = float(np.median(crop))
        text = min(GREY, key=lambda one: abs(GREY[one] - level))
        if text == FIRST and not self._clear:
            text = text[:-1] + next(self._last)
        return PlateRead((Guess(text, "ordinary", 1.0),), (0.97,) * len(text))

    second = read


def along(*points: tuple[float, float, float]) -> Any:
    """Where a plate is at a time: between points of time, x and y; None before and after them."""

    def place(now: float) -> tuple[float, float] | None:
        for (begin, x, y), (end, to_x, to_y) in itertools.pairwise(points):
            if begin <= now < end:
                share = (now - begin) / (end - begin)
                return x + share * (to_x - x), y + share * (to_y - y)
        return None

    return place


@pytest.mark.parametrize("aside", [300, 350])
def test_a_plate_that_stands_does_not_go_with_one_that_passes(aside: float) -> None:
    ways = {
        FIRST: along((0.0, 200 + aside, -40), (1.5, 200 + aside, 300), (9.0, 200 + aside, 300)),
        SECOND: along((5.0, 200, -40), (7.0, 200, 580)),
    }
    assert [(one.text, one.status, read_as(one)) for one in told(Drawn(), ways, 8.5)] == [
        (SECOND, "accepted", {SECOND})
    ]


@pytest.mark.parametrize("gap", [1.0, 1.8])
@pytest.mark.parametrize("until", [150.0, 250.0])
def test_who_follows_is_not_the_one_ahead_whose_plate_is_out_of_sight(gap: float, until: float) -> None:
    ways = {
        text: along((begin, 400, -40), (begin + 2.5, 400, 720)) for text, begin in ((FIRST, 0.5), (SECOND, 0.5 + gap))
    }
    found = told(Drawn(until, clear=False), ways, 8.0)
    assert sorted(one.status for one in found) == ["accepted", "uncertain"]
    assert next(read_as(one) for one in found if one.status == "accepted") == {SECOND}


def told(drawn: Drawn, ways: dict[str, Any], seconds: float) -> list[Passage]:
    gate = VehicleGate(camera_settings(vehicles={}, unblurred="a drawn street"), drawn, PlateLists({}))
    found = []
    for number in range(math.floor(seconds * 25)):
        now = number / 25
        found += gate.offer(drawn.frame(now, {text: way(now) for text, way in ways.items()}), round(now * 1e9)) or []
    return found


def read_as(passage: Passage) -> set[str]:
    return {read.text for read in passage.reads}
