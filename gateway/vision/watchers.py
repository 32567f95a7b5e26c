"""What a worker looks for in its camera, each kind behind the same few words."""

from collections.abc import Sequence
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gateway.settings import CameraSettings
from gateway.vision.areas import SizedAreas
from gateway.vision.capture import Frame
from gateway.vision.dwell import DwellWatch
from gateway.vision.gate import VehicleGate
from gateway.vision.guest import Guest
from gateway.vision.kinds import Kinds
from gateway.vision.listed import Tell
from gateway.vision.lists import ListName, PlateLists
from gateway.vision.messages import Fall, Message, Passage
from gateway.vision.packs import VEHICLES
from gateway.vision.privacy import Veil
from gateway.vision.swap import LiveSight
from gateway.vision.troubles import Trouble

if TYPE_CHECKING:
    from gateway.vision.falling.sized import SizedFacade

Span = tuple[int, int]
# Seconds: five before the release, of which one fall in a thousand is seen later than by three (``LATE`` in origin.py).
FALL_BEFORE, FALL_AFTER = 8.0, 2.0
LONGEST_FALL = 15.0
LONGEST_PASSAGE = 30.0  # seconds of a passage that its clip shows at most: a car may stand in a lane for long


class Watcher(Protocol):
    """Looks at the frames of one camera in order.

    ``sleeps``: while nothing stirs, key frames are enough. ``busy``: something stirs, so every frame counts.
    """

    sleeps: bool

    @property
    def busy(self) -> bool:
        """Whether something moves or is not told yet."""

    @property
    def troubles(self) -> Sequence[Trouble]:
        """Everything that lessens the result now."""

    def look(self, frame: Frame, wall: int) -> Sequence[Message] | None:
        """Look at a frame of time ``wall`` (ns since 1970); None when it was passed over."""

    def finish(self) -> Sequence[Message]:
        """The stream is over: tell what is left."""

    def clip(self, message: Message) -> Span | None:
        """From when to when (ns since 1970) the clip of a message goes, if it has one."""


class VehicleWatcher:
    """Vehicles and their plates."""

    sleeps = True

    def __init__(
        self,
        camera: CameraSettings,
        models: Path,
        providers: Sequence[str] = (),
        faces: Guest | None = None,
        zone: tzinfo | None = None,
        areas: SizedAreas | None = None,
        tell: Tell | None = None,
    ) -> None:
        vehicles = camera.vehicles
        files = vehicles.lists if vehicles else None
        named: dict[ListName, Path | None] = {"allow": files.allow, "deny": files.deny} if files else {}
        self._clip = vehicles.clip if vehicles else None
        self._lists = PlateLists(named, zone, tell=tell)
        self.sight = LiveSight(models, providers)
        self._vehicles = Guest(models, VEHICLES, providers)
        self._camera, self._areas = camera, areas or SizedAreas(camera, None)
        self._kinds = Kinds(self._vehicles)
        self._veil = veil_of(camera, self.sight, faces, self._kinds)
        self._size = (0, 0)
        self._misfit = ""
        self._gate = self._made(camera)

    def _made(self, camera: CameraSettings) -> VehicleGate:
        return VehicleGate(camera, self.sight, self._lists, self._veil, self._kinds)

    @property
    def busy(self) -> bool:
        """Whether something moves, or a passage is not told yet."""
        return self._gate.busy

    @property
    def troubles(self) -> Sequence[Trouble]:
        """Missing or refused models, lanes that do not fit, and broken lines of a list as it is now."""
        self._lists.refresh()
        found = [*self.sight.troubles]
        if self._vehicles.trouble:
            without = "until then what moves and plates tell vehicles"
            found.append(("models_refused", f"{self._vehicles.trouble}; {without}"))
        if self._misfit:
            found.append(("lanes", self._misfit))
        problems = self._lists.problems
        if problems:
            more = f" (and {len(problems) - 1} more: linli check names all)" if len(problems) > 1 else ""
            found.append(("list", f"{problems[0]}{more}"))
        return found

    def look(self, frame: Frame, wall: int) -> Sequence[Message] | None:
        """Give the plates that this frame makes sure, and the passages that it ends."""
        self.sight.renew()
        self._vehicles.renew()
        over = self._resize((frame.width, frame.height))
        passages = self._gate.offer(frame, wall)
        return passages if passages is None and not over else [*over, *self._gate.sure(), *(passages or ())]

    def _resize(self, size: tuple[int, int]) -> list[Passage]:
        """Bring the lanes to pictures of this size; the passages that end with those of another."""
        if size == self._size:
            return []
        over = self._gate.finish()
        self._size = size
        vehicles, self._misfit = self._areas.brought(size)
        self._gate = self._made(self._camera.model_copy(update={"vehicles": vehicles}))
        return over

    def finish(self) -> Sequence[Message]:
        """Give the passages that were open."""
        return self._gate.finish()

    def clip(self, message: Message) -> Span | None:
        """The passage, with the seconds before and after it that the configuration names."""
        if self._clip is None or not isinstance(message, Passage):
            return None
        begin = max(message.first_time, message.last_time - round(LONGEST_PASSAGE * 1e9))
        return begin - round(self._clip.before * 1e9), message.last_time + round(self._clip.after * 1e9)


class ZoneWatcher:
    """Zones where no vehicle may stand for long; a look a second is enough."""

    sleeps = True
    busy = False
    troubles: Sequence[Trouble] = ()

    def __init__(
        self, camera: CameraSettings, sight: LiveSight, faces: Guest | None = None, areas: SizedAreas | None = None
    ) -> None:
        self._areas = areas or SizedAreas(camera, None)
        self._veil = veil_of(camera, sight, faces)
        self._size = (0, 0)
        self._watch = DwellWatch((), self._veil)

    def look(self, frame: Frame, wall: int) -> Sequence[Message] | None:
        """Give what has stood for too long, and what has left."""
        if (frame.width, frame.height) != self._size:
            self._size = (frame.width, frame.height)
            self._watch = DwellWatch(self._areas.brought(self._size)[0].zones, self._veil)
        return self._watch.look(frame, wall)

    def finish(self) -> Sequence[Message]:
        """Forget the zones as they were."""
        return self._watch.finish()

    def clip(self, message: Message) -> Span | None:
        """No clip: it would show nothing that moves."""
        return None


class FallWatcher:
    """Objects that fall; every frame counts, always."""

    sleeps = False

    def __init__(
        self,
        camera: CameraSettings,
        models: Path,
        providers: Sequence[str] = (),
        faces: Guest | None = None,
        views: Path | None = None,
        facade: "SizedFacade | None" = None,
    ) -> None:
        from gateway.vision.falling.judge import best_judge  # a lane does not load it
        from gateway.vision.falling.watch import FallWatch

        judge, missing = best_judge(models, providers)
        self._watch = FallWatch(camera, judge, faces, views, facade)
        self._missing = missing

    @property
    def troubles(self) -> Sequence[Trouble]:
        """A view that is not as it should be, and a missing verifier."""
        found = [self._watch.trouble] if self._watch.trouble[0] else []
        if self._missing is not None:
            found.append((self._missing.reason, f"{self._missing}; until then a plain rule tells what falls"))
        return found

    @property
    def busy(self) -> bool:
        """Whether something that was told still falls."""
        return self._watch.busy

    def look(self, frame: Frame, wall: int) -> Sequence[Message] | None:
        """Give what is falling, and the falls that are over."""
        return self._watch.feed(frame, wall)

    def finish(self) -> Sequence[Message]:
        """Give the falls that were not over."""
        return self._watch.finish()

    def clip(self, message: Message) -> Span | None:
        """From five seconds before the release until the thing is down."""
        if not isinstance(message, Fall):
            return None
        first, last = message.trajectory[0][0], message.trajectory[-1][0]
        return first - round(FALL_BEFORE * 1e9), last + round(FALL_AFTER * 1e9)


def veil_of(camera: CameraSettings, sight: LiveSight, faces: Guest | None, kinds: Kinds | None = None) -> Veil:
    """What hides in a camera's pictures who is not meant."""
    unblurred = camera.unblurred is not None
    return Veil(sight.search, faces, unblurred=unblurred, kinds=kinds, sees=lambda: sight.sees)


def watchers_of(
    camera: CameraSettings,
    models: Path,
    providers: Sequence[str] = (),
    faces: Guest | None = None,
    views: Path | None = None,
    zone: tzinfo | None = None,
    areas: SizedAreas | None = None,
    facade: "SizedFacade | None" = None,
    tell: Tell | None = None,
) -> list[Watcher]:
    """Everything that the camera is to look for and that exists.

    ``faces`` are hidden in what leaves; ``views`` is where the view of a facade, and the size that was drawn in, are
    kept across restarts; ``zone`` is that of lists' days and hours, the process's own without it. ``areas`` brings
    lanes and zones to the pictures' size in another way, ``facade`` what was drawn for falls. ``tell`` hears what is
    wrong with plate lists, the log without it.
    """
    found: list[Watcher] = []
    if camera.vehicles is not None:
        areas = areas or SizedAreas(camera, views)
        vehicles = VehicleWatcher(camera, models, providers, faces, zone, areas, tell)
        found.append(vehicles)
        if camera.vehicles.zones:
            found.append(ZoneWatcher(camera, vehicles.sight, faces, areas))
    if camera.falling is not None:
        found.append(FallWatcher(camera, models, providers, faces, views, facade))
    return found


def seconds_kept(camera: CameraSettings, asked: float) -> float:
    """How many seconds of packets a camera has to remember for its clips; ``asked``: for those of alarms."""
    clip = camera.vehicles.clip if camera.vehicles else None
    falls = FALL_BEFORE + LONGEST_FALL + FALL_AFTER if camera.falling else 0.0
    return max(asked, falls, clip.before + LONGEST_PASSAGE if clip else 0.0)
