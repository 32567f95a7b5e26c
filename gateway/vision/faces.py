"""Where faces are in a picture, so that they can be hidden: finds them, and can tell nobody from anybody."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gateway.vision.evidence import Pixels
from gateway.vision.freesize import free_size
from gateway.vision.packs import Pack, PackError
from gateway.vision.runtime import MODEL_ERRORS, open_session, reason
from gateway.vision.shapes import Box

Planes = npt.NDArray[np.float32]

STRIDE = 4  # pixels of the input for each cell of the answer
ALIGNED = 32  # the input's sides are multiples of it
LONGEST = 960  # pixels: a larger picture is shrunk to it, and has to leave no larger than that
SMALLEST = 12  # pixels of a picture's side below which no face would be found
SCORE = 0.2  # low: one patch too many costs little, one too few shows somebody
OVERLAP = 0.3
PLANES = (1, 2, 2)  # heat, size, offset; the fourth output, five points of a face, is not read
LARGEST = 6.0  # exponent of a size: 1,600 pixels


@dataclass(frozen=True, slots=True)
class FoundFace:
    """A face: its box in pixels of the whole picture, and the score (0 to 1)."""

    box: Box
    score: float


class FaceDetector:
    """Finds faces with a pack of CenterFace's form: a cell of 4 x 4 pixels each says how likely a face has its middle
    there, how large it is, and where in the cell.
    """

    def __init__(self, pack: Pack) -> None:
        """PackError when the pack is missing, not what its manifest says, or of another shape."""
        self._session = open_session(pack, free_size)
        self._input = self._session.get_inputs()[0].name
        self._outputs = [output.name for output in self._session.get_outputs()][: len(PLANES)]
        try:
            answer = self._run(np.zeros((1, 3, ALIGNED, 2 * ALIGNED), np.float32))
        except MODEL_ERRORS as error:
            raise PackError(
                f"model pack {pack.name} does not take any size: {reason(error)}", "models_refused"
            ) from error
        due = [(planes, ALIGNED // STRIDE, 2 * ALIGNED // STRIDE) for planes in PLANES]
        if [part.shape for part in answer] != due:
            raise PackError(
                f"model pack {pack.name} gives {[part.shape for part in answer]} where {due} is due", "models_refused"
            )

    def _run(self, blob: Planes) -> list[Planes]:
        answer: Any = self._session.run(self._outputs, {self._input: blob})
        return [np.asarray(part, np.float32)[0] for part in answer]

    def find(self, picture: Pixels, region: Box, least: float = SCORE) -> list[FoundFace]:
        """Look at one region of a BGR picture; best first, each face once."""
        left, top = int(region.left), int(region.top)
        part: Any = picture[top : int(np.ceil(region.bottom)), left : int(np.ceil(region.right))]
        if min(part.shape[:2]) < SMALLEST:
            return []
        scale = min(1.0, LONGEST / max(part.shape[:2]))
        if scale < 1.0:
            part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        tall, wide = part.shape[:2]
        part = cv2.copyMakeBorder(part, 0, -tall % ALIGNED, 0, -wide % ALIGNED, cv2.BORDER_REPLICATE)
        blob = cv2.dnn.blobFromImage(part, 1.0, part.shape[1::-1], swapRB=True)
        heat, size, offset = self._run(np.asarray(blob, np.float32))
        return [
            FoundFace(Box(*(float(v) / scale + shift for v, shift in zip(box, (left, top) * 2, strict=True))), score)
            for box, score in decoded(heat[0], size, offset, least)
        ]


def decoded(heat: Planes, size: Planes, offset: Planes, least: float) -> list[tuple[tuple[float, ...], float]]:
    """Boxes (left, top, right, bottom in pixels of the input) and scores of what is at least ``least`` likely.

    ``heat`` (rows, columns): how likely a face's middle is in the cell; ``size`` (2, rows, columns): logarithm of its
    height and width in cells; ``offset``: down and across from the cell's middle, in cells. ValueError for numbers that
    are none.
    """
    if not all(np.isfinite(part).all() for part in (heat, size, offset)):
        raise ValueError("the face detector answers with no numbers")
    rows, columns = np.nonzero(heat >= least)
    middles = np.stack((columns + offset[1, rows, columns], rows + offset[0, rows, columns])) + 0.5
    halves = np.exp(np.minimum(size[::-1, rows, columns], LARGEST)) / 2
    boxes = (np.concatenate((middles - halves, middles + halves)) * STRIDE).T
    kept: list[tuple[Box, float]] = []
    for at in np.argsort(-heat[rows, columns], kind="stable"):
        box = Box(*(float(value) for value in boxes[at]))
        if all(box.overlap(other) < OVERLAP for other, _ in kept):
            kept.append((box, float(heat[rows[at], columns[at]])))
    return [(tuple(box), score) for box, score in kept]
