"""The eyes of a vehicle lane: the models, loaded from their packs after a check."""

from pathlib import Path

from gateway.vision.evidence import Pixels
from gateway.vision.plates import FoundPlate, PlateDetector, PlateRead
from gateway.vision.reading import open_readers
from gateway.vision.shapes import Box


class ModelSight:
    """Finds plates with one pack and reads them with one or two others."""

    def __init__(self, folder: Path, readers: tuple[str, ...] = ()) -> None:
        """PackError when a pack is missing or not what its manifest says; the first of ``readers`` is the main one."""
        self._detector = PlateDetector(folder)
        self._reader, *self._others = open_readers(folder, readers)

    def find(self, picture: Pixels, region: Box, expected: float = 0.0, *, dark: bool = False) -> list[FoundPlate]:
        """Plates in a region of a BGR picture, in pixels of the whole; ``dark`` for black ones."""
        return self._detector.find(picture, region, expected, dark=dark)

    def read(self, crop: Pixels) -> PlateRead | None:
        """Read a rectified plate under the grammar."""
        return self._reader.read(crop)

    def second(self, crop: Pixels) -> PlateRead | None:
        """The opinion of another, slower recogniser; None without one."""
        return self._others[0].read(crop) if self._others else None
