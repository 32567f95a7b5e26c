"""A swaying camera's picture is held still; one that stands still is left alone."""

import math

import cv2
import numpy as np

from gateway.vision.falling.steady import Steadier
from tests.vision.falling.drawn import wall


def swayed(picture: np.ndarray, x: float, y: float, look: int = 0) -> np.ndarray:
    way = np.array([[1, 0, x], [0, 1, y]], np.float32)
    moved = cv2.warpAffine(picture, way, picture.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.clip(moved + np.random.default_rng(look).normal(0, 1.0, moved.shape), 0, 255).astype(np.uint8)


def away(one: np.ndarray, two: np.ndarray) -> float:
    return float((cv2.absdiff(one, two) > 12).mean())


def test_a_sway_is_taken_back() -> None:
    steadier, still = Steadier(), cv2.GaussianBlur(wall(), (0, 0), 0.8)
    shifts = [(math.sin(1.1 * step), 0.8 * math.cos(0.9 * step)) for step in range(60)]
    raw = [swayed(still, x, y, step) for step, (x, y) in enumerate(shifts)]
    held = [steadier.still(picture.copy()) for picture in raw]
    assert steadier.sways
    before = np.mean([away(one, two) for one, two in zip(raw[-20:], raw[-19:], strict=False)])
    after = np.mean([away(one, two) for one, two in zip(held[-20:], held[-19:], strict=False)])
    assert after < 0.2 * before


def test_what_moves_before_a_camera_that_stands_still_changes_nothing() -> None:
    steadier, still = Steadier(), wall()
    for step in range(60):
        picture = swayed(still, 0, 0, step)
        cv2.circle(picture, (20 + 7 * step, 300), 30, 20.0, -1)
        given = (picture * (1.0 if step < 30 else 0.8)).astype(np.uint8)
        assert np.array_equal(steadier.still(given.copy()), given)
    assert not steadier.sways
