"""Plates in a picture: where they are with their four corners, what they say, what colour they have."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gateway.vision.beam import Guess
from gateway.vision.evidence import Pixels
from gateway.vision.packs import DETECTION, Pack, pack_for
from gateway.vision.runtime import open_session
from gateway.vision.shapes import Box

Floats = npt.NDArray[np.float32]

DETECTOR_SIDE = (480, 640)  # pixels of the longer side: less when that shrinks a region by no more than DETECTOR_SHRINK
DETECTOR_SHRINK = 0.35
EXPECTED_WIDTH = 72.0  # pixels to which a plate is brought whose size is known from the look before
DETECTOR_SCORE = 0.4  # low: what is no plate does not read like one, several times, in motion
# The detector knows few black plates: what is darker than DARK is tinted with blue, with TINT when it is FADES darker.
DARK, FADES, TINT = 110, 60, 110
OVERLAP = 0.3
MEAN = (104.0, 117.0, 123.0)
STRIDES = ((8, (24, 48)), (16, (96, 192)), (32, (384, 768)))

READER_WIDTH, READER_HEIGHT = 192, 48
MARGIN = (0.03, 0.08)  # the corners cut a little of the outer strokes: leave some air, measured best
# The detector knows one row only: of a plate with two it gives the middle, a width a little too large, and the height
# of one row (measured on drawn plates). These shares of the width are what such a plate really takes.
TWO_ROWS_WIDTH, TWO_ROWS_HEIGHT = 0.94, 0.46


@dataclass(frozen=True, slots=True)
class FoundPlate:
    """A plate in the full frame: its box, its corners (4, 2) in pixels clockwise from top left, and the score."""

    box: Box
    corners: Floats
    score: float

    @property
    def width(self) -> float:
        """Mean length of the upper and the lower edge, pixels."""
        top_left, top_right, bottom_right, bottom_left = self.corners
        return float(np.hypot(*(top_right - top_left)) + np.hypot(*(bottom_right - bottom_left))) / 2

    @property
    def middle(self) -> tuple[float, float]:
        """Centre of the corners, pixels."""
        x, y = self.corners.mean(axis=0)
        return float(x), float(y)


class PlateDetector:
    """Finds plates; ``find`` costs CPU in proportion to the area."""

    def __init__(self, folder: Path, pack: Pack | None = None) -> None:
        """PackError when the pack (without ``pack``, the folder's own) is missing or not what its manifest says."""
        self._session = open_session(pack or pack_for(folder, DETECTION))

    def find(self, picture: Pixels, region: Box, expected: float = 0.0, *, dark: bool = False) -> list[FoundPlate]:
        """Look at one region of a BGR picture, shrunk to at most 640 pixels a side; best first.

        ``expected`` is the width (pixels) of the plate that should be there, 0 when that is not known. ``dark`` finds
        black plates better and others worse.
        """
        left, top = int(region.left), int(region.top)
        part: Any = picture[top : math.ceil(region.bottom), left : math.ceil(region.right)]
        if part.shape[0] < 16 or part.shape[1] < 16:
            return []
        longer = max(part.shape[:2])
        scale = min(1.0, min(DETECTOR_SIDE[1], max(DETECTOR_SIDE[0], DETECTOR_SHRINK * longer)) / longer)
        if expected > 0.0:
            scale = min(scale, max(0.1, EXPECTED_WIDTH / expected))
        if scale < 1.0:
            part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        part = _tinted(part) if dark else part
        tall, wide = part.shape[:2]
        blob = cv2.dnn.blobFromImage(part, 1.0, (wide, tall), MEAN, swapRB=False)
        offsets, scores, corners = (
            np.asarray(output)[0] for output in self._session.run(["loc", "conf", "landms"], {"image": blob})
        )
        likely = np.flatnonzero(scores[:, 1] > DETECTOR_SCORE)
        if not likely.size:
            return []
        anchors = _anchors(tall, wide)[likely]
        size = anchors[:, 2:]
        middle = anchors[:, :2] + offsets[likely, :2] * 0.1 * size
        half = size * np.exp(offsets[likely, 2:] * 0.2) / 2
        to_frame = np.array([wide, tall], np.float32) / scale
        shift = np.array([left, top], np.float32)
        low, high = (middle - half) * to_frame + shift, (middle + half) * to_frame + shift
        spots = anchors[:, None, :2] + corners[likely].reshape(-1, 4, 2) * 0.1 * size[:, None]
        # The model gives bottom right, bottom left, top left, top right.
        spots = np.ascontiguousarray((spots * to_frame + shift)[:, [2, 3, 0, 1]], np.float32)
        found = [
            FoundPlate(Box(*map(float, (*low[at], *high[at]))), spots[at], float(scores[likely[at], 1]))
            for at in np.argsort(-scores[likely, 1])
        ]
        return _best(found)


def _tinted(part: Pixels) -> Pixels:
    """What is dark made blue: a black plate becomes one of those that the detector has learned."""
    tints = np.clip((DARK - np.arange(256)) / FADES * TINT, 0, TINT).astype(np.uint8)
    blue, green, red = cv2.split(part)
    brightest = cv2.max(cv2.max(blue, green), red)
    return cv2.merge((cv2.add(blue, cv2.LUT(brightest, tints)), green, red))  # type: ignore[return-value]


def _best(found: list[FoundPlate]) -> list[FoundPlate]:
    kept: list[FoundPlate] = []
    for plate in found:
        if all(plate.box.overlap(other.box) < OVERLAP for other in kept):
            kept.append(plate)
    return kept


@lru_cache(maxsize=8)
def _anchors(tall: int, wide: int) -> Floats:
    """The model's prior boxes (n, 4): middle x, y and width, height as shares of the picture."""
    parts = []
    for stride, sizes in STRIDES:
        rows, columns = math.ceil(tall / stride), math.ceil(wide / stride)
        y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
        middle = np.stack(((x + 0.5) * stride / wide, (y + 0.5) * stride / tall), axis=-1)
        for_sizes = [
            np.concatenate((middle, np.broadcast_to(np.array([s / wide, s / tall], np.float32), middle.shape)), axis=-1)
            for s in sizes
        ]
        parts.append(np.stack(for_sizes, axis=2).reshape(-1, 4))
    return np.concatenate(parts)


def rectified(picture: Pixels, plate: FoundPlate, rows: int = 1) -> Pixels:
    """The plate pulled straight: BGR, 192 x 48 a row, with a little air around it."""
    height = rows * READER_HEIGHT
    air_x, air_y = READER_WIDTH * MARGIN[0], height * MARGIN[1]
    right, bottom = READER_WIDTH - air_x, height - air_y
    goal = np.array([[air_x, air_y], [right, air_y], [right, bottom], [air_x, bottom]], np.float32)
    corners = plate.corners if rows == 1 else _two_rows(plate)
    matrix = cv2.getPerspectiveTransform(corners, goal)
    return cv2.warpPerspective(  # type: ignore[return-value]
        picture, matrix, (READER_WIDTH, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _two_rows(plate: FoundPlate) -> Floats:
    """The corners of a plate with two rows around the same middle, as slanted as the detector says."""
    top_left, top_right, bottom_right, bottom_left = plate.corners
    across = (top_right - top_left + bottom_right - bottom_left) * (TWO_ROWS_WIDTH / 4)
    down = (bottom_left - top_left + bottom_right - top_right) / 2
    down *= TWO_ROWS_HEIGHT * plate.width / max(1e-3, float(np.hypot(*down))) / 2
    middle = plate.corners.mean(axis=0)
    corners = [middle - across - down, middle + across - down, middle + across + down, middle - across + down]
    return np.array(corners, np.float32)


@dataclass(frozen=True, slots=True)
class PlateRead:
    """What one look at one plate said: every text that the grammar allows, best first, never empty.

    ``characters`` are the confidences of the first text's characters, ``spread`` what could stand in each place, with
    shares; ``double`` says that it was read in two rows.
    """

    guesses: tuple[Guess, ...]
    characters: tuple[float, ...]
    double: bool = False
    spread: tuple[Mapping[str, float], ...] = ()

    @property
    def text(self) -> str:
        """The best text."""
        return self.guesses[0].text

    @property
    def weakest(self) -> float:
        """The confidence of its least certain character."""
        return min(self.characters)

    @property
    def likelihood(self) -> float:
        """How well it explains its crop: the geometric mean of the characters' confidences."""
        return math.exp(sum(math.log(max(1e-6, sure)) for sure in self.characters) / len(self.characters))


VIVID = 0.2  # of the brightness: less colour than that is none
FAINTEST = 12.0  # grey levels of colour that the encoder and the noise leave alone
# OpenCV's hue (half degrees), between which a ground has its name; how much colour it has at least, and how bright it
# is, against the brightest of the plate. Black and white, tinted by light, sky and the paint around, have less.
GROUNDS = (("blue", 95, 135, 0.25, 0.0), ("yellow", 12, 36, 0.4, 0.0), ("green", 38, 92, 0.0, 0.62))
PALE = 0.1  # colour from which a bright ground is not white
STRONG = 0.24  # colour from which a green ground may be a dark one
BLACK, WHITE = 0.52, 0.68  # brightness up to which, and from which, a ground without colour has its name
LEAST_CONTRAST, GREY = 25.0, 2.0  # grey levels
RIM = (10, 16)  # pixels of a straightened plate, below and beside: its frame, and what the paint around it bleeds into


def sharpness(crop: Pixels) -> float:
    """Energy of the strokes' edges against their contrast; around 0.1 is blurred, above 0.4 is crisp."""
    grey: Any = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).astype(np.float32)
    spread = float(grey.std())
    return float(cv2.Laplacian(grey, cv2.CV_32F, ksize=1).std()) / spread if spread > 1.0 else 0.0


def background_colour(crop: Pixels) -> str:
    """Name the colour of the plate's ground: blue, green, yellow, white, black, or unknown.

    Everything is judged against what is bright on the plate, so dusk changes nothing. What has no colour at all is
    infrared, where every ground is grey: unknown.
    """
    inner = crop[RIM[0] : -RIM[0], RIM[1] : -RIM[1]]
    hsv: Any = cv2.cvtColor(inner, cv2.COLOR_BGR2HSV)
    hue, saturation, value = (hsv[..., channel].ravel() for channel in range(3))
    chroma = saturation * (value / np.float32(255))
    dark, shade, bright, brightest = np.percentile(np.maximum(value, 1), (5, 50, 90, 95))
    # The ground is what there is more of than of the strokes: about two thirds.
    colourful, level = float(np.median(chroma)) / brightest, shade / brightest
    vivid = chroma > max(FAINTEST, VIVID * bright)
    if (share := float(vivid.mean())) > 0.25:
        hues = hue[vivid]
        for name, low, high, least, brightness in GROUNDS:
            fits = colourful >= least and (level >= brightness or colourful >= STRONG)
            if fits and float(((hues > low) & (hues < high)).mean()) > 0.6:
                return name
        return "unknown"
    if brightest - dark < LEAST_CONTRAST or float(np.percentile(chroma, 95)) < GREY:
        return "unknown"
    if level < BLACK:
        return "black"
    return "white" if level > WHITE and share < 0.08 and colourful < PALE else "unknown"
