"""Tracks: one plate, or one moving region, followed through the looks at a lane."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from gateway.vision.capture import Frame
from gateway.vision.evidence import Pixels
from gateway.vision.fuse import Verdict, WeighedRead, fuse, reconsidered, settled
from gateway.vision.lanes import Place
from gateway.vision.plates import FoundPlate
from gateway.vision.shapes import Box, Spot

KEPT = 400  # places of one track; beyond that every second one goes
READS_KEPT = 32
LOOKS_KEPT = 5  # chosen by the tune split: three gain half as much, ten no more
MOVED = 1.0  # plate widths: what moved less stands
GROWN = 1.35  # apparent size: what comes straight at the camera grows instead
STILL = 0.3  # plate widths: within this it has not left its spot
STEADY = (3, 1.0)  # sightings, within so many seconds, after which its speed is known
CUT = 3.0  # pixels from the picture's edge: there a region goes on beyond it
WIDENS = 1.3  # a region that is so much wider of a sudden is two vehicles side by side
FIRMLY = 0.4  # plate widths
STANDS_AFTER = 1.5  # seconds on one spot
ROWS_KNOWN = 4  # reads

Kept = TypeVar("Kept")


def thinned(places: list[Kept]) -> list[Kept]:
    """Halve a long path but keep its ends."""
    return places if len(places) <= KEPT else [*places[:-1:2], places[-1]]


class Seat(NamedTuple):
    """Where on a moving region a plate was: the region's number, the share of its width from the left, pixels down.

    ``below`` its upper and ``above`` its lower edge, None where the picture's edge cut that off; ``spot`` in the
    picture; ``widest`` is the region so far; ``firm`` when the plate has been seen to go where the region goes.
    """

    region: int
    share: float
    below: float | None
    above: float | None
    spot: Spot
    widest: float
    firm: bool

    def carried(self, region: "MotionTrack", size: tuple[int, int]) -> Spot | None:
        """Where the plate should be in the region's last look, None where it cannot be told; ``size`` of the picture.

        A region's lower edge is surer than its roof.
        """
        box = region.box
        if box.width > WIDENS * self.widest:
            return None
        x = box.left + self.share * box.width
        if self.above is not None and box.bottom < size[1] - CUT:
            return x, box.bottom - self.above
        if self.below is not None and box.top > CUT:
            return x, box.top + self.below
        return None


@dataclass
class MotionTrack:
    """A moving region: its path, its boxes of the last look, and its best frame for a picture."""

    number: int
    path: list[Place] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    first_wall: int = 0
    last_wall: int = 0
    plates: set[int] = field(default_factory=set)
    best: tuple[float, Frame, int, Box] | None = None

    @property
    def last(self) -> Place:
        """Where it was last."""
        return self.path[-1]

    @property
    def box(self) -> Box:
        """Its box in the last look that saw it."""
        return self.boxes[-1]

    def expected(self, time: float) -> Box:
        """Its box at ``time`` if it goes on as over the last looks."""
        before = self.path[max(0, len(self.path) - 5)]
        span = self.last.time - before.time
        ahead = (time - self.last.time) / span if span > 0 else 0.0
        across, down = (self.last.x - before.x) * ahead, (self.last.y - before.y) * ahead
        left, top, right, bottom = self.box
        return Box(left + across, top + down, right + across, bottom + down)

    def add(self, time: float, wall: int, box: Box) -> None:
        """Take the box of one look."""
        x, y = box.middle
        self.path = thinned([*self.path, Place(time, x, y, math.sqrt(max(1.0, box.area)))])
        self.boxes = thinned([*self.boxes, box])
        self.first_wall = self.first_wall or wall
        self.last_wall = wall


@dataclass(frozen=True, slots=True)
class KeptLook:
    """What may be read once more: a patch of a frame, the plate in it, its time (s and ns since 1970) and worth."""

    patch: Pixels
    plate: FoundPlate
    time: float
    wall: int
    colour: str
    weight: float


@dataclass
class PlateTrack:
    """One plate: where it was, what was read, whether it stands.

    ``looks`` are the best ones, for ``reread``: what was read of them once more when the passage was over.
    ``witnesses`` are the texts that the second reader said, empty ones where it said none for sure.
    ``again`` is the direction with which the same vehicle was told a moment ago, empty if it was not.
    ``dark``: it is, or was found as, a black one. ``boarded`` is the first region that it was seen on, ``seat`` where
    it was on the last one.
    """

    number: int
    path: list[Place] = field(default_factory=list)
    reads: list[WeighedRead] = field(default_factory=list)
    looks: list[KeptLook] = field(default_factory=list)
    reread: list[WeighedRead] = field(default_factory=list)
    witnesses: list[str] = field(default_factory=list)
    plate: FoundPlate | None = None
    first_wall: int = 0
    last_wall: int = 0
    motions: set[int] = field(default_factory=set)
    boarded: int = 0
    seat: Seat | None = None
    misses: int = 0
    dark: bool = False
    tried: float = 0.0
    anchor: Place | None = None
    moving_wall: int = 0
    moved: bool = False
    read_at: Place | None = None
    again: str = ""
    judged: int = 0  # reads when it was last asked whether its list may be told; -1: it was
    announced: str = ""  # the list that was told
    best: tuple[float, Frame, int, Box, Box | None] | None = None
    _fused: tuple[int, Verdict | None, bool] = (0, None, False)  # by how many changes of the reads
    _changes: int = 0

    @property
    def last(self) -> Place:
        """Where it was last."""
        return self.path[-1]

    @property
    def verdict(self) -> Verdict | None:
        """What all reads together say, None without any."""
        return self._judged()[1]

    @property
    def settled(self) -> bool:
        """Whether more reads can hardly change the verdict."""
        return self._judged()[2]

    def _judged(self) -> tuple[int, Verdict | None, bool]:
        if self._fused[0] != self._changes:
            verdict = (
                reconsidered(self.reads, self.reread) if self.reread else fuse(self.reads, witnesses=self.witnesses)
            )
            self._fused = (self._changes, verdict, settled(self.reads, verdict))
        return self._fused

    @property
    def rows(self) -> int:
        """In how many rows it is read, once its reads agree; 0 while that is not known."""
        if len(self.reads) < ROWS_KNOWN:
            return 0
        double = sum(read.read.double for read in self.reads)
        return 1 if double == 0 else 2 if double == len(self.reads) else 0

    @property
    def standing(self) -> bool:
        """Whether it has been on one spot for a while."""
        return self.anchor is not None and self.last.time - self.anchor.time >= STANDS_AFTER

    def add(self, time: float, wall: int, plate: FoundPlate) -> None:
        """Take one sighting."""
        place = Place(time, *plate.middle, plate.width)
        if (
            self.anchor is None
            or _distance(self.anchor, place) > STILL * place.size
            or _growth(self.anchor, place) > 1.2
        ):
            self.anchor = place
            self.moving_wall = wall
        self.path = thinned([*self.path, place])
        self.plate = plate
        self.first_wall = self.first_wall or wall
        self.last_wall = wall
        self.misses = 0
        self.tried = time
        self.moved = self.moved or self._moved()

    def _moved(self) -> bool:
        first, last = self.path[0], self.last
        return _distance(first, last) > MOVED * min(first.size, last.size) or _growth(first, last) > GROWN

    def ride(self, region: MotionTrack, size: tuple[int, int]) -> None:
        """It was just sighted within this moving region of a picture of ``size`` pixels."""
        x, y, across = self.last.x, self.last.y, self.last.size
        box, before, firm = region.box, self.seat, False
        widest = box.width
        self.boarded = self.boarded or region.number
        if before is not None and before.region == region.number:
            there = before.carried(region, size)
            close = there is not None and math.dist(there, (x, y)) < FIRMLY * across
            if close and not before.firm and math.dist(before.spot, (x, y)) <= FIRMLY * across:
                return  # something may only pass a plate that stands
            firm, widest = before.firm or close, max(widest, before.widest)
        if firm:
            begin, end = region.path[0], region.last
            self.moved = self.moved or _distance(begin, end) > MOVED * across
        below = y - box.top if box.top > CUT else None
        above = box.bottom - y if box.bottom < size[1] - CUT else None
        share = (x - box.left) / max(1.0, box.width)
        self.seat = Seat(region.number, share, below, above, (x, y), widest, firm)

    def forget(self) -> None:
        """Begin anew from where it stands: what came before belongs to another passage, or to none."""
        self.path = self.path[-1:]
        self.reads, self.looks, self.reread, self.witnesses = [], [], [], []
        self._changes += 1
        self.again = ""
        self.read_at = None
        self.best = None
        self.moved = False
        self.first_wall = self.last_wall
        self.motions = set()
        self.boarded, self.seat = 0, None
        self.judged, self.announced = 0, ""

    def take_over(self, lost: "PlateTrack") -> None:
        """Join what was lost a moment ago to this track: it is the same plate."""
        self.path = thinned(sorted([*lost.path, *self.path], key=lambda place: place.time))
        self.reads = [*lost.reads, *self.reads]
        self.witnesses = [*lost.witnesses, *self.witnesses]
        for look in lost.looks:
            self.keep(look)
        self._changes += 1
        self.again = lost.again
        self.first_wall = lost.first_wall
        self.motions |= lost.motions
        self.boarded = lost.boarded or self.boarded
        if self.seat is not None and lost.seat is not None and lost.seat.firm and lost.seat.region == self.seat.region:
            self.seat = self.seat._replace(firm=True)
        self.moved = self.moved or lost.moved or self._moved()
        self.judged = -1 if lost.judged < 0 else self.judged
        self.announced = self.announced or lost.announced
        if lost.best is not None and (self.best is None or lost.best[0] > self.best[0]):
            self.best = lost.best

    def add_read(self, read: WeighedRead) -> None:
        """Keep a read; of too many, the best looks stay."""
        self.reads.append(read)
        self._changes += 1
        if len(self.reads) > READS_KEPT:
            worst = min(self.reads, key=lambda kept: kept.weight)
            self.reads.remove(worst)

    def keep(self, look: KeptLook) -> None:
        """Keep a look if it is among the best."""
        self.looks = sorted([*self.looks, look], key=lambda kept: -kept.weight)[:LOOKS_KEPT]

    def reconsider(self, again: Sequence[WeighedRead] = (), *, witness: str | None = None) -> None:
        """Let reads of its looks once more vote for its text, and hear what the second reader said of a look."""
        self.reread = [*again] or self.reread
        self.witnesses += [witness] if witness is not None else []
        self._changes += 1

    def expected(self, time: float) -> Spot:
        """Where it should be at ``time`` if it goes on as it went."""
        speed_x, speed_y = self._speed()
        ahead = min(1.0, time - self.last.time)
        return self.last.x + speed_x * ahead, self.last.y + speed_y * ahead

    def _speed(self) -> tuple[float, float]:
        """Pixels a second over about the last quarter of a second."""
        last = self.last
        for place in reversed(self.path[:-1]):
            span = last.time - place.time
            if span >= 0.2 or place is self.path[0]:
                return ((last.x - place.x) / span, (last.y - place.y) / span) if 0 < span < STEADY[1] else (0.0, 0.0)
        return 0.0, 0.0

    def around(self, time: float) -> float:
        """How far around the expected spot (pixels) to look: what has been followed for a while goes on as it went."""
        if not self._steady:
            return max(self.reach(time) + 0.5 * self.last.size, 1.6 * self.last.size)
        # Much closer than this the detector misses what it has no surroundings of.
        return self.last.size * min(4.0, 1.2 + 4.0 * max(0.0, time - self.last.time) + 0.5 * self.misses)

    @property
    def _steady(self) -> bool:
        sightings, seconds = STEADY
        return len(self.path) >= sightings and self.last.time - self.path[-sightings].time < seconds

    def reach(self, time: float) -> float:
        """How far from the expected spot (pixels) a sighting may lie: a new plate's speed is not known yet."""
        gap = max(0.0, time - self.last.time)
        return self.last.size * (min(6.0, 1.0 + 10.0 * gap) if self._steady else min(3.5, 1.0 + 25.0 * gap))


def _distance(one: Place, other: Place) -> float:
    return math.hypot(one.x - other.x, one.y - other.y)


def _growth(one: Place, other: Place) -> float:
    small, large = sorted((max(1e-6, one.size), max(1e-6, other.size)))
    return large / small
