"""One alarm's life cycle after ISA-18.2 and the records that each step of it makes."""

import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal, TypedDict

from gateway.contract import CommandError, Draft, Severity, record_id
from gateway.rules.expression import Expression
from gateway.settings import AlarmSettings, ClipAction, WriteAction

# CloudEvents severity extension: 13-16 warn, 17-20 error, 21-24 fatal.
SEVERITY_NUMBERS: dict[Severity, int] = {"warning": 13, "minor": 14, "major": 17, "critical": 21}
FACTS = "alarm/"

Stamp = Callable[[int], str]
Change = Literal["raised", "updated", "cleared", "acknowledged", "tested"]
TESTED = {"zh": "【测试】"}  # before the text of an alarm that is only a test; TEST: in all other languages


class Phase(StrEnum):
    """The states of ISA-18.2, 5.6, that an alarm can be in here."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned-unacknowledged"


ACTIVE = frozenset({Phase.UNACKNOWLEDGED, Phase.ACKNOWLEDGED})


class AlarmData(TypedDict):
    """``data`` of every ``linli.alarm.*.v1`` record; times are RFC 3339 text."""

    occurrence: str | None
    state: str
    severity: str
    text: dict[str, str]
    when: str
    points: dict[str, dict[str, Any]]
    raised_at: str | None
    acknowledged_at: str | None
    cleared_at: str | None
    by: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class AlarmState:
    """Where one alarm stands. Times are wall-clock nanoseconds; ``points`` are the readings behind the last step.

    ``blind`` names the inputs without which the condition cannot be judged now, with the reason.
    """

    name: str
    severity: Severity
    text: Mapping[str, str]
    when: str
    phase: Phase = Phase.NORMAL
    occurrence: str | None = None
    raised_at: int | None = None
    acknowledged_at: int | None = None
    cleared_at: int | None = None
    by: str | None = None
    note: str | None = None
    points: Mapping[str, Mapping[str, Any]] | None = None
    previous: str | None = None
    blind: Mapping[str, str] | None = None

    @property
    def active(self) -> bool:
        """Raised and not cleared."""
        return self.phase in ACTIVE

    def data(self, stamp: Stamp) -> AlarmData:
        """The ``data`` of a record; ``stamp`` makes RFC 3339 text of nanoseconds."""

        def when(time: int | None) -> str | None:
            return None if time is None else stamp(time)

        points = {
            name: {key: stamp(value) if key == "time" else value for key, value in shown.items()}
            for name, shown in (self.points or {}).items()
        }
        return AlarmData(
            occurrence=self.occurrence,
            state=self.phase.value,
            severity=self.severity,
            text=dict(self.text),
            when=self.when,
            points=points,
            raised_at=when(self.raised_at),
            acknowledged_at=when(self.acknowledged_at),
            cleared_at=when(self.cleared_at),
            by=self.by,
            note=self.note,
        )

    def dump(self) -> bytes:
        """JSON that ``restore`` takes back after a restart."""
        kept = {name: getattr(self, name) for name in _KEPT}
        return json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()


_KEPT = tuple(name for name in AlarmState.__slots__ if name != "blind")


def restore(saved: bytes) -> AlarmState:
    """Take back what ``AlarmState.dump`` wrote; ValueError when it is something else."""
    try:
        kept = json.loads(saved)
        return AlarmState(**{**kept, "phase": Phase(kept["phase"])})
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a saved alarm state: {error}") from error


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of one alarm: the records to store and the actions to take, in this order or at once.

    ``facts`` is what to keep for the next start, in the same commit as the drafts; None erases.
    """

    alarm: AlarmSettings
    kind: Change
    drafts: tuple[Draft, ...]
    state: AlarmState
    actions: Sequence[WriteAction | ClipAction] = ()

    @property
    def facts(self) -> dict[str, bytes | None]:
        """The saved state under its key."""
        return {FACTS + self.state.name: None if self.state.phase is Phase.NORMAL else self.state.dump()}


class Alarm:
    """One configured alarm: judges its conditions and walks the life cycle."""

    def __init__(self, settings: AlarmSettings, when: Expression, clear: Expression | None) -> None:
        self.settings = settings
        self.state = AlarmState(settings.name, settings.severity, dict(settings.text), settings.when)
        self.deadline: float | None = None  # monotonic; when to judge again without any new reading
        self._when, self._clear = when, clear
        self._pending: float | None = None
        self._timers = (*when.timers, *(clear.timers if clear else ()))

    def resume(self, saved: AlarmState) -> None:
        """Go on where the last run stopped, with today's severity, text and condition."""
        current = self.state
        self.state = replace(saved, severity=current.severity, text=current.text, when=current.when, blind=None)

    def judge(self, now: float, wall: int, stamp: Stamp) -> Transition | None:
        """Evaluate with the inputs as they are, and set ``deadline``; ``now`` monotonic seconds, ``wall`` ns."""
        step = self._step(self._when.condition(), now, wall, stamp)
        ends = [end for timer in self._timers if (end := timer()) is not None and end > now]
        if self._pending is not None:
            ends.append(self._pending + self.settings.for_)
        self.deadline = min(ends, default=None)
        return step

    def _step(self, holds: bool | None, now: float, wall: int, stamp: Stamp) -> Transition | None:
        if self.state.active:
            cleared = holds is False if self._clear is None else holds is not True and self._clear.condition()
            return self._cleared(wall, stamp, None) if cleared else None
        if holds is not True:
            self._pending = None  # false ends the delay; so does a bad or missing input
            return None
        if self._pending is None:
            self._pending = now
        if now < self._pending + self.settings.for_:
            return None
        self._pending = None
        return self._raised(wall, stamp)

    def _raised(self, wall: int, stamp: Stamp, note: str | None = None) -> Transition:
        before = self.state
        occurrence = record_id(wall)
        if before.phase is Phase.RETURNED:
            note = f"raised again before occurrence {before.occurrence} was acknowledged"
        self.state = replace(self._begun(occurrence, wall, note), previous=before.occurrence)
        draft = self._draft("raised", wall, stamp, occurrence)
        return Transition(self.settings, "raised", (draft,), self.state, self.settings.do)

    def _begun(self, occurrence: str, wall: int, note: str | None) -> AlarmState:
        return replace(
            self.state,
            phase=Phase.UNACKNOWLEDGED,
            occurrence=occurrence,
            raised_at=wall,
            acknowledged_at=None,
            cleared_at=None,
            by=None,
            note=note,
            points=self._points(),
        )

    def holds(self) -> bool:
        """Whether the condition is true now."""
        return self._when.condition() is True

    def happened(self, events: Container[str]) -> bool:
        """Whether one of these ``events`` (camera.word) of now is one that its acknowledgement cannot have meant."""
        news = any(name in events and not cell.lasts for name, cell in self._when.events.items())
        return news and self.state.phase is Phase.ACKNOWLEDGED and self.holds()

    def anew(self, wall: int, stamp: Stamp) -> list[Transition]:
        """End the occurrence that was acknowledged and begin another."""
        note = f"happened again after occurrence {self.state.occurrence} was acknowledged"
        return [self._cleared(wall, stamp, None), self._raised(wall, stamp, note)]

    def tested(self, wall: int, stamp: Stamp) -> Transition:
        """A test would have raised it: both ends of an alarm that calls nobody; its own state stays as it is."""
        occurrence = record_id(wall)
        raised = replace(
            self._begun(occurrence, wall, "a drop test: nobody needs to come"),
            severity="warning",
            text={key: f"{TESTED.get(key, 'TEST: ')}{words}" for key, words in self.state.text.items()},
        )
        over = replace(raised, phase=Phase.NORMAL, cleared_at=wall)
        drafts = (alarm_draft(raised, "raised", wall, stamp, occurrence), alarm_draft(over, "cleared", wall, stamp))
        marked = tuple(replace(draft, data={**draft.data, "test": True}) for draft in drafts)
        return Transition(self.settings, "tested", marked, self.state)

    def _cleared(self, wall: int, stamp: Stamp, note: str | None) -> Transition:
        acknowledged = self.state.phase is Phase.ACKNOWLEDGED
        self.state = replace(
            self.state,
            phase=Phase.NORMAL if acknowledged else Phase.RETURNED,
            cleared_at=wall,
            note=note if note is not None else self.state.note,
            points=self._points(),
        )
        return Transition(self.settings, "cleared", (self._draft("cleared", wall, stamp),), self.state)

    def acknowledge(self, by: str, note: str | None, wall: int, stamp: Stamp) -> Transition:
        """Somebody has seen it; CommandError 409 when there is nothing to see."""
        state = self.state
        if state.phase is Phase.NORMAL:
            raise CommandError(f'alarm "{state.name}" is not raised; there is nothing to acknowledge', 409)
        if state.phase is Phase.ACKNOWLEDGED:
            at = stamp(state.acknowledged_at or wall)
            raise CommandError(f'alarm "{state.name}" was already acknowledged by {state.by} at {at}', 409)
        self.state = replace(
            state,
            phase=Phase.NORMAL if state.phase is Phase.RETURNED else Phase.ACKNOWLEDGED,
            acknowledged_at=wall,
            by=by,
            note=note,
        )
        return Transition(
            self.settings,
            "acknowledged",
            (acknowledgement(self.state, wall, stamp), self._draft("updated", wall, stamp)),
            self.state,
        )

    def shown(self) -> AlarmState:
        """The state with the readings of now and what keeps the condition from being judged."""
        blind: dict[str, str] = {}
        if self._when.condition() is None:
            bad = {name: cell.reason for name, cell in self._when.points.items() if cell.value is None}
            blind = {name: reason or "bad" for name, reason in bad.items()}
        return replace(self.state, points=self._points(), blind=blind)

    def _points(self) -> dict[str, dict[str, Any]]:
        points: dict[str, dict[str, Any]] = {}
        for expression in (self._when, self._clear):
            if expression is not None:
                points |= {name: cell.shown() for name, cell in expression.points.items()}
                points |= {name: cell.shown() for name, cell in expression.events.items()}
        return points

    def _draft(self, kind: Literal["raised", "updated", "cleared"], wall: int, stamp: Stamp, made: str = "") -> Draft:
        return alarm_draft(self.state, kind, wall, stamp, made)


def alarm_draft(
    state: AlarmState, kind: Literal["raised", "updated", "cleared"], wall: int, stamp: Stamp, made: str = ""
) -> Draft:
    """A ``linli.alarm.<kind>.v1`` record of the alarm stream; ``made`` is its id where it exists already."""
    return Draft(
        stream="alarm",
        type=f"linli.alarm.{kind}.v1",
        source="",
        subject=state.name,
        time=wall,
        data=state.data(stamp),
        id=made or record_id(wall),
        extra={"severitytext": state.severity, "severitynumber": SEVERITY_NUMBERS[state.severity]},
    )


def acknowledgement(state: AlarmState, wall: int, stamp: Stamp) -> Draft:
    """The ``linli.disposal.acknowledged.v1`` record: who has seen which occurrence, and what they noted."""
    data = {
        "alarm": state.name,
        "occurrence": state.occurrence,
        "state": state.phase.value,
        "severity": state.severity,
        "text": dict(state.text),
        "acknowledged_at": stamp(wall),
        "by": state.by,
        "note": state.note,
    }
    return Draft("disposal", "linli.disposal.acknowledged.v1", "", state.name, wall, data, record_id(wall))
