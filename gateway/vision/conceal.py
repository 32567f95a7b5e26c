"""Hides faces and plates in a clip: looks some times a second, and hides what lies between two looks."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from gateway.vision.capture import Frame
from gateway.vision.evidence import Pixels
from gateway.vision.faces import LONGEST
from gateway.vision.fuse import alike
from gateway.vision.guest import Guest
from gateway.vision.packs import DETECTION, READING, PackError
from gateway.vision.plates import FoundPlate, rectified
from gateway.vision.privacy import hide_face, hide_plate
from gateway.vision.runtime import reason
from gateway.vision.selftest import MISFITS, open_model, ranked
from gateway.vision.shapes import Box, around
from gateway.vision.swap import searched

EVERY = 0.2  # seconds between two looks
MOST_LOOKS = 60  # of one clip: a longer one is looked at more seldom
REACH = 4.0  # sizes that something moves between two looks at most, to be the same
RATIO = 1.8  # of the sizes of one thing in two looks


class UnhiddenError(Exception):
    """What a clip shows cannot be hidden; the text says why."""


class Patch(NamedTuple):
    """What is to be hidden from ``begin`` to ``end`` (seconds of the stream)."""

    begin: float
    end: float
    box: Box
    face: bool


class Look(NamedTuple):
    """What one look found, in pixels of the shrunk picture."""

    time: float
    boxes: tuple[tuple[Box, bool], ...]


class Concealer:
    """Finds what a clip of one camera must not show; it belongs to the thread that makes the clips."""

    def __init__(self, faces: Guest, folder: Path, providers: Sequence[str] = ()) -> None:
        """``folder`` holds the packs for plates, which are opened for each clip."""
        self._faces, self._folder, self._providers = faces, folder, tuple(providers)
        self._plates: Any = None
        self._reader: Any = None

    @property
    def able(self) -> bool:
        """Whether faces can be found now."""
        return self._faces.model is not None

    def patches(self, frames: Iterable[Frame], seconds: float, own: str) -> list[Patch]:
        """Look through the frames of a clip ``seconds`` long; plates that read like ``own`` stay.

        UnhiddenError when they cannot be looked for. CPU: MOST_LOOKS looks at most.
        """
        every = max(EVERY, seconds / MOST_LOOKS)
        looks: list[Look] = []
        try:
            for frame in frames:
                if not looks or frame.time - looks[-1].time >= every - 1e-3:
                    looks.append(Look(frame.time, self._look(shrunk(frame.bgr), own)))
        finally:
            self._plates = self._reader = None  # clips are rare, and memory is dear
        return patches_of(looks)

    def _look(self, picture: Pixels, own: str) -> tuple[tuple[Box, bool], ...]:
        model = self._faces.model
        if model is None:
            raise UnhiddenError(self._faces.trouble or "no model that finds faces is in use")
        whole = Box(0, 0, picture.shape[1], picture.shape[0])
        try:
            faces = [(face.box, True) for face in model.find(picture, whole)]
        except MISFITS as error:
            self._faces.failed(model, error)
            raise UnhiddenError(self._faces.trouble) from error
        try:
            if self._plates is None:
                self._plates, self._reader = self._open(DETECTION), self._open(READING)
            found = searched(self._plates, picture, whole)
            plates = [(plate.box, False) for plate in found if not self._is(own, picture, plate)]
        except (PackError, *MISFITS) as error:
            raise UnhiddenError(f"plates cannot be hidden: {reason(error)}") from error
        return (*faces, *plates)

    def _open(self, task: str) -> Any:  # noqa: ANN401 - by the task
        able = ranked(self._folder, task)
        if not able:
            raise PackError(f"no model pack for {task} in {self._folder}", "models_missing")
        return open_model(replace(able[0], providers=self._providers))

    def _is(self, own: str, picture: Pixels, plate: FoundPlate) -> bool:
        read = self._reader.read(rectified(picture, plate)) if own else None
        return read is not None and alike(read.text, own)


def shrunk(picture: Pixels) -> Pixels:
    """No finer than what is searched for faces: what is too small to be found is too small to be recognised."""
    scale = LONGEST / max(picture.shape[:2])
    if scale >= 1.0:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def patches_of(looks: Sequence[Look]) -> list[Patch]:
    """What to hide when: each find until the looks before and after it, and all that lies on the way to the next one.

    A find that the next look lacks and the one after has is hidden meanwhile.
    """
    found: list[Patch] = []
    for place, look in enumerate(looks):
        begin = looks[place - 1].time if place else -math.inf
        end = looks[place + 1].time if place + 1 < len(looks) else math.inf
        for box, face in look.boxes:
            found.append(Patch(begin, end, box.grown(0.2), face))
            for later in looks[place + 1 : place + 3]:
                same = _nearest(box, [other for other, kind in later.boxes if kind == face])
                if same is not None:
                    found.append(Patch(look.time, later.time, around((box, same)), face))
                    break
    return found


def hide(picture: Pixels, patches: Iterable[Patch], time: float) -> None:
    """Hide in place what is to be hidden at ``time``."""
    for patch in patches:
        if patch.begin <= time <= patch.end:
            (hide_face if patch.face else hide_plate)(picture, patch.box)


def _nearest(box: Box, others: Sequence[Box]) -> Box | None:
    def apart(other: Box) -> float:
        return math.dist(box.middle, other.middle) / max(box.width, other.width, 1.0)

    fitting = [other for other in others if 1 / RATIO < other.width / max(box.width, 1.0) < RATIO]
    near = min(fitting, key=apart, default=None)
    return near if near is not None and apart(near) < REACH else None
