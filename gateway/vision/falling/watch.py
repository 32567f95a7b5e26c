"""Watches one facade: every frame goes in, an early word for each fall and later its whole record come out."""

import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from gateway.settings import CameraSettings
from gateway.settings.camera import STOREY, FacadeSettings
from gateway.vision.capture import Frame
from gateway.vision.evidence import burn, frame_hash
from gateway.vision.falling.bustle import Bustle
from gateway.vision.falling.candidate import LEAST_POINTS, Measured, Way, goes_down, measure
from gateway.vision.falling.chains import Chain, Chains, mismatch
from gateway.vision.falling.facade import Facade
from gateway.vision.falling.fit import GRAVITY
from gateway.vision.falling.guard import ViewGuard
from gateway.vision.falling.judge import Judge
from gateway.vision.falling.origin import find_origin
from gateway.vision.falling.picture import draw_way
from gateway.vision.falling.remembered import file_for
from gateway.vision.falling.sized import SizedFacade
from gateway.vision.falling.spots import SpotFinder
from gateway.vision.falling.steady import Steadier
from gateway.vision.falling.tracks import Linker
from gateway.vision.guest import Guest
from gateway.vision.messages import Fall, Fell, Origin, Picture
from gateway.vision.privacy import Veil

EIGHT = 8  # points after which the clock of the alarm runs
AGAIN = 0.12  # seconds until the next
SELDOM, RARER = 0.5, 0.3  # the same for what went on for longer, and share of its age: most of it is leaves and birds
YOUNG = 0.7  # seconds after the eighth point
LOOKS, GLANCE = 3.0, 0.1  # judgements of one frame, and what of one it costs to see that a way is no fall at all
BOUNCE = 1.5  # seconds and
NEAR = 90.0  # pixels of the reduced picture after and around a fall's end in which what falls again is the same thing
SAME_WAY = 12.0  # pixels of the reduced picture between two ways, in the mean, that are one thing's
LOST = 1.2  # seconds out of sight after which what goes on as a told fall would is still that fall
LONGEST = 15.0  # seconds of one fall
GUESSED = 20.0  # pixels a metre where no facade is configured

log = logging.getLogger("linli.vision")


@dataclass(slots=True)
class Told:
    """A fall that was told: its chain, and the frame to draw it in, which goes with its record.

    A frame's colours are made when it is drawn: an alarm does not wait for them.
    """

    chain: Chain
    frame: Frame | None


class FallWatch:
    """Feed it every frame in order. Times within are seconds of the stream; what it tells has ns since 1970."""

    def __init__(
        self,
        camera: CameraSettings,
        judge: Judge,
        faces: Guest | None = None,
        views: Path | None = None,
        drawn: SizedFacade | None = None,
    ) -> None:
        """``views``: the folder in which the view of the facade is kept across restarts.

        ``drawn`` brings facade and areas to the pictures' size in another way.
        """
        self._drawn = drawn or SizedFacade(camera, views)
        self._judge, self._masks = judge, camera.masks
        self._veil = Veil(None, faces, unblurred=camera.unblurred is not None)
        self._finder: SpotFinder | None = None
        self._offset = 0
        self._told: list[Told] = []
        self._number = 0
        self._guard = ViewGuard(file_for(views, camera))
        self._steadier = Steadier()
        self._held: list[Fell | Fall] = []

    def feed(self, frame: Frame, wall: int) -> list[Fell | Fall]:
        """Look at one frame that came at ``wall`` (ns since 1970).

        After a restart falls wait until it is known that the camera still looks where it did.
        """
        asking = self._guard.undecided
        found = self._watched(frame, wall)
        if self._guard.undecided:
            self._held += found
            return []
        found, self._held = self._held + found, []
        if asking and found and self._guard.reason == "moved":
            log.warning("what seemed to fall before a camera that was moved is not told; calibrate it anew")
            return []
        return found

    def _watched(self, frame: Frame, wall: int) -> list[Fell | Fall]:
        found: list[Fell | Fall] = []
        if self._finder is not None and self._size != (frame.width, frame.height):
            found += self.finish()
        if self._finder is None:
            self._finder = self._begin(frame.width, frame.height)
        self._offset = wall - round(frame.time * 1e9)
        self._frame = frame
        small = self._finder.reduced(frame.luma)
        self._guard.look(small, frame.time)
        small = self._steadier.still(small)
        if self._guard.blind:
            self._finder.clear()
            self._steadier = Steadier()
            for chain in self._chains.finish():
                found += self._end(chain)
            return found
        for time, spots in self._finder.feed(small, frame.time):
            over = self._chains.feed(time, spots)
            places = np.array([spot[:2] for spot in spots], np.float64).reshape(-1, 2)
            self._bustle.log.append((time, places, len(self._chains.linker.open)))
            found += self._look(time)
            for chain in over:
                found += self._end(chain)
        return found

    def finish(self) -> list[Fell | Fall]:
        """The stream is over: tell what is left."""
        if self._finder is None:
            return []
        found: list[Fell | Fall] = []
        for chain in self._chains.finish():
            found += self._end(chain)
        # A file that is played again begins at the same times: its falls are new ones.
        self._finder, self._told = None, []
        found, self._held = self._held + found, []
        return found

    @property
    def trouble(self) -> tuple[str, str]:
        """Reason and sentence when the view is not as it should be, both empty when it is."""
        return self._guard.reason, self._guard.sentence

    @property
    def busy(self) -> bool:
        """Whether something that was told still falls."""
        return any(told.frame is not None for told in self._told)

    def _begin(self, width: int, height: int) -> SpotFinder:
        self._size = (width, height)
        settings, fits = self._drawn.brought(self._size)
        self._guard.misshapen = not fits
        if self._masks:
            left = burn(np.ones((height, width), np.uint8), self._masks)
            self._guard.masked = 1 - cv2.countNonZero(left) / left.size
        ignored: npt.NDArray[np.uint8] | None = None
        if settings.ignore:
            ignored = np.zeros((height, width), np.uint8)
            for area in settings.ignore:
                cv2.fillPoly(ignored, [np.array(area, np.float64).round().astype(np.int32)], (255,))
        finder = SpotFinder(width, height, ignored, settings.short_side)
        self._chains = Chains(finder.scale, Linker())
        self._bustle = Bustle()
        self._steadier = Steadier()
        self.known = settings.facade is not None
        self.facade = Facade(settings.facade or _guessed(width, height), height)
        return finder

    def _look(self, time: float) -> list[Fell | Fall]:
        """Judge the chains whose time has come, those first that wait longest; tell those that are sure enough."""
        due, found = [], list[Fell | Fall]()
        for chain in (*self._chains.open.values(), *self._chains.resting):
            way = chain.way
            if chain.fall or chain.dismissed or len(way.times) < EIGHT:
                continue
            if len(way.times) > chain.looked and time >= chain.next_look:
                due.append(chain)
            elif chain.sure >= self._judge.enough(time - way.times[EIGHT - 1]):
                found += self._tell(chain)
        looks = 0.0
        # In snow a hundred ways are open, and a new one has its first look before any other has its next.
        for chain in sorted(due, key=lambda chain: chain.next_look):
            if looks >= LOOKS:
                break
            age = time - chain.way.times[EIGHT - 1]
            chain.next_look = time + (AGAIN if age < YOUNG else max(SELDOM, RARER * age))
            chain.looked = len(chain.way.times)
            fitted = chain.way.early
            measured = self._measure(chain)
            looks += GLANCE if measured is None and chain.way.early is fitted else 1.0
            chain.sure = self._judge.sure(measured) if measured is not None else 0.0
            if chain.sure >= self._judge.enough(age) and len(chain.way.times) >= EIGHT:
                found += self._tell(chain)
        return found

    def _measure(self, chain: Chain) -> Measured | None:
        measured = self._measured(chain.way, told=chain.fall > 0)
        if measured is None and chain.way.joint:
            # What was joined need not have been the same thing.
            tail = chain.way.tail()
            measured = self._measured(tail, told=False)
            if measured is not None:
                chain.way = tail
        return measured

    def _measured(self, way: Way, *, told: bool) -> Measured | None:
        if len(way.times) < LEAST_POINTS or way.times[-1] - way.times[0] < 0.15:
            return None
        if not told and not goes_down(way, self.facade):
            return None
        way.frames, way.crowd, way.others = self._bustle.between(way.times[0], way.times[-1])
        if way.before is None:
            way.before = self._bustle.ahead_of(way)
        return measure(way, self.facade, known=self.known, told=told)

    def _tell(self, chain: Chain) -> list[Fell | Fall]:
        if self._again(chain):
            chain.dismissed = True
            return []
        measured = self._measured(chain.way, told=True)
        if measured is None:
            return []
        self._number += 1
        chain.fall = self._number
        self._told.append(Told(chain, self._frame))
        return [Fell(self._number, self._fall(chain, measured))]

    def _again(self, chain: Chain) -> bool:
        """Whether it is a thing that was told before: seen twice at once, bounced, or long out of sight."""
        way = chain.way
        places = way.places()
        for told in self._told:
            other = told.chain.way
            theirs = other.places()
            first, last = max(way.times[0], other.times[0]), min(way.times[-1], other.times[-1])
            if last > first:
                moments = np.linspace(first, last, 6)
                away = [
                    np.interp(moments, way.times, places[:, axis]) - np.interp(moments, other.times, theirs[:, axis])
                    for axis in (0, 1)
                ]
                if float(np.hypot(*away).mean()) < SAME_WAY / way.scale + other.size():
                    return True
            elif (
                0 <= way.times[0] - other.times[-1] < BOUNCE and np.hypot(*(places[0] - theirs[-1])) < NEAR / way.scale
            ) or mismatch(other, way, LOST) < 1:
                return True
        return False

    def _end(self, chain: Chain) -> list[Fell | Fall]:
        found: list[Fell | Fall] = []
        measured = self._measure(chain)
        if not chain.fall:
            chain.sure = self._judge.sure(measured) if measured is not None and not chain.dismissed else 0.0
            if chain.sure >= self._judge.enough(LONGEST):
                found += self._tell(chain)
        for told in self._told:
            if told.chain is chain and told.frame is not None and measured is not None:
                frame, told.frame = told.frame, None
                chain.sure = max(chain.sure, self._judge.sure(measured))
                found.append(self._record(chain, measured, frame))
        newest = chain.way.times[-1]
        self._told = [told for told in self._told if told.frame or newest - told.chain.way.times[-1] < LONGEST]
        return found

    def _record(self, chain: Chain, measured: Measured, frame: Frame) -> Fall:
        fall = self._fall(chain, measured)
        places = chain.way.places().round(1)
        picture = draw_way(frame.bgr, places, fall.origin, self.facade, self._veil)
        shown = Picture(picture, self._wall(frame.time), frame_hash(frame.bgr))
        return msgspec.structs.replace(fall, picture=shown)

    def _fall(self, chain: Chain, measured: Measured) -> Fall:
        """What is known of a fall so far, but for its picture."""
        way = chain.way
        places, extents = way.places().round(1), way.extents()
        origin, size_cm, speed = None, None, None
        terminal = measured.whole.terminal
        # Before a camera that seems to be moved, floors and metres would be another place's.
        if self.known and not self._guard.doubtful:
            at = find_origin(way, measured, self.facade, self._bustle.log)
            origin = Origin(at.floor, at.column, at.interval)
            # It comes nearer on its way down: a pixel is another part of a metre at each place.
            size_cm = round(float((extents / self.facade.scales(measured.wall)).mean()) * 100, 1)
            speed = round(max(0.0, measured.whole.speed_after(way.times[-1] - way.times[0])), 1)
        return Fall(
            chain.fall,
            self._wall(way.times[0]),
            tuple((self._wall(time), float(x), float(y)) for time, (x, y) in zip(way.times, places, strict=True)),
            round(max(1.0, float(extents.mean())), 1),
            size_cm,
            origin,
            speed,
            round(GRAVITY * measured.early.stretch, 2),
            round(terminal, 1),
            round(min(0.99, chain.sure), 3),
            None,
        )

    def _wall(self, time: float) -> int:
        return self._offset + round(time * 1e9)


def _guessed(width: int, height: int) -> FacadeSettings:
    """A wall as large as the picture, where no facade is configured: for the shape of a fall it does."""
    floors = max(1, round(height / GUESSED / STOREY))
    return FacadeSettings(floors=floors, ground=((0, height), (width, height)), roof=((0, 0), (width, 0)))
