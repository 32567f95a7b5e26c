"""From what a worker has found to what is recorded and judged of it; the daemon and `linli replay` tell alike."""

from collections.abc import Callable
from dataclasses import replace

from gateway.contract import VisionEvent, record_id
from gateway.settings import CameraSettings
from gateway.vision.address import is_stream
from gateway.vision.events import dwell_event, fall_event, fell_event, passage_event, stands_event, sure_event
from gateway.vision.habits import Habits
from gateway.vision.messages import Dwell, Fall, Fell, Passage, Stands, Sure
from gateway.vision.presence import Presence, area_of

Finding = Passage | Sure | Dwell | Stands | Fell | Fall


class Teller:
    """Tells the findings of one camera; remembers what a later one has to name."""

    def __init__(
        self,
        camera: CameraSettings,
        stamp: Callable[[int], str],
        *,
        reads: bool = False,
        presence: Presence | None = None,
    ) -> None:
        """``stamp`` turns ns since 1970 into RFC 3339; ``reads`` adds every single read of a plate.

        ``presence`` is what the gates of an area know together.
        """
        self._name, self._purpose, self._stamp, self._reads = camera.name, camera.purpose, stamp, reads
        self._habits = Habits(camera.vehicles, area_of(camera), presence)
        self._standing: dict[str, str] = {}  # the record of what stands in a zone
        self._live = is_stream(camera.url)  # a file is played as fast as this machine can: its times are no age
        self._test_from = self._test_until = 0.0
        self._tests: set[int] = set()

    def test(self, now: float, seconds: float) -> None:
        """Mark what begins to fall within so many seconds from the monotonic ``now`` as thrown; 0 ends a drop test."""
        if seconds:
            self._test_from = now
        self._test_until = now + seconds

    def testing(self, monotonic: float) -> bool:
        """Whether a drop test runs; none outlives its time, whatever becomes of who began it."""
        return monotonic < self._test_until

    def begin(self) -> None:
        """A worker starts anew, and with it the numbers of its falls."""
        self._tests.clear()

    def forget(self, plate: str) -> None:
        """Know nothing of a plate any more."""
        self._habits.forget(plate)

    def event(self, found: Finding, monotonic: float, wall: int = 0) -> VisionEvent:
        """Make the record to be, or with an empty type the early word for the rules.

        ``monotonic`` and ``wall`` (ns since 1970) are now.
        """
        return replace(self._event(found, monotonic, wall), purpose=self._purpose)

    def _event(self, found: Finding, monotonic: float, wall: int) -> VisionEvent:
        name, stamp = self._name, self._stamp
        if isinstance(found, Fell):
            test = self._test_from <= monotonic - _age(found, wall if self._live else 0) < self._test_until
            if test:
                self._tests.add(found.number)
            return fell_event(name, found, monotonic, test=test)
        if isinstance(found, Sure):
            return sure_event(name, found, monotonic)
        if isinstance(found, Stands):
            return stands_event(name, found, monotonic)
        if isinstance(found, Fall):
            test = found.number in self._tests  # its record says what its early word said
            self._tests.discard(found.number)
            return fall_event(name, found, stamp, monotonic, test=test)
        if isinstance(found, Dwell):
            if found.state == "standing":
                self._standing[found.zone] = record_id(found.time)
            return dwell_event(name, found, stamp, monotonic, self._standing.get(found.zone, ""))
        marks = self._habits.marks(found)
        return replace(passage_event(name, found, stamp, monotonic, marks=marks, reads=self._reads), told=found.told)


def _age(fell: Fell, wall: int) -> float:
    """Seconds since it was first seen: as long as its way at least, and what it took to be told."""
    way = fell.known.trajectory
    return max(way[-1][0] - way[0][0], wall - way[0][0], 0) / 1e9
