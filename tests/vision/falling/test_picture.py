"""The picture of a fall shows where it began, its way, and nothing of the facade beside them."""

import cv2
import numpy as np
import pytest

from gateway.settings.camera import FacadeSettings
from gateway.vision.falling.facade import Facade
from gateway.vision.falling.picture import MARGIN, draw_way
from gateway.vision.messages import Origin
from gateway.vision.shapes import Box
from tests.vision.falling.drawn import FACADE, HEIGHT, LEFT, PER_FLOOR, RIGHT, TOP, WIDTH
from tests.vision.test_privacy import Faces, veil

PLACES = np.array([(240.0, y) for y in range(200, 420, 4)])


def drawn(origin: Origin | None) -> np.ndarray:
    facade = Facade(FacadeSettings.model_validate(FACADE), HEIGHT)
    jpeg = draw_way(np.full((HEIGHT, WIDTH, 3), 255, np.uint8), PLACES, origin, facade if origin else None)
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))


def marked(picture: np.ndarray) -> np.ndarray:
    """Where it is yellow, in rows and columns of the picture."""
    blue, green, red = np.moveaxis(picture.astype(int), 2, 0)
    return np.argwhere((blue < 190) & (green > 150) & (red > 190))


@pytest.mark.parametrize("interval", [(9, 9), (8, 10)])
def test_the_floors_of_the_release_are_framed_in_its_column(interval: tuple[int, int]) -> None:
    picture = drawn(Origin(9, 2, interval))
    left, top = 240 - MARGIN, 200 - MARGIN
    yellow = marked(picture)
    below = TOP + (12 - interval[0] + 1) * PER_FLOOR - top
    edge = yellow[np.abs(yellow[:, 0] - below) < 2.5]
    assert edge[:, 1].min() == pytest.approx(LEFT + (RIGHT - LEFT) / 3 - left, abs=3)
    assert edge[:, 1].max() == pytest.approx(min(RIGHT - (RIGHT - LEFT) / 3 - left, picture.shape[1] - 1), abs=3)
    assert len(marked(drawn(None))) < len(yellow) / 2


def test_the_rest_of_the_facade_is_not_shown() -> None:
    assert drawn(Origin(12, 1, (1, 12))).shape[:2] == drawn(None).shape[:2]
    assert drawn(None).shape[0] <= 220 + 2 * MARGIN + 16


@pytest.mark.parametrize("error", [None, ValueError("no numbers")])
def test_faces_in_it_are_hidden_and_a_model_that_fails_is_told_of(error: Exception | None) -> None:
    frame = np.random.default_rng(7).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    faces = Faces([Box(280, 300, 316, 345)], error)
    jpeg = draw_way(frame, PLACES, None, None, veil(faces))
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None

    def fineness(left: int, top: int) -> float:
        part = picture[top - (200 - MARGIN) :, left - (240 - MARGIN) :][:45, :36].astype(np.int16)
        return float(np.abs(np.diff(part, axis=1)).mean())

    assert (fineness(280, 300) < 12) == (error is None)
    assert fineness(280, 200) > 20
    assert len(faces.failures) == (error is not None)
