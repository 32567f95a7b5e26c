"""Pictures that leave: one vehicle and its own plate; everything else is unrecognisable, and failing shows nothing."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest

from gateway.vision.evidence import Pixels
from gateway.vision.faces import LONGEST, FoundFace
from gateway.vision.plates import FoundPlate
from gateway.vision.privacy import Veil, veiled_jpeg
from gateway.vision.shapes import Box

OWN = Box(600, 500, 700, 530)
SHOWN = Box(300, 100, 1000, 650)


def scene() -> Pixels:
    """Fine noise everywhere: whatever is still as fine in the picture was not hidden."""
    return np.random.default_rng(7).integers(0, 256, (720, 1280, 3), np.uint8)


def found(box: Box) -> FoundPlate:
    corners = np.array(
        [[box.left, box.top], [box.right, box.top], [box.right, box.bottom], [box.left, box.bottom]], np.float32
    )
    return FoundPlate(box, corners, 0.9)


def fineness(jpeg: bytes | None, box: Box) -> float:
    """Mean difference of neighbours in a box of the whole frame."""
    assert jpeg is not None
    picture: Any = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    left, top = round(box.left - SHOWN.left), round(box.top - SHOWN.top)
    part = picture[top : top + round(box.height), left : left + round(box.width)].astype(np.int16)
    return float(np.abs(np.diff(part, axis=1)).mean())


def test_the_vehicle_stays_and_what_stands_beside_it_does_not() -> None:
    jpeg = veiled_jpeg(scene(), SHOWN, OWN, None)
    assert fineness(jpeg, OWN) > 20
    assert fineness(jpeg, Box(500, 200, 800, 600)) > 20
    for beside in (Box(310, 300, 380, 600), Box(920, 150, 990, 640), Box(600, 660 - 9, 700, 649)):
        if beside.area:
            assert fineness(jpeg, beside) < 8


def test_other_plates_are_unreadable_and_its_own_stays() -> None:
    other = Box(560, 200, 640, 225)

    def find(picture: Pixels, region: Box) -> Sequence[FoundPlate]:
        return [found(OWN), found(other)]

    jpeg = veiled_jpeg(scene(), SHOWN, OWN, find)
    assert fineness(jpeg, other) < 12 < 20 < fineness(jpeg, OWN)
    nobodys = veiled_jpeg(scene(), SHOWN, None, find)
    assert max(fineness(nobodys, other), fineness(nobodys, OWN)) < 12
    assert fineness(nobodys, Box(320, 300, 380, 600)) > 20


@pytest.mark.parametrize("error", [cv2.error("broken"), ValueError("broken"), RuntimeError("broken"), MemoryError()])
def test_a_failing_detector_shows_nothing(error: Exception) -> None:
    def find(picture: Pixels, region: Box) -> Sequence[FoundPlate]:
        raise error

    assert veiled_jpeg(scene(), SHOWN, OWN, find) is None
    assert veiled_jpeg(scene(), Box(5, 5, 5, 9), OWN, None) is None


@pytest.mark.parametrize("unblurred", [False, True])
def test_a_failing_encoder_shows_nothing(monkeypatch: pytest.MonkeyPatch, unblurred: bool) -> None:
    monkeypatch.setattr(cv2, "imencode", lambda *_: (False, None))
    veil = Veil(lambda *_: (), unblurred=unblurred)
    assert veil.jpeg(scene(), SHOWN, OWN) is None
    monkeypatch.undo()
    assert veil.jpeg(scene(), SHOWN, OWN)
    assert veil.jpeg(scene(), Box(1400, 5, 1500, 9), OWN) is None


def test_the_frame_itself_is_left_alone() -> None:
    picture = scene()
    before = picture.copy()
    veiled_jpeg(picture, SHOWN, OWN, lambda *_: [found(Box(560, 200, 640, 225))])
    assert np.array_equal(picture, before)


@pytest.mark.parametrize("own", [Box(0, 0, 80, 20), Box(1200, 700, 1300, 730), Box(-50, 300, 20, 320)])
def test_plates_at_the_edges(own: Box) -> None:
    box = Box(own.left - 200, own.top - 300, own.right + 200, own.bottom + 100)
    assert veiled_jpeg(scene(), box, own, lambda *_: [found(own)]) is not None


class Faces:
    """Stands for a model that finds faces, or fails at it."""

    def __init__(self, boxes: Sequence[Box], error: Exception | None = None) -> None:
        self.boxes, self.error, self.failures, self.model = boxes, error, [], self

    failures: list[Exception]
    model: Any

    def find(self, picture: Pixels, region: Box) -> list[FoundFace]:
        if self.error is not None:
            raise self.error
        return [FoundFace(box, 0.9) for box in self.boxes]

    def failed(self, model: Any, error: Exception) -> None:
        self.failures.append(error)
        self.model = None


BESIDE = Box(320, 300, 380, 360)
FACE = Box(330, 310, 366, 350)


def veil(faces: Faces, *, unblurred: bool = False) -> Veil:
    guest: Any = faces
    return Veil(lambda *_: (), guest, unblurred=unblurred)


def test_where_faces_are_found_they_are_hidden_and_the_rest_is_shown() -> None:
    jpeg = veil(Faces([FACE])).jpeg(scene(), SHOWN, OWN)
    assert fineness(jpeg, FACE) < 12
    assert fineness(jpeg, FACE.grown(0.3)) < 12
    for shown in (OWN, Box(310, 400, 390, 640), Box(900, 150, 990, 640)):
        assert fineness(jpeg, shown) > 20
    nobody = veil(Faces([FACE])).jpeg(scene(), SHOWN, None)
    assert fineness(nobody, FACE) < 12 < 20 < fineness(nobody, OWN)


def test_a_detector_that_fails_shows_what_is_shown_without_one_and_is_not_asked_again() -> None:
    faces = Faces([FACE], ValueError("no numbers"))
    hiding = veil(faces)
    for _ in range(2):
        jpeg = hiding.jpeg(scene(), SHOWN, OWN)
        assert fineness(jpeg, BESIDE) < 8 < 20 < fineness(jpeg, OWN)
    assert len(faces.failures) == 1


def test_leave_comes_before_faces() -> None:
    left = veil(Faces([FACE]), unblurred=True).jpeg(scene(), SHOWN, OWN)
    assert fineness(left, FACE) > 20


def test_nothing_leaves_that_is_finer_than_what_was_searched() -> None:
    wide = np.random.default_rng(1).integers(0, 256, (1500, 2400, 3), np.uint8)
    for box in (Box(0, 0, 2400, 700), Box(0, 0, 500, 1500)):
        jpeg = veil(Faces([])).jpeg(wide, box, None)
        picture: Any = cv2.imdecode(np.frombuffer(jpeg or b"", np.uint8), cv2.IMREAD_GRAYSCALE)
        assert max(picture.shape) <= LONGEST + 1


def test_where_nothing_finds_plates_nothing_fine_is_shown() -> None:
    jpeg = veiled_jpeg(scene(), SHOWN, None, None, [])
    assert all(fineness(jpeg, box) < 8 for box in (OWN, Box(320, 300, 380, 600), Box(900, 150, 990, 640)))
    assert fineness(Veil(unblurred=True).jpeg(scene(), SHOWN, None), OWN) > 20
    assert fineness(Veil(lambda *_: ()).jpeg(scene(), SHOWN, None), OWN) > 20
