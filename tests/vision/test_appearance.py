"""Paint and class: told when the looks agree, unknown otherwise."""

import numpy as np
import pytest

from gateway.vision.appearance import agreed, class_of, paint_of
from gateway.vision.plates import FoundPlate
from gateway.vision.shapes import Box

PLATE = FoundPlate(Box(270, 185, 370, 217), np.array([[270, 185], [370, 185], [370, 217], [270, 217]], np.float32), 1.0)


def car(bgr: tuple[int, int, int]) -> np.ndarray:
    picture = np.full((360, 640, 3), bgr, np.uint8)
    picture[185:217, 270:370] = (150, 60, 10)
    picture[195:207, 275:365:9] = 240  # the plate's strokes: there is light
    return picture


@pytest.mark.parametrize(
    ("bgr", "paint"),
    [
        ((235, 235, 235), "white"),
        ((20, 20, 22), "black"),
        ((40, 38, 170), "red"),
        ((150, 80, 30), "blue"),
        ((60, 110, 40), "green"),
        ((200, 200, 200), "unknown"),  # white in the shade, or silver in the sun
    ],
)
def test_paint_of_plain_metal(bgr: tuple[int, int, int], paint: str) -> None:
    assert paint_of(np.asarray(car(bgr), np.uint8), PLATE) == paint


def test_uneven_metal_has_no_colour() -> None:
    picture = car((40, 38, 170))
    picture[::6, :260] = picture[::6, 380:] = (230, 230, 230)
    picture[1::6, :260] = picture[1::6, 380:] = (230, 230, 230)
    assert paint_of(np.asarray(picture, np.uint8), PLATE) == "unknown"


def test_night_has_no_colour() -> None:
    assert paint_of(np.asarray(car((235, 235, 235)) // 8, np.uint8), PLATE) == "unknown"


def test_looks_have_to_agree() -> None:
    assert agreed(["red", "red", "red", "unknown"]) == "red"
    assert agreed(["red", "red"]) == "unknown"
    assert agreed(["red", "red", "red", "brown", "brown"]) == "unknown"
    assert agreed([]) == "unknown"


@pytest.mark.parametrize(
    ("kind", "colour", "expected"),
    [
        ("ordinary", "blue", "small"),
        ("ordinary", "yellow", "large"),
        ("ordinary", "unknown", "unknown"),
        ("nev_large", "unknown", "large"),
        ("nev_small", "green", "small"),
        ("trailer", "yellow", "trailer"),
        ("coach", "yellow", "unknown"),
    ],
)
def test_what_a_plate_says_of_its_vehicle(kind: str, colour: str, expected: str) -> None:
    assert class_of(kind, colour) == expected
