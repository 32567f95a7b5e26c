"""A site whose alarms are fed by hand, with time passed in."""

from typing import Any

from gateway.contract import PointValue, Reading, SourceState, StateChange, VisionEvent
from gateway.rules import Transition, compile_rules
from gateway.settings import AlarmSettings

POINTS = {"sump": frozenset({"level", "temp"}), "pump": frozenset({"running"})}
CAMERAS = frozenset({"north-gate"})
WALL = 1_795_300_000_000_000_000


def wall(monotonic: float) -> int:
    return WALL + int(monotonic * 1e9)


class Site:
    """The rules of some alarms, fed by hand."""

    def __init__(self, *alarms: dict[str, Any], saved: dict[str, bytes] | None = None, start: float = 0.0) -> None:
        settings = [AlarmSettings.model_validate({"name": "high", **alarm}) for alarm in alarms]
        self.rules, problems = compile_rules(settings, POINTS, CAMERAS)
        assert not problems
        self.rules.stamp = lambda time: f"t{(time - WALL) / 1e9:g}"
        self.started = self.rules.load(saved or {}, wall(start), start)

    def read(self, at: float, value: object, point: str = "sump.level", quality: str = "good") -> list[str]:
        return [step.kind for step in self.steps(at, value, point, quality)]

    def steps(self, at: float, value: object, point: str = "sump.level", quality: str = "good") -> list[Transition]:
        device, _, name = point.partition(".")
        read = PointValue(value, quality) if value is not None else PointValue(None, "bad", "timeout")
        return self.rules.feed(Reading(device, wall(at), at, {name: read}, units={name: "m"}))

    def event(self, at: float, word: str = "deny", camera: str = "north-gate") -> list[str]:
        found = VisionEvent(camera, wall(at), at, "linli.vehicle.passage.v1", camera, {}, event=word)
        return [step.kind for step in self.rules.feed(found)]

    def camera(self, at: float, state: str, reason: str, *besides: str, name: str = "north-gate") -> list[str]:
        change = StateChange("camera", name, SourceState(state), reason, "a sentence", wall(at), at, besides)
        return [step.kind for step in self.rules.feed(change)]

    def tick(self, at: float) -> list[str]:
        return [step.kind for step in self.rules.tick(at, wall(at))]

    def ack(self, at: float, name: str = "high", note: str | None = None) -> Transition:
        return self.rules.acknowledge(name, "uid:1000", note, wall(at), at)

    @property
    def phase(self) -> str:
        return self.rules.states()[0].phase.value
