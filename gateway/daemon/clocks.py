"""Sets the clocks of meters whose configuration asks for it: one broadcast a line and day, on record."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

from gateway.commands.writing import Result, Wish, Writes
from gateway.contract import Clock, DeviceError, LinkError
from gateway.settings.resolve import ResolvedDevice
from gateway.store import Store

if TYPE_CHECKING:
    from gateway.sources import Source

# Far from midnight, when meters settle, and further from every quarter of an hour, at which they close intervals,
# than the 5 minutes that a meter may be set by.
AT = time(3, 8)
WINDOW = timedelta(minutes=2)  # a gateway that comes later waits for the next day
LONGEST_NAP = 600.0  # seconds; the wall clock may be set meanwhile
FACTS = "set_clock/"
BY = "schedule:set_clock"

log = logging.getLogger("linli.clocks")


class Wire(NamedTuple):
    """Meters that hear the same broadcast: ``devices`` are those that ask for it."""

    key: str
    line: str
    kind: str
    devices: tuple[str, ...]


class MeterClocks:
    """Broadcasts the time at ``AT`` of every day on which the gateway's own time is synchronised."""

    def __init__(
        self, wires: Sequence[Wire], sources: Mapping[str, "Source"], store: Store, clock: Clock, writes: Writes
    ) -> None:
        self._wires, self._sources, self._store, self._clock, self._writes = wires, sources, store, clock, writes

    async def run(self) -> None:
        """Wait for the minute of the day, for ever."""
        while True:
            await self._clock.sleep(_seconds_until(self._local()))
            now = self._local()
            if _due(now) <= now < _due(now) + WINDOW:
                await self.tell_all(now.date().isoformat())

    async def tell_all(self, day: str) -> None:
        """Tell the time on every wire on which that was not tried on this day (ISO 8601)."""
        told = self._store.facts(FACTS)
        for wire in self._wires:
            if told.get(FACTS + wire.key) != day.encode():
                result = await self._tell(wire)
                _log(wire, result)
                await self._writes.record(result, facts={FACTS + wire.key: day.encode()}, wait=False)

    async def _tell(self, wire: Wire) -> Result:
        asked, trust = self._clock.wall(), self._clock.quality()
        wish = Wish(wire.devices[0], "clock", self._clock.rfc3339(asked), BY, _why(wire))
        if trust != "synced":
            text = f"the time was not broadcast on line {wire.line}: the gateway's own is not synchronised ({trust})"
            return Result(wish, "refused", asked, asked, "clock", text)
        source = self._sources[wire.devices[0]]
        try:
            moment = await source.set_clocks(self._local)
        except (DeviceError, LinkError) as error:
            text = f"the time was not broadcast on line {wire.line}: {error}; it is tried again tomorrow"
            return Result(wish, "failed", asked, self._clock.wall(), error.reason, text)
        wish = Wish(wish.device, wish.point, moment.isoformat(timespec="milliseconds"), BY, wish.why)
        text = (
            f"the time was broadcast to all {wire.kind} meters on line {wire.line}; nobody answers a broadcast, so "
            "nothing could be read back, and a meter that is more than 5 minutes off does not take it"
        )
        return Result(wish, "unverified", asked, self._clock.wall(), "broadcast", text)

    def _local(self) -> datetime:
        return datetime.fromisoformat(self._clock.rfc3339(self._clock.wall()))


def wires(devices: Sequence[ResolvedDevice]) -> list[Wire]:
    """Put those that ask for the time together by who hears the same broadcast."""
    found: dict[str, Wire] = {}
    for device in devices:
        line, serial = device.wire
        key = line if serial is None else f"{line}/{serial.baud}-{serial.format}"
        names = found[key].devices if key in found else ()
        found[key] = Wire(key, line, device.spec.driver, (*names, device.name))
    return list(found.values())


def _why(wire: Wire) -> dict[str, object]:
    return {"command": "set_clock", "line": wire.line, "devices": list(wire.devices)}


def _due(now: datetime) -> datetime:
    return datetime.combine(now.date(), AT, now.tzinfo)


def _seconds_until(now: datetime) -> float:
    """Return how long to wait: until ``AT`` at most, never so long that a change of the wall clock goes unseen."""
    due = _due(now) if now < _due(now) else _due(now) + timedelta(days=1)
    return max(0.5, min((due - now).total_seconds(), LONGEST_NAP))


def _log(wire: Wire, result: Result) -> None:
    level = logging.INFO if result.outcome == "unverified" else logging.WARNING
    log.log(level, "%s (asked for by %s)", result.text, ", ".join(wire.devices))
