"""Personal data on demand: finds and erases everything recorded of one plate, and records who asked and why."""

import asyncio
import logging
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from gateway.contract import STREAMS, Clock, CommandError, Draft, Stream, record_id
from gateway.store.chain import FOLDER
from gateway.store.held import Held
from gateway.words import many

if TYPE_CHECKING:
    from gateway.store import Store
    from gateway.store.erasure import Erased

# Where plates are recorded. What people write into alarms and disposals is theirs, and is only counted.
SEARCHED: tuple[Stream, ...] = ("perception", "management")
AT_ONCE = 1000  # records
RUN_BYTES = 256 << 10
ANSWER_BYTES = 8 << 20
CLIPS = b"linli.media.ready.v1", b"linli.media.lost.v1"
LEAST_REASON = 4  # characters
ROUNDS = 3  # what comes while one searches is searched too, but not for ever
SALVAGE_PATIENCE, LOOK = 60.0, 0.5  # seconds: a salvage that has just begun is waited for

log = logging.getLogger("linli.commands")


@dataclass(slots=True)
class Found:
    """What there is of a plate: JSON of the records, their sequences, the files they name, how far was searched."""

    records: list[bytes] = field(default_factory=list)
    sequences: dict[Stream, list[int]] = field(default_factory=dict)
    files: dict[str, None] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    searched: dict[Stream, int] = field(default_factory=dict)
    bytes: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Records by stream."""
        return {stream: len(each) for stream, each in self.sequences.items()}


class Personal:
    """Answers for one store."""

    def __init__(self, store: "Store", clock: Clock, state: Path) -> None:
        """``state`` is the folder in which the store, and what is held as evidence, lie."""
        self._store, self._clock = store, clock
        self._held = Held(state / FOLDER)

    async def find(self, plate: str, reason: str, by: str, what: Literal["find", "export"]) -> dict[str, Any]:
        """All records of a plate, in their stored bytes, and who asked for them is on record.

        CommandError 400 when there is no reason, or it names the plate.
        """
        reason = _reason(reason, plate)
        found = Found()
        await self._search(plate, found)
        data = {"by": by, "reason": reason, "what": what, "records": found.counts, "files": len(found.files)}
        log.info("%s: %s of %s of one plate", by, what, many(len(found.records), "record"))
        await self._store.put([self._draft("accessed", data)], urgent=True)
        shown: list[msgspec.Raw] = []
        for record in found.records:
            if sum(map(len, shown)) + len(record) > ANSWER_BYTES:
                break
            shown.append(msgspec.Raw(record))
        return {
            "records": shown,
            "counts": found.counts,
            "files": list(found.files),
            "more": len(shown) < len(found.records),
            "held": await asyncio.to_thread(self._held.naming, plate),
        }

    async def erase(self, plate: str, reason: str, by: str, *, damaged_too: bool = False) -> dict[str, Any]:
        """Erase all records and files of a plate; gap records and one of ``disposal`` say so, without it.

        ``damaged_too``: delete the databases that were set aside as damaged, too, each whole, whosever records it has.
        CommandError: 400 as ``find``, 404 when there is nothing, 409 while records wait for the clock or come back from
        a damaged database, 503 while the disk takes nothing.
        """
        reason = _reason(reason, plate)
        await self._refuse_for_now()
        records, files, size = await self._erase(plate, reason, by)
        deleted = await self._store.asides.delete() if damaged_too else []
        if deleted:
            data = {"by": by, "reason": reason, "records": {}, "files": 0, "set_aside": deleted}
            await self._store.put([self._draft("erased", data)], urgent=True)
        left = [str(path) for path in self._store.asides.paths()]
        held = await asyncio.to_thread(self._held.naming, plate)
        if not any(records.values()) and not files and not deleted:
            raise CommandError(_nothing(left, held), 404)
        told = many(sum(records.values()), "record"), many(files, "file")
        log.info("%s erased %s and %s of one plate", by, *told)
        mentions = await self._mentions(plate)
        return {
            "records": records,
            "files": files,
            "bytes": size,
            "mentions": mentions,
            "held": held,
            "set_aside": {"deleted": deleted, "left": left},
        }

    async def _refuse_for_now(self) -> None:
        if self._store.failing is not None:
            raise CommandError(f"nothing can be erased now: {self._store.failing}", 503)
        if self._store.view()["held"]:
            raise CommandError(
                "records wait for the clock and cannot be searched yet: set the time, then ask again", 409
            )
        patience = self._clock.monotonic() + SALVAGE_PATIENCE
        while self._store.asides.salvaging() and self._clock.monotonic() < patience:
            await self._clock.sleep(LOOK)
        if self._store.asides.salvaging():
            raise CommandError(
                "records of a damaged database are still coming back, and the plate may be among them: ask again when "
                "linli status shows no damage any more",
                409,
            )

    async def _erase(self, plate: str, reason: str, by: str) -> tuple[dict[str, int], int, int]:
        """Erase what can be searched: records by stream, files, their bytes."""
        from gateway.store.erasure import Erasure

        total: dict[str, int] = dict.fromkeys(SEARCHED, 0)
        files = size = 0
        found = Found()
        for _ in range(ROUNDS):
            await self._store.committed()
            await self._search(plate, found)
            if not found.records:
                break
            tell = partial(self._told, by, reason)
            done = await self._store.erase(Erasure(found.sequences, list(found.files), tell))
            for stream, count in done.records.items():
                total[stream] += count
            files, size = files + done.files, size + done.bytes
            found = Found(ids=found.ids, searched=found.searched)
        return total, files, size

    def _told(self, by: str, reason: str, done: "Erased") -> Draft:
        data = {"by": by, "reason": reason, "records": dict(done.records), "files": done.files, "bytes": done.bytes}
        return self._draft("erased", data)

    def _draft(self, what: str, data: Mapping[str, Any]) -> Draft:
        wall = self._clock.wall()
        return Draft("disposal", f"linli.disposal.{what}.v1", "", "vehicles", wall, data, record_id(wall))

    async def _search(self, plate: str, found: Found) -> None:
        needle = plate.encode()
        for stream in SEARCHED:
            after = found.searched.get(stream, 0)
            while runs := await self._store.runs(stream, after, AT_ONCE, RUN_BYTES):
                for run in runs:
                    if needle in run.json or (found.ids and any(kind in run.json for kind in CLIPS)):
                        _take(run.json, stream, plate, found)
                after = runs[-1].last
                await asyncio.sleep(0)
            found.searched[stream] = after

    async def _mentions(self, plate: str) -> int:
        """Count what people wrote about the plate themselves."""
        needle, count = plate.encode(), 0
        for stream in STREAMS:
            after = 0
            while stream not in SEARCHED and (runs := await self._store.runs(stream, after, AT_ONCE, RUN_BYTES)):
                count += sum(run.json.count(needle) for run in runs)
                after = runs[-1].last
        return count


def _take(json: bytes, stream: Stream, plate: str, found: Found) -> None:
    """Collect the records of a run that are about the plate, and those of clips that belong to one."""
    for raw in msgspec.json.decode(json, type=list[msgspec.Raw]):
        record = bytes(raw)
        if plate.encode() not in record and not any(kind in record for kind in CLIPS):
            continue
        event = msgspec.json.decode(record)
        data = event.get("data", {})
        ours = plate in _texts(data) or (event["type"].encode() in CLIPS and data.get("record") in found.ids)
        if not ours:
            continue
        found.records.append(record)
        found.ids.add(event["id"])
        found.sequences.setdefault(stream, []).append(int(event["sequence"]))
        found.files.update(dict.fromkeys(_files(data)))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _files(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("sha256"), str):
            yield value["sha256"]
        for inner in value.values():
            yield from _files(inner)


def says(text: str, plate: str) -> bool:
    """Whether a text names a plate, however it is spelled, with or without its province."""
    written = "".join(sign for sign in unicodedata.normalize("NFKC", text).upper() if sign.isalnum())
    return plate.upper() in written or plate[1:].upper() in written


def _reason(reason: str, plate: str) -> str:
    text = " ".join(reason.split())
    if len(text) < LEAST_REASON:
        raise CommandError("say why, in a few words: the reason goes into the record of this")
    if says(text, plate):
        raise CommandError("the reason names the plate, but it stays on record when the plate is gone: say it without")
    return text[:500]


def _nothing(left: Sequence[str], held: Sequence[str]) -> str:
    if held:
        return (
            f"all that is recorded of this plate is under a legal hold as evidence: {', '.join(held)}; it goes when it "
            "is released: linli evidence release"
        )
    if not left:
        return "nothing is recorded of this plate"
    return (
        f"nothing that can be searched is recorded of this plate, but {', '.join(left)} may still hold it: set aside "
        "as damaged, it can only be deleted whole, with --damaged-too"
    )
