"""What the tests of the store share: drafts, a fast clock, and reading back with the proof of completeness."""

import asyncio
import random
import threading
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.clock import SystemClock
from gateway.contract import STREAMS, Draft, record_id
from gateway.settings import StoreSettings
from gateway.store import Store
from tests.schemas import validate

GATEWAY = "gw-test"


class FastClock(SystemClock):
    """A real clock whose time runs ``factor`` times as fast, and whose wall can be set (a fake of the clock only)."""

    def __init__(self, factor=100.0, trust="synced"):
        super().__init__("Asia/Shanghai")
        self.factor = factor
        self.trust = trust
        self.ahead_ns = 0

    def monotonic(self):
        return super().monotonic() * self.factor

    def wall(self):
        return super().wall() + self.ahead_ns

    def quality(self):
        return self.trust

    async def sleep(self, seconds):
        await asyncio.sleep(max(0.0, seconds / self.factor))


def reading(device="sump-level", value=1.82, clock=None, points=1):
    now = (clock or SystemClock()).wall()
    data = {"points": {f"p{i}": {"value": value, "unit": "m", "quality": "good"} for i in range(points)}}
    return Draft("perception", "linli.reading.v1", device, device, now, data, record_id(now))


def state(text="back", name="sump-level"):
    now = SystemClock().wall()
    data = {"state": "online", "reason": "answered", "text": text}
    return Draft("management", "linli.device.state.v1", name, name, now, data, record_id(now))


def alarm(name="sump-high", note=None):
    now = SystemClock().wall()
    occurrence = record_id(now)
    data = {
        "occurrence": occurrence,
        "state": "unacknowledged",
        "severity": "major",
        "text": {"zh": "集水井水位高"},
        "when": "sump-level.level > 2.5",
        "points": {},
        "raised_at": SystemClock().rfc3339(now),
        "note": note,
    }
    extra = {"severitytext": "major", "severitynumber": 17}
    return Draft("alarm", "linli.alarm.raised.v1", "", name, now, data, occurrence, extra)


def disposal(by="uid:0"):
    now = SystemClock().wall()
    data = {"alarm": "sump-high", "occurrence": record_id(now), "by": by}
    return Draft("disposal", "linli.disposal.acknowledged.v1", "", "sump-high", now, data, record_id(now))


def noise(length):
    return "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=length))


def settings(**keys):
    return StoreSettings(**{"records": "64MiB", "media": "64MiB", "commit": "20ms", **keys})


@asynccontextmanager
async def opened(path: Path, clock=None, required=None, **keys):
    store = await Store.open(settings(**keys), path, GATEWAY, clock or SystemClock(), required or {})
    try:
        yield store
    finally:
        await store.close()


async def everything(store, stream, *, from_disk=False, limit=500):
    """All records of a stream, validated against their schemas, as dicts."""
    if from_disk:
        store._tail = type(store._tail)()
    found, after = [], 0
    while records := await store.records(stream, after, limit):
        assert [record.sequence for record in records] == sorted({record.sequence for record in records})
        assert records[0].sequence > after
        after = records[-1].sequence
        for record in records:
            event = validate(record.json)
            assert int(event["sequence"]) == record.sequence
            found.append(event)
    return found


def prove(events, stream, last):
    """Every sequence number up to ``last`` is a record or inside a gap; ranges do not overlap but by containing."""
    seen = {int(event["sequence"]) for event in events}
    assert len(seen) == len(events)
    gaps = [(e["data"]["first"], e["data"]["last"]) for e in events if e["type"] == "linli.gap.v1"]
    assert all(e["data"]["stream"] == stream for e in events if e["type"] == "linli.gap.v1")
    explained = set(seen)
    for first, end in gaps:
        explained |= set(range(first, end + 1))
    missing = set(range(1, last + 1)) - explained
    assert not missing, f"{stream}: unexplained {sorted(missing)[:10]} of 1..{last}"
    assert explained == set(range(1, last + 1))
    for index, (a, b) in enumerate(gaps):
        for c, d in gaps[index + 1 :]:
            apart = b < c or d < a
            inside = (a <= c and d <= b) or (c <= a and b <= d)
            assert apart or inside, f"{stream}: gaps {a}..{b} and {c}..{d} overlap"
    for first, end in gaps:
        kept = sorted(seen & set(range(first, end + 1)))
        assert not kept, f"{stream}: {kept[:5]} are kept though the gap {first}..{end} says they are gone"


@asynccontextmanager
async def held(store):
    """Nothing is written meanwhile, and what was written has been told."""
    begun, end = threading.Event(), threading.Event()
    store._threads.writer.submit(lambda: (begun.set(), end.wait()))
    try:
        await asyncio.to_thread(begun.wait)
        await until(lambda: store._database.last == store._last)
        yield
    finally:
        end.set()


async def prove_all(store, *, from_disk=True):
    result = {}
    async with held(store):
        for stream in STREAMS:
            result[stream] = await everything(store, stream, from_disk=from_disk)
            prove(result[stream], stream, store.bounds(stream).last)
    seen = {}
    for event in (event for events in result.values() for event in events):
        before = seen.setdefault(event["id"], event)
        assert before is event, f"doubled: {before} and {event}"
    return result


async def until(condition, seconds=20.0):
    """Wait for something that a thread does; the limit only ends a test that hangs."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event for what a thread or a file does
            await asyncio.sleep(0.02)
