"""One look: the quick reader alone where it is sure, two rows or the second reader where it is not."""

import numpy as np

from gateway.vision.beam import Guess
from gateway.vision.evidence import Pixels
from gateway.vision.look import read_plate
from gateway.vision.plates import FoundPlate, PlateRead, rectified
from gateway.vision.shapes import Box

YELLOW, BLUE = (20, 180, 230), (150, 60, 10)
PLATE = FoundPlate(Box(100, 100, 220, 138), np.array([[100, 100], [220, 100], [220, 138], [100, 138]], np.float32), 1.0)


def said(text: str, sure: float, *, double: bool = False) -> PlateRead:
    return PlateRead((Guess(text, "ordinary", 1.0),), (sure,) * len(text), double)


class Told:
    """Readers that say what the test wants: one row, two rows, the second reader."""

    def __init__(self, one: PlateRead | None, two: PlateRead | None, second: PlateRead | None) -> None:
        self.answers = {"one": one, "two": two, "second": second}
        self.asked: list[str] = []

    def find(self, picture: Pixels, region: Box, expected: float = 0.0) -> list[FoundPlate]:
        raise AssertionError("a look finds nothing")

    def read(self, crop: Pixels) -> PlateRead | None:
        self.asked.append("one" if crop.shape[0] < 60 else "two")
        return self.answers[self.asked[-1]]

    def second(self, crop: Pixels) -> PlateRead | None:
        self.asked.append("second")
        return self.answers["second"]


def look(sight: Told, ground: tuple[int, int, int], *, ask: bool = True) -> tuple[PlateRead | None, bool]:
    picture = np.full((240, 320, 3), ground, np.uint8)
    picture[108:130, 106:214:12] = 255 - np.array(ground)
    return read_plate(sight, picture, PLATE, rectified(picture, PLATE), ask=ask)


def test_a_sure_read_stands_alone() -> None:
    sight = Told(said("沪A12345", 0.97), None, None)
    assert look(sight, BLUE) == (said("沪A12345", 0.97), False)
    assert sight.asked == ["one"]


def test_an_unsure_yellow_plate_is_read_in_two_rows() -> None:
    double = said("沪A12345", 0.96, double=True)
    sight = Told(said("沪A1234", 0.4), double, None)
    assert look(sight, YELLOW) == (double, False)
    assert sight.asked == ["one", "two"]


def test_a_blue_plate_has_one_row() -> None:
    sight = Told(said("沪A12345", 0.4), said("沪A99999", 0.99, double=True), said("沪A12845", 0.8))
    assert look(sight, BLUE) == (said("沪A12845", 0.8), True)
    assert sight.asked == ["one", "second"]


def test_the_second_reader_is_asked_only_while_it_may_be() -> None:
    sight = Told(said("沪A12345", 0.4), None, said("沪A12845", 0.8))
    assert look(sight, BLUE, ask=False) == (said("沪A12345", 0.4), False)
    assert sight.asked == ["one"]


def test_nothing_read_by_anybody_is_nothing() -> None:
    assert look(Told(None, None, None), YELLOW) == (None, True)
