"""Runs one device: polls it at its pace, probes it while it is silent, stamps its readings, tells its state."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Protocol, TypeVar

import drivers
from gateway.contract import (
    Clock,
    ClockSetter,
    DeviceError,
    Driver,
    Learner,
    LinkError,
    MakeDriver,
    Pipe,
    PointValue,
    Put,
    Reading,
    Scalar,
    SourceState,
    Writer,
    Written,
)
from gateway.links import Line
from gateway.links.health import DAMAGE
from gateway.links.turns import READ_NOW, WRITE
from gateway.metrics import DROPPED, POLLS, READINGS
from gateway.settings.resolve import ResolvedDevice
from gateway.sources.advice import ADVICE, SILENT, with_advice
from gateway.sources.bulkhead import DriverBugError, bulkhead
from gateway.sources.pace import Backoff, Pace
from gateway.sources.report import ReportPolicy, all_bad
from gateway.sources.waiting import REASON, until_free
from gateway.sources.watched import Dated, Watched
from gateway.sources.writing import judge, set_point, tell_time

log = logging.getLogger("linli.sources")

T = TypeVar("T")

MISSES = 2  # of a device that has answered before, until it counts as silent
OVERLOAD_SEEN = 3.0  # missed polls, the older ones counting less: a hiccup is no overload
OVERLOAD_OVER = 0.3
OVERLOAD_FADES = 0.9
_places = itertools.count()  # every device of the gateway has a phase of its own


class Memory(Protocol):
    """Where what drivers learned survives a restart."""

    def recall(self, device: ResolvedDevice) -> Mapping[str, Any]:
        """Return what was kept for this very device and model; empty when nothing was."""

    async def keep(self, device: ResolvedDevice, learned: Mapping[str, Any]) -> None:
        """Keep this, as JSON, in place of what was kept before."""


class Source(Watched):
    """One device on a line. ``run`` polls until cancelled; ``put`` takes what comes out, and may wait."""

    def __init__(
        self,
        device: ResolvedDevice,
        driver: Driver,
        line: Line,
        clock: Clock,
        put: Put,
        make: MakeDriver | None = None,
        memory: Memory | None = None,
    ) -> None:
        super().__init__(device, clock, put, "not read yet")
        self._memory = memory
        self._learner: Learner | None = None
        self._kept: Mapping[str, Any] | None = None
        self._driver = self._taught(driver)
        self._make = make
        self._line = line
        self._policy = ReportPolicy(device.reports, device.every)
        self._bulkhead = bulkhead(self.name, device.spec.driver)
        self._tally = line.attach(self.name, device.spec.address)
        self._pace = Pace(device.every, next(_places))
        self._backoff = Backoff(first=max(1.0, device.timeout))
        self._whole: tuple[Mapping[str, PointValue], int, float] = ({}, 0, 0.0)  # the last read of all points
        self._last: dict[str, Dated] = {}  # what was read since, point by point
        self._polls = self._errors = self._missed = self._misses = 0
        self._bad = 0  # polls in a row without an answer or with a damaged one: each costs the line its whole wait
        self._overload = 0.0
        self._proven = self._overloaded = False
        self._outcomes = {
            outcome: POLLS.labels(self.name, outcome)
            for outcome in ("ok", "partial", "timeout", "error", "link", "bug")
        }
        self._dropped = DROPPED.labels("poll", "overload")

    async def run(self) -> None:
        """Poll until cancelled."""
        await self._begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._poll_for_ever(), name=f"poll {self.name}")
            if self._policy.has_heartbeat:
                group.create_task(self._keep_reporting(), name=f"heartbeat {self.name}")

    async def read_now(self, points: frozenset[str] | None = None) -> Reading:
        """Read at once, ahead of all polling, for a command; never recorded. What cannot be read comes back bad."""
        return await self._read_at_once(self._wanted(points), READ_NOW)

    async def _read_at_once(self, points: frozenset[str], deadline: float) -> Reading:
        try:
            values = await self._transact(points, deadline=deadline, timeout=self._device.timeout)
        except (DeviceError, LinkError) as error:
            values = all_bad(points, error.reason)
        return self._stamp(values, frozenset())

    def may_write(self, point: str, value: Scalar) -> None:
        """CommandError unless this value may be written now: 404 no such point, 403 not allowed, 400 not this value."""
        judge(self._device, self._driver, point, value)

    async def write(self, point: str, value: Scalar) -> Written:
        """Set a point at once, ahead of all polling, and read it back; CommandError as ``may_write``.

        DeviceError or LinkError when nothing was sent; ``Written.fault`` says what went wrong after that.
        """
        self.may_write(point, value)

        async def look() -> PointValue:
            return (await self._read_at_once(frozenset({point}), WRITE)).points[point]

        driver: Writer = self._driver  # type: ignore[assignment]
        written = await set_point(self._device, driver, self._clock, point, value, self._turn, look)
        self._stamp({point: written.after}, frozenset())
        return written

    async def set_clocks(self, now: Callable[[], datetime]) -> datetime:
        """Broadcast the local time that ``now`` says when it is our turn; as ``writing.tell_time``."""
        driver: ClockSetter = self._driver  # type: ignore[assignment]
        return await tell_time(self._device, driver, self._clock, now, self._turn)

    def _turn(self, work: Callable[[Pipe], Awaitable[T]]) -> Awaitable[T]:
        return self._line.transact(
            work,
            deadline=WRITE,
            timeout=self._device.timeout,
            serial=self._device.serial,
            device=self.name,
            turnaround=self._device.turnaround,
        )

    def view(self) -> dict[str, Any]:
        """What status shows of this device."""
        whole, wall, read_at = self._whole
        last = {name: (value, wall, read_at) for name, value in whole.items()} | self._last
        return {
            **self._view(self._line.name, last, self._device.every),
            "polls": self._polls,
            "errors": self._errors,
            "missed": self._missed,
            "overloaded": self._overloaded,
            **self._tally.view(),
            **self._writable(),
        }

    def _writable(self) -> dict[str, list[str]]:
        names = [name for name, point in self._device.spec.points.items() if point.write]
        return {"writable": sorted(names)} if names else {}

    # ------------------------------------------------------------------------------------------------ the loop

    async def _poll_for_ever(self) -> None:
        answered = False
        while True:
            if self._line.state != "open":
                await self._wait_for_line()
            silent = self._is_silent()
            wait = self._backoff.wait() if silent else self._wait()
            if wait > 0 or not answered:  # an answer was waited for: all others had their turn meanwhile
                await self._clock.sleep(wait)
            if self._line.state == "open":
                answered = await self._poll(probe=silent and not self._tally.welcome)

    def _wait(self) -> float:
        now = self._clock.monotonic()
        wait = self._pace.due(now) - now
        if self._misses:
            # Soon, to know whether it is gone; not at once, so that a late answer is not taken for the next one.
            wait = max(self._device.timeout / 2, min(wait, 2 * self._device.timeout))
        return max(0.0, wait)

    async def _poll(self, *, probe: bool) -> bool:
        """Poll once; returns whether the device answered."""
        now = self._clock.monotonic()
        self._count_missed(self._pace.start(now))
        timeout = self._device.timeout
        if not (probe and not self._proven):
            # Now and then a probe waits its whole time: what has just been switched on may take longer than ever.
            hurried = self._bad > 0 and self._bad % 4 != 0
            timeout = self._line.patience(self.name, timeout, doubtful=hurried)
        self._polls += 1
        try:
            with self._bulkhead:
                values = await until_free(
                    lambda points: self._transact(
                        points, deadline=self._pace.deadline(now), timeout=timeout, probe=probe
                    ),
                    self._points,
                    self._device.every,
                    self._clock,
                )
        except DeviceError as error:
            self._outcomes["timeout" if error.reason in SILENT else "error"].inc()
            await self._failed(error)
        except LinkError as error:
            self._outcomes["link"].inc()
            await self._link_failed(error)
        except DriverBugError as error:
            self._outcomes["bug"].inc()
            await self._restart_driver(error)
        else:
            await self._answered(values, probe=probe)
            return True
        return False

    def _transact(
        self, points: frozenset[str], *, deadline: float, timeout: float, probe: bool = False
    ) -> Awaitable[Mapping[str, PointValue]]:
        return self._line.transact(
            lambda pipe: self._driver.read(pipe, points),
            deadline=deadline,
            timeout=timeout,
            serial=self._device.serial,
            probe=probe,
            device=self.name,
            turnaround=self._device.turnaround,
        )

    async def _wait_for_line(self) -> None:
        while self._line.state != "open":
            if self._line.state == "down":
                await self._link_failed(LinkError(self._line.sentence, self._line.reason))
                if self._line.state == "open":
                    break
            await self._line.changed()
        self._pace.restart()
        self._backoff.reset()
        self._misses = self._bad = 0

    # ------------------------------------------------------------------------------------------------ outcomes

    async def _answered(self, values: Mapping[str, PointValue], *, probe: bool) -> None:
        if probe:
            self._pace.restart()
        self._proven = True
        self._misses = self._bad = 0
        self._backoff.reset()
        unread = []
        if any(map(REASON, values.values())):
            unread = [name for name, value in values.items() if value.quality == "bad" and value.reason in ADVICE]
        self._outcomes["partial" if unread else "ok"].inc()
        if self.state is not SourceState.ONLINE:
            self._up.set(1)
        if unread:
            await self._change(SourceState.DEGRADED, *self._unread(unread, values[unread[0]].reason or ""))
        elif (trouble := self._line.trouble(self.name) or self._no_value(values)) is not None:
            await self._change(SourceState.DEGRADED, *trouble)
        elif self._reason != "ok":
            await self._change(SourceState.ONLINE, "ok", "answers")
        if self._memory is not None and self._learner is not None:
            learned = self._learner.learned()
            if learned is not self._kept:
                self._kept = learned
                await self._memory.keep(self._device, learned)
        now = self._clock.monotonic()
        await self._emit(values, self._policy.answered(values, now))

    def _unread(self, names: list[str], reason: str) -> tuple[str, str]:
        """What is wrong when some points could not be read: a fault of the line, once it is named, or theirs."""
        if reason in DAMAGE:
            self._tally.hurt()
            trouble = self._line.trouble(self.name)
            if trouble is not None:
                return trouble
        return reason, f"cannot read {', '.join(sorted(names))}; {ADVICE[reason]}"

    async def _failed(self, error: DeviceError) -> None:
        self._errors += 1
        self._up.set(0)
        self._misses = self._misses + 1 if error.reason in SILENT else 0
        self._bad = self._bad + 1 if error.reason in SILENT | DAMAGE else 0
        state = SourceState.OFFLINE if self._is_silent() else SourceState.DEGRADED
        trouble = self._line.trouble(self.name)
        await self._change(state, *(trouble or (error.reason, with_advice(error))))
        await self._emit_failure(error.reason)

    async def _link_failed(self, error: LinkError) -> None:
        self._errors += 1
        self._up.set(0)
        # Settings that the port refuses are this device's own fault, and stay so: ask as seldom as a silent one.
        self._misses = MISSES if error.reason == "settings" else 0
        await self._change(SourceState.OFFLINE, error.reason, f"line {self._line.name}: {error}")
        await self._emit_failure(error.reason)

    async def _restart_driver(self, error: DriverBugError) -> None:
        self._errors += 1
        self._up.set(0)
        await self._change(SourceState.DEGRADED, "driver_bug", str(error))
        await self._emit_failure("driver_bug")
        await self._clock.sleep(self._backoff.wait())
        make = self._make or drivers.find(self._device.spec.driver).make
        self._driver = self._taught(make(self._device.spec))
        self._pace.restart()

    def _taught(self, driver: Driver) -> Driver:
        """Tell a driver what was learned of this device before the last restart."""
        self._learner = driver if isinstance(driver, Learner) else None
        if self._memory is not None and self._learner is not None:
            self._learner.recall(self._memory.recall(self._device))
            self._kept = self._learner.learned()
        return driver

    def _is_silent(self) -> bool:
        return self._misses >= (MISSES if self._proven else 1)

    def _count_missed(self, missed: int) -> None:
        if self._misses:
            return
        if missed:
            self._missed += missed
            self._dropped.inc(missed)
        self._overload = self._overload * OVERLOAD_FADES + missed
        if self._overload >= OVERLOAD_SEEN and not self._overloaded:
            self._overloaded = True
            log.warning("device %s: line %s is too slow for every poll; raise every", self.name, self._line.name)
        elif self._overload < OVERLOAD_OVER:
            self._overloaded = False

    # ------------------------------------------------------------------------------------------------ what leaves

    async def _emit_failure(self, reason: str) -> None:
        values = all_bad(self._points, reason)
        record = self._policy.failed(values, reason, self._clock.monotonic())
        if record:
            await self._emit(values, record)

    def _emit(self, values: Mapping[str, PointValue], record: frozenset[str]) -> Awaitable[None]:
        READINGS.inc(len(values))
        return self._put(self._stamp(values, record))

    def _stamp(self, values: Mapping[str, PointValue], record: frozenset[str]) -> Reading:
        wall, now = self._clock.wall(), self._clock.monotonic()
        if len(values) == len(self._points):
            self._whole = (values, wall, now)
            self._last.clear()
        else:
            self._last.update((name, (value, wall, now)) for name, value in values.items())
        return Reading(self.name, wall, now, values, record, self._units)

    async def _keep_reporting(self) -> None:
        """While the device is away, say so again whenever a point's ``at_least`` runs out."""
        while True:
            await self._clock.sleep(self._policy.next_overdue(self._clock.monotonic()))
            if self._policy.failing:
                due = self._policy.overdue(self._clock.monotonic())
                if due:
                    await self._emit(all_bad(due, self._reason), due)
