"""Runs one station that calls us: hears it, stamps what it says, answers it, and notices when it is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any, NoReturn

import drivers
from gateway.contract import (
    Clock,
    CommandError,
    DeviceError,
    DeviceEvent,
    PointValue,
    Put,
    Reading,
    Scalar,
    SourceState,
)
from gateway.links.calls import Call, Ears, Heard, MakeStation, StationDriver
from gateway.links.listen import ListenLine
from gateway.metrics import POLLS, READINGS
from gateway.settings.resolve import ResolvedDevice
from gateway.sources.bulkhead import DriverBugError, bulkhead
from gateway.sources.report import ReportPolicy, all_bad
from gateway.sources.watched import NO_VALUE, Dated, Watched

DEGRADED_AFTER = 3  # faults in a row; one is what a network does now and then
NOT_HEARD = "not_heard"


class Station(Watched):
    """One device on a listening line. ``run`` watches it until cancelled; its line brings what it says to ``take``."""

    def __init__(
        self,
        device: ResolvedDevice,
        driver: StationDriver,
        line: ListenLine,
        clock: Clock,
        put: Put,
        password: str | None = None,
        make: MakeStation | None = None,
    ) -> None:
        super().__init__(device, clock, put, "has not called yet")
        self._driver, self._line = driver, line
        self._password = driver.password = password
        self._make = make
        self._policy = ReportPolicy(device.reports, 0.0)
        self._turn = asyncio.Lock()  # a station may call over two connections at once
        self._last: dict[str, Dated] = {}
        self._heard_at = clock.monotonic()
        self._spoke = asyncio.Event()
        self._calls = self._errors = self._faults = self._unnamed = 0
        self._last_unnamed = ""
        self._fault: DeviceError | None = None
        self._held: Mapping[str, PointValue] = {}
        self._clock_off: float | None = None
        self._outcomes = {outcome: POLLS.labels(self.name, outcome) for outcome in ("ok", "error", "timeout", "bug")}
        line.admit(self, device.timeout)

    @property
    def station(self) -> tuple[str, str]:
        """Protocol and address by which the line knows whose message it is."""
        return self._device.spec.driver, self._driver.station

    def ears(self) -> Ears:
        """Begin to hear a connection."""
        return _GuardedEars(self.name, self._device.spec.driver, self._driver)

    async def run(self) -> None:
        """Watch over the station's silence and its line until cancelled."""
        self._heard_at = self._clock.monotonic()
        await self._begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._notice_silence(), name=f"silence {self.name}")
            group.create_task(self._notice_line(), name=f"line of {self.name}")
            if self._policy.has_heartbeat:
                group.create_task(self._keep_reporting(), name=f"heartbeat {self.name}")

    async def take(self, call: Call) -> bytes:
        """Take one message; returns the reply once what it says is on the bus."""
        async with self._turn:
            try:
                with bulkhead(self.name, self._device.spec.driver):
                    heard = self._driver.hear(call, self._local_time(), self._clock.monotonic())
                    self._held = self._driver.held()
            except DriverBugError as error:
                await self._restart_driver(error)
                return b""
            if heard.fault is not None:
                await self._damaged(heard)
            else:
                await self._sound(heard)
            return heard.reply

    async def read_now(self, points: frozenset[str] | None = None) -> Reading:
        """Return what was heard last; a station cannot be asked. Never recorded; what was never said is bad."""
        values = self._known(self._wanted(points))
        return Reading(self.name, self._clock.wall(), self._clock.monotonic(), values, frozenset(), self._units)

    def may_write(self, point: str, value: Scalar) -> None:
        """CommandError: a station is only heard."""
        self._refuse_write(point)

    async def write(self, point: str, value: Scalar) -> NoReturn:
        """CommandError: a station is only heard."""
        self._refuse_write(point)

    def view(self) -> dict[str, Any]:
        """What status shows of this device. ``unnamed``: what it said of things that no point names."""
        return {
            **self._view(self._line.name, self._last, self._device.timeout),
            "polls": self._calls,
            "errors": self._errors,
            "missed": 0,
            "unnamed": {"count": self._unnamed, "last": self._last_unnamed},
            "clock_off_s": self._clock_off,
        }

    # ------------------------------------------------------------------------------------------------ what it says

    async def _sound(self, heard: Heard) -> None:
        now = self._clock.monotonic()
        self._calls += 1
        self._faults, self._fault = 0, None
        self._heard_at = now
        self._spoke.set()
        self._up.set(1)
        self._outcomes["ok"].inc()
        self._note(heard)
        if self._reason != NO_VALUE:
            await self._change(SourceState.ONLINE, "ok", "calls")
        # What holds is said again with every sign of life: rules count its age from there.
        values = {**self._held, **heard.values}
        news = values if self._policy.failing else heard.values
        record = self._policy.answered(news, now) if news else frozenset()
        if values:
            await self._emit(values, record, heard.told)
        if heard.values:
            empty = self._no_value(self._known(self._points))
            await self._change(*((SourceState.DEGRADED, *empty) if empty else (SourceState.ONLINE, "ok", "calls")))
        zone = self._zone()
        for happening in heard.happenings:
            data = dict(happening.data)
            if happening.time is not None:
                data["device_time"] = _rfc3339(happening.time, zone)
            await self._put(DeviceEvent(self.name, self._clock.wall(), now, data, happening.alarm))

    async def _damaged(self, heard: Heard) -> None:
        self._errors += 1
        self._faults += 1
        self._outcomes["error"].inc()
        fault = self._fault = heard.fault
        if fault is not None and self._faults >= DEGRADED_AFTER and self.state is not SourceState.OFFLINE:
            await self._change(SourceState.DEGRADED, fault.reason, str(fault))

    async def _restart_driver(self, error: DriverBugError) -> None:
        self._errors += 1
        self._outcomes["bug"].inc()
        make = self._make or drivers.find(self._device.spec.driver).make
        self._driver = make(self._device.spec)
        self._driver.password = self._password
        self._held = {}
        self._up.set(0)
        await self._change(SourceState.DEGRADED, "driver_bug", str(error))
        await self._fail("driver_bug")

    def _known(self, points: frozenset[str]) -> dict[str, PointValue]:
        bad = PointValue(None, "bad", NOT_HEARD)
        return {name: self._last[name][0] if name in self._last else bad for name in sorted(points)}

    def _note(self, heard: Heard) -> None:
        if heard.unnamed:
            self._unnamed += len(heard.unnamed)
            self._last_unnamed = heard.unnamed[-1]
        now = self._local_time()
        if heard.clock is not None and now is not None:
            self._clock_off = round((heard.clock - now.replace(tzinfo=None)).total_seconds(), 1)

    # ------------------------------------------------------------------------------------------------ its silence

    async def _notice_silence(self) -> None:
        while True:
            left = self._heard_at + self._device.timeout - self._clock.monotonic()
            if left > 0:
                await self._clock.sleep(left)
                continue
            self._spoke.clear()
            if self._line.state == "open":
                self._outcomes["timeout"].inc()
                await self._gone(*self._why_silent())
            await self._spoke.wait()

    async def _notice_line(self) -> None:
        line_was_down = False
        while True:
            if self._line.state == "down":
                line_was_down = True
                await self._gone(self._line.reason, f"line {self._line.name}: {self._line.sentence}")
            elif self._line.state == "open" and line_was_down:
                line_was_down = False
                self._heard_at = self._clock.monotonic()  # it gets its time to call anew
                self._spoke.set()
            await self._line.changed()

    def _why_silent(self) -> tuple[str, str]:
        if self._fault is not None:  # it calls, but nothing that may be believed
            return self._fault.reason, str(self._fault)
        port = self._line.address.rpartition(":")[2]
        return "timeout", (
            f"has not called for {self._device.timeout:g} s; check its power, its network, and that it is set to call "
            f"port {port} of this gateway"
        )

    async def _gone(self, reason: str, sentence: str) -> None:
        async with self._turn:
            self._up.set(0)
            try:
                with bulkhead(self.name, self._device.spec.driver):
                    self._driver.doubt()
                    self._held = self._driver.held()
            except DriverBugError as error:
                await self._restart_driver(error)
            await self._change(SourceState.OFFLINE, reason, sentence)
            await self._fail(reason)

    async def _fail(self, reason: str) -> None:
        values = all_bad(self._points, reason)
        record = self._policy.failed(values, reason, self._clock.monotonic())
        if record:
            await self._emit(values, record, {})

    async def _keep_reporting(self) -> None:
        """Say again what holds (or that nothing is known) when a point's ``at_least`` runs out."""
        while True:
            await self._clock.sleep(self._policy.next_overdue(self._clock.monotonic()))
            async with self._turn:
                due = self._policy.overdue(self._clock.monotonic())
                values = {name: value for name, value in self._held.items() if name in due}
                if self._policy.failing:
                    values = all_bad(due, self._reason)
                if values:
                    await self._emit(values, frozenset(values), {})

    # ------------------------------------------------------------------------------------------------ what leaves

    async def _emit(
        self, values: Mapping[str, PointValue], record: frozenset[str], told: Mapping[str, datetime]
    ) -> None:
        wall, now = self._clock.wall(), self._clock.monotonic()
        for name, value in values.items():
            self._last[name] = (value, wall, now)
        READINGS.inc(len(values))
        zone = self._zone()
        times = {name: _rfc3339(time, zone) for name, time in told.items()} or None
        await self._put(Reading(self.name, wall, now, values, record, self._units, times))

    def _local_time(self) -> datetime | None:
        if self._clock.quality() == "unknown":
            return None
        return datetime.fromisoformat(self._clock.rfc3339(self._clock.wall()))

    def _zone(self) -> tzinfo | None:
        return datetime.fromisoformat(self._clock.rfc3339(self._clock.wall())).tzinfo

    def _refuse_write(self, point: str) -> NoReturn:
        self._wanted(frozenset({point}))
        raise CommandError(f"{self.name}.{point} cannot be written: a station is only heard", status=403)


class _GuardedEars:
    """A driver's ears behind the bulkhead: what makes them fail is thrown away, and they begin anew."""

    def __init__(self, device: str, protocol: str, driver: StationDriver) -> None:
        self._device, self._protocol, self._driver = device, protocol, driver
        self._ears = driver.ears()

    def feed(self, data: bytes) -> list[Call]:
        """Take more bytes."""
        try:
            with bulkhead(self._device, self._protocol):
                return self._ears.feed(data)
        except DriverBugError:
            self._ears = self._driver.ears()
            return []


def _rfc3339(time: datetime, zone: tzinfo | None) -> str:
    return time.replace(tzinfo=zone).isoformat(timespec="milliseconds")
