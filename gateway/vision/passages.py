"""From tracks that ended to passages: what counts as a vehicle that went through, once each, with its picture."""

import itertools
import math
from collections.abc import Mapping, Sequence

from gateway.settings import LaneSettings
from gateway.vision.appearance import agreed, class_of
from gateway.vision.capture import Frame
from gateway.vision.carried import with_vehicle
from gateway.vision.evidence import frame_hash, vehicle_box
from gateway.vision.kinds import Glance, Kinds
from gateway.vision.lanes import Course, Place, course, lengthened
from gateway.vision.lists import PlateLists
from gateway.vision.messages import Passage, Picture, Read
from gateway.vision.pieces import RECENT, became, beside, broke_off, met, pieces, rides_on, swallowed, together, trails
from gateway.vision.privacy import Veil
from gateway.vision.shapes import Box, around
from gateway.vision.track import MotionTrack, PlateTrack

SIGHTINGS = 3  # fewer are a reflection or a false find
BEYOND = 0.4  # seconds that a path is continued at its ends
WAIT_FOR_PLATES = 1.5  # seconds before motion alone may speak

VEHICLE_SHARE = 0.025  # of the picture: smaller things that move are people, animals, bicycles
WHOLE_SHARE = 0.9  # larger is the light, or the camera itself
SHAPE = 0.75  # width over height: people are taller
SHAPE_ABOVE = 0.4
WIDE_SHARE = 0.14  # of the picture's width
LASTS = 0.4
STRAIGHT = 0.5
SECONDS_REMEMBERED = 30.0
ROUND_THE_PLATE = 3_000_000_000  # ns: what moves longer before or after a plate is seen is not only its vehicle
RESTS = 600.0  # seconds for which a vehicle that was told may stand before it goes on
STOPPED = 0.5  # of its largest size
PICTURED = 5.0  # seconds after which nothing is told any more of what has gone
PIECE = 0.7  # of a region's size: a piece that breaks off it (a roof, a shadow) is no second vehicle


class PassageBook:
    """Judges ended tracks of one camera and keeps passages until nothing can contradict them any more."""

    def __init__(
        self,
        camera: str,
        lanes: Sequence[LaneSettings],
        lists: PlateLists,
        veil: Veil | None = None,
        kinds: Kinds | None = None,
    ) -> None:
        """``veil`` makes the pictures, ``kinds`` names what drove there where a detector can."""
        self._veil, self._kinds = veil or Veil(), kinds or Kinds()
        self._camera = camera
        self._lanes = lanes
        self._lists = lists
        self._size = (0, 0)
        self._ready: list[Passage] = []
        self._waiting: list[MotionTrack] = []
        self._doubtful: list[tuple[PlateTrack, dict[int, MotionTrack]]] = []
        self._told: list[list[Place]] = []
        self._told_plates: list[list[Place]] = []
        self._told_motions: set[int] = set()
        self._told_regions: list[MotionTrack] = []
        self._ended: list[MotionTrack] = []
        self._resting: list[tuple[MotionTrack, str]] = []

    def plate_ended(self, track: PlateTrack, motions: Mapping[int, MotionTrack]) -> bool:
        """A plate is gone; it was a passage if the plate itself moved, not if only something near it did.

        What nobody could read may be a grille: then the motion speaks. What was not read surely may be lettering on a
        car that also has a plate: it waits for that one. What was told before it went behind something is told again
        only if it has gone another way since. False when it was no vehicle's plate.
        """
        verdict = track.verdict
        if track.again and self._course(track, {}).direction in (track.again, "none"):
            self._note_told(track, [motions[number] for number in track.motions if number in motions])
            return True
        if not track.moved or len(track.path) < SIGHTINGS or verdict is None:
            for motion in self._regions(motions).values():
                motion.plates.discard(track.number)
            return False
        if verdict.status == "accepted":
            self._tell_plate(track, motions, track.last_wall)
        else:
            self._doubtful.append((track, dict(motions)))
        return True

    def crossed(self, track: PlateTrack, motions: Mapping[int, MotionTrack]) -> bool:
        """Whether what was seen of a plate or its vehicle crossed a line; always without lanes."""
        paths = [track.path, *(motions[number].path for number in track.motions if number in motions)]
        return not self._lanes or any(course(path, self._lanes, self._camera).crossings for path in paths)

    def direction(self, track: PlateTrack, motions: Mapping[int, MotionTrack]) -> str:
        """Which way a plate went, as its passage says."""
        return self._course(track, self._regions(motions)).direction

    def plate_arrived(self, track: PlateTrack, motions: Mapping[int, MotionTrack]) -> None:
        """A vehicle came and has been standing for long: it arrived, if it crossed a line or there are no lanes."""
        verdict = self._course(track, self._regions(motions))
        if not self._lanes or verdict.crossed is not None:
            self._tell_plate(track, motions, track.moving_wall)

    def motion_ended(self, motion: MotionTrack, size: tuple[int, int]) -> None:
        """Something that moved is gone; it speaks for itself only if it was a vehicle and no plate speaks for it."""
        self._ended.append(motion)
        self._size = size
        if self._is_vehicle(motion, size):
            self._waiting.append(motion)

    @property
    def pending(self) -> bool:
        """Whether something ended that may still become a passage."""
        return bool(self._doubtful or self._waiting or self._ready)

    def take(self, now: float, open_plates: Sequence[PlateTrack]) -> list[Passage]:
        """Hand out what is sure by now (seconds of the stream), given the plates that are still followed."""
        for doubtful in list(self._doubtful):
            track, motions = doubtful
            if now < math.inf and any(other.reads and together(track.path, other.path) for other in open_plates):
                continue
            self._doubtful.remove(doubtful)
            if not any(together(track.path, told) for told in self._told_plates):
                self._tell_plate(track, motions, track.last_wall)
        for motion in list(self._waiting):
            plate_open = any(track.moved and track.path[0].time <= motion.last.time + 0.5 for track in open_plates)
            if now - motion.last.time < WAIT_FOR_PLATES or (plate_open and now < math.inf):
                continue
            self._waiting.remove(motion)
            if motion.number in self._told_motions or self._told_already(motion) or self._goes_on(motion):
                continue
            self._tell_motion(motion)
        if now < math.inf:
            self._told = [path for path in self._told if now - path[-1].time < SECONDS_REMEMBERED]
            self._told_plates = [path for path in self._told_plates if now - path[-1].time < SECONDS_REMEMBERED]
            self._ended = [one for one in self._ended if now - one.last.time < SECONDS_REMEMBERED]
            self._told_regions = [one for one in self._told_regions if now - one.last.time < SECONDS_REMEMBERED]
            self._resting = [rest for rest in self._resting if now - rest[0].last.time < RESTS]
            self._forget_pictures(now)
        else:
            self._told, self._told_plates, self._told_motions = [], [], set()
            # A film that is played again begins at time 0, and so nothing of the time before would ever be too old.
            self._told_regions, self._ended, self._resting = [], [], []
        ready, self._ready = self._ready, []
        return sorted(ready, key=lambda passage: passage.time)

    def _forget_pictures(self, now: float) -> None:
        """What is over and told needs no picture any more: each keeps a decoded frame, and its colours."""
        waiting = {motion.number for motion in self._waiting}
        for motion in (*self._ended, *(motion for motion, _ in self._resting)):
            if now - motion.last.time > PICTURED and motion.number not in waiting:
                motion.best = None

    def _course(self, track: PlateTrack, motions: Mapping[int, MotionTrack]) -> Course:
        """Judge a plate's way; where it was out of sight its vehicle tells, if that is among the regions given."""
        if not self._lanes:
            return course(track.path, (), self._camera)
        path = with_vehicle(lengthened(track.path, BEYOND), track, motions)
        found = course(path, self._lanes, self._camera)
        if found.crossings:
            return found
        for number in sorted(track.motions):
            if number in motions:
                by_motion = course(motions[number].path, self._lanes, self._camera)
                if by_motion.crossings:
                    return by_motion
        return found

    def _regions(self, motions: Mapping[int, MotionTrack]) -> dict[int, MotionTrack]:
        """Those that ended a moment ago too: a plate is told after its vehicle has gone."""
        return {**{motion.number: motion for motion in self._ended}, **motions}

    def _tell_plate(self, track: PlateTrack, motions: Mapping[int, MotionTrack], last_wall: int) -> None:
        way = self._course(track, self._regions(motions))
        verdict = track.verdict
        own = [motions[number] for number in track.motions if number in motions]
        # A region that rests where the one before stood may have been going for long.
        single = [motion for motion in own if len(motion.plates) == 1]
        begins = [m.first_wall for m in single if m.first_wall >= track.first_wall - ROUND_THE_PLATE]
        ends = [m.last_wall for m in single if m.last_wall <= track.last_wall + ROUND_THE_PLATE]
        first_wall, last_wall = min([track.first_wall, *begins]), max([last_wall, *ends])
        when = self._wall(track.path, track.first_wall, way.crossed) if way.crossed is not None else last_wall
        picture = None
        looks = [_whole(motion.best) for motion in own if motion.best is not None][:1]
        if track.best is not None:
            _, frame, wall, plate, motion_box = track.best
            picture = self._picture(frame, wall, vehicle_box(plate, motion_box), plate)
            looks += [(frame, vehicle_box(plate, None).within(frame.width, frame.height), plate.middle)]
        accepted = verdict is not None and verdict.status == "accepted"
        told = class_of(verdict.kind, verdict.colour) if verdict and accepted else "unknown"
        listed = (self._lists.match(verdict.text, when) or "") if verdict and accepted else ""
        self._ready.append(
            Passage(
                lane=way.lane,
                direction=way.direction,
                text=verdict.text if verdict else "",
                kind=verdict.kind if verdict else "other",
                color=verdict.colour if verdict else "unknown",
                status=verdict.status if verdict else "none",
                characters=verdict.characters if verdict else (),
                listed=listed,
                time=when,
                first_time=first_wall,
                last_time=last_wall,
                picture=picture,
                vehicle_type=self._kinds.name(looks, told),
                vehicle_color=agreed([read.paint for read in track.reads]),
                told=track.announced,
                unread=accepted and not listed and self._lists.partial,
                reads=tuple(Read(read.wall, read.read.text, round(read.read.weakest, 4)) for read in track.reads),
            )
        )
        self._note_told(track, own)
        self._resting += [(motion, way.direction) for motion in own]

    def _note_told(self, track: PlateTrack, own: Sequence[MotionTrack]) -> None:
        """Remember which regions this plate has spoken for."""
        self._told_plates.append(list(track.path))
        self._told_motions |= track.motions
        gone = [motion for motion in self._ended if motion.number in track.motions]
        self._told_regions += [*own, *gone]

    def _tell_motion(self, motion: MotionTrack) -> None:
        way = course(motion.path, self._lanes, self._camera)
        picture, looks = None, []
        if motion.best is not None:
            _, frame, wall, box = motion.best
            picture = self._picture(frame, wall, box.grown(0.05), None)
            looks = [_whole(motion.best)]
        when = self._wall(motion.path, motion.first_wall, way.crossed) if way.crossed is not None else motion.last_wall
        self._ready.append(
            Passage(
                lane=way.lane,
                direction=way.direction,
                text="",
                kind="other",
                color="unknown",
                status="none",
                characters=(),
                listed="",
                time=when,
                first_time=motion.first_wall,
                last_time=motion.last_wall,
                picture=picture,
                vehicle_type=self._kinds.name(looks, plated=False),
            )
        )
        self._told.append(list(motion.path))
        self._told_motions.add(motion.number)
        self._told_regions.append(motion)

    def _is_vehicle(self, motion: MotionTrack, size: tuple[int, int]) -> bool:
        """Vehicle-sized, wider than a person, long enough there, and gone through rather than to and fro."""
        whole = size[0] * size[1]
        path, boxes = motion.path, motion.boxes
        if len(path) < 5 or path[-1].time - path[0].time < LASTS or not whole:
            return False
        largest = max(boxes, key=lambda box: box.area)
        if not VEHICLE_SHARE * whole <= largest.area <= WHOLE_SHARE * whole:
            return False
        # From above a car is longer than wide; then its width tells it from a person.
        if largest.width < (SHAPE if largest.width < WIDE_SHARE * size[0] else SHAPE_ABOVE) * largest.height:
            return False
        spots = [(place.x, place.y) for place in path]
        net = math.dist(spots[0], spots[-1])
        way = sum(math.dist(one, other) for one, other in itertools.pairwise(spots))
        if self._lanes:
            return course(path, self._lanes, self._camera).crossed is not None
        across, down = abs(spots[-1][0] - spots[0][0]), abs(spots[-1][1] - spots[0][1])
        through = across > 0.3 * size[0] or down > 0.3 * size[1] or net > 0.8 * _middle_size(path)
        return through and net > STRAIGHT * way

    def _goes_on(self, motion: MotionTrack) -> bool:
        """Whether this is a vehicle that was told, stopped with its plate out of sight and now goes on the same way."""
        start = motion.path[0]
        self._resting = [rest for rest in self._resting if start.time - rest[0].last.time < RESTS]
        way = course(motion.path, self._lanes, self._camera).direction
        for rest in self._resting:
            stopped, direction = rest
            there = around(stopped.boxes[-RECENT:]).grown(0.2)
            if (
                direction == way != "none"
                and _stopped(stopped)
                and stopped.last.time < start.time
                and there.holds((start.x, start.y))
            ):
                self._resting.remove(rest)
                return True
        return False

    def _told_already(self, motion: MotionTrack) -> bool:
        """Whether a passage was told that was at about the same place at the same time."""
        regions = self._told_regions
        if any(rule(motion, one) for one in regions for rule in (broke_off, became, pieces, swallowed)):
            return True
        if any(trails(motion, one, self._size) for one in regions):
            return True
        ends = (motion.path[0], motion.path[-1])
        if any(rides_on(spot, plate) for plate in self._told_plates for spot in ends):
            return True
        path = motion.path
        told = [
            *((plate, 5.0) for plate in self._told_plates if not beside(path, plate)),
            *((region.path, PIECE) for region in self._told_regions),
            *((other, 0.5) for other in self._told),
        ]
        return any(
            sum(math.dist(one[1:3], two[1:3]) < reach * two.size for one, two in met(path, other)) >= 2
            for other, reach in told
        )

    @staticmethod
    def _wall(path: Sequence[Place], first_wall: int, time: float) -> int:
        return first_wall + round((time - path[0].time) * 1e9)

    def _picture(self, frame: Frame, wall: int, box: Box, plate: Box | None) -> Picture | None:
        shown = box.within(frame.width, frame.height)
        if shown.area < 1:
            return None
        jpeg = self._veil.jpeg(frame.bgr, shown, plate)
        return None if jpeg is None else Picture(jpeg, wall, frame_hash(frame.bgr))


def _whole(best: tuple[float, Frame, int, Box]) -> Glance:
    """The look that shows most of what moved."""
    _, frame, _, box = best
    return frame, box.grown(0.1).within(frame.width, frame.height), box.middle


def _stopped(motion: MotionTrack) -> bool:
    """Whether a region was last seen large: what leaves the picture shrinks to nothing at its edge."""
    return motion.last.size >= STOPPED * max(place.size for place in motion.path)


def _middle_size(path: Sequence[Place]) -> float:
    sizes = sorted(place.size for place in path)
    return sizes[len(sizes) // 2]
