"""Vehicles in a picture: a small detector of everyday things, of which only what drives counts."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gateway.vision.evidence import Pixels
from gateway.vision.packs import Pack, PackError
from gateway.vision.runtime import MODEL_ERRORS, open_session, reason
from gateway.vision.shapes import Box

SIDE = 352  # pixels of the model's square input
CELLS = 22  # across and down: one answer each
# Places of the classes that drive among the 80 of COCO, which the model was trained on.
CLASSES = {1: "bicycle", 2: "car", 3: "motorcycle", 5: "bus", 7: "truck"}
FIRST_CLASS = 5  # the planes before are: something is here, x, y, width, height
SCORE = 0.5
OVERLAP = 0.45


@dataclass(frozen=True, slots=True)
class FoundVehicle:
    """What drives: its box in pixels of the whole picture, what it is, and the score (0 to 1)."""

    box: Box
    label: str
    score: float


class VehicleDetector:
    """Finds vehicles with a pack of FastestDet's form: 352 x 352 in, one box for each of 22 x 22 cells out."""

    def __init__(self, pack: Pack) -> None:
        """PackError when the pack is missing, not what its manifest says, or of another shape."""
        self._session = open_session(pack)
        self._input = self._session.get_inputs()[0].name
        try:
            answer = self._run(np.zeros((1, 3, SIDE, SIDE), np.float32))
        except MODEL_ERRORS as error:
            raise PackError(
                f"model pack {pack.name} does not take 352 x 352: {reason(error)}", "models_refused"
            ) from error
        if answer.shape != (FIRST_CLASS + 80, CELLS, CELLS):
            raise PackError(
                f"model pack {pack.name} gives {answer.shape} where {(FIRST_CLASS + 80, CELLS, CELLS)} is due",
                "models_refused",
            )

    def _run(self, blob: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        answer: Any = self._session.run(None, {self._input: blob})[0]
        planes: npt.NDArray[np.float32] = np.asarray(answer, np.float32)[0]
        return planes

    def find(self, picture: Pixels, region: Box, least: float = SCORE) -> list[FoundVehicle]:
        """Look at one region of a BGR picture, squeezed into a square; best first, without the twice found."""
        left, top = int(region.left), int(region.top)
        part = picture[top : int(np.ceil(region.bottom)), left : int(np.ceil(region.right))]
        if part.shape[0] < 16 or part.shape[1] < 16:
            return []
        blob = cv2.dnn.blobFromImage(part, 1 / 255, (SIDE, SIDE), swapRB=False)
        answer = self._run(np.asarray(blob, np.float32))
        kinds = answer[[FIRST_CLASS + place for place in CLASSES]]
        scores = answer[0] ** 0.6 * kinds.max(axis=0) ** 0.4
        found = []
        for row, column in zip(*np.nonzero(scores >= least), strict=True):
            middle_x = (column + np.tanh(answer[1, row, column])) / CELLS
            middle_y = (row + np.tanh(answer[2, row, column])) / CELLS
            half_x, half_y = (0.5 / (1.0 + np.exp(-answer[plane, row, column])) for plane in (3, 4))
            box = Box(
                left + float(middle_x - half_x) * part.shape[1],
                top + float(middle_y - half_y) * part.shape[0],
                left + float(middle_x + half_x) * part.shape[1],
                top + float(middle_y + half_y) * part.shape[0],
            )
            label = list(CLASSES.values())[int(kinds[:, row, column].argmax())]
            found.append(FoundVehicle(box, label, float(scores[row, column])))
        return _best(found)


def _best(found: list[FoundVehicle]) -> list[FoundVehicle]:
    kept: list[FoundVehicle] = []
    for vehicle in sorted(found, key=lambda one: -one.score):
        if all(vehicle.box.overlap(other.box) < OVERLAP for other in kept):
            kept.append(vehicle)
    return kept
