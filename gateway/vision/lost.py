"""Plates out of sight: which of them have left, which may come back, and which came back after they were told."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from gateway.vision.fuse import alike, resembles
from gateway.vision.shapes import Box, Spot
from gateway.vision.track import MotionTrack, PlateTrack

HELD = 3.0  # seconds that a plate lost inside the picture may come back (a pedestrian, a wiper)
RIDES = 10.0  # the same while its vehicle still moves inside the picture
HIDDEN = 45.0  # the same while its vehicle has not crossed a line: something stands before it
NEAR_EDGE = 2.0  # plate widths from the picture's edge within which a plate that was lost may have left
REMEMBERED = (3.0, 60.0)  # seconds for which what was told may be seen again: if it was on its way out, if not
BACK = 3.0  # plate widths from where it was lost within which it comes back
SEATED = 1.0  # plate widths from where its vehicle has carried it
REJOIN_READS = 4  # first reads of a plate at each of which it may be one that was lost


@dataclass(frozen=True, slots=True)
class Told:
    """A plate that was told: its track, which way, and until when (s) it may be seen again."""

    track: PlateTrack
    direction: str
    until: float


class LostPlates:
    """The plates of one camera that are not followed any more but not forgotten either."""

    def __init__(self) -> None:
        self.held: list[PlateTrack] = []
        self._told: list[Told] = []
        self._size = (0, 0)

    def resize(self, size: tuple[int, int]) -> None:
        """Take the size of the picture, pixels."""
        self._size = size

    def waits(self, now: float) -> bool:
        """Whether one may come back at any moment: not what something stands before."""
        return any(now - track.last.time < HELD for track in self.held)

    def leaves(self, track: PlateTrack) -> bool:
        """Whether a plate that is not found just now was on its way out of the picture."""
        ahead = track.expected(track.last.time + 0.5)
        return not self._inside(ahead, 0.5 * track.last.size)

    def over(self, now: float, moving: Collection[int], crossed: Callable[[PlateTrack], bool]) -> list[PlateTrack]:
        """Give, once, every plate that does not come back; ``moving``: the regions that move, by number."""
        gone = []
        for track in list(self.held):
            # What was last seen well inside, and still moves there, turns, or something stands before its plate.
            left = self.leaves(track) and (
                not self._inside((track.last.x, track.last.y), NEAR_EDGE * track.last.size)
                or not track.motions.intersection(moving)
            )
            silent = now - track.last.time
            riding = bool(track.reads) and track.seat is not None and track.seat.region in moving
            waits = RIDES if riding and track.seat is not None and track.seat.firm else HELD
            if left or not (track.moved or riding) or silent >= HIDDEN or (silent >= waits and crossed(track)):
                self.held.remove(track)
                gone.append(track)
        return gone

    def remember(self, track: PlateTrack, direction: str, now: float) -> None:
        """A plate was told: it is not told again if it only comes out from behind something."""
        self._told = [told for told in self._told if now < told.until]
        if track.verdict is not None:
            self._told.append(Told(track, direction, now + REMEMBERED[not self.leaves(track)]))

    def rejoin(
        self, track: PlateTrack, followed: Sequence[PlateTrack], regions: Mapping[int, MotionTrack]
    ) -> PlateTrack | None:
        """Go on with a plate that was lost, or told, if ``track`` was just read as the same one.

        ``regions`` move, or have stopped, by number. Gives the one of ``followed`` that this track has taken over: one
        that turns is found anew before it is lost.
        """
        if len(track.reads) > REJOIN_READS or not track.reads:
            return None
        text = track.reads[-1].read.text
        unseen = [other for other in followed if other is not track and _unseen(other, track, text)]
        for lost in [*self.held, *unseen]:
            held = any(lost is other for other in self.held)
            if self._same(lost, track, text, held=held) or self._seated(lost, track, text, regions):
                if held:
                    self.held = [other for other in self.held if other is not lost]
                track.take_over(lost)
                for region in regions.values():
                    region.plates.discard(lost.number)
                return None if held else lost
        for told in self._told:
            verdict = told.track.verdict
            if track.path[0].time < told.until and verdict is not None and self._back(told.track, track, text):
                track.again = told.direction
                track.motions |= told.track.motions
        return None

    def _same(self, lost: PlateTrack, track: PlateTrack, text: str, *, held: bool) -> bool:
        verdict, time = lost.verdict, track.last.time
        if verdict is not None and verdict.text == text:
            return True
        off = math.dist(lost.expected(time), (track.last.x, track.last.y))
        # What was read surely is not this one for being like it: a firm's cars have plates in a row.
        close = off < BACK * track.last.size
        if verdict is not None and (close or verdict.status != "accepted") and alike(verdict.text, text):
            return True
        near = off < 2 * lost.reach(time)
        unread = verdict is None or (verdict.status != "accepted" and bool(lost.motions & track.motions))
        return held and ((unread and near) or self._back(lost, track, text))

    def _seated(self, lost: PlateTrack, track: PlateTrack, text: str, regions: Mapping[int, MotionTrack]) -> bool:
        """Whether this plate is where the other one's vehicle has carried it; what was read surely has to agree."""
        region = regions.get(lost.seat.region) if lost.seat is not None and lost.seat.firm else None
        if lost.seat is None or region is None or region.number not in track.motions:
            return False
        there = lost.seat.carried(region, self._size) if region.last.time == track.last.time else None
        if there is None or math.dist(there, (track.last.x, track.last.y)) > SEATED * track.last.size:
            return False
        verdict = lost.verdict
        return verdict is None or verdict.status != "accepted" or resembles(verdict.text, text)

    @staticmethod
    def _back(lost: PlateTrack, track: PlateTrack, text: str) -> bool:
        """Whether this plate begins where the other one ended, and reads much like it."""
        verdict, first = lost.verdict, track.path[0]
        if verdict is None or not (alike(verdict.text, text) or resembles(verdict.text, text)):
            return False
        return math.dist(lost.path[-1][1:3], first[1:3]) < BACK * max(lost.last.size, first.size)

    def _inside(self, spot: Spot, margin: float) -> bool:
        return Box(margin, margin, self._size[0] - margin, self._size[1] - margin).holds(spot)


def _unseen(other: PlateTrack, track: PlateTrack, text: str) -> bool:
    """Whether a plate that is still looked for may be this one: not seen since, or not now and read the very same."""
    if other.last.time < track.path[0].time:
        return True
    same = other.verdict is not None and other.verdict.text == text and bool(other.motions & track.motions)
    return same and other.last.time < track.last.time
