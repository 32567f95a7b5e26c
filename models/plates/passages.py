"""Draws plates as a gate's camera has them: on metal, moving nearer, through H.264, found with a detector's errors.

Of many plates at once, side by side in one film: an encoder that starts anew for each would cost more than the drawing.
"""

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from render import KINDS, Drawn, draw, random_text

from gateway.vision.grammar import PROVINCES, kind_of
from gateway.vision.plates import FoundPlate, rectified
from gateway.vision.rows import one_row
from gateway.vision.shapes import Box

Picture = npt.NDArray[np.uint8]
Corners = npt.NDArray[np.float32]

PATCH = (176, 112)  # pixels of a plate's surroundings
COLUMNS, ROWS = 6, 6  # plates in one film
RATE, FRAMES = 15, 3
FILMS = 2  # of the same plates, each in another light and from elsewhere
NARROW, WIDE = 40.0, 105.0  # pixels of a plate's width when it is first seen
SHARES = {"ordinary": 3.0, "nev_small": 2.0, "nev_large": 1.5, "consulate": 2.0, "hk_macau": 1.5, "civil_aviation": 0.5}
TWINS = 0.35  # of the plates: drawn once more with another province, and nothing else changed
ASTRAY = 0.03  # of the reads: one row taken for two or the other way, in which there is nothing to read

# Where the detector puts corners, measured on such films: the upper and the lower edge too far out, each with an error
# of its own and one of each corner; in shares of the plate's width and height.
OUTWARDS, EDGE, OWN = (0.0, 0.06), 0.055, (0.035, 0.05)
UNIT = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)


@dataclass(frozen=True, slots=True)
class Light:
    """How the camera sees a film: share of light, grain, and the encoder's CRF."""

    light: float
    grain: float
    crf: int


class Passage:
    """One plate on its way; ``corners(frame)`` are the true ones in its patch."""

    def __init__(self, plate: Drawn, chance: random.Random) -> None:
        self.plate = plate
        self._noise = np.random.default_rng(chance.getrandbits(64))
        self._mounted, self._inset = _mounted(plate.picture, chance)
        lean = (chance.gauss(0, 0.03), chance.gauss(0, 0.06))
        own = np.array([[chance.gauss(0, 0.02), chance.gauss(0, 0.04)] for _ in range(4)], np.float32)
        self._shape = UNIT - 0.5 + own
        self._shape[:, 0] += lean[0] * self._shape[:, 1]
        self._shape[:, 1] += lean[1] * self._shape[:, 0]
        share = 0.92 if plate.double else 1.0  # a plate with two rows is narrower beside its detector's answer
        self._across = share * float(np.exp(chance.uniform(np.log(NARROW), np.log(WIDE))))
        self._grows = chance.uniform(0.98, 1.06)
        self._moves = np.array([chance.gauss(0, 2.0), chance.gauss(0, 6.0)], np.float32)
        self._start = np.array([chance.uniform(-6, 6), chance.uniform(-4, 4)], np.float32) - 2 * self._moves
        self._smear = (chance.choice((0, 0, 0, 0, 1, 2)), max(0, round(chance.uniform(-3, 6))))
        self._blur = chance.uniform(-0.3, 0.8)

    def corners(self, frame: int) -> Corners:
        """Pixels in the patch, clockwise from top left."""
        across = min(self._across * self._grows**frame, 150.0)
        tall, wide = self.plate.picture.shape[:2]
        size = np.array([across, across * tall / wide], np.float32)
        return (self._shape * size + np.array(PATCH, np.float32) / 2 + self._start + frame * self._moves).astype(
            np.float32
        )

    def patch(self, frame: int, light: Light) -> Picture:
        """The plate and what is around it."""
        goal = self.corners(frame)
        across = float(np.linalg.norm(goal[1] - goal[0]))
        tall, wide = self.plate.picture.shape[:2]
        shrink = min(1.0, across / wide)
        small: Any = cv2.resize(self._mounted, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        inset = self._inset * shrink
        start = (UNIT * np.array([wide * shrink, tall * shrink], np.float32) + inset).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(start, goal)
        patch: Any = cv2.warpPerspective(small, matrix, PATCH, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if max(self._smear) > 1:
            patch = cv2.blur(patch, (max(1, self._smear[0]), max(1, self._smear[1])))
        if self._blur > 0.15:
            patch = cv2.GaussianBlur(patch, (0, 0), self._blur)
        patch = cv2.convertScaleAbs(patch, alpha=light.light)
        grain = self._noise.normal(0, light.grain, (PATCH[1], PATCH[0])).astype(np.int16)
        return cv2.add(patch, cv2.merge((grain,) * 3), dtype=cv2.CV_8U)  # type: ignore[return-value]

    def found(self, frame: int) -> FoundPlate:
        """As a detector answers, in the patch."""
        dice = self._noise
        edges = np.repeat(dice.normal(0, EDGE, 2), 2)
        astray = np.stack((dice.normal(0, OWN[0], 4), dice.normal(0, OWN[1], 4) + edges), axis=1)
        unit = UNIT + (UNIT - 0.5) * 2 * np.array(OUTWARDS) + astray
        matrix = cv2.getPerspectiveTransform(UNIT, self.corners(frame))
        corners: Any = cv2.perspectiveTransform(unit[None].astype(np.float32), matrix)[0]
        return FoundPlate(Box(0, 0, *map(float, PATCH)), corners, 1.0)


def _mounted(picture: Picture, chance: random.Random) -> tuple[Picture, float]:
    """The plate with or without a frame on painted metal, and how many pixels of it are on each side."""
    inset = 70
    paint = [chance.randint(15, 235)] * 3 if chance.random() < 0.6 else [chance.randint(15, 235) for _ in range(3)]
    metal: Any = cv2.copyMakeBorder(picture, *(inset,) * 4, cv2.BORDER_CONSTANT, value=paint)
    if chance.random() < 0.8:
        frame, shade = chance.randint(2, 9), chance.randint(10, 80)
        tall, wide = picture.shape[:2]
        low = (inset - frame, inset - frame)
        cv2.rectangle(metal, low, (inset + wide + frame - 1, inset + tall + frame - 1), (shade,) * 3, -1)
        metal[inset : inset + tall, inset : inset + wide] = picture
    return metal, float(inset)


def plates(chance: random.Random, split: str = "train") -> list[Drawn]:
    """As many plates as a film shows; some stand beside one that differs in its province alone."""
    found: list[Drawn] = []
    while len(found) < COLUMNS * ROWS:
        kind = chance.choices(KINDS, [SHARES.get(kind, 1.0) for kind in KINDS])[0]
        text = random_text(kind, chance)
        dice = chance.getrandbits(64)
        found.append(draw(text, kind, random.Random(dice), split))
        other = chance.choice(PROVINCES) + text[1:]
        if text[0] in PROVINCES and chance.random() < TWINS and kind_of(other) == kind:
            found.append(draw(other, kind, random.Random(dice), split))
    return found[: COLUMNS * ROWS]


def film(passages: list[Passage], light: Light) -> list[Picture]:
    """All plates side by side, through H.264 and back."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = PATCH[0] * COLUMNS, PATCH[1] * ROWS, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": str(light.crf), "g": str(RATE), "threads": "1"}
        for frame in range(FRAMES):
            patches = [passage.patch(frame, light) for passage in passages]
            rows = [np.hstack(patches[at : at + COLUMNS]) for at in range(0, len(patches), COLUMNS)]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.vstack(rows), format="bgr24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as coded:
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in coded.decode(video=0)]


def reads(chance: random.Random, size: tuple[int, int], split: str = "train") -> Iterator[tuple[Picture, str]]:
    """Crops of ``size`` as the recogniser gets them and their texts, in no order; the text is empty where none is."""
    drawn = plates(chance, split)
    looks: list[tuple[Picture, str]] = []
    for _ in range(FILMS):
        light = Light(chance.uniform(0.25, 1.1), chance.uniform(0.5, 8.0), chance.randint(21, 31))
        passages = [Passage(plate, chance) for plate in drawn]
        for frame, picture in enumerate(film(passages, light)):
            for place, passage in enumerate(passages):
                row, column = divmod(place, COLUMNS)
                patch = picture[row * PATCH[1] :, column * PATCH[0] :][: PATCH[1], : PATCH[0]]
                looks.append(_look(passage, frame, patch, size, astray=chance.random() < ASTRAY))
    chance.shuffle(looks)
    yield from looks


def _look(passage: Passage, frame: int, patch: Picture, size: tuple[int, int], *, astray: bool) -> tuple[Picture, str]:
    two = passage.plate.double is not astray
    crop = rectified(patch, passage.found(frame), 2 if two else 1)
    line: Any = one_row(crop, *size) if two else cv2.resize(crop, size, interpolation=cv2.INTER_LINEAR)
    return line, "" if astray else passage.plate.text
