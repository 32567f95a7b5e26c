"""The eyes of a vehicle lane: the two models, loaded from their packs after a check."""

from pathlib import Path

from gateway.vision.evidence import Pixels
from gateway.vision.plates import FoundPlate, PlateDetector, PlateRead, PlateReader
from gateway.vision.shapes import Box


class ModelSight:
    """Finds plates with the one pack and reads them with the other."""

    def __init__(self, folder: Path) -> None:
        """PackError when a pack is missing or is not what its manifest says."""
        self._detector = PlateDetector(folder)
        self._reader = PlateReader(folder)

    def find(self, picture: Pixels, region: Box, expected: float = 0.0) -> list[FoundPlate]:
        """Plates in a region of a BGR picture, in pixels of the whole."""
        return self._detector.find(picture, region, expected)

    def read(self, crop: Pixels) -> PlateRead | None:
        """Read a rectified plate under the grammar."""
        return self._reader.read(crop)
