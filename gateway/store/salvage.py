"""After damage: brings what a database that was set aside still holds into the new epoch, beside all other work."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gateway.contract import SEND_ORDER, Clock, Draft, Stream, record_id
from gateway.store.commits import Committer
from gateway.store.database import Database
from gateway.store.envelope import waiting
from gateway.store.notices import gateway_state
from gateway.store.reader import Reader
from gateway.store.wreck import ASIDE, DONE, Place, Wreck, asides, former, remove
from gateway.words import many

KEPT = 3  # databases set aside that are kept after they were salvaged, the newest
LOOK = 1.0  # s between looks whether the disk, or the time, is there
CLOCK_PATIENCE = 660.0  # s; longer than records wait for the time to be known
PAGE = 1000
TOLD = 64  # ranges that one record names
ALARM = "store-damaged"

log = logging.getLogger("linli.store")


class Salvage:
    """One task; ``now`` says what became of the newest database set aside, None when there was never one."""

    def __init__(
        self,
        state: Path,
        database: Database,
        reader: Reader,
        commits: Committer,
        clock: Clock,
        thread: ThreadPoolExecutor,
        required: Mapping[str, frozenset[Stream]],
        facts: dict[str, bytes],
        room: Callable[[], int],
    ) -> None:
        self.now: dict[str, Any] | None = None
        self._state, self._database, self._reader, self._commits = state, database, reader, commits
        self._clock, self._thread, self._required, self._facts, self._room = clock, thread, required, facts, room

    def tell(self) -> bool:
        """Tell of what was set aside and not told of yet; returns whether there is anything for ``run`` to do."""
        for aside in asides(self._state):
            note = self._note(aside)
            self.now = {"set_aside": aside.name, **note}
            if note.get("state") == "found":
                self._tell_damage(aside, note)
        return self.now is not None

    async def run(self) -> None:
        """Salvage all that was set aside and is not done with, the oldest first; then delete what is too much."""
        loop = asyncio.get_running_loop()
        for aside in asides(self._state):
            note = self._note(aside)
            if note.get("state") == "done":
                continue
            wreck = await loop.run_in_executor(self._thread, Wreck, aside)
            try:
                await self._salvage(aside, note, wreck)
            finally:
                with contextlib.suppress(RuntimeError):  # the thread has ended: so does the process
                    self._thread.submit(wreck.close)
        await loop.run_in_executor(self._thread, self._prune)

    def _note(self, aside: Path) -> dict[str, Any]:
        saved = self._facts.get(ASIDE + aside.name, b'{"trouble": "found set aside", "state": "found"}')
        try:
            note = json.loads(saved)
        except ValueError:
            note = {"state": "found"}
        return note if isinstance(note, dict) else {"state": "found"}

    def _save(self, aside: Path, note: dict[str, Any], *drafts: Draft) -> None:
        """Keep where the salvage stands; it rides with the drafts."""
        self._facts[ASIDE + aside.name] = saved = json.dumps(note).encode()
        items = [waiting(draft, self._clock.quality()) for draft in drafts]
        self._commits.add(items, {ASIDE + aside.name: saved}, urgent=bool(drafts))
        self.now = {"set_aside": aside.name, **note}

    # -------------------------------------------------------------------------------------------------- what is told

    def _tell_damage(self, aside: Path, note: dict[str, Any]) -> None:
        wall = self._clock.wall()
        sentence = (
            f"The store was damaged ({note.get('trouble', 'it could not be read')}); it is set aside as {aside.name}"
            " and a new epoch has begun. What can be read of it follows under new numbers."
        )
        told = gateway_state(self._database.gateway, wall, "store_damaged", sentence, "degraded", set_aside=aside.name)
        raised = self._alarm("raised", note, wall, sentence)
        note.update(state="salvaging", raised_at=self._clock.rfc3339(wall), occurrence=raised.id, sentence=sentence)
        self._save(aside, note, told, raised)

    def _alarm(self, kind: str, note: dict[str, Any], wall: int, sentence: str) -> Draft:
        made = record_id(wall)
        cleared = kind == "cleared"
        data = {
            "occurrence": note.get("occurrence", made),
            "state": "normal" if cleared else "unacknowledged",
            "severity": "major",
            "text": {"en": sentence},
            "when": "the store is damaged",
            "points": {},
            "raised_at": note.get("raised_at", self._clock.rfc3339(wall)),
            "cleared_at": self._clock.rfc3339(wall) if cleared else None,
        }
        extra = {"severitytext": "major", "severitynumber": 17}
        return Draft("alarm", f"linli.alarm.{kind}.v1", "", ALARM, wall, data, made, extra)

    def _tell_end(self, aside: Path, note: dict[str, Any]) -> None:
        wall = self._clock.wall()
        count, lost = sum(note["salvaged"].values()), sum(note["lost"].values())
        if count or lost:
            sentence = (
                f"salvaged from {aside.name}: {many(count, 'record')}; known to be lost: {lost}, and whatever stood"
                f" behind the last readable one of a stream."
            )
        else:
            sentence = (
                f"No record of {aside.name} was salvaged: what was not confirmed in it, if anything, could not be read"
                f" and is lost."
            )
        told = gateway_state(
            self._database.gateway,
            wall,
            "store_salvaged",
            sentence,
            set_aside=aside.name,
            former_epoch=note.get("epoch"),
            salvaged=note["salvaged"],
            lost=note["lost"],
            lost_ranges=note["holes"][:TOLD],
            last_read=note["last"],
            gaps=note["gaps"][:TOLD],
        )
        cleared = self._alarm("cleared", note, wall, sentence)
        log.warning("%s", sentence)
        kept: dict[str, Any] = {
            name: note[name] for name in ("trouble", "raised_at", "salvaged", "lost") if name in note
        }
        self._save(aside, {**kept, "state": "done", "sentence": sentence}, told, cleared)

    # ------------------------------------------------------------------------------------------------------ the work

    async def _salvage(self, aside: Path, note: dict[str, Any], wreck: Wreck) -> None:
        loop = asyncio.get_running_loop()
        patience = self._clock.monotonic() + CLOCK_PATIENCE
        while self._clock.quality() == "unknown" and self._clock.monotonic() < patience:
            await self._clock.sleep(LOOK)
        resumed = "confirmed" in note
        if resumed and note.get("into", self._database.epoch) != self._database.epoch:
            await self._move(note)
            # As below: if this store is damaged next, what it has taken in is looked for in it, too.
            self._save(aside, note)
            await self._commits.settled()
        if not resumed:
            note["confirmed"] = await loop.run_in_executor(self._thread, wreck.confirmed, self._required)
            note["epoch"] = await loop.run_in_executor(self._thread, wreck.epoch)
            note.update(salvaged={}, lost={}, holes=[], gaps=[], last={}, places={}, into=self._database.epoch)
            if note.get("lost_track"):
                note["brought"] = {stream: await self._brought(note, stream, None, 0) for stream in SEND_ORDER}
            for stream in SEND_ORDER:
                place = await loop.run_in_executor(self._thread, wreck.begin, stream, note["confirmed"][stream])
                note["places"][stream] = [*place, self._database.last[stream]]
            # Known before the first record goes: whoever resumes has to see that some may have gone.
            self._save(aside, note)
            await self._commits.settled()
        for stream in SEND_ORDER:
            if stream not in note["last"]:
                await self._stream(aside, note, wreck, stream, resumed)
        self._tell_end(aside, note)
        await self._commits.settled()
        with contextlib.suppress(OSError):  # without it, a later damage may bring records again, under their old ids
            aside.with_name(aside.name + DONE).touch()

    async def _move(self, note: dict[str, Any]) -> None:
        """The store that we salvaged into was damaged too: what it had already comes from there, not from here."""
        brought = note.setdefault("brought", {})
        for stream in (each for each in SEND_ORDER if each not in note["last"]):
            more = await self._brought(note, stream, note["into"], note["places"][stream][2])
            brought[stream] = brought.get(stream, []) + more
        note["into"] = self._database.epoch
        for stream, (at, after, _) in note["places"].items():
            note["places"][stream] = [at, after, self._database.last[stream]]

    async def _brought(self, note: dict[str, Any], stream: Stream, into: str | None, since: int) -> list[list[int]]:
        """What of this file other wrecks hold (those of epoch ``into``): ranges of its sequences."""
        loop = asyncio.get_running_loop()
        found: list[list[int]] = []
        for other in asides(self._state):
            wreck = await loop.run_in_executor(self._thread, Wreck, other)
            if into is None or await loop.run_in_executor(self._thread, wreck.epoch) == into:
                found += await loop.run_in_executor(self._thread, wreck.brought, stream, since, note["epoch"])
            await loop.run_in_executor(self._thread, wreck.close)
        return found

    async def _stream(self, aside: Path, note: dict[str, Any], wreck: Wreck, stream: Stream, resumed: bool) -> None:
        loop = asyncio.get_running_loop()
        at, after, _ = note["places"][stream]
        brought = note.get("brought", {}).get(stream, [])
        place = await self._resumed(note, stream) if resumed else Place(at, after)
        note["salvaged"].setdefault(stream, 0)
        more = True
        while more:
            chunk = await loop.run_in_executor(self._thread, wreck.chunk, stream, place, self._database.gateway)
            items = [item for item in chunk.items if not _is_in(brought, int(item.draft.extra["formersequence"]))]
            before = self._database.last[stream]
            while self._commits.failing is not None:
                await self._clock.sleep(LOOK)
            await self._commits.room()
            if items:
                self._commits.add(items, {}, urgent=False)
                await self._commits.settled([stream])
            if self._commits.failing is not None:  # some of it may have been shed: see what there is, and do the rest
                place = await self._resumed(note, stream)
                continue
            note["salvaged"][stream] += len(chunk.items)
            place, more = chunk.place, chunk.more
            note["holes"] += [[stream, *hole] for hole in chunk.holes]
            note["gaps"] += chunk.gaps
            note["places"][stream] = [*place, before]
            if chunk.items:
                self._save(aside, note)
        explained = [(gap["first"], gap["last"]) for gap in note["gaps"] if gap["stream"] == stream]
        holes = [hole for each, *hole in note["holes"] if each == stream]
        unexplained = [part for first, last in holes for part in _without(first, last, explained)]
        note["holes"] = [each for each in note["holes"] if each[0] != stream]
        note["holes"] += [[stream, *part] for part in unexplained]
        note["lost"][stream] = sum(last - first + 1 for first, last in unexplained)
        note["last"][stream] = place.after
        self._save(aside, note)
        if note["salvaged"][stream]:
            log.warning("%d %s records of %s are salvaged", note["salvaged"][stream], stream, aside.name)

    async def _resumed(self, note: dict[str, Any], stream: Stream) -> Place:
        """Where to go on after a restart: the records themselves say what of the last steps was committed."""
        loop = asyncio.get_running_loop()
        at, after, since = note["places"][stream]
        while True:
            records = await loop.run_in_executor(self._thread, self._reader.records, stream, since, PAGE, None)
            if not records:
                return Place(at, after)
            for record in records:
                place = former(record.json, note["epoch"])
                note["salvaged"][stream] = note["salvaged"].get(stream, 0) + (place > after)
                after = max(after, place)
            since = records[-1].sequence

    def _prune(self) -> None:
        """Keep the newest that are done with, as long as they and the store stay within the quota together."""
        room = self._room()
        for number, aside in enumerate(reversed(asides(self._state))):
            if self._note(aside).get("state") == "done":
                room -= sum(path.stat().st_size for path in self._state.glob(f"{aside.name}*"))
                if number >= KEPT or room < 0:
                    log.warning("%s was salvaged and is deleted: it takes too much room", aside.name)
                    remove(aside)


def _is_in(ranges: list[list[int]], number: int) -> bool:
    return any(first <= number <= last for first, last in ranges)


def _without(first: int, last: int, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of a range lies outside others."""
    left = [(first, last)]
    for low, high in ranges:
        left = [part for a, b in left for part in ((a, min(b, low - 1)), (max(a, high + 1), b)) if part[0] <= part[1]]
    return left
