"""The picture of a fall: the frame around its way, with every place it was seen at and its floor."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gateway.vision.evidence import Pixels, cut_jpeg
from gateway.vision.messages import Origin
from gateway.vision.privacy import Veil, hide_face
from gateway.vision.shapes import Box

MARGIN = 90  # pixels around the way
COLOUR = (40, 40, 255)  # BGR
FIRST = (0, 220, 255)


def draw_way(frame: Pixels, places: npt.NDArray[np.float64], origin: Origin | None, veil: Veil | None = None) -> bytes:
    """A JPEG of the part of a masked BGR frame in which the thing fell; the rest of the facade stays unseen.

    ``veil`` finds the faces in that part, which are hidden.
    """
    height, width = frame.shape[:2]
    picture: Any = frame.copy()
    left, top = np.maximum(0, places.min(axis=0) - MARGIN)
    right, bottom = np.minimum((width, height), places.max(axis=0) + MARGIN)
    shown = Box(float(left), float(top), float(right), float(bottom))
    for face in (veil.faces(frame, shown) if veil is not None else None) or ():
        hide_face(picture, face)
    points = places.round().astype(np.int32)
    cv2.polylines(picture, [points], False, COLOUR, 1, cv2.LINE_AA)
    for x, y in points:
        cv2.circle(picture, (int(x), int(y)), 4, COLOUR, 1, cv2.LINE_AA)
    x, y = (int(value) for value in points[0])
    cv2.circle(picture, (x, y), 9, FIRST, 2, cv2.LINE_AA)
    if origin is not None:
        text = f"floor {origin.floor} ({origin.interval[0]}-{origin.interval[1]})"
        beside = min(x + 14, max(0, int(right) - 190))
        cv2.putText(picture, text, (beside, max(16, y - 12)), cv2.FONT_HERSHEY_SIMPLEX, 0.6, FIRST, 2, cv2.LINE_AA)
    return cut_jpeg(picture, shown)
