"""One look at one plate: whether it is worth a read, in one row or two, by the quick reader or a slower one too."""

import math
from typing import NamedTuple, Protocol

from gateway.vision.appearance import paint_of
from gateway.vision.evidence import Pixels
from gateway.vision.fuse import WeighedRead
from gateway.vision.plates import FoundPlate, PlateRead, background_colour, rectified, sharpness
from gateway.vision.shapes import Box
from gateway.vision.track import PlateTrack

SURE = 0.9  # weakest character below which a read is not left alone; chosen by scripts/eval_plates
TWO_ROWS = 2
READABLE = 44.0  # pixels of plate width below which nothing can be read
GOOD_WIDTH = 110.0
GOOD_SHARPNESS = 0.4
READS_ENOUGH = 14
SECOND_ENOUGH = 2  # reads of the second reader for one plate: each costs as much as five of the first
SECOND_GROWN = 1.2  # and only of a plate that has come nearer since
APART = 0.08  # plate widths between two reads: the same pixels twice are no second opinion
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


class Look(NamedTuple):
    """What a look was worth: how clear the plate was (0 to 1), and what was read, if anything."""

    clear: float
    read: PlateRead | None


def look_at(
    sight: PlateSight, track: PlateTrack, picture: Pixels, when: tuple[float, int], plate: FoundPlate
) -> Look | None:
    """Read a plate that was just sighted and keep the read in its track; None when this look is not worth it.

    ``when``: seconds of the stream and ns since 1970.
    """
    if not _worth_reading(track, plate):
        return None
    crop = rectified(picture, plate)
    track.read_at = track.last
    ask = track.asked < SECOND_ENOUGH and plate.width > SECOND_GROWN * track.asked_width
    read, asked = read_plate(sight, picture, plate, crop, ask=ask, rows=track.rows)
    if asked:
        track.asked, track.asked_width = track.asked + 1, plate.width
    clear = min(1.0, max(0.2, sharpness(crop) / GOOD_SHARPNESS)) * plate.score
    if read is not None:
        weight = min(1.0, plate.width / GOOD_WIDTH) * clear
        track.add_read(WeighedRead(*when, read, background_colour(crop), weight, paint_of(picture, plate)))
    return Look(clear, read)


def _worth_reading(track: PlateTrack, plate: FoundPlate) -> bool:
    if plate.width < READABLE:
        return False
    before = track.read_at
    if before is None:
        return True
    moved = math.dist((before.x, before.y), plate.middle) > APART * plate.width
    if not moved and plate.width < 1.08 * before.size:
        return False
    if track.settled:
        return len(track.reads) < READS_ENOUGH and plate.width > 1.25 * max(before.size, GOOD_WIDTH / 2)
    return len(track.reads) < READS_ENOUGH or plate.width > 1.1 * before.size
