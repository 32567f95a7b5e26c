"""What `linli replay` looks with: a camera's vehicles and falls, each as the worker would, without a daemon."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gateway.contract import LinkError

if TYPE_CHECKING:
    from gateway.contract import VisionEvent
    from gateway.settings import CameraSettings
    from gateway.vision.capture import Frame

Stamp = Callable[[int], str]
Warn = Callable[[str], None]


class Eye(Protocol):
    """Takes a clip's frames in order and gives events to be recorded."""

    def offer(self, frame: "Frame", wall: int, seconds: float) -> "Iterator[VisionEvent]":
        """Look at the frame of ``wall`` (ns since 1970), ``seconds`` into the clip."""

    def finish(self, seconds: float) -> "Iterator[VisionEvent]":
        """The clip is over."""


class VehicleEye:
    """Passages of vehicles."""

    def __init__(self, camera: "CameraSettings", models: Path, stamp: Stamp, reads: bool, warn: Warn) -> None:
        from gateway.vision.gate import VehicleGate
        from gateway.vision.habits import Habits
        from gateway.vision.lists import PlateLists
        from gateway.vision.packs import PackError
        from gateway.vision.sight import ModelSight

        self._habits = Habits(camera.vehicles)
        files = camera.vehicles.lists if camera.vehicles else None
        lists = PlateLists({"allow": files.allow if files else None, "deny": files.deny if files else None})
        for problem in lists.problems:
            warn(problem)
        sight = None
        try:
            sight = ModelSight(models)
        except PackError as error:
            warn(f"{error}; passages come without plates")
        self._name, self._stamp, self._reads = camera.name, stamp, reads
        self._gate = VehicleGate(camera, sight, lists)

    def offer(self, frame: "Frame", wall: int, seconds: float) -> "Iterator[VisionEvent]":
        """Passages that this frame ended."""
        from gateway.vision.events import passage_event

        for passage in self._gate.offer(frame, wall) or ():
            marks = self._habits.marks(passage)
            yield passage_event(self._name, passage, self._stamp, seconds, marks=marks, reads=self._reads)

    def finish(self, seconds: float) -> "Iterator[VisionEvent]":
        """Passages that the end of the clip ends."""
        from gateway.vision.events import passage_event

        for passage in self._gate.finish():
            marks = self._habits.marks(passage)
            yield passage_event(self._name, passage, self._stamp, seconds, marks=marks, reads=self._reads)


class ZoneEye:
    """Vehicles that stand where none may."""

    def __init__(self, camera: "CameraSettings", stamp: Stamp) -> None:
        from gateway.vision.dwell import DwellWatch

        zones = camera.vehicles.zones if camera.vehicles else ()
        self._name, self._stamp = camera.name, stamp
        self._watch = DwellWatch(zones, unblurred=camera.unblurred is not None)
        self._standing: dict[str, str] = {}

    def offer(self, frame: "Frame", wall: int, seconds: float) -> "Iterator[VisionEvent]":
        """What has stood for too long by this frame, and what has left."""
        from gateway.contract import record_id
        from gateway.vision.events import dwell_event

        for dwell in self._watch.look(frame, wall) or ():
            if dwell.state == "standing":
                self._standing[dwell.zone] = record_id(dwell.time)
            yield dwell_event(self._name, dwell, self._stamp, seconds, self._standing.get(dwell.zone, ""))

    def finish(self, seconds: float) -> "Iterator[VisionEvent]":
        """Nobody knows when what still stands there leaves."""
        yield from ()


class FallingEye:
    """Falling objects."""

    def __init__(self, camera: "CameraSettings", models: Path, stamp: Stamp, warn: Warn) -> None:
        from gateway.vision.falling.judge import best_judge
        from gateway.vision.falling.watch import FallWatch

        judge, problem = best_judge(models)
        if problem is not None:
            warn(f"{problem}; a plain rule tells what falls")
        self._name, self._stamp = camera.name, stamp
        self._watch = FallWatch(camera, judge)

    def offer(self, frame: "Frame", wall: int, seconds: float) -> "Iterator[VisionEvent]":
        """Falls that were over by this frame."""
        from gateway.vision.events import fall_event
        from gateway.vision.messages import Fall

        for found in self._watch.feed(frame, wall):
            if isinstance(found, Fall):
                yield fall_event(self._name, found, self._stamp, seconds)

    def finish(self, seconds: float) -> "Iterator[VisionEvent]":
        """Falls that the end of the clip cuts off."""
        from gateway.vision.events import fall_event
        from gateway.vision.messages import Fall

        for found in self._watch.finish():
            if isinstance(found, Fall):
                yield fall_event(self._name, found, self._stamp, seconds)


def open_eyes(camera: "CameraSettings", models: Path, stamp: Stamp, reads: bool, warn: Warn) -> list[Eye]:
    """All that a camera looks for; what lessens it is given to ``warn``. LinkError when it is nothing."""
    eyes: list[Eye] = []
    if camera.vehicles is not None:
        eyes.append(VehicleEye(camera, models, stamp, reads, warn))
        if camera.vehicles.zones:
            eyes.append(ZoneEye(camera, stamp))
    if camera.falling is not None:
        eyes.append(FallingEye(camera, models, stamp, warn))
    if not eyes:
        raise LinkError(
            f"camera {camera.name} looks for nothing; give it [camera.vehicles] or [camera.falling]", "nothing"
        )
    return eyes
