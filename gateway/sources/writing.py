"""Sets one point of one device, or the clocks on a line: whether it may be, ahead of polling, and a second look."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal

from gateway.contract import (
    Clock,
    ClockSetter,
    CommandError,
    DeviceError,
    Driver,
    Pipe,
    Point,
    PointValue,
    Scalar,
    Writer,
    Written,
)
from gateway.settings.nearest import did_you_mean
from gateway.settings.resolve import ResolvedDevice
from gateway.sources.bulkhead import DriverBugError, bulkhead

AFTERWARDS = 0.5  # seconds of silence behind a broadcast: as long as a meter may take for an answer (DL/T 645-2007)
LOOKS = (0.2, 0.5)  # seconds until a written value is looked at again: outputs and programs take their time

Look = Callable[[], Awaitable[PointValue]]
Turn = Callable[[Callable[[Pipe], Awaitable[Written]]], Awaitable[Written]]


def judge(device: ResolvedDevice, driver: Driver, name: str, value: Scalar) -> None:
    """CommandError unless this value may be written: 404 no such point, 403 not allowed, 400 not this value."""
    point = device.spec.points.get(name)
    if point is None:
        hint = did_you_mean(name, device.spec.points)
        raise CommandError(f"{device.name} has no point {name[:80]!r}; {hint}", status=404)
    check = getattr(driver, "check", None)
    if check is None:
        kind = device.spec.driver
        raise CommandError(f"{device.name}.{name} cannot be written: the driver {kind} only reads", status=403)
    if not point.write:
        raise CommandError(
            f"{device.name}.{name} may not be written; to allow it, add write = true to this point of the device in "
            "the configuration (a number also needs valid = [lowest, highest]) and restart the gateway",
            status=403,
        )
    check(name, value)


def shape(point: Point | None) -> Literal["bool", "number", "text"]:
    """What values of a point look like; of an unknown point: text."""
    if point is None or point.enum or point.type == "string":
        return "text"
    return "bool" if point.type == "bool" else "number"


async def set_point(
    device: ResolvedDevice, driver: Writer, clock: Clock, name: str, value: Scalar, turn: Turn, look: Look
) -> Written:
    """Write a value that was judged; as ``Source.write``. ``turn`` takes the line, ``look`` reads the point anew."""

    async def work(pipe: Pipe) -> Written:
        with bulkhead(device.name, device.spec.driver):
            return await driver.write(pipe, name, value)

    try:
        written = await turn(work)
    except DriverBugError as error:
        raise DeviceError(str(error), "driver_bug") from error
    for pause in LOOKS:
        if written.fault is not None or written.after.value == value:
            break
        await clock.sleep(pause)
        written = written._replace(after=await look())
    return written


async def tell_time(
    device: ResolvedDevice,
    driver: ClockSetter,
    clock: Clock,
    now: Callable[[], datetime],
    turn: Callable[[Callable[[Pipe], Awaitable[datetime]]], Awaitable[datetime]],
) -> datetime:
    """Broadcast the time and return what was told; DeviceError or LinkError when it did not leave."""

    async def work(pipe: Pipe) -> datetime:
        moment = now()
        with bulkhead(device.name, device.spec.driver):
            await driver.set_clocks(pipe, moment)
        await clock.sleep(AFTERWARDS)
        return moment

    try:
        return await turn(work)
    except DriverBugError as error:
        raise DeviceError(str(error), "driver_bug") from error
