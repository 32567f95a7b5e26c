"""The script of a rehearsal: TOML that sets values and makes faults at their time; every mistake with place and fix."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from gateway.cli.simulate.motion import Motion, constant, ramp, sine, steps
from gateway.cli.simulate.station import LATE, OF_LINES, Fault, FaultKind, Station
from gateway.contract import ConfigError
from gateway.settings import base
from gateway.settings.base import Duration, MisfitError, Name, Table, Value
from gateway.settings.document import Document, Keys, Problem
from gateway.settings.load import refusal, sound, survey
from gateway.settings.nearest import did_you_mean

PERCENT = 5.0
DEVICE_FAILURE = 4  # what `exception` says without another code
SHAPES = ("value", "ramp", "sine", "steps")
FAULT_KEYS = {"percent": "noise", "delay": "late", "code": "exception", "points": "na"}
Positive = Annotated[float, base.BeforeValidator(base.parse_duration), Field(gt=0)]


class Ramp(Table):
    """``ramp``: from one value to another, then staying there."""

    from_: float = Field(alias="from", description="the value at its beginning", examples=[1.2])
    to: float = Field(description="the value at its end", examples=[2.8])
    over: Positive = Field(description="how long it takes", examples=["20s"])


class Sine(Table):
    """``sine``: up and down between two values."""

    low: float = Field(description="the lowest value", examples=[1.0])
    high: float = Field(description="the highest value", examples=[2.0])
    period: Positive = Field(description="the time from one crest to the next", examples=["60s"])


class Steps(Table):
    """``steps``: one value after the other, again and again."""

    values: tuple[float, ...] = Field(min_length=1, description="the values in turn", examples=[[1, 2, 3]])
    every: Positive = Field(description="how long each stays", examples=["5s"])


class Scene(Table):
    """``[[script]]``: one thing that happens."""

    at: Duration = Field(default=0.0, description="when it begins, from the start of the simulation", examples=["30s"])
    for_: Duration | None = Field(default=None, alias="for", gt=0, description="how long; for good without it")
    set: str | None = Field(default=None, description="the point to move, DEVICE.POINT", examples=["sump-level.level"])
    value: Value | None = Field(default=None, description="what it shows, in the point's unit")
    ramp: Ramp | None = Field(default=None, description="how it rises or falls")
    sine: Sine | None = Field(default=None, description="how it swings")
    steps: Steps | None = Field(default=None, description="what it shows in turn")
    fault: FaultKind | None = Field(default=None, description="what goes wrong", examples=["silence"])
    device: Name | None = Field(default=None, description="the device that has the fault")
    line: Name | None = Field(default=None, description="the line that has the fault")
    percent: float | None = Field(default=None, gt=0, le=100, description="bytes in 100 that noise replaces")
    delay: Duration | None = Field(default=None, gt=0, description="how late an answer begins")
    code: int | None = Field(default=None, ge=1, le=255, description="the code of the refusal")
    points: tuple[str, ...] = Field(default=(), description="the points that are not available; all without it")

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        given = [shape for shape in SHAPES if getattr(self, shape) is not None]
        if (self.set is None) == (self.fault is None):
            raise MisfitError('does nothing or too much; write set = "device.point" with a value, or fault = "silence"')
        if self.set is not None:
            if len(given) != 1:
                raise MisfitError(f"needs one of {', '.join(SHAPES)} beside set; it has {len(given)}", "set")
            return self
        if given:
            raise MisfitError(f"belongs to set, not to a fault; delete {given[0]}", given[0])
        if (self.device is None) == (self.line is None):
            raise MisfitError('has no place, or two; write device = "NAME" or line = "NAME"', "fault")
        for key, fault in FAULT_KEYS.items():
            if key in self.model_fields_set and self.fault != fault:
                raise MisfitError(f"belongs to {fault}, not to {self.fault}; delete it", key)
        return self

    def motion(self) -> Motion | str | bool:
        """How the point moves from the scene's beginning on."""
        if self.ramp is not None:
            return ramp(self.ramp.from_, self.ramp.to, self.ramp.over)
        if self.sine is not None:
            return sine(self.sine.low, self.sine.high, self.sine.period)
        if self.steps is not None:
            return steps(self.steps.values, self.steps.every)
        if isinstance(self.value, str | bool):
            return self.value
        return constant(float(self.value or 0))


class ScriptFile(Table):
    """The whole file."""

    seed: int = Field(default=0, description="another number gives other values of what is not scripted")
    script: tuple[Scene, ...] = Field(default=(), description="what happens")


@dataclass(frozen=True)
class Script:
    """A checked script. ``faults`` has one for each scene, None where it sets a point."""

    seed: int
    scenes: tuple[Scene, ...]
    faults: tuple[Fault | None, ...]


def read_script(path: Path) -> tuple[Document, ScriptFile]:
    """Read the file; ConfigError with all its mistakes."""
    if not path.exists():
        raise ConfigError(f"{path}:1: there is no such file; name the script with --script FILE")
    document = Document.read(path)
    return document, sound(survey(document, ScriptFile))


def fit(document: Document, script: ScriptFile, stations: dict[str, Station], lines: list[str]) -> Script:
    """Check a script against what is simulated; ConfigError with all that does not fit."""
    problems: list[Problem] = []
    faults: list[Fault | None] = []
    for number, scene in enumerate(script.script):
        keys: Keys = ("script", number)
        found = _check_set(scene, stations) if scene.fault is None else _check_fault(scene, stations, lines)
        if found is not None:
            problems.append(document.problem((*keys, found[0]), found[1]))
        faults.append(None if scene.fault is None else _fault(scene.fault, scene))
    if problems:
        raise refusal(problems)
    return Script(script.seed, script.script, tuple(faults))


def _check_set(scene: Scene, stations: dict[str, Station]) -> tuple[str, str] | None:
    device, _, name = (scene.set or "").partition(".")
    station = stations.get(device)
    if station is None:
        return "set", f'there is no device "{device}"; {did_you_mean(device, stations, what="devices")}'
    gauge = station.slave.values.gauges.get(name)
    if gauge is None:
        known = did_you_mean(name, station.slave.values.gauges, what="points")
        return "set", f'{device} has no point "{name}"; {known}'
    point = gauge.point
    if point.type == "string" or (point.enum and isinstance(scene.value, str)):
        if not isinstance(scene.value, str):
            return "set", f'{device}.{name} is a text; write value = "…"'
        if point.enum and scene.value not in point.enum.values():
            return (
                "value",
                f"{scene.value!r} is no word of this point; {did_you_mean(scene.value, point.enum.values())}",
            )
    elif isinstance(scene.value, str):
        return "value", f"{device}.{name} is a {'bool' if point.type == 'bool' else 'number'}; write it without quotes"
    return None


def _check_fault(scene: Scene, stations: dict[str, Station], lines: list[str]) -> tuple[str, str] | None:
    if scene.line is not None:
        if scene.line not in lines:
            return "line", f'there is no line "{scene.line}"; {did_you_mean(scene.line, lines, what="lines")}'
        if scene.fault not in OF_LINES:
            return "fault", f"{scene.fault} is a fault of one device; write device = … instead of line"
        return None
    station = stations.get(scene.device or "")
    if station is None:
        known = did_you_mean(scene.device or "", stations, what="devices")
        return "device", f'there is no device "{scene.device}"; {known}'
    slave = station.slave
    if scene.fault in ("cut", "unplug"):
        return "fault", f"{scene.fault} is a fault of a line; write line = … , or silence for one device"
    if scene.fault in ("wrong-crc", "noise") and not slave.checked:
        return "fault", f"what {station.name} says has no checksum that could be wrong; use silence, late or half"
    if scene.fault in ("busy", "exception") and slave.busy_code is None:
        return "fault", f"{station.name} has no way to refuse; use silence, late or half"
    unknown = [name for name in scene.points if name not in slave.values.gauges]
    if unknown:
        known = did_you_mean(unknown[0], slave.values.gauges, what="points")
        return "points", f'{station.name} has no point "{unknown[0]}"; {known}'
    return None


def _fault(kind: FaultKind, scene: Scene) -> Fault:
    points = frozenset(scene.points)
    return Fault(kind, scene.percent or PERCENT, scene.delay or LATE, scene.code or DEVICE_FAILURE, points)
