"""Follows moving regions from look to look: through stops, and while two of them are one."""

import math
from collections.abc import Sequence

from gateway.vision.capture import Frame
from gateway.vision.shapes import Box
from gateway.vision.track import MotionTrack

LOST = 0.7  # seconds without motion after which a region has stopped
LEFT = 0.3  # the same at the picture's edge: the next one may come in right behind
LASTING = 5  # looks: what moved for less is a piece of something, and does not go on with the next that comes there
RESUMES = 20.0  # seconds for which one that stopped may go on


class MotionFollower:
    """The moving regions of one camera; ``seen`` are those of the last look."""

    def __init__(self) -> None:
        self.seen: list[MotionTrack] = []
        self._moving: list[MotionTrack] = []
        self._paused: list[MotionTrack] = []
        self._number = 0

    @property
    def known(self) -> dict[int, MotionTrack]:
        """All that has not ended, by number."""
        return {track.number: track for track in [*self._moving, *self._paused]}

    def follow(self, frame: Frame, wall: int, boxes: Sequence[Box]) -> None:
        """Take the boxes of one look at ``wall`` (ns since 1970)."""
        now = frame.time
        self.seen = []
        free = self._pass_each_other(now, wall, boxes)
        for track in sorted(self._moving, key=lambda one: -len(one.path)):
            box = _nearest(track, free) if track not in self.seen else None
            if box is not None:
                free.remove(box)
                self.seen.append(track)
                track.add(now, wall, box)
        for box in free:
            found = self._resumed(box)
            if found is None:
                self._number += 1
                found = MotionTrack(self._number)
            found.add(now, wall, box)
            self._moving.append(found)
            self.seen.append(found)
        inner = Box(2, 2, frame.width - 2, frame.height - 2)
        for track in self.seen:
            clear = track.box.meets(inner).area
            if track.best is None or clear > 1.15 * track.best[0]:
                track.best = (clear, frame, wall, track.box)

    def _pass_each_other(self, now: float, wall: int, boxes: Sequence[Box]) -> list[Box]:
        """Two that meet become one region for a while: each goes on as it went. Gives the boxes of only one."""
        free = []
        for box in boxes:
            joined = [track for track in self._moving if track not in self.seen and _inside(track, box, now)]
            if len(joined) < 2:
                free.append(box)
                continue
            for track in joined:
                self.seen.append(track)
                track.add(now, wall, track.expected(now))
        return free

    def _resumed(self, box: Box) -> MotionTrack | None:
        """The track that stopped where something moves now."""
        for track in self._paused:
            if track.box.overlap(box) > 0.2 or track.box.holds(box.middle) or box.holds(track.box.middle):
                self._paused.remove(track)
                return track
        return None

    def ended(self, now: float, size: tuple[int, int]) -> list[MotionTrack]:
        """Give, once, every track that is over: gone over the edge, or stopped for long."""
        edge = 0.02 * size[0]
        inner = Box(edge, edge, size[0] - edge, size[1] - edge)
        over: list[MotionTrack] = []
        for track in list(self._moving):
            stopped = track.box.meets(inner) == track.box
            if now - track.last.time >= (LOST if stopped else LEFT):
                self._moving.remove(track)
                (self._paused if stopped and len(track.path) >= LASTING else over).append(track)
        for track in list(self._paused):
            if now - track.last.time >= RESUMES:
                self._paused.remove(track)
                over.append(track)
        return over


def _inside(track: MotionTrack, box: Box, now: float) -> bool:
    """Whether a region holds a track that has been going for a while, and much else."""
    there = track.expected(now)
    return len(track.path) > 4 and box.area > 1.3 * there.area and there.meets(box).area > 0.6 * there.area


def _nearest(track: MotionTrack, boxes: Sequence[Box]) -> Box | None:
    """The box that goes on with this track: the most common area, or the nearest middle within its own size."""
    best: tuple[float, Box] | None = None
    last = track.last
    for box in boxes:
        overlap = track.box.overlap(box)
        distance = math.dist((last.x, last.y), box.middle)
        if overlap > 0.05 or distance < 0.6 * max(last.size, math.sqrt(box.area)):
            merit = overlap - distance / max(1.0, last.size)
            if best is None or merit > best[0]:
                best = (merit, box)
    return best[1] if best else None
