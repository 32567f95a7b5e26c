"""Brings a plate with two rows (440 x 220 mm) into one, so that one recogniser reads both."""

from typing import Any

import cv2
import numpy as np

from gateway.vision.evidence import Pixels

# Shares of height and width, a little more than the characters take: corners are never exact (GA 36: the upper row
# stands at 15 to 75 of 220 mm and 110 to 330 of 440 mm, the lower one at 90 to 200 mm).
UPPER = (0.0, 0.40, 0.14, 0.86)
LOWER = (0.36, 1.0, 0.0, 1.0)
UPPER_SHARE = 1 / 3  # of the strip: two characters of seven, and air


def one_row(crop: Pixels, width: int, height: int) -> Pixels:
    """The upper row and then the lower one, side by side: BGR, ``width`` x ``height``."""
    upper = round(width * UPPER_SHARE)
    parts = [(UPPER, upper), (LOWER, width - upper)]
    return np.hstack([_part(crop, share, wide, height) for share, wide in parts])


def _part(crop: Any, share: tuple[float, float, float, float], width: int, height: int) -> Pixels:  # noqa: ANN401
    tall, wide = crop.shape[:2]
    top, bottom, left, right = share
    part = crop[round(top * tall) : round(bottom * tall), round(left * wide) : round(right * wide)]
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
