"""Detector and reader on real photographs, and the colour of plates."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from gateway.vision import plates
from gateway.vision.look import read_plate
from gateway.vision.plates import FoundPlate, background_colour, rectified, sharpness
from gateway.vision.shapes import Box
from gateway.vision.sight import ModelSight


def picture(path: Path) -> np.ndarray:
    found = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    return found


def test_all_six_photographs_are_read_right(shared: Path, sight: ModelSight) -> None:
    files = sorted((shared / "media" / "plates" / "ccpd").glob("*.jpg"))
    assert len(files) == 6
    for file in files:
        photo = picture(file)
        found = sight.find(photo, Box(0, 0, photo.shape[1], photo.shape[0]))
        assert len(found) == 1, file.name
        read = read_plate(sight, photo, found[0], rectified(photo, found[0]))
        assert read is not None
        assert read.text == file.stem


def test_real_crops(shared: Path, sight: ModelSight) -> None:
    """The crops that no training saw: scripts/eval_plates prints exact numbers."""
    files = sorted((shared / "media" / "plates" / "crops").glob("*.jpg"))
    held_out = [file for file in files if hashlib.sha256(file.stem.encode()).digest()[0] & 1]
    assert len(held_out) > 200
    right = 0
    for file in held_out[::3]:
        crop = np.asarray(cv2.resize(picture(file), (192, 48)), np.uint8)
        whole = FoundPlate(Box(0, 0, 192, 48), np.array([[0, 0], [192, 0], [192, 48], [0, 48]], np.float32), 1.0)
        read = read_plate(sight, crop, whole, crop)
        right += read is not None and read.text == file.stem
    assert right >= 0.94 * len(held_out[::3])


def test_a_picture_without_plates_has_none(sight: ModelSight) -> None:
    grey = np.full((360, 640, 3), 120, np.uint8)
    assert sight.find(grey, Box(0, 0, 640, 360)) == []
    assert sight.find(grey, Box(0, 0, 10, 10)) == []
    assert sight.read(np.full((48, 192, 3), 120, np.uint8)) is None


@pytest.mark.parametrize(
    ("ground", "strokes", "colour"),
    [
        ((150, 60, 10), 255, "blue"),
        ((120, 200, 110), 0, "green"),
        ((20, 180, 230), 0, "yellow"),
        ((226, 232, 235), 0, "white"),
        ((26, 22, 18), 255, "black"),
        ((44, 28, 12), 230, "black"),  # the sky's light
        ((40, 16, 3), 68, "blue"),  # from here in the dusk
        ((86, 92, 94), 10, "white"),
        ((14, 12, 10), 90, "black"),
        ((235, 235, 235), 0, "unknown"),  # from here in infrared light
        ((60, 60, 60), 250, "unknown"),
        ((118, 120, 122), 120, "unknown"),  # nothing on it
        ((0, 0, 0), 0, "unknown"),
    ],
)
def test_colours(ground: tuple[int, int, int], strokes: int, colour: str) -> None:
    crop = np.full((48, 192, 3), ground, np.uint8)
    for left, wide in ((20, 20), (64, 14), (88, 20), (128, 3), (150, 8)):
        crop[10:38, left : left + wide] = strokes
    assert background_colour(crop) == colour


def test_the_paint_around_a_plate_is_not_its_colour() -> None:
    crop = np.full((48, 192, 3), (10, 150, 190), np.uint8)
    crop[6:42, 10:182] = (150, 158, 160)
    crop[14:34, 24:170:16] = crop[14:34, 25:170:16] = 20
    assert background_colour(crop) == "white"


def test_blur_lowers_the_sharpness() -> None:
    crop = np.random.default_rng(1).integers(0, 2, (12, 48, 1), np.uint8).repeat(3, 2) * 255
    crisp = cv2.resize(crop, (192, 48), interpolation=cv2.INTER_NEAREST)
    assert sharpness(crisp) > 2 * sharpness(cv2.GaussianBlur(crisp, (0, 0), 3))
    assert sharpness(np.zeros((48, 192, 3), np.uint8)) == 0.0


def test_dark_ground_is_tinted_for_the_detector_and_bright_ground_is_not() -> None:
    part = np.full((2, 3, 3), 20, np.uint8)
    part[:, 1], part[:, 2] = (90, 85, 60), (200, 190, 180)
    tinted = plates._tinted(part)
    assert tinted[0].tolist() == [[130, 20, 20], [126, 85, 60], [200, 190, 180]]
    assert part[0, 0, 0] == 20
