"""A gateway in memory that commands can be asked of: real rules, fake store, devices, lines and uplinks."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from gateway.commands import Commands
from gateway.contract import STREAMS, CommandError, Cursor, Draft, PointValue, Reading, Record
from gateway.rules import Transition, compile_rules
from gateway.settings import Settings

EPOCH = "k3f9"
WALL = 1_795_300_000_000_000_000


class Bounds(NamedTuple):
    first: int
    last: int


class StillClock:
    """A clock that stands still unless it is set."""

    def __init__(self) -> None:
        self.now, self.trust = 1000.0, "synced"

    def wall(self) -> int:
        return WALL + int((self.now - 1000) * 1e9)

    def monotonic(self) -> float:
        return self.now

    def quality(self) -> str:
        return self.trust

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def rfc3339(self, time_ns: int) -> str:
        from datetime import UTC, datetime

        return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="milliseconds")


class MemoryStore:
    """Keeps records in lists; enough of the store for commands and the pull API."""

    def __init__(self) -> None:
        self.epoch, self.failing = EPOCH, None
        self.streams: dict[str, list[Record]] = {stream: [] for stream in STREAMS}
        self.positions: dict[tuple[str, str], int] = {}
        self.bytes, self.evicted = 4096, 0

    def add(self, draft: Draft) -> None:
        records = self.streams[draft.stream]
        sequence = len(records) + 1
        event = {
            "specversion": "1.0", "id": draft.id, "type": draft.type, "source": f"/gateways/desk-1/{draft.source}",
            "subject": draft.subject, "time": "2026-11-21T08:25:30.120+08:00", "stream": draft.stream,
            "epoch": EPOCH, "sequence": f"{sequence:020d}", "data": draft.data,
        }  # fmt: skip
        records.append(Record(sequence, json.dumps(event, ensure_ascii=False).encode()))

    def bounds(self, stream: str) -> Bounds:
        return Bounds(1 + self.evicted, len(self.streams[stream]))

    def position(self, consumer: str, stream: str) -> int:
        return self.positions.get((consumer, stream), 0)

    def check(self, cursor: Cursor) -> None:
        if cursor.epoch != EPOCH:
            raise CommandError("the cursor is of another epoch", 410, cursor=Cursor(EPOCH, cursor.stream, 0))

    async def records(self, stream: str, after: int, limit: int, max_bytes: int | None = None) -> list[Record]:
        return self.streams[stream][after : after + limit]

    async def wait(self, streams: Iterable[str], after: dict[str, int], timeout: float) -> bool:
        return any(len(self.streams[stream]) > after[stream] for stream in streams)

    def unstored(self, stream: str) -> int:
        return 0

    def view(self) -> dict[str, Any]:
        return {"bytes": self.bytes, "quota": 1 << 21, "epoch": EPOCH, "failing": self.failing}


class Desk:
    """Everything around one ``Commands``; ``devices``, ``lines``, ``cameras`` and ``uplinks`` are their views."""

    def __init__(self, **tables: Any) -> None:
        self.settings = Settings.model_validate(
            {"gateway": {"id": "desk-1", "site": "Garden Lane 12", "contact": "Desk 110", "state": "/nowhere"}} | tables
        )
        self.clock, self.store = StillClock(), MemoryStore()
        points = {"sump": frozenset({"level"}), "pump": frozenset({"running", "mode"})}
        self.rules, problems = compile_rules(self.settings.alarm, points, frozenset({"north-gate"}))
        assert not problems
        self.rules.stamp = self.clock.rfc3339
        self.rules.load({}, self.clock.wall(), self.clock.monotonic())
        self.sources = {name: Device(name, self.clock) for name in points}
        self.lines, self.cameras, self.uplinks = [View(line_view())], [], []
        self.steps: list[Transition] = []
        parts = (self.settings, self.store, self.rules, self.sources, self.lines, self.cameras, self.uplinks)
        self.commands = Commands(*parts, self.clock, self.apply)  # type: ignore[arg-type]

    async def apply(self, step: Transition) -> None:
        self.steps.append(step)
        for draft in step.drafts:
            self.store.add(draft)

    def level(self, value: float | None) -> None:
        read = PointValue(value) if value is not None else PointValue(None, "bad", "timeout")
        reading = Reading("sump", self.clock.wall(), self.clock.monotonic(), {"level": read}, units={"level": "m"})
        for step in self.rules.feed(reading):
            self.steps.append(step)
            for draft in step.drafts:
                self.store.add(draft)


class View:
    """A part that shows what it is given."""

    def __init__(self, view: dict[str, Any]) -> None:
        self.shown = view

    def view(self) -> dict[str, Any]:
        return self.shown


class Device(View):
    """A device whose values are set by hand."""

    def __init__(self, name: str, clock: StillClock) -> None:
        self.values: dict[str, PointValue] = {
            "sump": {"level": PointValue(1.82)},
            "pump": {"running": PointValue(True), "mode": PointValue("auto\x1b[31m", "uncertain")},
        }[name]
        self.fails: Exception | None = None
        self._name, self._clock = name, clock
        super().__init__(device_view(name))

    async def read_now(self, points: frozenset[str] | None = None) -> Reading:
        if self.fails is not None:
            raise self.fails
        wanted = points or frozenset(self.values)
        if unknown := wanted - set(self.values):
            raise CommandError(f"{self._name} has no point {min(unknown)}", 404)
        values = {name: value for name, value in self.values.items() if name in wanted}
        return Reading(self._name, self._clock.wall(), self._clock.monotonic(), values, units={"level": "m"})


def device_view(name: str, state: str = "online", reason: str = "ok", sentence: str = "answers") -> dict[str, Any]:
    last = {"level": {"value": 1.82, "unit": "m", "quality": "good", "time": "2026-11-21T08:25:30Z", "age_s": 2.3}}
    return {
        "name": name, "model": "qdy30a", "line": "rs485-1", "address": 3, "state": state, "reason": reason,
        "sentence": sentence, "since": "2026-11-21T20:16:40.000+00:00", "last": last if name == "sump" else {},
        "polls": 10, "errors": 0,
    }  # fmt: skip


def line_view(state: str = "open", reason: str = "", sentence: str = "", kind: str = "serial") -> dict[str, Any]:
    return {
        "name": "rs485-1", "kind": kind, "address": "/dev/ttyUSB0", "state": state, "reason": reason,
        "sentence": sentence, "busy": 0.25, "transactions": 10, "errors": 1,
    }  # fmt: skip


def uplink_view(state: str = "online", reason: str = "", problems: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "name": "mqtt", "url": "mqtts://broker:8883", "state": state, "reason": reason, "problems": problems,
        "since": "2026-11-21T20:16:40.000+00:00", "in_flight": 0,
    }  # fmt: skip
