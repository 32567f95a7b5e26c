"""Builds the parts of the daemon from the plan; the only place that knows them all."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from gateway import __version__
from gateway.api import Api
from gateway.clock import SystemClock, boot_id
from gateway.commands import Commands
from gateway.contract import Draft, LineKind, Put, SourceState, VisionEvent, record_id
from gateway.daemon.core import Core
from gateway.daemon.drafts import WILL, executed
from gateway.daemon.memory import LearnedFacts
from gateway.links import Line
from gateway.plan import Plan
from gateway.rules import Transition
from gateway.settings import ClipAction, LineSettings, Settings, WriteAction
from gateway.settings.parking import GateAction
from gateway.settings.resolve import ResolvedDevice
from gateway.settings.secret import read_secret
from gateway.sources import Source
from gateway.store import Store

if TYPE_CHECKING:
    from gateway.daemon.actions import Actions
    from gateway.daemon.clocks import MeterClocks
    from gateway.daemon.evidence import Evidence
    from gateway.daemon.parking import Parking
    from gateway.daemon.recall import Recall
    from gateway.links import AnyLine
    from gateway.settings import CameraSettings
    from gateway.sources import AnySource
    from gateway.vision.camera import Camera
    from gateway.vision.presence import Presence

ALARM_FACTS = "alarm/"
HELD_SHARE = 4  # what is under a legal hold takes so much of the quota of media at most, beside it
LEVELS = {"warning": logging.WARNING, "minor": logging.WARNING, "major": logging.ERROR, "critical": logging.CRITICAL}

log = logging.getLogger("linli.daemon")


class Uplink(Protocol):
    """A way out to a platform."""

    name: str

    async def run(self) -> None:
        """Send for ever; returns after ``flush``."""

    async def flush(self, seconds: float) -> None:
        """Send what is there for at most so long, then end."""

    def view(self) -> Mapping[str, Any]:
        """State for people and /v1/status."""


@dataclass
class Parts:
    """Everything that runs, built and wired."""

    plan: Plan
    clock: SystemClock
    store: Store
    core: Core
    lines: Sequence["AnyLine"]
    sources: Mapping[str, "AnySource"]
    cameras: Sequence["Camera"]
    uplinks: Sequence[Uplink]
    commands: Commands
    api: Api
    actions: "Actions | None"
    parking: "Parking | None"
    recall: "Recall | None"
    evidence: "Evidence | None"
    clocks: "MeterClocks | None"

    async def announce_start(self) -> None:
        """Write down that we run, and with which configuration."""
        clean = self.store.facts("gateway/").get("gateway/running") != b"1"
        reason, text = ("started", "the gateway starts") if clean else ("restarted", "the gateway was ended hard")
        drafts = [self._gateway_state(SourceState.ONLINE, reason, text)]
        facts: dict[str, bytes | None] = {"gateway/running": b"1"}
        digest = hashlib.sha256(self.plan.path.read_bytes()).hexdigest()
        if self.store.facts("gateway/").get("gateway/config") != digest.encode():
            facts["gateway/config"] = digest.encode()
            drafts.append(self._draft("linli.config.changed.v1", {"sha256": digest, "file": self.plan.path.name}))
        owed, settled = executed(self.store.facts(WILL))
        await self.store.put([*drafts, *owed], facts={**facts, **settled})
        saved = self.store.facts(ALARM_FACTS)
        for transition in self.plan.rules.load(saved, self.clock.wall(), self.clock.monotonic()):
            await self.core.apply(transition)
        if self.actions is not None:
            self.actions.resume(self.plan.rules.states())

    async def announce_stop(self) -> None:
        """Write down that the end was orderly."""
        await self.store.put(
            [self._gateway_state(SourceState.OFFLINE, "stopped", "the gateway stops")], facts={"gateway/running": None}
        )

    def _gateway_state(self, state: SourceState, reason: str, text: str) -> Draft:
        data = {"state": state.value, "reason": reason, "text": text, "version": __version__, "boot": boot_id()}
        return self._draft("linli.gateway.state.v1", data)

    def _draft(self, kind: str, data: Mapping[str, Any]) -> Draft:
        now = self.clock.wall()
        return Draft("management", kind, "", self.plan.settings.gateway.id, now, data, record_id(now))


def build(plan: Plan, store: Store, clock: SystemClock) -> Parts:
    """Build everything that the configuration names and that exists."""
    settings = plan.settings
    rules = plan.rules
    rules.stamp = clock.rfc3339
    sources: dict[str, AnySource] = {}
    actions = _actions(plan, sources, store, clock)
    act = say if actions is None else partial(_say_and_act, actions)
    cameras: list[Camera] = []
    core = Core(rules, store, clock, act)
    if any(isinstance(action, ClipAction) for alarm in settings.alarm for action in alarm.do):
        from gateway.daemon.clips import ask_for_clips

        core.clips = partial(ask_for_clips, cameras, clock)
    presence = _presence(plan)
    core.opens = _gates(plan, actions, clock, presence)
    lines = {line.name: _line(line, clock) for line in settings.line}
    memory = LearnedFacts(store)
    sources |= {
        device.name: _source(plan, device, lines[device.line.name], clock, core.put, memory) for device in plan.devices
    }
    cameras += _cameras(plan, clock, core, presence)
    core.lost = partial(_lost_media, {camera.name: camera for camera in cameras})
    uplinks: list[Uplink] = []
    listed = list(lines.values())
    commands = Commands(settings, store, rules, sources, listed, cameras, uplinks, clock, core.apply, actions)
    uplinks += _uplinks(settings, store, commands, clock)
    api = Api(settings, store, commands, clock, health=core.trouble)
    parking = core.counts = commands.parking = _parking(plan, store, clock)
    evidence = commands.evidence = _evidence(plan, store, clock)
    return Parts(
        plan=plan,
        clock=clock,
        store=store,
        core=core,
        lines=listed,
        sources=sources,
        cameras=cameras,
        uplinks=uplinks,
        commands=commands,
        api=api,
        actions=actions,
        parking=parking,
        recall=_recall(plan, presence, store, clock),
        evidence=evidence,
        clocks=_clocks(plan, sources, store, clock),
    )


def _uplinks(settings: Settings, store: Store, commands: Commands, clock: SystemClock) -> Iterator[Uplink]:
    wanted, gateway = settings.uplink, settings.gateway.id
    if wanted.mqtt is not None:
        from gateway.uplink.mqtt import MqttUplink  # without a broker, its libraries need no memory

        yield MqttUplink(wanted.mqtt, gateway, store, commands, clock, commands.status)
    if wanted.http is not None:
        from gateway.uplink.http.push import HttpUplink

        yield HttpUplink(wanted.http, gateway, store, clock)
    if wanted.gat1400 is not None:
        from gateway.uplink.gat1400.push import Gat1400Uplink

        yield Gat1400Uplink(wanted.gat1400, store, clock)


def _evidence(plan: Plan, store: Store, clock: SystemClock) -> "Evidence | None":
    if not plan.settings.camera:
        return None
    from gateway.daemon.evidence import Evidence  # only cameras make media

    gateway, hold = plan.settings.gateway, plan.settings.store.media // HELD_SHARE
    return Evidence(gateway.id, gateway.state, store, clock, hold)


def _openings(plan: Plan) -> dict[str, GateAction]:
    cameras = plan.settings.camera
    return {camera.name: camera.vehicles.open for camera in cameras if camera.vehicles and camera.vehicles.open}


def _actions(plan: Plan, sources: Mapping[str, "AnySource"], store: Store, clock: SystemClock) -> "Actions | None":
    gates = _openings(plan)
    writes = any(isinstance(action, WriteAction) for alarm in plan.settings.alarm for action in alarm.do)
    if not gates and not writes:
        return None
    from gateway.commands.writing import Writes
    from gateway.daemon.actions import Actions  # a gateway whose alarms set nothing needs none

    return Actions(plan.settings.alarm, sources, store, clock, Writes(sources, store, clock), gates)


def _clocks(plan: Plan, sources: Mapping[str, "AnySource"], store: Store, clock: SystemClock) -> "MeterClocks | None":
    asking = [device for device in plan.devices if getattr(plan.drivers.get(device.name), "sets_clock", False)]
    if not asking:
        return None
    from gateway.commands.writing import Writes
    from gateway.daemon.clocks import MeterClocks, wires  # where nobody asks for the time, nothing of it is loaded

    polled = {name: source for name, source in sources.items() if isinstance(source, Source)}
    return MeterClocks(wires(asking), polled, store, clock, Writes(sources, store, clock))


def _presence(plan: Plan) -> "Presence | None":
    if all(camera.vehicles is None for camera in plan.settings.camera):
        return None
    from gateway.vision.presence import Presence

    return Presence()


def _gates(
    plan: Plan, actions: "Actions | None", clock: SystemClock, presence: "Presence | None"
) -> Callable[[VisionEvent], None] | None:
    gates = _openings(plan)
    if not gates or actions is None:
        return None
    from gateway.daemon.gates import Gates  # a gateway that opens nothing needs none

    strict = {
        camera.name: camera
        for camera in plan.settings.camera
        if camera.vehicles is not None and camera.vehicles.passback == "refuse"
    }
    if presence is None or not strict:
        return Gates(gates, actions, clock).take
    return Gates(gates, actions, clock, partial(_is_in_already, strict, presence)).take


def _is_in_already(strict: Mapping[str, "CameraSettings"], presence: "Presence", event: VisionEvent) -> bool:
    from gateway.vision.presence import area_of, leads_in

    camera = strict.get(event.camera)
    if camera is None or camera.vehicles is None or not leads_in(camera.vehicles.lanes, str(event.data.get("way"))):
        return False
    area = area_of(camera)
    return bool(area) and presence.inside(area, str(event.data.get("plate")))


def _parking(plan: Plan, store: Store, clock: SystemClock) -> "Parking | None":
    if all(camera.vehicles is None for camera in plan.settings.camera):
        return None
    from gateway.daemon.parking import Parking, areas_of  # a gateway without gates counts nothing

    areas = areas_of(plan.settings.camera)
    return Parking(areas, store, clock) if areas else None


def _recall(plan: Plan, presence: "Presence | None", store: Store, clock: SystemClock) -> "Recall | None":
    if presence is None:
        return None
    from gateway.vision.presence import area_of

    areas = {camera.name: area for camera in plan.settings.camera if (area := area_of(camera))}
    if not areas:
        return None
    from gateway.daemon.recall import Recall  # where nobody asks who is inside, nothing is read back

    return Recall(areas, presence, store, clock)


def _say_and_act(actions: "Actions", transition: Transition) -> None:
    actions.act(transition)
    say(transition)


def say(transition: Transition) -> None:
    """Say aloud that an alarm has changed."""
    state = transition.state
    level = LEVELS[state.severity] if transition.kind == "raised" else logging.INFO
    log.log(level, "alarm %s %s (%s)", state.name, transition.kind, state.severity)


def _line(settings: LineSettings, clock: SystemClock) -> "AnyLine":
    if settings.kind is not LineKind.LISTEN:
        return Line(settings, clock)
    from gateway.links.listen import ListenLine  # a site where nobody calls us does not load it

    return ListenLine(settings, clock)


def _source(
    plan: Plan, device: ResolvedDevice, line: "AnyLine", clock: SystemClock, put: Put, memory: LearnedFacts
) -> "AnySource":
    if isinstance(line, Line):
        return Source(device, plan.drivers[device.name], line, clock, put, memory=memory)
    from gateway.sources.station import Station

    password = None if device.password_file is None else read_secret(device.password_file)
    return Station(device, plan.stations[device.name], line, clock, put, password)


def _lost_media(cameras: Mapping[str, "Camera"], camera: str, why: str) -> None:
    cameras[camera].lost(why)


def _cameras(plan: Plan, clock: SystemClock, core: Core, presence: "Presence | None") -> list["Camera"]:
    if not plan.settings.camera:
        return []
    from gateway.daemon.clips import seconds_before
    from gateway.vision.camera import Camera  # a sensors-only gateway does not load it
    from gateway.vision.listed import ListNews

    if plan.settings.gateway.timezone:
        os.environ["TZ"] = plan.settings.gateway.timezone  # a worker judges the hours of a list by its own local time
    folder, alarms = plan.models_folder, plan.settings.alarm
    providers, views = plan.settings.vision.providers, plan.settings.gateway.state / "views"
    lists = ListNews()
    return [
        Camera(camera, folder, clock, core.put, seconds_before(alarms, camera.name), providers, presence, views, lists)
        for camera in plan.settings.camera
    ]
