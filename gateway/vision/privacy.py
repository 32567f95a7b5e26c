"""What of a picture may leave: faces and other plates hidden where they are found, else all but one vehicle."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from gateway.vision.evidence import WIDEST, Pixels, cut_jpeg
from gateway.vision.faces import LONGEST, FoundFace
from gateway.vision.guest import Guest
from gateway.vision.kinds import Kinds
from gateway.vision.plates import FoundPlate
from gateway.vision.selftest import MISFITS
from gateway.vision.shapes import Box, around

Find = Callable[[Pixels, Box], Sequence[FoundPlate]]

# In plate widths (0.44 m): half a wide car's width with its mirrors, what is above its plate, and below.
BESIDE, ABOVE, BELOW = 2.5, 4.3, 1.5
CELL = 0.3  # of a plate's width, 13 cm: a face is one or two cells
SMALLEST_CELL = 6  # pixels
PLATE_CELLS = 5  # across a plate: no character is left of it
BLIND = 40  # patches across a picture in which nobody can find plates: one that fills a third of it is not read
FACE_CELLS = 3  # across a face, and what is around it goes too
FACE_GROWN, PLATE_GROWN = 0.35, 0.15
AROUND = 0.06  # of its size, around a vehicle that was found
SAME = 0.2  # overlap with the vehicle's own plate from which a find is that plate


class Veil:
    """Makes the pictures of one camera that leave; the best that can be hidden is hidden, and what fails shows less."""

    def __init__(
        self,
        find: Find | None = None,
        faces: Guest | None = None,
        *,
        unblurred: bool = False,
        kinds: Kinds | None = None,
        sees: Callable[[], bool] = lambda: True,
    ) -> None:
        """``find`` looks for plates, ``faces`` for faces, ``kinds`` for vehicles; ``unblurred``: nothing is hidden.

        ``sees``: whether ``find`` can look at all now.
        """
        self._find, self._faces, self._unblurred = find, faces, unblurred
        self._sees = sees
        self._kinds = kinds or Kinds()

    def jpeg(self, picture: Pixels, shown: Box, own: Box | None) -> bytes | None:
        """Encode the part ``shown`` of a BGR picture; ``own`` is the plate of its vehicle. None: it cannot be shown."""
        if self._unblurred:
            try:
                return cut_jpeg(picture, shown)
            except MISFITS:
                return None
        faces = self.faces(picture, shown)
        vehicle = None
        if faces is None:
            spot = own.middle if own is not None else shown.middle
            found = self._kinds.own(picture, shown.within(picture.shape[1], picture.shape[0]), spot)
            vehicle = found.box.grown(AROUND) if found is not None else None
            if vehicle is not None and own is None:
                shown = shown.meets(vehicle)
        return veiled_jpeg(picture, shown, own, self._find if self._sees() else None, faces, vehicle)

    def faces(self, picture: Pixels, shown: Box) -> list[Box] | None:
        """The faces in a part of a picture; None when nothing looks for them, or what does has failed."""
        guest = self._faces
        model = guest.model if guest is not None and not self._unblurred else None
        if guest is None or model is None:
            return None
        try:
            found: list[FoundFace] = model.find(picture, shown)
        except MISFITS as error:
            guest.failed(model, error)
            return None
        return [face.box for face in found]


def veiled_jpeg(
    picture: Pixels,
    shown: Box,
    own: Box | None,
    find: Find | None,
    faces: Sequence[Box] | None = None,
    vehicle: Box | None = None,
) -> bytes | None:
    """Encode the part ``shown`` of a BGR picture with everybody else hidden; None when that cannot be done.

    ``own`` is the plate of the vehicle that the picture is of. With ``faces`` (pixels of the whole picture) these are
    made unrecognisable, and nothing leaves that is finer than what was searched; without, all but coarse cells goes
    beyond a car's width around the plate, or beyond the ``vehicle`` where that is smaller. Other plates, which ``find``
    looks for, are made unreadable; without ``own`` all of them are. Where nothing finds plates, what is beyond the
    vehicle is coarse even with ``faces``, and without ``own`` nothing that is finer than BLIND patches across is shown.
    """
    box = shown.within(picture.shape[1], picture.shape[0])
    if box.area < 1:
        return None
    try:
        hidden = _part(picture, box).copy()
        if (faces is None or find is None) and own is not None:
            _veil_margins(hidden, box, own, vehicle)
        if find is None and own is None:
            _pixelate(hidden, Box(0, 0, box.width + 1, box.height + 1), max(box.width, box.height) / BLIND)
        for plate in find(picture, box) if find is not None else ():
            if own is None or plate.box.overlap(own) < SAME:
                hide_plate(hidden, _moved(plate.box, box))
        for face in faces or ():
            hide_face(hidden, _moved(face, box))
        height, width = hidden.shape[:2]
        widest = WIDEST if faces is None else max(1, round(min(LONGEST, LONGEST * width / height)))
        return cut_jpeg(hidden, Box(0, 0, width, height), widest)
    except MISFITS:
        return None


def hide_face(part: Pixels, face: Box) -> None:
    """Leave of a face and what is around it a few patches, in place."""
    _pixelate(part, face.grown(FACE_GROWN), face.width / FACE_CELLS)


def hide_plate(part: Pixels, plate: Box) -> None:
    """Leave of a plate a few patches, in place."""
    _pixelate(part, plate.grown(PLATE_GROWN), plate.width / PLATE_CELLS)


def _veil_margins(part: Pixels, box: Box, own: Box, vehicle: Box | None) -> None:
    """Make everything coarse but a car's outline around the plate."""
    across, (x, y) = own.width, own.middle
    outline = Box(x - BESIDE * across, y - ABOVE * across, x + BESIDE * across, y + BELOW * across)
    if vehicle is not None:
        outline = around((outline.meets(vehicle), own))
    keep = _moved(outline, box)
    height, width = part.shape[:2]
    left, right = min(max(keep.left, 0.0), width), min(max(keep.right, 0.0), width)
    top, bottom = min(max(keep.top, 0.0), height), min(max(keep.bottom, 0.0), height)
    cell = CELL * across
    for margin in (
        Box(0, 0, left, height),
        Box(right, 0, width, height),
        Box(left, 0, right, top),
        Box(left, bottom, right, height),
    ):
        _pixelate(part, margin, cell)


def _pixelate(part: Pixels, box: Box, cell: float) -> None:
    """Replace a box by cells of one colour each, in place."""
    height, width = part.shape[:2]
    inside = box.within(width, height)
    if inside.area <= 0:
        return
    spot = _part(part, inside)
    if not spot.size:
        return
    size = max(SMALLEST_CELL, round(cell))
    tall, wide = spot.shape[:2]
    small: Any = cv2.resize(spot, (max(1, wide // size), max(1, tall // size)), interpolation=cv2.INTER_AREA)
    spot[:] = cv2.resize(small, (wide, tall), interpolation=cv2.INTER_NEAREST)


def _part(picture: Pixels, box: Box) -> Any:  # noqa: ANN401 - a view of an array
    return picture[int(box.top) : int(np.ceil(box.bottom)), int(box.left) : int(np.ceil(box.right))]


def _moved(box: Box, origin: Box) -> Box:
    left, top = int(origin.left), int(origin.top)
    return Box(box.left - left, box.top - top, box.right - left, box.bottom - top)
