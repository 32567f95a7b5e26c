"""Joins the pieces of one object's way: what was lost behind a balcony or between two blurs goes on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.vision.falling.candidate import Way
from gateway.vision.falling.spots import Spot
from gateway.vision.falling.tracks import Linker, Track

HIDDEN = 1.0  # seconds that a thing may be out of sight and still be the same
LEAST = 5  # spots of a piece
ENDS = 6  # spots at either end of a gap that say how fast it was
LOOSE, LOOSE_SHARE = 30.0, 0.45  # pixels a second of the reduced picture, and share, by which speeds may differ
PLACE = 3.5  # pixels by which a place may be wrong
GROWTH = 110.0  # pixels a second by which a thing may have become quicker in a second out of sight


@dataclass(slots=True)
class Chain:
    """One moving thing: its way so far, the track that goes on (None while it is hidden), what was decided."""

    way: Way
    track: Track | None
    taken: int = 0
    next_look: float = 0.0
    looked: int = 0
    sure: float = 0.0
    fall: int = 0
    dismissed: bool = False

    def follow(self) -> bool:
        """Take over what the track has found since; False when nothing came."""
        track = self.track
        if track is None or len(track.times) == self.taken:
            return False
        self.way.times += track.times[self.taken :]
        self.way.spots += track.spots[self.taken :]
        self.taken = len(track.times)
        return True


@dataclass(slots=True)
class Chains:
    """All things that move now or were hidden a moment ago."""

    scale: float
    linker: Linker
    open: dict[int, Chain] = field(default_factory=dict)
    resting: list[Chain] = field(default_factory=list)

    def feed(self, time: float, spots: Sequence[Spot]) -> list[Chain]:
        """Link one frame's spots and follow their tracks; the chains that are over for good come back."""
        ended = self.linker.feed(time, spots)
        for track in list(self.linker.open):
            if len(track.times) >= LEAST and track.number not in self.open:
                self.open[track.number] = self._begin(track)
        for track in ended:
            if len(track.times) >= LEAST and track.number not in self.open:
                self.open[track.number] = self._begin(track)
            chain = self.open.pop(track.number, None)
            if chain is not None:
                chain.follow()
                chain.track = None
                self.resting.append(chain)
        for chain in self.open.values():
            chain.follow()
        over = [chain for chain in self.resting if time - chain.way.times[-1] > HIDDEN]
        if over:
            self.resting = [chain for chain in self.resting if time - chain.way.times[-1] <= HIDDEN]
        return over

    def finish(self) -> list[Chain]:
        """End everything."""
        over = [*self.resting, *self.open.values()]
        self.resting, self.open = [], {}
        return over

    def _begin(self, track: Track) -> Chain:
        best, least = None, 1.0
        stale = [chain for chain in self.open.values() if chain.way.times[-1] < track.times[0]]
        for chain in (*self.resting, *stale):
            wrong = mismatch(chain.way, track)
            if wrong < least:
                best, least = chain, wrong
        if best is None:
            chain = Chain(Way(self.scale), track)
        else:
            chain = best
            if chain.track is not None:
                self.linker.drop(chain.track)
                self.open.pop(chain.track.number, None)
            self.resting = [other for other in self.resting if other is not best]
            chain.track, chain.taken, chain.dismissed = track, 0, False
            chain.way.joint = len(chain.way.times)
        chain.follow()
        return chain


def mismatch(way: Way, track: Track | Way, hidden: float = HIDDEN) -> float:
    """How badly a track goes on where a way ended ``hidden`` seconds before at most: below 1 it may be one thing."""
    gap = track.times[0] - way.times[-1]
    if not 0 < gap <= hidden:
        return 1e9
    ends = min(ENDS, len(way.times)), min(ENDS, len(track.times))
    before = way.times[-1] - way.times[-ends[0]], track.times[ends[1] - 1] - track.times[0]
    if min(before) <= 0:
        return 1e9
    worst = 0.0
    for axis in (0, 1):
        left = (way.spots[-1][axis] - way.spots[-ends[0]][axis]) / before[0]
        right = (track.spots[ends[1] - 1][axis] - track.spots[0][axis]) / before[1]
        across = (track.spots[0][axis] - way.spots[-1][axis]) / gap
        middle = (left + right) / 2
        allowed = LOOSE + LOOSE_SHARE * abs(middle) + abs(right - left) / 2 + PLACE / gap
        if axis == 1 and (right < 0.6 * left - LOOSE or across < 0):
            return 1e9
        if abs(right - left) > 2 * LOOSE + 2 * LOOSE_SHARE * abs(middle) + GROWTH * gap:
            return 1e9
        worst = max(worst, abs(across - middle) / allowed)
    return worst * (1 + gap)
