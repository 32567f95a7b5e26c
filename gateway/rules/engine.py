"""All alarms of one gateway: which of them an input concerns, and when one must be judged without any."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from gateway.contract import BusItem, CommandError, Reading, SourceState, StateChange, VisionEvent
from gateway.rules.alarm import FACTS, Alarm, AlarmState, Phase, Stamp, Transition, alarm_draft, restore
from gateway.rules.inputs import Inputs
from gateway.rules.names import FAULTS
from gateway.settings import AlarmSettings
from gateway.settings.nearest import did_you_mean

log = logging.getLogger("linli.rules")

REMOVED = "removed from configuration"
TEST = "test"  # beside an event's word: it was made to try things out
SEES = (SourceState.ONLINE, SourceState.DEGRADED)
PASSAGE = "linli.vehicle.passage."
LEAST_PART = 6  # characters of an occurrence that is not written out
DROP_TEST = "droptest"  # the reason of a camera's state that hides others


def utc(time_ns: int) -> str:
    """Millisecond RFC 3339 in UTC, until the daemon sets ``Rules.stamp`` to its clock's."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="milliseconds")


class Rules:
    """Feeds readings and events to the alarms. Pure: no I/O, no clock; times come in, transitions go out.

    ``load`` starts it. All monotonic times come from one clock and never step back.
    """

    def __init__(self, alarms: Iterable[tuple[Alarm, frozenset[str], frozenset[str]]], inputs: Inputs) -> None:
        self.stamp: Stamp = utc
        self._inputs = inputs
        self._alarms: dict[str, Alarm] = {}
        self._by_device: dict[str, list[Alarm]] = {}
        self._by_camera: dict[str, list[Alarm]] = {}
        self._next: float | None = None
        for alarm, devices, cameras in alarms:
            self._alarms[alarm.settings.name] = alarm
            for device in devices:
                self._by_device.setdefault(device, []).append(alarm)
            for camera in cameras:
                self._by_camera.setdefault(camera, []).append(alarm)

    def feed(self, item: BusItem) -> list[Transition]:
        """Take over a reading, a camera's event or its state; timers that ended before it go first."""
        if isinstance(item, Reading):
            concerned = self._by_device.get(item.device)
        elif isinstance(item, VisionEvent):
            concerned = self._by_camera.get(item.camera)
        elif isinstance(item, StateChange) and item.kind == "camera":
            concerned = self._by_camera.get(item.name)
        else:
            return []
        if concerned is None:
            return []
        steps = self.tick(item.monotonic, item.time) if self._due(item.monotonic) else []
        self._move(item.monotonic)
        if isinstance(item, VisionEvent) and TEST in item.event.split():
            return steps + self._rehearse(concerned, item)
        self._take(item)
        if isinstance(item, VisionEvent):
            news = _news(item)
            for alarm in concerned:
                if alarm.happened(news):
                    steps += alarm.anew(item.time, self.stamp)
        return steps + self._judge(concerned, item.time)

    def _rehearse(self, alarms: Sequence[Alarm], item: VisionEvent) -> list[Transition]:
        """Tell which alarms an event would raise if it were no test; none is raised, and the event is forgotten."""
        resting = [alarm for alarm in alarms if not alarm.state.active and not alarm.holds()]
        news = _news(item)
        cells = list(self._inputs.events.get(item.camera, {}).values())
        before = [(cell.at, cell.time) for cell in cells]
        self._take(item)
        raised = [alarm for alarm in alarms if alarm.happened(news) or (alarm in resting and alarm.holds())]
        steps = [alarm.tested(item.time, self.stamp) for alarm in raised]
        for cell, (at, time) in zip(cells, before, strict=True):
            cell.at, cell.time = at, time
        return steps

    def tick(self, monotonic: float, wall: int) -> list[Transition]:
        """Judge the alarms whose time has come; harmless when none has."""
        started = self._inputs.moment.start is None
        self._move(monotonic)
        now = self._inputs.moment.now
        due = [
            alarm
            for alarm in self._alarms.values()
            if started or (alarm.deadline is not None and alarm.deadline <= now)
        ]
        self._next = min(
            (alarm.deadline for alarm in self._alarms.values() if alarm.deadline is not None and alarm.deadline > now),
            default=None,
        )
        return self._judge(due, wall)

    def next_tick(self) -> float | None:
        """Monotonic time at which ``tick`` is wanted; it may come early, never late. None: no timer runs."""
        return 0.0 if self._inputs.moment.start is None and self._alarms else self._next

    def acknowledge(
        self, name_or_occurrence: str, by: str, note: str | None, wall: int, monotonic: float
    ) -> Transition:
        """Acknowledge an alarm by its name or its occurrence, or one end of that which only one has.

        CommandError 404 (unknown) or 409 (nothing to do, or several).
        """
        self._move(monotonic)
        alarm = self._alarms.get(name_or_occurrence)
        if alarm is not None:
            return alarm.acknowledge(by, note, wall, self.stamp)
        meant = [alarm for alarm in self._alarms.values() if _is_end(name_or_occurrence, alarm.state.occurrence)]
        if len(meant) == 1:
            return meant[0].acknowledge(by, note, wall, self.stamp)
        if meant:
            text = (
                f'"{name_or_occurrence}" is an end of {len(meant)} occurrences; write more of it, or the alarm\'s name'
            )
            raise CommandError(text, 409)
        for alarm in self._alarms.values():
            if _is_end(name_or_occurrence, alarm.state.previous):
                raise CommandError(
                    f'alarm "{alarm.state.name}" was raised again since; '
                    f"acknowledge occurrence {alarm.state.occurrence} instead",
                    409,
                )
        hint = did_you_mean(name_or_occurrence, self._alarms, what="alarms")
        raise CommandError(f'no alarm "{name_or_occurrence[:80]}"; {hint}', 404)

    def states(self) -> list[AlarmState]:
        """Every alarm as it stands, with the readings of now, in the order of the configuration."""
        return [alarm.shown() for alarm in self._alarms.values()]

    def dump(self) -> dict[str, bytes]:
        """Every alarm's state for the next start; ``Transition.facts`` has the same for one step."""
        return {FACTS + name: alarm.state.dump() for name, alarm in self._alarms.items()}

    def load(self, facts: Mapping[str, bytes], wall: int, monotonic: float) -> list[Transition]:
        """Start: resume the saved states; an alarm that is configured no more is cleared here."""
        self._inputs.moment.start = self._inputs.moment.now = monotonic
        steps = []
        for key, saved in facts.items():
            if not key.startswith(FACTS):
                continue
            try:
                state = restore(saved)
            except ValueError as error:
                log.warning("the saved state %s cannot be read (%s); the alarm starts as normal", key, error)
                continue
            alarm = self._alarms.get(state.name)
            if alarm is not None:
                alarm.resume(state)
            elif state.phase is not Phase.NORMAL:
                steps.append(self._removed(state, wall))
        return steps + self._judge(self._alarms.values(), wall)

    def _removed(self, state: AlarmState, wall: int) -> Transition:
        known = {"name": state.name, "when": state.when, "severity": state.severity, "text": dict(state.text)}
        settings = AlarmSettings.model_validate(known)
        kind: Literal["cleared", "updated"] = "cleared" if state.active else "updated"
        state = replace(state, phase=Phase.NORMAL, cleared_at=state.cleared_at or wall, note=REMOVED)
        return Transition(settings, kind, (alarm_draft(state, kind, wall, self.stamp),), state)

    def _due(self, now: float) -> bool:
        return self._inputs.moment.start is None or (self._next is not None and self._next <= now)

    def _move(self, monotonic: float) -> None:
        moment = self._inputs.moment
        if moment.start is None:
            moment.start = monotonic
        moment.now = max(moment.now, monotonic)

    def _take(self, item: Reading | VisionEvent | StateChange) -> None:
        if isinstance(item, StateChange):
            self._take_state(item)
            return
        if isinstance(item, VisionEvent):
            words = _words(item)
            for word, event in self._inputs.events.get(item.camera, {}).items():
                if word in words:
                    event.at, event.time = item.monotonic, item.time
            return
        for name, cell in self._inputs.points.get(item.device, {}).items():
            value = item.points.get(name)
            if value is not None:
                cell.take(value, item.units.get(name, ""), item.time, item.monotonic)

    def _take_state(self, change: StateChange) -> None:
        """A fault begins with its state and is over when the camera is seen without it: not while it sees nothing."""
        sees = change.state in SEES and change.reason != DROP_TEST
        for word, cell in self._inputs.events.get(change.name, {}).items():
            if word in FAULTS and word in (change.reason, *change.besides, change.state.value):
                cell.lasts, cell.at, cell.time = True, change.monotonic, change.time
            elif cell.lasts and sees:
                cell.lasts, cell.at = False, change.monotonic

    def _judge(self, alarms: Iterable[Alarm], wall: int) -> list[Transition]:
        now, steps = self._inputs.moment.now, []
        for alarm in alarms:
            step = alarm.judge(now, wall, self.stamp)
            if step is not None:
                steps.append(step)
            if alarm.deadline is not None and (self._next is None or alarm.deadline < self._next):
                self._next = alarm.deadline
        return steps


def _is_end(part: str, identity: str | None) -> bool:
    """Whether ``part`` is an id, or one end of it that is long enough to be meant."""
    if identity is None or part == identity:
        return identity is not None
    return len(part) >= LEAST_PART and (identity.startswith(part) or identity.endswith(part))


def _news(event: VisionEvent) -> set[str]:
    """What an event tells that was not told before, as conditions name it."""
    return {f"{event.camera}.{word}" for word in _words(event) if word not in event.told.split()}


def _words(event: VisionEvent) -> list[str]:
    words = event.event.split()
    # A passage of a car on a list is told as `deny` or `allow`, and is a `passage` all the same.
    return [*words, "passage"] if event.type.startswith(PASSAGE) else words
