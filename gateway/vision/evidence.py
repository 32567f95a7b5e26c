"""What of a frame may be seen and kept: masks burnt in, the vehicle's picture cut out, its hashes."""

import hashlib
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gateway.vision.shapes import Box, around

Pixels = npt.NDArray[np.uint8]
Polygons = Sequence[Sequence[tuple[float, float]]]
QUALITY = 88
WIDEST = 1280  # pixels: a wider picture of a vehicle shows nothing more


def burn(picture: Pixels, masks: Sequence[Sequence[tuple[float, float]]]) -> Pixels:
    """Black out the polygons in place (the picture must be writable) and give it back."""
    for mask in masks:
        cv2.fillPoly(picture, [np.array(mask, np.float64).round().astype(np.int32)], (0, 0, 0))
    return picture


def vehicle_box(plate: Box, motion: Box | None) -> Box:
    """What a picture shows: generous around the plate (a car is about four plates wide), but no more than moves.

    It may reach beyond the frame.
    """
    across = plate.width
    x, y = plate.middle
    box = Box(x - 2.8 * across, y - 4.2 * across, x + 2.8 * across, y + 1.4 * across)
    if motion is None or not motion.holds((x, y)):
        return box
    return around((box.meets(motion.grown(0.08)), plate.grown(0.5)))


def cut_jpeg(picture: Pixels, box: Box, widest: int = WIDEST) -> bytes:
    """Encode a part of a BGR picture, shrunk to ``widest`` pixels; ValueError when there is nothing in the box."""
    part: Any = picture[int(box.top) : int(np.ceil(box.bottom)), int(box.left) : int(np.ceil(box.right))]
    if part.size == 0:
        raise ValueError("empty box")
    if part.shape[1] > widest:
        tall = max(1, round(part.shape[0] * widest / part.shape[1]))
        part = cv2.resize(part, (widest, tall), interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", part, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError("cannot encode")
    return data.tobytes()


def frame_hash(picture: Pixels) -> str:
    """SHA-256 of the frame's masked BGR pixels, row by row."""
    return hashlib.sha256(np.ascontiguousarray(picture).data).hexdigest()
