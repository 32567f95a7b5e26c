"""One look at one plate: whether it is worth a read, in one row or two, by the quick reader or a slower one too."""

import math
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from gateway.vision.appearance import paint_of
from gateway.vision.evidence import Pixels
from gateway.vision.fuse import WeighedRead
from gateway.vision.plates import FoundPlate, PlateRead, background_colour, rectified, sharpness
from gateway.vision.shapes import Box
from gateway.vision.track import KeptLook, PlateTrack

SURE = 0.9  # weakest character below which a read is not left alone; chosen by scripts/eval_plates
TWO_ROWS = 2
READABLE = 44.0  # pixels of plate width below which nothing can be read
GOOD_WIDTH = 110.0
GOOD_SHARPNESS = 0.4
READS_ENOUGH = 14
ASKED = 2  # looks that the second reader may be asked about while a plate passes: each costs as much as five reads
WITNESS = 0.5  # weakest character below which what the second reader says is no testimony: guesses agree by chance
APART = 0.08  # plate widths between two reads: the same pixels twice are no second opinion
ONE_ROW_COLOURS = frozenset({"blue", "green", "black"})
PATCH = (0.65, 0.45)  # plate widths around its middle that are kept of a look: a plate with two rows and some air
DARKEST, BRIGHTEST = 25, 225  # to which a plate's contrast is stretched when it is read once more
LEAST_CONTRAST = 20
SIZES = (0.94, 1.1)  # of the plate as the detector found it, at which the best look is read too; others help no more


class PlateSight(Protocol):
    """What finds and reads plates; the real one runs models."""

    def find(self, picture: Pixels, region: Box, expected: float = 0.0, *, dark: bool = False) -> list[FoundPlate]:
        """Plates in a region of a BGR picture, in pixels of the whole; ``expected`` is a known plate's width.

        ``dark`` finds black ones better and others worse.
        """

    def read(self, crop: Pixels) -> PlateRead | None:
        """Read a rectified plate."""

    def second(self, crop: Pixels) -> PlateRead | None:
        """The opinion of another reader, None without one; it costs several times as much."""


def read_plate(
    sight: PlateSight, picture: Pixels, plate: FoundPlate, crop: Pixels, *, ask: bool = True, rows: int = 0
) -> PlateRead | None:
    """Read ``crop`` (the rectified plate).

    What one row says without certainty is read as two rows if its colour may be, then by the second reader where
    ``ask`` allows it; the likeliest reading counts. ``rows`` is 1 or 2 where earlier looks have told.
    """
    readings: list[PlateRead] = []
    if rows != TWO_ROWS:
        read = sight.read(crop)
        if read is not None and read.weakest >= SURE:
            return read
        readings += [read] if read is not None else []
    if rows == TWO_ROWS or (rows != 1 and background_colour(crop) not in ONE_ROW_COLOURS):
        tall = rectified(picture, plate, rows=2)
        double = sight.read(tall)
        if double is not None and (not readings or double.likelihood > readings[0].likelihood):
            readings, crop = [*readings, double], tall
    if ask and not any(reading.weakest >= SURE for reading in readings):
        second = sight.second(crop)
        readings += [second] if second is not None else []
    return max(readings, key=lambda reading: reading.likelihood, default=None)


def darkly(track: PlateTrack) -> bool:
    """Whether to search for a plate as for a black one: as it was found, and where it is missed, by turns."""
    return track.dark != bool(track.misses % 2)


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
    read = read_plate(sight, picture, plate, crop, ask=False, rows=track.rows)
    clear = min(1.0, max(0.2, sharpness(crop) / GOOD_SHARPNESS)) * plate.score
    weight, colour = min(1.0, plate.width / GOOD_WIDTH) * clear, background_colour(crop)
    track.dark = colour == "black" if colour != "unknown" else track.dark
    track.keep(KeptLook(*_patch(picture, plate), *when, colour, weight))
    if read is not None:
        track.add_read(WeighedRead(*when, read, colour, weight, paint_of(picture, plate)))
        verdict = track.verdict
        if verdict is not None and verdict.wanting and len(track.witnesses) < ASKED:
            _hear(sight, track, rectified(picture, plate, rows=TWO_ROWS) if read.double else crop)
    return Look(clear, read)


def look_again(sight: PlateSight, track: PlateTrack) -> None:
    """Read the best looks of a passage that is over once more, if it would be uncertain.

    The best one by the second reader, whose read costs as much as five, and a little larger and smaller, as the
    detector may have erred; each with its contrast stretched, which reads dark plates better and errs otherwise than
    the first time.
    """
    looks, track.looks = track.looks, []  # what is told is remembered, but not its pictures
    if not looks or _accepted(track):
        return
    best = looks[0]
    rows = track.rows or max((1 + read.read.double for read in track.reads if read.wall == best.wall), default=1)
    said = [(best, _hear(sight, track, rectified(best.patch, best.plate, rows)))]
    if _accepted(track):
        return
    views = [(look, _stretched(look.patch, rectified(look.patch, look.plate)), look.plate) for look in looks]
    for look, patch, plate in [*views, *((best, best.patch, _sized(best.plate, size)) for size in SIZES)]:
        rows = track.rows or (1 if look.colour in ONE_ROW_COLOURS else 0)
        said.append((look, read_plate(sight, patch, plate, rectified(patch, plate), ask=False, rows=rows)))
    track.reconsider(
        [WeighedRead(look.time, look.wall, one, look.colour, look.weight) for look, one in said if one is not None]
    )


def _accepted(track: PlateTrack) -> bool:
    return track.verdict is not None and track.verdict.status == "accepted"


def _hear(sight: PlateSight, track: PlateTrack, crop: Pixels) -> PlateRead | None:
    """Let the second reader bear witness."""
    read = sight.second(crop)
    track.reconsider(witness=read.text if read is not None and read.weakest >= WITNESS else "")
    return read


def _patch(picture: Pixels, plate: FoundPlate) -> tuple[Pixels, FoundPlate]:
    """A copy of what is around a plate, and the plate in it."""
    x, y = plate.middle
    across, down = PATCH[0] * plate.width, PATCH[1] * plate.width
    left, top = max(0, int(x - across)), max(0, int(y - down))
    patch: Pixels = picture[top : int(y + down) + 1, left : int(x + across) + 1].copy()
    begins, ends = (plate.box.left - left, plate.box.top - top), (plate.box.right - left, plate.box.bottom - top)
    return patch, FoundPlate(Box(*begins, *ends), plate.corners - np.array([left, top], np.float32), plate.score)


def _stretched(patch: Pixels, crop: Pixels) -> Pixels:
    """A patch with the contrast of its plate (``crop``) brought to a day's."""
    low, high = np.percentile(crop, (2, 98))
    levels = (np.arange(256) - low) * (BRIGHTEST - DARKEST) / max(LEAST_CONTRAST, high - low) + DARKEST
    return np.asarray(cv2.LUT(patch, np.clip(levels, 0, 255).astype(np.uint8)), np.uint8)


def _sized(plate: FoundPlate, size: float) -> FoundPlate:
    """The plate with its corners so many times as far from its middle."""
    middle = plate.corners.mean(axis=0)
    return FoundPlate(plate.box, (middle + (plate.corners - middle) * np.float32(size)).astype(np.float32), plate.score)


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
