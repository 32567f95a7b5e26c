"""Stand-ins for tests of the uplink: a store in memory (no disk) and commands that only echo."""

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gateway.contract import STREAMS, CommandError, Cursor, Draft, Record, Run, Stream, record_id


class MemoryStore:
    """A fake of the store: what is put is committed at once, in memory."""

    def __init__(self, epoch: str = "e1") -> None:
        self.epoch = epoch
        self.failing: str | None = None
        self.broken = False
        self.erasures = 0
        self.streams: dict[Stream, list[Record]] = {stream: [] for stream in STREAMS}
        self.positions: dict[tuple[str, Stream], int] = {}
        self._changed = asyncio.Condition()

    async def put(self, drafts: Sequence[Draft], *, urgent: bool = False) -> None:
        async with self._changed:
            for draft in drafts:
                self._add(draft.stream, draft.type, draft.data, draft.id)
            self._changed.notify_all()

    async def fill(self, stream: Stream, count: int, size: int = 10) -> None:
        """Commit ``count`` records whose data is about ``size`` bytes."""
        async with self._changed:
            for _ in range(count):
                self._add(stream, "linli.reading.v1", {"pad": "x" * size}, record_id(0))
            self._changed.notify_all()

    def evict(self, stream: Stream, up_to: int) -> None:
        """Forget the records up to a sequence, as a quota would."""
        self.streams[stream] = [record for record in self.streams[stream] if record.sequence > up_to]

    async def records(self, stream: Stream, after: int, limit: int, max_bytes: int | None = None) -> list[Record]:
        if self.broken:
            raise CommandError("records cannot be read now: disk I/O error", 503)
        found: list[Record] = []
        size = 0
        for record in self.streams[stream]:
            if record.sequence <= after:
                continue
            size += len(record.json)
            if len(found) == limit or (found and max_bytes is not None and size > max_bytes):
                break
            found.append(record)
        return found

    async def runs(self, stream: Stream, after: int, limit: int, max_bytes: int) -> list[Run]:
        found: list[Run] = []
        while len(found) < 4 and (records := await self.records(stream, after, limit, max_bytes)):
            found.append(Run.of(after, records))
            after = found[-1].last
        return found

    async def wait(self, streams: Collection[Stream], after: Mapping[Stream, int], timeout: float) -> bool:
        async with self._changed:
            await self._changed.wait_for(lambda: any(self.bounds(name)[1] > after[name] for name in streams))
        return True

    def bounds(self, stream: Stream) -> tuple[int, int]:
        kept = self.streams[stream]
        return (kept[0].sequence, kept[-1].sequence) if kept else (1, 0)

    def position(self, consumer: str, stream: Stream) -> int:
        return self.positions.get((consumer, stream), 0)

    def confirm(self, consumer: str, stream: Stream, sequence: int) -> None:
        assert sequence >= self.position(consumer, stream), "a cursor went back"
        self.positions[consumer, stream] = sequence

    def check(self, cursor: Cursor) -> None:
        if cursor.epoch != self.epoch:
            raise CommandError("a cursor of another epoch", 410, cursor=str(Cursor(self.epoch, cursor.stream, 0)))

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The data of every management record of one type."""
        events = [json.loads(record.json) for record in self.streams["management"]]
        return [event["data"] for event in events if event["type"] == kind]

    def _add(self, stream: Stream, kind: str, data: Mapping[str, Any], identity: str) -> None:
        kept = self.streams[stream]
        sequence = kept[-1].sequence + 1 if kept else 1
        event = {"specversion": "1.0", "id": identity, "type": kind, "stream": stream, "epoch": self.epoch,
                 "sequence": f"{sequence:020d}", "data": data}  # fmt: skip
        kept.append(Record(sequence, json.dumps(event).encode()))


class EchoCommands:
    """A fake of the commands: answers with what it was asked, and replays from the store."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.asked: list[tuple[str, dict[str, Any], str]] = []
        self.refusals: list[tuple[str, dict[str, Any], str, int]] = []

    async def execute(self, verb: str, arguments: Mapping[str, Any], actor: str) -> Any:
        self.asked.append((verb, dict(arguments), actor))
        if verb == "read" and arguments.get("device") != "sump":
            raise CommandError("no such device", 404)
        if verb == "replay":
            after = Cursor.parse(arguments["after"]) if "after" in arguments else Cursor("e1", arguments["stream"], 0)
            self._store.check(after)
            found = await self._store.records(after.stream, after.sequence, arguments["limit"])
            end = found[-1].sequence if found else after.sequence
            more = end < self._store.bounds(after.stream)[1]
            records = [record.json for record in found]
            return {"records": records, "next": str(after._replace(sequence=end)), "more": more}
        if verb == "status" and "pad" in arguments:
            return {"pad": "x" * arguments["pad"]}
        return {"verb": verb, **arguments}

    async def refused(self, verb: str, arguments: Mapping[str, Any], actor: str, error: CommandError) -> None:
        self.refusals.append((verb, dict(arguments), actor, error.status))
