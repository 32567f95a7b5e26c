"""Counts the vehicles in parking areas by the passages at their gates, over restarts, and says when a count drifts."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gateway.commands.diagnosis import Problem
from gateway.contract import BusItem, Clock, CommandError, Draft, SourceState, StateChange, VisionEvent, record_id
from gateway.settings import CameraSettings
from gateway.settings.nearest import did_you_mean
from gateway.store import Store
from gateway.words import many

PASSAGE, OCCUPANCY = "linli.vehicle.passage.v1", "linli.parking.occupancy.v1"
FACTS = "parking/"
HEARTBEAT = 900.0  # seconds without a change after which the count is said again
LOOK_EVERY = 60.0
NIGHT = ("02", "05")  # hours, from inclusive to exclusive: fewest come and go
NIGHTS = 8
RISE = 0.1  # of the places: by so much may the nightly minimum move in a week before somebody should count
BLIND = (SourceState.OFFLINE, SourceState.ENDED)

log = logging.getLogger("linli.parking")


@dataclass(slots=True)
class Count:
    """What outlives a restart. Times in ns since 1970; ``nights``: fewest inside by date of the morning."""

    inside: int = 0
    come: int = 0
    gone: int = 0
    since: int = 0
    below: int = 0
    above: int = 0
    blind: float = 0.0
    at: int = 0
    nights: dict[str, int] = field(default_factory=dict)

    def dump(self) -> bytes:
        """As a fact."""
        return json.dumps(asdict(self)).encode()


@dataclass(slots=True)
class Area:
    """One parking area. ``total``: places; ``charging``: of them, with a charger; ``gates``: cameras that count."""

    name: str
    total: int | None = None
    charging: int | None = None
    gates: list[str] = field(default_factory=list)
    count: Count = field(default_factory=Count)
    dark: set[str] = field(default_factory=set)
    told: float = 0.0

    @property
    def reason(self) -> str:
        """Why the count cannot be trusted, a short code; "" when nothing speaks against it."""
        if self.dark:
            return "gate_blind"
        if self.count.below:
            return "below_zero"
        if self.total is not None and self.count.inside > self.total:
            return "above_places"
        return "nightly_drift" if self.drifts else ""

    @property
    def drifts(self) -> bool:
        """Whether the fewest at night have moved one way for a week, by more than a tenth of the places."""
        nights = [least for _, least in sorted(self.count.nights.items())]
        if self.total is None or len(nights) < NIGHTS:
            return False
        return abs(nights[-1] - nights[0]) > max(2.0, RISE * self.total) and nights in (
            sorted(nights),
            sorted(nights, reverse=True),
        )

    def move(self, direction: str) -> bool:
        """One vehicle has gone through a gate; False when that says nothing about the count."""
        count = self.count
        if direction == "in":
            count.inside, count.come = count.inside + 1, count.come + 1
        elif direction == "out":
            count.gone += 1
            if count.inside:
                count.inside -= 1
            else:
                count.below += 1
        else:
            return False
        if self.total is not None:
            count.above = max(count.above, count.inside - self.total)
        return True

    def night(self, local: str) -> None:
        """Note how many are inside at this time, RFC 3339 of the gateway's zone, if it is night."""
        if NIGHT[0] <= local[11:13] < NIGHT[1]:
            nights = self.count.nights
            today = local[:10]
            nights[today] = min(nights.get(today, self.count.inside), self.count.inside)
            # What a clock that was wrong has dated after today would stay for ever, and push out every true night.
            for date in {*sorted(nights)[:-NIGHTS], *(date for date in nights if date > today)}:
                del nights[date]


def areas_of(cameras: Iterable[CameraSettings]) -> dict[str, Area]:
    """The areas that cameras count for, by name."""
    areas: dict[str, Area] = {}
    for camera in cameras:
        vehicles = camera.vehicles
        if vehicles is None or (vehicles.spaces is None and vehicles.area is None):
            continue
        area = areas.setdefault(vehicles.area or camera.name, Area(vehicles.area or camera.name))
        area.gates.append(camera.name)
        area.total = vehicles.spaces if vehicles.spaces is not None else area.total
        area.charging = vehicles.charging if vehicles.charging is not None else area.charging
    return areas


class Parking:
    """All areas of a gateway. The core hands every item to ``take``; ``run`` says what nothing else says."""

    def __init__(self, areas: Mapping[str, Area], store: Store, clock: Clock) -> None:
        self._areas, self._store, self._clock = areas, store, clock
        self._area_of = {gate: area for area in areas.values() for gate in area.gates}
        saved = store.facts(FACTS)
        for area in areas.values():
            area.count = _restored(saved.get(FACTS + area.name), clock.wall())

    def take(self, item: BusItem) -> tuple[list[Draft], dict[str, bytes | None]]:
        """The records and facts that an item leads to; they are stored together with the item's own."""
        if isinstance(item, StateChange) and item.kind == "camera":
            area = self._area_of.get(item.name)
            if area is None or (item.state in BLIND) == (item.name in area.dark):
                return [], {}
            self._pass_time(area)
            area.dark ^= {item.name}
            return [self._draft(area, item.time, "gates")], self._fact(area)
        if not isinstance(item, VisionEvent) or item.type != PASSAGE:
            return [], {}
        area = self._area_of.get(item.camera)
        if area is None or not area.move(str(item.data.get("direction"))):
            return [], {}
        self._pass_time(area)
        return [self._draft(area, item.time, "passage")], self._fact(area)

    async def run(self) -> None:
        """Say every count at the start, and again when it has not changed for long."""
        for area in self._areas.values():
            await self._say(area, "start")
        while True:
            await self._clock.sleep(LOOK_EVERY)
            for area in self._areas.values():
                self._pass_time(area)
                if self._clock.monotonic() - area.told >= HEARTBEAT:
                    await self._say(area, "heartbeat")

    async def reset(self, area: str, inside: int, by: str, note: str | None) -> dict[str, Any]:
        """Somebody has counted: so many are inside; the counters begin anew. CommandError 404 for an unknown area."""
        known = self._areas.get(area)
        if known is None:
            raise CommandError(f'no parking area "{area[:80]}"; {did_you_mean(area, self._areas)}', 404)
        wall, before = self._clock.wall(), known.count.inside
        known.count = Count(inside=inside, since=wall, at=wall)
        if known.total is not None:
            known.count.above = max(0, inside - known.total)
        data = {"by": by, "area": area, "before": before, "after": inside, "note": note}
        draft = Draft("disposal", "linli.disposal.recount.v1", "", area, wall, data, record_id(wall))
        await self._store.put([draft, self._draft(known, wall, "reset")], urgent=True, facts=self._fact(known))
        log.info("%s counts %s in %s (the count said %d)", by, many(inside, "vehicle"), area, before)
        return {"area": area, "before": before, "after": inside}

    def view(self) -> Sequence[Mapping[str, Any]]:
        """Every area as its record shows it."""
        return [self._data(area, "heartbeat") for area in self._areas.values()]

    def problems(self) -> list[Problem]:
        """Counts that cannot be right."""
        found = []
        for area in self._areas.values():
            count = area.count
            sentence = {
                "below_zero": f"so far {count.below} left when it said that nobody was inside",
                "above_places": f"{count.inside} inside were counted, on {many(area.total or 0, 'place')}",
                "nightly_drift": "the fewest vehicles at night have moved one way for a week",
            }.get(area.reason)
            if sentence is not None:
                fix = f"count the vehicles inside, then: linli vehicles reset-count {area.name} NUMBER"
                since = self._clock.rfc3339(count.since)
                text = f"the count of parking area {area.name} is wrong: {sentence}"
                found.append(Problem(part=f"area {area.name}", severity="warning", text=text, since=since, fix=fix))
        return found

    def _pass_time(self, area: Area) -> None:
        now = self._clock.wall()
        if area.dark and 0 < now - area.count.at < 10 * LOOK_EVERY * 1e9:
            area.count.blind += (now - area.count.at) / 1e9
        area.count.at = now
        area.night(self._clock.rfc3339(now))

    async def _say(self, area: Area, cause: str) -> None:
        self._pass_time(area)
        await self._store.put([self._draft(area, self._clock.wall(), cause)], facts=self._fact(area))

    def _fact(self, area: Area) -> dict[str, bytes | None]:
        return {FACTS + area.name: area.count.dump()}

    def _draft(self, area: Area, time: int, cause: str) -> Draft:
        area.told = self._clock.monotonic()
        source = area.gates[0] if area.gates == [area.name] else ""
        return Draft("perception", OCCUPANCY, source, area.name, time, self._data(area, cause), record_id(time))

    def _data(self, area: Area, cause: str) -> dict[str, Any]:
        count, total = area.count, area.total
        return {
            "area": area.name,
            "total": total,
            "occupied": count.inside,
            "free": None if total is None else max(0, total - count.inside),
            "in": count.come,
            "out": count.gone,
            "since": self._clock.rfc3339(count.since),
            "quality": "uncertain" if area.reason else "good",
            "reason": area.reason or None,
            "cause": cause,
            "charging": area.charging,
            "gates": list(area.gates),
            "drift": {
                "below": count.below,
                "above": count.above,
                "blind": round(count.blind),
                "nights": [{"date": date, "least": least} for date, least in sorted(count.nights.items())],
            },
        }


def _restored(saved: bytes | None, wall: int) -> Count:
    if saved is None:
        return Count(since=wall, at=wall)
    try:
        count = Count(**json.loads(saved))
    except (ValueError, TypeError) as error:
        log.warning("a parking count cannot be read (%s); it begins at 0, please count", error)
        return Count(since=wall, at=wall)
    # Nobody was looking while the gateway was away.
    count.blind += max(0.0, (wall - count.at) / 1e9)
    count.at = wall
    return count
