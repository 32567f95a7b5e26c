"""One vehicle lane: looks at frames, follows what moves and its plates, and says which vehicles went through."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.settings import CameraSettings
from gateway.vision.capture import Frame
from gateway.vision.evidence import vehicle_box
from gateway.vision.kinds import Kinds
from gateway.vision.lanes import movement
from gateway.vision.lists import PlateLists
from gateway.vision.look import GOOD_WIDTH, READABLE, READS_ENOUGH, PlateSight, darkly, look_again, look_at
from gateway.vision.lost import LostPlates
from gateway.vision.messages import Passage, Sure
from gateway.vision.motion import MotionGate
from gateway.vision.moving import MotionFollower
from gateway.vision.passages import SIGHTINGS, PassageBook
from gateway.vision.plates import FoundPlate
from gateway.vision.privacy import Veil
from gateway.vision.shapes import Box, Spot, around
from gateway.vision.track import MotionTrack, PlateTrack

LOOK_EVERY = 0.06  # seconds: every second frame of 25 a second
SETTLED_EVERY = 0.25  # seconds between looks at a plate that needs no more reads
WIDE_EVERY = 0.15  # seconds between looks for new plates in all that moves, while none is followed there
WIDE_KNOWN = 0.4  # the same where all that moves had a plate, which has left already
WIDE_SETTLED = 0.5  # the same while one is followed
ROOF = 0.25  # of a moving region's height, from above, where no plate is
EDGE = 0.03  # of the picture's height within which a region may go on beyond it
FLAT = 0.5  # height by width: all that moves is no more than a piece of a vehicle
SEARCHING = 0.12  # seconds between looks at a plate that is too small to be read
RETURNS = 2.0  # plate widths
SURELY = 1.5  # plate widths from where one that stood, or that its vehicle carries, is found again
STILL_MOVES = 0.25  # seconds since a region was seen to move
CHECK_WAITING = 0.3  # seconds between checks whether a plate that stopped is still there
CHECK_STANDING = 5.0
LOST = (4, 0.8)  # looks and seconds without a plate after which it is lost
LEAVING = (4, 1.2)  # the same of one that was on its way out of the picture, while its vehicle still moves there
LEFT = (3, 0.3)  # and when that has gone too
STAYS = 120.0  # seconds after which a vehicle that came and stands has arrived
SURE_READS = 4  # below which no verdict is accepted, so none is asked for


class Search(NamedTuple):
    """Where to look for plates, for which width (pixels, 0: any), and whether for black ones."""

    region: Box
    expected: float
    dark: bool


class VehicleGate:
    """Takes every frame of a camera in order, gives each vehicle that went through once."""

    def __init__(
        self,
        camera: CameraSettings,
        sight: PlateSight | None,
        lists: PlateLists,
        veil: Veil | None = None,
        kinds: Kinds | None = None,
    ) -> None:
        """Without ``sight`` (models are missing) passages come from motion alone.

        ``veil`` makes the pictures, ``kinds`` tells vehicles where a detector can.
        """
        lanes = camera.vehicles.lanes if camera.vehicles else ()
        self._sight = sight
        self._motion = MotionGate()
        self._kinds = kinds or Kinds()
        veil = veil or Veil(sight.find if sight else None, unblurred=camera.unblurred is not None)
        self._book = PassageBook(camera.name, lanes, lists, veil, self._kinds)
        self._lists = lists
        self._sure: list[Sure] = []
        self._plates: list[PlateTrack] = []
        self._lost = LostPlates()
        self._moving = MotionFollower()
        self._looked = -LOOK_EVERY
        self._arrived = 0.0
        self._widely = -WIDE_SETTLED
        self._number = 0
        self._wides = 0
        self._size = (0, 0)

    def offer(self, frame: Frame, wall: int) -> list[Passage] | None:
        """Look at a frame whose time is ``wall`` (ns since 1970); None when it was too soon after the last look."""
        now = frame.time
        if now - self._looked < LOOK_EVERY - 1e-4:
            return None
        self._looked, self._arrived = now, frame.arrived
        if self._size not in ((0, 0), (frame.width, frame.height)):
            passages = self.finish()
            self._resize(frame)
            return passages
        self._resize(frame)
        boxes = self._motion.look(frame.luma)
        self._moving.follow(frame, wall, boxes)
        if self._sight is not None:
            self._follow_plates(self._sight, frame, wall, boxes)
        return self._close(now)

    def _resize(self, frame: Frame) -> None:
        self._size = (frame.width, frame.height)
        self._lost.resize(self._size)

    def sure(self) -> list[Sure]:
        """Give, once each, the listed plates that were read surely though their vehicles are still there."""
        sure, self._sure = self._sure, []
        return sure

    @property
    def busy(self) -> bool:
        """Whether something moves, or a passage is not told yet: then every frame counts."""
        following = any(not track.standing for track in self._plates)
        return following or bool(self._moving.seen) or self._lost.waits(self._looked) or self._book.pending

    def finish(self) -> list[Passage]:
        """Close everything that is open: the stream ended or broke."""
        for track in [*self._lost.held, *self._plates]:
            self._look_again(track)
            self._book.plate_ended(track, self._moving.known)
        for motion in self._moving.known.values():
            self._book.motion_ended(motion, self._size)
        self._plates, self._lost, self._moving = [], LostPlates(), MotionFollower()
        self._motion = MotionGate()
        self._looked = -LOOK_EVERY
        self._widely = -WIDE_SETTLED
        return self._book.take(math.inf, [])

    # ------------------------------------------------------------------------------------------------- plates

    def _follow_plates(self, sight: PlateSight, frame: Frame, wall: int, boxes: Sequence[Box]) -> None:
        now = frame.time
        searches = [search for search in self._searches(frame, boxes) if search.region.area > 0]
        spots = {track.number: self._spot(track, now) for track in self._plates}
        found: list[FoundPlate] = []
        dark: list[bool] = []
        for search in searches:
            for plate in sight.find(frame.bgr, search.region, search.expected, dark=search.dark):
                if all(plate.box.overlap(other.box) < 0.3 for other in found):
                    found.append(plate)
                    dark.append(search.dark)
        pairs = sorted(
            (
                (math.dist(spots[track.number], plate.middle) / track.reach(now), place, track)
                for track in self._plates
                for place, plate in enumerate(found)
                if _fits(track, plate, now, spots[track.number], Box(0, 0, *self._size))
            ),
            key=lambda pair: pair[:2],
        )
        taken: set[int] = set()
        seen: set[int] = set()
        for _, place, track in pairs:
            if place not in taken and track.number not in seen:
                taken.add(place)
                seen.add(track.number)
                track.dark = dark[place]
                self._sighted(sight, track, frame, wall, found[place])
        for track in self._plates:
            spot = spots[track.number]
            gone = not Box(0, 0, *self._size).holds(spot)
            if track.number not in seen and (gone or any(search.region.holds(spot) for search in searches)):
                track.misses += 1
                track.tried = now
        for place, plate in enumerate(found):
            if place not in taken:
                self._number += 1
                track = PlateTrack(self._number, dark=dark[place])
                self._plates.append(track)
                self._sighted(sight, track, frame, wall, plate)

    def _searches(self, frame: Frame, boxes: Sequence[Box]) -> list[Search]:
        """Where to look for plates now, and for which width: around those followed, at times in all that moves."""
        width, height = self._size
        now = frame.time
        due: list[Search] = []
        followed = False
        for track in self._plates:
            spot = self._spot(track, now)
            touched = any(box.grown(0.1).holds(spot) for box in boxes)
            if track.standing and not touched:
                wait = CHECK_WAITING if track.misses else CHECK_STANDING
            elif not touched:
                wait = CHECK_WAITING
            else:
                wait = SETTLED_EVERY if len(track.reads) >= READS_ENOUGH or track.settled else 0.0
                wait = SEARCHING if track.last.size < READABLE else wait
            followed = followed or (touched and not track.standing)
            if now - track.tried >= wait - 1e-4:
                across = track.around(now)
                box = Box(spot[0] - across, spot[1] - 0.7 * across, spot[0] + across, spot[1] + 0.7 * across)
                due.append(Search(box.within(width, height), track.last.size, darkly(track)))
        known = all(motion.plates for motion in self._moving.seen)
        if boxes and now - self._widely >= (WIDE_SETTLED if followed else WIDE_KNOWN if known else WIDE_EVERY) - 1e-4:
            self._widely = now
            wide = self._whole(around([self._plates_place(box) for box in boxes])).within(width, height)
            self._wides += 1
            dark = self._wides % 2 == 0  # black plates and all others by turns: both at once costs twice as much
            outside = [one for one in due if one.dark != dark or wide.meets(one.region).area < 0.9 * one.region.area]
            # A detector may see another vehicle than the one that matters: every second pair of looks is at everything.
            narrowly = self._wides % 4 in (1, 2)
            parts = self._kinds.candidates(frame.bgr, wide, boxes) if narrowly else [wide]
            return [*outside, *(Search(part, 0.0, dark) for part in parts)]
        return due

    def _spot(self, track: PlateTrack, now: float) -> Spot:
        """Where a plate should be: where it goes, or once it is missed where its vehicle has carried it."""
        seat = track.seat
        if track.misses and seat is not None and seat.firm:
            region = next((motion for motion in self._moving.seen if motion.number == seat.region), None)
            there = seat.carried(region, self._size) if region is not None else None
            if there is not None:
                return there
        return track.expected(now)

    def _plates_place(self, box: Box) -> Box:
        """Where in a moving region plates may be: not in the roof, if that is in the picture."""
        grown = box.grown(0.12)
        roof = ROOF * box.height if box.top > EDGE * self._size[1] else 0.0
        return Box(grown.left, grown.top + roof, grown.right, grown.bottom)

    def _whole(self, wide: Box) -> Box:
        """What is seen of a dark vehicle may be its lamps or its roof alone: its plate is no further than its width."""
        edge = EDGE * self._size[1]
        if wide.height >= FLAT * wide.width or wide.top < edge or wide.bottom > self._size[1] - edge:
            return wide
        return Box(wide.left, wide.top - 0.3 * wide.width, wide.right, wide.bottom + 0.9 * wide.width)

    def _sighted(self, sight: PlateSight, track: PlateTrack, frame: Frame, wall: int, plate: FoundPlate) -> None:
        track.add(frame.time, wall, plate)
        covering = [motion for motion in self._moving.seen if motion.box.grown(0.05).holds(plate.middle)]
        for motion in covering:
            track.motions.add(motion.number)
            motion.plates.add(track.number)
        if covering:
            before = track.seat.region if track.seat is not None else 0
            track.ride(next((motion for motion in covering if motion.number == before), covering[0]), self._size)
        look = look_at(sight, track, frame.bgr, (frame.time, wall), plate)
        if look is None:
            return
        merit = look.clear * min(1.6, plate.width / GOOD_WIDTH) * self._in_view(plate)
        merit *= 0.2 + look.read.weakest if look.read else 0.1
        if track.best is None or merit > track.best[0]:
            track.best = (merit, frame, wall, plate.box, covering[0].box if covering else None)
        if look.read is not None:
            known = self._lost.rejoin(track, self._plates, self._moving.known)
            self._plates = [other for other in self._plates if other is not known]

    def _in_view(self, plate: FoundPlate) -> float:
        """The share of the vehicle around this plate that the picture shows, as far as the plate's size tells."""
        whole = vehicle_box(plate.box, None)
        return whole.within(*self._size).area / whole.area

    # ------------------------------------------------------------------------------------------------- endings

    def _close(self, now: float) -> list[Passage]:
        known = self._moving.known
        for track in self._plates:
            if track.moved and 0 <= track.judged < len(track.reads) >= SURE_READS:
                self._announce(track)
        moving = {number for number, motion in known.items() if now - motion.last.time < STILL_MOVES}
        for track in list(self._plates):
            silent = now - track.last.time
            misses, after = LOST
            if self._lost.leaves(track):
                misses, after = LEFT if track.motions.isdisjoint(moving) else LEAVING
            if track.misses >= misses and silent >= after:
                self._plates.remove(track)
                self._lost.held.append(track)
            elif track.standing and track.anchor is not None and now - track.anchor.time > STAYS and not track.misses:
                if track.moved:
                    self._look_again(track)
                    self._book.plate_arrived(track, known)
                track.forget()
        for track in self._lost.over(now, moving, lambda one: self._book.crossed(one, known)):
            self._end(track, now, known)
        for motion in self._moving.ended(now, self._size):
            self._book.motion_ended(motion, self._size)
        return self._book.take(now, [*self._plates, *self._lost.held])

    def _end(self, track: PlateTrack, now: float, known: Mapping[int, MotionTrack]) -> None:
        self._look_again(track)
        if self._book.plate_ended(track, known):
            self._lost.remember(track, self._book.direction(track, known), now)

    def _look_again(self, track: PlateTrack) -> None:
        if self._sight is not None and track.moved and len(track.path) >= SIGHTINGS:
            look_again(self._sight, track)

    def _announce(self, track: PlateTrack) -> None:
        """A gate opens, or an alarm sounds, before the vehicle has gone through; what does not move is parked."""
        track.judged = len(track.reads)
        verdict = track.verdict
        if verdict is None or verdict.status != "accepted":
            return
        track.judged = -1
        listed = self._lists.match(verdict.text, track.last_wall)
        if listed:
            track.announced = listed
            limited, way = self._lists.limited(verdict.text), movement(track.path)
            self._sure.append(Sure(verdict.text, listed, way, track.last_wall, limited, self._arrived))


def _fits(track: PlateTrack, plate: FoundPlate, now: float, spot: Spot, picture: Box) -> bool:
    ratio = plate.width / max(1.0, track.last.size)
    if not picture.holds(spot) and math.dist((track.last.x, track.last.y), plate.middle) > RETURNS * track.last.size:
        return False  # what has left comes back where it left, or it is the next one
    known = track.standing or spot != track.expected(now)
    reach = min(track.reach(now), SURELY * track.last.size) if known else track.reach(now)
    return 0.6 < ratio < 1.7 and math.dist(spot, plate.middle) < reach
