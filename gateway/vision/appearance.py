"""What a vehicle looks like: its paint from the metal around the plate, its class from the plate; no guesses."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from gateway.vision.evidence import Pixels
from gateway.vision.plates import FoundPlate

UNKNOWN = "unknown"
LOOKS = 3  # that agree before a colour is told
AGREEING = 0.7
EVEN = 28.0  # grey levels: a patch that varies more is a grille, a lamp or a shadow's edge
DARK = 60.0  # the brightest 3 % around the plate, itself among them: below it nothing can be said about colour
DAYLIGHT = 200.0  # the same, below which grey may be white
# OpenCV's hue, half degrees, up to which a name holds; red goes around.
HUES = (
    (7, "red"),
    (10, UNKNOWN),
    (17, "brown"),
    (21, UNKNOWN),
    (35, "yellow"),
    (88, "green"),
    (135, "blue"),
    (160, UNKNOWN),
    (180, "red"),
)


def paint_of(picture: Pixels, plate: FoundPlate) -> str:
    """Name the paint beside and above a plate in a BGR picture; unknown when the patches are uneven or disagree."""
    x, y = plate.middle
    across = plate.width
    down = across * 0.32
    spots = [(-1.05, 0.0), (1.05, 0.0), (-1.05, -1.2), (1.05, -1.2)]
    patches = [_patch(picture, x + dx * across, y + dy * down, 0.22 * across, 0.35 * down) for dx, dy in spots]
    around = _patch(picture, x, y, 2.0 * across, 2.5 * down)
    bright = float(np.percentile(around.max(axis=2), 97)) if around is not None else 0.0
    if bright < DARK:
        return UNKNOWN
    named = [name for patch in patches if patch is not None and (name := _name(patch)) != UNKNOWN]
    if bright < DAYLIGHT:  # white in the dusk is grey
        named = [name for name in named if name not in ("grey", "silver")]
    found = Counter(named).most_common(1)
    return found[0][0] if found and found[0][1] >= 2 and found[0][1] > len(named) / 2 else UNKNOWN


def _patch(picture: Any, x: float, y: float, half_x: float, half_y: float) -> Any:  # noqa: ANN401 - OpenCV's arrays
    tall, wide = picture.shape[:2]
    left, right = max(0, int(x - half_x)), min(wide, int(x + half_x) + 1)
    top, bottom = max(0, int(y - half_y)), min(tall, int(y + half_y) + 1)
    return picture[top:bottom, left:right] if right - left >= 4 and bottom - top >= 4 else None


def _name(patch: Any) -> str:  # noqa: ANN401 - OpenCV's arrays
    if float(patch.reshape(-1, 3).std(axis=0).max()) > EVEN:
        return UNKNOWN
    middle = np.median(patch.reshape(-1, 3), axis=0).astype(np.uint8)
    hue, saturation, value = (int(part) for part in cv2.cvtColor(middle[None, None], cv2.COLOR_BGR2HSV)[0, 0])
    chroma = saturation * value / 255
    if chroma >= 45:
        return next(name for upto, name in HUES if hue <= upto)
    if chroma >= 24:
        return UNKNOWN
    # Between these steps lies what sun and shadow turn into each other.
    for low, high, name in ((0, 55, "black"), (80, 130, "grey"), (150, 190, "silver"), (210, 256, "white")):
        if low <= value < high:
            return name
    return UNKNOWN


def agreed(paints: Sequence[str]) -> str:
    """The colour that most looks agree on; unknown with fewer than LOOKS, or less than AGREEING of them."""
    named = [paint for paint in paints if paint != UNKNOWN]
    found = Counter(named).most_common(1)
    if not found or found[0][1] < LOOKS or found[0][1] < AGREEING * len(named):
        return UNKNOWN
    return found[0][0]


def class_of(kind: str, colour: str) -> str:
    """The class that a plate stands for: small, large, trailer, or unknown (GA 36: yellow is large, blue is small).

    ``kind`` is the grammar's. Driving schools' cars and motorcycles wear yellow too: their plates say nothing.
    """
    if kind == "trailer":
        return "trailer"
    if kind == "nev_large" or (kind == "ordinary" and colour == "yellow"):
        return "large"
    if kind in ("nev_small", "hk_macau") or (kind == "ordinary" and colour == "blue"):
        return "small"
    return UNKNOWN
