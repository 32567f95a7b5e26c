"""What of a picture may leave: one vehicle and its own plate; the rest is made unrecognisable without a search."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from gateway.vision.evidence import Pixels, cut_jpeg
from gateway.vision.plates import FoundPlate
from gateway.vision.shapes import Box

Find = Callable[[Pixels, Box], Sequence[FoundPlate]]

# OpenCV 5 ships no cascades and no class for them, and its face detector needs a model that no registry has.
# In plate widths (0.44 m): half a wide car's width with its mirrors, what is above its plate, and below.
BESIDE, ABOVE, BELOW = 2.5, 4.3, 1.5
CELL = 0.3  # of a plate's width, 13 cm: a face is one or two cells
SMALLEST_CELL = 6  # pixels
PLATE_CELLS = 5  # across a plate: no character is left of it
SAME = 0.2  # overlap with the vehicle's own plate from which a find is that plate


def veiled_jpeg(picture: Pixels, shown: Box, own: Box | None, find: Find | None) -> bytes | None:
    """Encode the part ``shown`` of a BGR picture with everybody else hidden; None when that cannot be done.

    ``own`` is the plate of the vehicle that the picture is of: beyond a car's width around it only coarse cells are
    left. Other plates, which ``find`` looks for, are made unreadable; without ``own`` all of them are.
    """
    box = shown.within(picture.shape[1], picture.shape[0])
    if box.area < 1:
        return None
    try:
        hidden = _part(picture, box).copy()
        if own is not None:
            _veil_margins(hidden, box, own)
        for plate in find(picture, box) if find is not None else ():
            if own is None or plate.box.overlap(own) < SAME:
                _pixelate(hidden, _moved(plate.box.grown(0.15), box), plate.width / PLATE_CELLS)
        height, width = hidden.shape[:2]
        return cut_jpeg(hidden, Box(0, 0, width, height))
    except (cv2.error, ValueError):
        return None


def _veil_margins(part: Pixels, box: Box, own: Box) -> None:
    """Make everything coarse but a car's outline around the plate."""
    across, (x, y) = own.width, own.middle
    keep = _moved(Box(x - BESIDE * across, y - ABOVE * across, x + BESIDE * across, y + BELOW * across), box)
    height, width = part.shape[:2]
    left, right = min(max(keep.left, 0.0), width), min(max(keep.right, 0.0), width)
    top, bottom = min(max(keep.top, 0.0), height), min(max(keep.bottom, 0.0), height)
    cell = CELL * across
    for margin in (
        Box(0, 0, left, height),
        Box(right, 0, width, height),
        Box(left, 0, right, top),
        Box(left, bottom, right, height),
    ):
        _pixelate(part, margin, cell)


def _pixelate(part: Pixels, box: Box, cell: float) -> None:
    """Replace a box by cells of one colour each, in place."""
    height, width = part.shape[:2]
    inside = box.within(width, height)
    spot = _part(part, inside)
    if not spot.size:
        return
    size = max(SMALLEST_CELL, round(cell))
    tall, wide = spot.shape[:2]
    small: Any = cv2.resize(spot, (max(1, wide // size), max(1, tall // size)), interpolation=cv2.INTER_AREA)
    spot[:] = cv2.resize(small, (wide, tall), interpolation=cv2.INTER_NEAREST)


def _part(picture: Pixels, box: Box) -> Any:  # noqa: ANN401 - a view of an array
    return picture[int(box.top) : int(np.ceil(box.bottom)), int(box.left) : int(np.ceil(box.right))]


def _moved(box: Box, origin: Box) -> Box:
    left, top = int(origin.left), int(origin.top)
    return Box(box.left - left, box.top - top, box.right - left, box.bottom - top)
