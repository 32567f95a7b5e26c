"""Asks a device that says it is busy again, a little later: for what is missing only, and not beyond its period."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from operator import itemgetter

from gateway.contract import Clock, DeviceError, PointValue

BUSY = "busy"  # Modbus exceptions 5 (acknowledge: it works on it) and 6 (server device busy)
WAITS = (0.2, 0.5, 1.0)  # seconds; the first is waited whatever the period
PATIENCE = (*WAITS, None)
REASON = itemgetter(2)  # of a PointValue


async def until_free(
    ask: Callable[[frozenset[str]], Awaitable[Mapping[str, PointValue]]],
    points: frozenset[str],
    every: float,
    clock: Clock,
) -> Mapping[str, PointValue]:
    """Return the points' values; DeviceError as ``ask`` when the device is still busy in the end."""
    values: dict[str, PointValue] = {}
    left = max(every, WAITS[0])
    for wait in PATIENCE:
        try:
            got = await ask(points)
        except DeviceError as error:
            if error.reason != BUSY or wait is None or wait > left:
                if error.reason == BUSY and values:
                    return values
                raise
        else:
            if not values and not any(map(REASON, got.values())):
                return got
            values.update(got)
            points = frozenset(name for name, value in values.items() if value.reason == BUSY)
            if not points or wait is None or wait > left:
                break
        left -= wait
        await clock.sleep(wait)
    return values
