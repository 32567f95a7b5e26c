"""What alarms and gates do on the spot: sets points, for as long as an alarm holds them or for a moment."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from gateway.commands.diagnosis import Problem
from gateway.commands.writing import Result, Wish, Writes
from gateway.contract import Clock, CommandError, Scalar
from gateway.rules import AlarmState, Phase, Transition
from gateway.settings import AlarmSettings, WriteAction
from gateway.store import Store

if TYPE_CHECKING:
    from gateway.sources import AnySource

Cause = Literal["raised", "uncovered", "restart", "cleared", "acknowledged", "allowed", "ended"]

FACTS = "action/"
FIRST_WAIT, LONGEST_WAIT = 1.0, 40.0  # seconds; at the longest a silent device costs its line 2.5 % at most
LINE_WAIT = 5.0  # a line that is down costs nothing to ask
TRIES_FOR = 86_400.0  # seconds, then it is given up
PULSE_TRIES_FOR = 5.0  # seconds: a gate that opens later opens for somebody else
DISK_PATIENCE = 0.2  # seconds that a pulse waits until it is on disk that it was to be
STOP_PATIENCE = 1.0  # seconds in which a pulse is set back when the gateway stops
# After these the device may have been set, so it has to be set back.
TOUCHED = ("done", "mismatch", "unverified")
HOLDING: tuple[Cause, ...] = ("raised", "uncovered", "restart", "allowed")
ACTIVE = (Phase.UNACKNOWLEDGED, Phase.ACKNOWLEDGED)
UNSEEN = (Phase.UNACKNOWLEDGED, Phase.RETURNED)

log = logging.getLogger("linli.actions")


@dataclass(frozen=True, slots=True)
class Want:
    """What a point is to be, and for which alarm or else which camera.

    ``after`` is what it is to be when that lets go; None: as it is. ``seconds``: it lets go by itself after so long.
    """

    value: Scalar
    alarm: str
    occurrence: str | None
    cause: Cause
    after: Scalar | None = None
    seconds: float = 0.0
    camera: str = ""

    @property
    def who(self) -> str:
        """Who wants it, in words."""
        return f"camera {self.camera}" if self.camera else f"alarm {self.alarm}"

    @property
    def by(self) -> str:
        """Who wants it, as the record says it."""
        return self.who.replace(" ", ":", 1)

    @property
    def why(self) -> dict[str, Any]:
        """What the record says of it."""
        if self.camera:
            return {"camera": self.camera, "cause": self.cause}
        return {"alarm": self.alarm, "occurrence": self.occurrence, "cause": self.cause}

    def again(self, cause: Cause) -> "Want":
        """The same for another cause."""
        return replace(self, cause=cause)

    def over(self, cause: Cause) -> "Want | None":
        """What follows when the alarm lets go, if anything does."""
        return None if self.after is None else replace(self, value=self.after, cause=cause, after=None, seconds=0.0)


@dataclass(slots=True)
class _Point:
    """One point that alarms set. ``holds``: who wants what, by action, the newest last; it is the one that counts."""

    device: str
    name: str
    holds: dict[tuple[str, int], Want] = field(default_factory=dict)
    want: Want | None = None
    done: bool = True
    gave_up: bool = False
    touched: bool = False  # a pulse may have set it, and it is not set back yet
    attempts: int = 0
    since: int = 0
    failure: Result | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def aim(self, want: Want | None) -> None:
        """From now on it is to be so."""
        same = want is not None and self.want is not None and want.value == self.want.value and not self.gave_up
        if same and want is not None and want.cause == "uncovered":
            self.want = want  # it is so already, or on its way there
            self.changed.set()
            return
        self.want, self.done, self.gave_up = want, want is None, False
        self.attempts, self.failure = 0, None
        self.changed.set()


class Actions:
    """Carries out the ``do`` of all alarms, each point by itself; the newest alarm that holds a point decides.

    ``resume`` starts it, once ``sources`` has every device. ``gates`` are what cameras may set, by camera.
    """

    def __init__(
        self,
        alarms: Iterable[AlarmSettings],
        sources: Mapping[str, "AnySource"],
        store: Store,
        clock: Clock,
        writes: Writes,
        gates: Mapping[str, WriteAction] = MappingProxyType({}),
    ) -> None:
        self._gates = dict(gates)
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
                # What comes later decides, so no pulse of somebody else may end it.
                for old in [old for old, want in point.holds.items() if old == key or want.seconds]:
                    del point.holds[old]
                point.holds[key] = _want(action, state, "raised")
                point.aim(point.holds[key])
            elif key in point.holds and action.for_ is None and not _holds(action, state.phase):
                self._let_go(point, key, "acknowledged" if transition.kind == "acknowledged" else "cleared")

    def open(self, camera: str) -> str:
        """Set what the camera's gate names, for its moment; returns why not, "" when it is on its way.

        An alarm that holds the point decides: a fire holds the gate open, a lockdown holds it shut.
        """
        action = self._gates[camera]
        point = self._points.get(action.write)
        if point is None:
            return f"{action.write} is not there"
        holder = next((want.who for want in point.holds.values() if not want.seconds), "")
        if holder:
            return f"{holder} holds {action.write}"
        want = Want(action.value, "", None, "allowed", action.after, action.for_ or 0.0, camera)
        point.holds.clear()
        point.holds["", 0] = want
        point.aim(want)
        return ""

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
        named = [action.write for actions in self._do.values() for _, action in actions]
        for name in (*named, *(action.write for action in self._gates.values()), *facts):
            self._add(name)
        for point in self._points.values():
            point.holds.clear()
        for state in sorted(states, key=lambda state: state.raised_at or 0):
            for number, action in self._do.get(state.name, ()):
                if action.write in self._points and action.for_ is None and _holds(action, state.phase):
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
                point.aim(last.over("restart" if last.seconds else "cleared") if last.cause in HOLDING else last)

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
                by = {"camera": want.camera} if want.camera else {"alarm": want.alarm}
                row = {"point": name, "value": want.value, **by, "cause": want.cause}
                rows.append({**row, "state": "done" if point.done else failing, "attempts": point.attempts})
        return rows

    def problems(self) -> list[Problem]:
        """One sentence for each point that could not be set."""
        return [
            Problem(
                part=point.want.who,
                severity="major",
                text=f"{point.want.who} could not act: {point.failure.text}",
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
                if point.want.seconds:
                    await self._remembered()
                await self._fulfil(point, point.want)

    async def _remembered(self) -> None:
        """A pulse that a dying gateway leaves behind is set back by the next start, which has to know of it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DISK_PATIENCE):
                await self._store.committed()

    async def _fulfil(self, point: _Point, want: Want) -> None:
        tries_for = PULSE_TRIES_FOR if want.seconds else TRIES_FOR
        wait, until = FIRST_WAIT, self._clock.monotonic() + tries_for
        told = ""
        while point.want is want and not point.gave_up:
            point.attempts += 1
            doing = asyncio.create_task(self._attempt(point, want), name=f"attempt {point.device}.{point.name}")
            try:
                result = await asyncio.shield(doing)
            except asyncio.CancelledError:
                await self._wind_up(point, want, doing)
                raise
            current = point.want is want
            if current:
                self._take(point, result, self._clock.monotonic() >= until)
            if result.outcome != told and result.reason != "opening":
                told = result.outcome
                _log(want, result)
                await self._writes.record(result, facts=_facts(point) if current else None, wait=False)
            if current and want.seconds and (point.done or point.gave_up):
                await self._end(point, want)
            if not current or point.done or point.gave_up:
                return
            await self._pause(point, min(wait, LINE_WAIT) if result.unreached else wait)
            wait = min(2 * wait, LONGEST_WAIT)

    async def _end(self, point: _Point, want: Want) -> None:
        """A pulse was set, or could not be: when its time is over, set it back if it may have been."""
        try:
            if point.done:
                await self._pause(point, want.seconds)
        except asyncio.CancelledError:
            await self._set_back(point, want)
            raise
        if point.want is not want:
            return
        key = next((key for key, held in point.holds.items() if held is want), None)
        if key is not None and len(point.holds) > 1:
            self._let_go(point, key, "ended")
            return
        point.holds.clear()
        if point.touched:
            point.aim(want.over("ended"))
        else:
            await self._store.put([], urgent=True, facts=_facts(point))

    async def _wind_up(self, point: _Point, want: Want, doing: asyncio.Task[Result]) -> None:
        """The gateway stops in the middle of a write: what may have left is ended and on record, a pulse set back."""
        _, unfinished = await asyncio.wait({doing}, timeout=STOP_PATIENCE)
        if unfinished:
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
        elif doing.exception() is None:
            result, current = doing.result(), point.want is want
            if current:
                self._take(point, result, too_long=False)
            _log(want, result)
            await self._writes.record(result, facts=_facts(point) if current else None, wait=False)
        if want.seconds and (unfinished or point.touched):
            await self._set_back(point, want)

    async def _set_back(self, point: _Point, want: Want) -> None:
        """The gateway stops: set back now what only it would have set back later."""
        over = want.over("ended")
        if over is None or len(point.holds) > 1:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_PATIENCE):
                result = await self._attempt(point, over)
                if result.done:
                    point.want, point.done, point.touched = None, True, False
                _log(over, result)
                await self._writes.record(result, facts=_facts(point), wait=False)

    async def _attempt(self, point: _Point, want: Want) -> Result:
        wish = Wish(point.device, point.name, want.value, want.by, {**want.why, "attempts": point.attempts})
        try:
            return await self._writes.attempt(wish)
        except CommandError as error:
            now = self._clock.wall()
            return Result(wish, "refused", now, now, "not_allowed", str(error))

    def _take(self, point: _Point, result: Result, too_long: bool) -> None:
        if point.want is not None and point.want.seconds:
            point.touched = point.touched or result.outcome in TOUCHED
        elif result.done:
            point.touched = False
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
    after = action.after if action.until is not None or action.for_ is not None else None
    return Want(action.value, state.name, state.occurrence, cause, after, action.for_ or 0.0)


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
        # What is written as text may be a plate on a display.
        to = "" if isinstance(want.value, str) else f" to {want.value}".lower()
        log.info("%s (%s) has set %s%s", want.who, want.cause, name, to)
    else:
        told = result.reason if isinstance(want.value, str) else result.text  # a text may be a plate on a display
        log.warning("%s (%s): %s: %s", want.who, want.cause, name, told)
