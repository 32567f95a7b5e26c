"""Drop tests: a camera is tried with things that are thrown, and what it tells of each goes on record."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from gateway.contract import Clock, CommandError, Draft, record_id

if TYPE_CHECKING:
    from gateway.commands.falling import Falls
    from gateway.store import Store

FACTS = "droptest/"
MOST_SECONDS = 1800  # of one test: it ends by itself
MOST_THROWS = 20
KEPT = ("floor", "interval", "column", "size_px", "size_cm", "impact_speed", "confidence", "time")

log = logging.getLogger("linli.commands")


class Tried(Protocol):
    """A camera."""

    async def drop_test(self, seconds: float) -> bool:
        """Mark what falls within so many seconds as thrown for a test; CommandError when it cannot be.

        Whether a test was running before.
        """


class DropTests:
    """Begins and ends them; the last result of each camera is kept."""

    def __init__(self, store: "Store", clock: Clock, falls: "Falls") -> None:
        self._store, self._clock, self._falls = store, clock, falls

    def last(self) -> dict[str, Any]:
        """The last whole test of each camera, by its name."""
        facts = self._store.facts(FACTS)
        return {name.removeprefix(FACTS): msgspec.json.decode(saved) for name, saved in facts.items()}

    async def begin(self, name: str, camera: Tried, seconds: int, by: str) -> dict[str, Any]:
        """What falls from now on is a test, for so many seconds at most."""
        await camera.drop_test(seconds)
        wall = self._clock.wall()
        until = self._clock.rfc3339(wall + seconds * 1_000_000_000)
        await self._record({"camera": name, "state": "began", "by": by, "until": until}, wall)
        log.info("%s: a drop test of camera %s runs until %s", by, name, until)
        return {"camera": name, "began": self._clock.rfc3339(wall), "until": until}

    async def end(self, name: str, camera: Tried, throws: str, by: str) -> dict[str, Any]:
        """It is over; ``throws`` are words FLOOR=RECORD, either side of which may be empty: not said, and not told.

        It is over also when they are refused. CommandError 409 without throws when no test runs: then there is nothing
        to put on record.
        """
        ran = await camera.drop_test(0)
        try:
            told = await self._told(name, throws)
        except CommandError:
            if ran:  # what was said of it is wrong; over it is all the same
                await self._over(name, by, [])
            raise
        if not ran and not told:
            raise CommandError(f"no drop test of camera {name} runs", 409)
        return await self._over(name, by, told)

    async def _told(self, name: str, throws: str) -> list[dict[str, Any]]:
        """Each throw with what is on record of it; CommandError when it is none of this camera's tests."""
        thrown = _throws(throws)
        rows = await self._falls.rows([record for _, record in thrown if record])
        for record, row in rows.items():
            if row["camera"] != name or not row["test"]:
                raise CommandError(f"record {record} is of no drop test of camera {name}")
        return [
            {"from": floor, "record": record, **({key: rows[record][key] for key in KEPT} if record else {})}
            for floor, record in thrown
        ]

    async def _over(self, name: str, by: str, told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        wall = self._clock.wall()
        data: dict[str, Any] = {"camera": name, "state": "ended", "by": by, "throws": told}
        data["told"] = sum(one["record"] is not None for one in told)
        saved = {**data, "time": self._clock.rfc3339(wall)}
        facts = {f"{FACTS}{name}": msgspec.json.encode(saved)} if told else {}
        await self._record(data, wall, facts)
        log.info("%s: the drop test of camera %s is over: %d of %d told", by, name, data["told"], len(told))
        return saved

    async def _record(self, data: dict[str, Any], wall: int, facts: Mapping[str, bytes | None] | None = None) -> None:
        name = data["camera"]
        draft = Draft("disposal", "linli.disposal.droptest.v1", name, name, wall, data, record_id(wall))
        await self._store.put([draft], urgent=True, facts=facts or {})


def _throws(text: str) -> Sequence[tuple[int | None, str | None]]:
    found: list[tuple[int | None, str | None]] = []
    for word in text.split():
        floor, sign, record = word.partition("=")
        if not sign or (floor and not (floor.isdecimal() and floor.isascii() and 0 < int(floor) < 1000)):
            raise CommandError(f"{word[:60]!r} is no throw: write FLOOR=RECORD, or FLOOR= for one that was not told")
        found.append((int(floor) if floor else None, record or None))
    if len(found) > MOST_THROWS:
        raise CommandError(f"at most {MOST_THROWS} throws in one test")
    return found
