"""Vehicles that stand where none may: what differs from the empty zone, does not move, and stays for long."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gateway.settings.parking import ZoneSettings
from gateway.vision.capture import Frame
from gateway.vision.evidence import frame_hash
from gateway.vision.messages import Dwell, Picture, Stands
from gateway.vision.privacy import Veil
from gateway.vision.shapes import Box

Map = npt.NDArray[np.float32]

LOOK_EVERY = 1.0  # seconds
WIDE = 320  # pixels across that a zone's picture has at most
AROUND = 31  # pixels: light is taken out by comparing with the mean of so many around
CONTRAST = 0.10  # of the local mean: a smaller difference is noise or a shadow's edge
STILL = 0.06  # of the zone may change between two looks while something stands
MOVED = 0.2  # of its size: by so much a thing that stands may seem to move
GONE_AFTER = 4.0  # seconds that it may be hidden by somebody who walks by
REMINDS = 20.0  # seconds after which the rules hear that it still stands: an event holds for a minute
LEARN = 0.02  # of a look goes into the memory of the empty zone, every second
LEARNT = 10.0  # seconds of an empty zone before anything is judged
OUTLINE = 1.0  # of the outline's edges before: with less of them it is the outline of what has driven away


@dataclass(slots=True)
class _Standing:
    """Something that stands in the zone; times in seconds of the stream and ns since 1970."""

    since: float
    wall: int
    seen: float
    seen_wall: int
    box: Box
    told: bool = False
    reminded: float = 0.0


class Zone:
    """One zone of one camera."""

    def __init__(self, settings: ZoneSettings) -> None:
        self.settings = settings
        self._size = (0, 0)
        self._box = Box(0, 0, 0, 0)
        self._scale = 1.0
        self._inside: npt.NDArray[np.bool_] = np.zeros((0, 0), bool)
        self._empty: Map | None = None
        self._before: Map | None = None
        self._learnt = 0.0
        self._standing: _Standing | None = None

    def look(self, frame: Frame, wall: int, seconds: float, veil: Veil) -> list[Dwell | Stands]:
        """Look at a frame, ``seconds`` after the last; what came to stand for too long, stands still, or has left."""
        if (frame.width, frame.height) != self._size:
            self._begin(frame.width, frame.height)
        now = self._levelled(frame)
        if self._empty is None or self._before is None:
            self._empty, self._before = now, now
            return []
        inside, count = self._inside, max(1, int(self._inside.sum()))
        differs = (np.abs(now - self._empty) > CONTRAST) & inside
        moves = float(((np.abs(now - self._before) > CONTRAST) & inside).sum()) / count
        self._before = now
        box, share = self._largest(differs, count)
        stands = share >= self.settings.least
        if stands and self._standing is None:
            stands = not self._is_ground(now, differs)
        if self._learnt < LEARNT or (not stands and moves < STILL and self._standing is None):
            self._learn(now, seconds)
            if self._learnt < LEARNT:
                return []
        if stands and self._standing is None and moves < STILL:
            self._standing = _Standing(frame.time, wall, frame.time, wall, box)
        return self._judge(frame, wall, stands, box, veil)

    def finish(self) -> list[Dwell]:
        """The stream is over: what stood there is not seen any more, which says nothing of when it left."""
        self._standing, self._empty, self._before, self._learnt = None, None, None, 0.0
        return []

    def _judge(self, frame: Frame, wall: int, stands: bool, box: Box, veil: Veil) -> list[Dwell | Stands]:
        standing = self._standing
        if standing is None:
            return []
        if stands:
            if not standing.told and _apart(box, standing.box) > MOVED:
                # It creeps: a queue, not a car that was left.
                self._standing = standing = _Standing(frame.time, wall, frame.time, wall, box)
            standing.seen, standing.seen_wall = frame.time, wall
            if not standing.told and frame.time - standing.since >= self.settings.after:
                standing.told, standing.box, standing.reminded = True, box, frame.time
                picture = _picture(frame, wall, box.grown(0.1), veil)
                return [self._dwell("standing", standing, frame.time - standing.since, wall, picture)]
            if standing.told and frame.time - standing.reminded >= REMINDS:
                standing.reminded = frame.time
                return [Stands(self.settings.name, wall)]
            return []
        if frame.time - standing.seen < GONE_AFTER:
            return []
        self._standing = None
        if not standing.told:
            return []
        return [self._dwell("gone", standing, standing.seen - standing.since, standing.seen_wall, None)]

    def _dwell(self, state: str, standing: _Standing, seconds: float, wall: int, picture: Picture | None) -> Dwell:
        zone, box = self.settings, tuple(round(side) for side in standing.box)
        return Dwell(zone.name, zone.kind, state, standing.wall, round(seconds, 1), zone.after, wall, box, picture)

    def _begin(self, width: int, height: int) -> None:
        outline = np.array(self.settings.area, np.float64)
        left, top = outline.min(axis=0)
        right, bottom = outline.max(axis=0)
        box = Box(float(left), float(top), float(right), float(bottom)).within(width, height)
        self._size, self._box = (width, height), box
        self._scale = min(1.0, WIDE / max(1.0, box.width, box.height))
        wide, tall = max(8, round(box.width * self._scale)), max(8, round(box.height * self._scale))
        mask = np.zeros((tall, wide), np.uint8)
        shape = ((outline - (box.left, box.top)) * self._scale).round().astype(np.int32)
        cv2.fillPoly(mask, [shape], (1,))
        self._inside = mask.astype(bool)
        self._empty = self._before = None
        self._standing, self._learnt = None, 0.0

    def _levelled(self, frame: Frame) -> Map:
        """The zone in luma, each pixel against the mean around it: neither sun nor lamps change that much."""
        box = self._box
        part = frame.luma[int(box.top) : max(int(box.top) + 1, int(box.bottom)), int(box.left) : int(box.right)]
        tall, wide = self._inside.shape
        small: Any = cv2.resize(part, (wide, tall), interpolation=cv2.INTER_AREA).astype(np.float32)
        small = cv2.blur(small, (3, 3))
        level: Map = small / (cv2.blur(small, (AROUND, AROUND)) + 8.0)
        return level

    def _learn(self, now: Map, seconds: float) -> None:
        if self._empty is None:
            return
        share = 0.3 if self._learnt < LEARNT else min(0.5, LEARN * seconds)
        self._empty = (1 - share) * self._empty + share * now
        self._learnt += seconds

    def _largest(self, differs: npt.NDArray[np.bool_], count: int) -> tuple[Box, float]:
        """The largest piece that differs, in pixels of the frame, and its share of the zone."""
        closed: Any = cv2.morphologyEx(differs.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8))
        closed &= self._inside.astype(np.uint8)
        number, _, stats, _ = cv2.connectedComponentsWithStats(closed)
        if number < 2:
            return Box(0, 0, 0, 0), 0.0
        best = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        x, y, wide, tall, area = (float(value) for value in stats[best])
        left, top = self._box.left + x / self._scale, self._box.top + y / self._scale
        return Box(left, top, left + wide / self._scale, top + tall / self._scale), area / count

    def _is_ground(self, now: Map, differs: npt.NDArray[np.bool_]) -> bool:
        """Whether there is less to see than before: what had been learnt as empty has driven away."""
        if self._empty is None or not differs.any():
            return False
        piece: Any = cv2.morphologyEx(differs.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8))
        outline = cv2.morphologyEx(piece, cv2.MORPH_GRADIENT, np.ones((7, 7), np.uint8)).astype(bool)
        if _edges(now)[outline].mean() >= OUTLINE * _edges(self._empty)[outline].mean():
            return False
        self._empty = now.copy()
        return True


class DwellWatch:
    """All zones of one camera."""

    def __init__(self, zones: Sequence[ZoneSettings], veil: Veil | None = None) -> None:
        self._zones = [Zone(zone) for zone in zones]
        self._veil = veil or Veil()
        self._looked: float | None = None

    def look(self, frame: Frame, wall: int) -> list[Dwell | Stands] | None:
        """Look at a frame of time ``wall`` (ns since 1970); None when it was too soon after the last look."""
        if self._looked is not None and 0 <= frame.time - self._looked < LOOK_EVERY - 1e-3:
            return None
        seconds = LOOK_EVERY if self._looked is None else max(0.0, frame.time - self._looked)
        self._looked = frame.time
        return [found for zone in self._zones for found in zone.look(frame, wall, seconds, self._veil)]

    def finish(self) -> list[Dwell]:
        """The stream is over or broke: the zones are learnt anew."""
        self._looked = None
        return [found for zone in self._zones for found in zone.finish()]


def _apart(box: Box, other: Box) -> float:
    """How far two boxes are from each other, by the size of the second."""
    (x, y), (z, w) = box.middle, other.middle
    return max(abs(x - z) / max(1.0, other.width), abs(y - w) / max(1.0, other.height))


def _picture(frame: Frame, wall: int, box: Box, veil: Veil) -> Picture | None:
    shown = box.within(frame.width, frame.height)
    if shown.area < 1:
        return None
    jpeg = veil.jpeg(frame.bgr, shown, None)
    return None if jpeg is None else Picture(jpeg, wall, frame_hash(frame.bgr))


def _edges(level: Map) -> Map:
    across: Any = np.abs(np.diff(level, axis=1, prepend=level[:, :1]))
    down: Any = np.abs(np.diff(level, axis=0, prepend=level[:1]))
    edges: Map = across + down
    return edges
