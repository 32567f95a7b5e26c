"""What alarms do on the spot: sets points when they are raised, and lets go of them when they are over."""

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from gateway.commands.diagnosis import Problem
from gateway.commands.writing import Result, Wish, Writes
from gateway.contract import Clock, CommandError, Scalar
from gateway.rules import AlarmState, Phase, Transition
from gateway.settings import AlarmSettings, WriteAction
from gateway.store import Store

if TYPE_CHECKING:
    from gateway.sources import AnySource

Cause = Literal["raised", "uncovered", "restart", "cleared", "acknowledged"]

FACTS = "action/"
FIRST_WAIT, LONGEST_WAIT = 1.0, 40.0  # seconds; at the longest a silent device costs its line 2.5 % at most
LINE_WAIT = 5.0  # a line that is down costs nothing to ask
TRIES_FOR = 86_400.0  # seconds, then it is given up
HOLDING: tuple[Cause, ...] = ("raised", "uncovered", "restart")
ACTIVE = (Phase.UNACKNOWLEDGED, Phase.ACKNOWLEDGED)
UNSEEN = (Phase.UNACKNOWLEDGED, Phase.RETURNED)

log = logging.getLogger("linli.actions")


@dataclass(frozen=True, slots=True)
class Want:
    """What a point is to be, and for which alarm. ``after`` is what it is to be when that lets go; None: as it is."""

    value: Scalar
    alarm: str
    occurrence: str | None
    cause: Cause
    after: Scalar | None = None

    def again(self, cause: Cause) -> "Want":
        """The same for another cause."""
        return replace(self, cause=cause)

    def over(self, cause: Cause) -> "Want | None":
        """What follows when the alarm lets go, if anything does."""
        return None if self.after is None else replace(self, value=self.after, cause=cause, after=None)


@dataclass(slots=True)
class _Point:
    """One point that alarms set. ``holds``: who wants what, by action, the newest last; it is the one that counts."""

    device: str
    name: str
    holds: dict[tuple[str, int], Want] = field(default_factory=dict)
    want: Want | None = None
    done: bool = True
    gave_up: bool = False
    attempts: int = 0
    since: int = 0
    failure: Result | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def aim(self, want: Want | None) -> None:
        """From now on it is to be so."""
        if want is not None and self.want is not None and want.value == self.want.value and want.cause == "uncovered":
            self.want = want  # it is so already, or on its way there
            self.changed.set()
            return
        self.want, self.done, self.gave_up = want, want is None, False
        self.attempts, self.failure = 0, None
        self.changed.set()


class Actions:
    """Carries out the ``do`` of all alarms, each point by itself; the newest alarm that holds a point decides.

    ``resume`` starts it, once ``sources`` has every device.
    """

    def __init__(
        self,
        alarms: Iterable[AlarmSettings],
        sources: Mapping[str, "AnySource"],
        store: Store,
        clock: Clock,
        writes: Writes,
    ) -> None:
        self._sources, self._store, self._clock, self._writes = sources, store, clock, writes
        self._do = {
            alarm.name: [(number, action) for number, action in enumerate(alarm.do) if isinstance(action, WriteAction)]
            for alarm in alarms
        }
        self._points: dict[str, _Point] = {}

    def act(self, transition: Transition) -> None:
        """An alarm has changed: say what its points are to be now. Nothing waits here."""
        state = transition.state
        for number, action in self._do.get(state.name, ()):
            point = self._points.get(action.write)
            if point is None:
                continue
            key = (state.name, number)
            if transition.kind == "raised":
                point.holds.pop(key, None)
                point.holds[key] = _want(action, state, "raised")
                point.aim(point.holds[key])
            elif key in point.holds and not _holds(action, state.phase):
                self._let_go(point, key, "acknowledged" if transition.kind == "acknowledged" else "cleared")

    def _let_go(self, point: _Point, key: tuple[str, int], cause: Cause) -> None:
        counted = key == next(reversed(point.holds))
        gone = point.holds.pop(key)
        if point.holds:
            if counted:
                point.aim(next(reversed(point.holds.values())).again("uncovered"))
        else:
            point.aim(gone.over(cause))

    def resume(self, states: Iterable[AlarmState]) -> None:
        """After a start: take up what was not done, know what was, and let go of what nobody holds any more."""
        facts = {key.removeprefix(FACTS): saved for key, saved in self._store.facts(FACTS).items()}
        for name in (*(action.write for actions in self._do.values() for _, action in actions), *facts):
            self._add(name)
        for point in self._points.values():
            point.holds.clear()
        for state in sorted(states, key=lambda state: state.raised_at or 0):
            for number, action in self._do.get(state.name, ()):
                if action.write in self._points and _holds(action, state.phase):
                    self._points[action.write].holds[state.name, number] = _want(action, state, "restart")
        for name, point in self._points.items():
            last, done = _restored(facts.get(name))
            if point.holds:
                top = next(reversed(point.holds.values()))
                if done and last is not None and last.cause in HOLDING and last.again("restart") == top:
                    point.want, point.done = last, True
                else:
                    point.aim(top)
            elif last is not None:
                point.aim(last.over("cleared") if last.cause in HOLDING else last)

    async def run(self) -> None:
        """Set points until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, point in self._points.items():
                group.create_task(self._serve(point), name=f"action {name}")

    def view(self) -> list[dict[str, Any]]:
        """What status shows: every point that an alarm holds or that is not yet as it should be."""
        rows = []
        for name, point in self._points.items():
            want = point.want
            if want is not None:
                failing = "given_up" if point.gave_up else "failing" if point.failure else "pending"
                row = {"point": name, "value": want.value, "alarm": want.alarm, "cause": want.cause}
                rows.append({**row, "state": "done" if point.done else failing, "attempts": point.attempts})
        return rows

    def problems(self) -> list[Problem]:
        """One sentence for each point that could not be set."""
        return [
            Problem(
                part=f"alarm {point.want.alarm}",
                severity="major",
                text=f"alarm {point.want.alarm} could not act: {point.failure.text}",
                since=self._clock.rfc3339(point.since),
                fix=f"set it by hand; check {point.device} with: linli read {point.device}; "
                + ("it is tried no more" if point.gave_up else f"it is tried again ({point.attempts} times so far)"),
            )
            for point in self._points.values()
            if point.want is not None and point.failure is not None
        ]

    # ---------------------------------------------------------------------------------------------------- one point

    def _add(self, name: str) -> None:
        device, _, point = name.partition(".")
        if device in self._sources:
            self._points.setdefault(name, _Point(device, point))

    async def _serve(self, point: _Point) -> None:
        while True:
            await point.changed.wait()
            point.changed.clear()
            await self._store.put([], urgent=True, facts=_facts(point))
            if point.want is not None and not point.done:
                await self._fulfil(point, point.want)

    async def _fulfil(self, point: _Point, want: Want) -> None:
        wait, until = FIRST_WAIT, self._clock.monotonic() + TRIES_FOR
        told = ""
        while point.want is want and not point.gave_up:
            point.attempts += 1
            result = await self._attempt(point, want)
            current = point.want is want
            if current:
                self._take(point, result, self._clock.monotonic() >= until)
            if result.outcome != told and result.reason != "opening":
                told = result.outcome
                _log(want, result)
                await self._writes.record(result, facts=_facts(point) if current else None, wait=False)
            if not current or point.done or point.gave_up:
                return
            await self._pause(point, min(wait, LINE_WAIT) if result.unreached else wait)
            wait = min(2 * wait, LONGEST_WAIT)

    async def _attempt(self, point: _Point, want: Want) -> Result:
        why = {"alarm": want.alarm, "occurrence": want.occurrence, "cause": want.cause, "attempts": point.attempts}
        wish = Wish(point.device, point.name, want.value, f"alarm:{want.alarm}", why)
        try:
            return await self._writes.attempt(wish)
        except CommandError as error:
            now = self._clock.wall()
            return Result(wish, "refused", now, now, "not_allowed", str(error))

    def _take(self, point: _Point, result: Result, too_long: bool) -> None:
        if result.done:
            point.done, point.failure = True, None
            if point.want is not None and point.want.cause not in HOLDING:
                point.want = None
            return
        if point.failure is None:
            point.since = result.done_at
        point.failure = result
        point.gave_up = too_long or result.outcome == "refused"

    async def _pause(self, point: _Point, seconds: float) -> None:
        """Wait, unless the point is to be something else meanwhile."""
        waits = [asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(point.changed.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


def _want(action: WriteAction, state: AlarmState, cause: Cause) -> Want:
    after = action.after if action.until is not None else None
    return Want(action.value, state.name, state.occurrence, cause, after)


def _holds(action: WriteAction, phase: Phase) -> bool:
    return phase in (UNSEEN if action.until == "acknowledged" else ACTIVE)


def _facts(point: _Point) -> dict[str, bytes | None]:
    """What to remember for the next start: nothing of a point that nobody wants anything of."""
    key = f"{FACTS}{point.device}.{point.name}"
    if point.want is None or point.gave_up:
        return {key: None}
    return {key: json.dumps({**asdict(point.want), "done": point.done}).encode()}


def _restored(saved: bytes | None) -> tuple[Want | None, bool]:
    if saved is None:
        return None, False
    try:
        kept = json.loads(saved)
        done = kept.pop("done") is True
        return Want(**kept), done
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("what an alarm had done cannot be read (%s); it is done again if it still holds", error)
        return None, False


def _log(want: Want, result: Result) -> None:
    name = f"{result.wish.device}.{result.wish.point}"
    if result.done:
        log.info("alarm %s (%s) has set %s to %s", want.alarm, want.cause, name, want.value)
    else:
        log.warning("alarm %s (%s): %s", want.alarm, want.cause, result.text)
