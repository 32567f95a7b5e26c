"""One look at one plate: in one row or two, by the quick reader alone or with the opinion of a slower one."""

from typing import Protocol

from gateway.vision.evidence import Pixels
from gateway.vision.plates import FoundPlate, PlateRead, background_colour, rectified
from gateway.vision.shapes import Box

SURE = 0.9  # weakest character below which a read is not left alone; chosen by scripts/eval_plates
TWO_ROWS = 2
ONE_ROW_COLOURS = frozenset({"blue", "green", "black"})


class PlateSight(Protocol):
    """What finds and reads plates; the real one runs models."""

    def find(self, picture: Pixels, region: Box, expected: float = 0.0) -> list[FoundPlate]:
        """Plates in a region of a BGR picture, in pixels of the whole; ``expected`` is a known plate's width."""

    def read(self, crop: Pixels) -> PlateRead | None:
        """Read a rectified plate."""

    def second(self, crop: Pixels) -> PlateRead | None:
        """The opinion of another reader, None without one; asked only where the first is not sure."""


def read_plate(
    sight: PlateSight, picture: Pixels, plate: FoundPlate, crop: Pixels, *, ask: bool = True, rows: int = 0
) -> tuple[PlateRead | None, bool]:
    """Read ``crop`` (the rectified plate), and say whether the second reader was asked, which only ``ask`` allows.

    What one row says without certainty is read as two rows if its colour may be, then by the second reader; the
    likeliest reading counts. ``rows`` is 1 or 2 where earlier looks have told.
    """
    readings: list[PlateRead] = []
    if rows != TWO_ROWS:
        read = sight.read(crop)
        if read is not None and read.weakest >= SURE:
            return read, False
        readings += [read] if read is not None else []
    if rows == TWO_ROWS or (rows != 1 and background_colour(crop) not in ONE_ROW_COLOURS):
        tall = rectified(picture, plate, rows=2)
        double = sight.read(tall)
        if double is not None and (not readings or double.likelihood > readings[0].likelihood):
            readings, crop = [*readings, double], tall
    asked = ask and not any(reading.weakest >= SURE for reading in readings)
    if asked:
        second = sight.second(crop)
        readings += [second] if second is not None else []
    return max(readings, key=lambda reading: reading.likelihood, default=None), asked
