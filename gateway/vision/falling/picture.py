"""The picture of a fall: the frame around its way, with the places it was seen at, its floor and its column."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gateway.vision.evidence import Pixels, cut_jpeg
from gateway.vision.falling.facade import Facade
from gateway.vision.messages import Origin
from gateway.vision.privacy import Veil, hide_face
from gateway.vision.shapes import Box

MARGIN = 90  # pixels around the way
APART = 9  # pixels between two marks: nearer ones would hide what they mark
COLOUR = (40, 40, 255)  # BGR
FIRST, EDGE = (0, 220, 255), (0, 0, 0)
FONT, HIGH, ROW = cv2.FONT_HERSHEY_SIMPLEX, 0.6, 22  # and pixels from line to line

Places = npt.NDArray[np.float64]


def draw_way(
    frame: Pixels, places: Places, origin: Origin | None, facade: Facade | None = None, veil: Veil | None = None
) -> bytes:
    """A JPEG of the part of a masked BGR frame in which the thing fell; the rest of the facade stays unseen.

    ``facade`` tells where the floors of ``origin`` are; ``veil`` finds the faces in that part, which are hidden.
    """
    height, width = frame.shape[:2]
    picture: Any = frame.copy()
    left, top = np.maximum(0, places.min(axis=0) - MARGIN)
    right, bottom = np.minimum((width, height), places.max(axis=0) + MARGIN)
    shown = Box(float(left), float(top), float(right), float(bottom))
    for face in (veil.faces(frame, shown) if veil is not None else None) or ():
        hide_face(picture, face)
    points = places.round().astype(np.int32)
    if origin is not None and facade is not None:
        cv2.polylines(picture, [_cell(origin, facade)], True, FIRST, 1, cv2.LINE_AA)
    cv2.polylines(picture, [points], False, COLOUR, 1, cv2.LINE_AA)
    before = points[0]
    for place in points[1:]:
        if np.hypot(*(place - before)) >= APART:
            cv2.circle(picture, (int(place[0]), int(place[1])), 4, COLOUR, 1, cv2.LINE_AA)
            before = place
    x, y = (int(value) for value in points[0])
    cv2.circle(picture, (x, y), 9, FIRST, 2, cv2.LINE_AA)
    words = _words(origin, facade)
    for number, line in enumerate(words):
        (long, _), _ = cv2.getTextSize(line, FONT, HIGH, 2)
        place = min(x + 14, max(0, int(right) - long - 4)), max(16, y - 12 - ROW * (len(words) - 1)) + ROW * number
        for colour, thick in ((EDGE, 4), (FIRST, 2)):  # to be read before a bright sky too
            cv2.putText(picture, line, place, FONT, HIGH, colour, thick, cv2.LINE_AA)
    return cut_jpeg(picture, shown)


def _cell(origin: Origin, facade: Facade) -> npt.NDArray[np.int32]:
    """The corners of the floors that hold the release, in its column."""
    (low, high), (left, right) = origin.interval, ((origin.column - 1) / facade.columns, origin.column / facade.columns)
    corners = facade.in_picture([(left, low - 1), (right, low - 1), (right, high), (left, high)])
    return corners.round().astype(np.int32)


def _words(origin: Origin | None, facade: Facade | None) -> list[str]:
    if origin is None:
        return []
    low, high = origin.interval
    between = f" ({low} to {high})" if low < high else ""
    column = [f"column {origin.column}"] if facade is not None and facade.columns > 1 else []
    return [f"floor {origin.floor}{between}", *column]
