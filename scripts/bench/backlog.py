"""Builds a store as an outage leaves it, and the payloads that a plain publisher would send of it."""

import contextlib
import random
import sqlite3
import sys
import time
from pathlib import Path

import uvloop
import zstandard

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from plain import HEAD

from gateway.clock import SystemClock
from gateway.contract import STREAMS, Draft, record_id
from gateway.settings.core import StoreSettings
from gateway.store import Store

GATEWAY = "bench-gateway"
DEVICES, POINTS, PER_COMMIT = 50, 4, 25
BATCH_RECORDS, BATCH_BYTES = 500, 64 * 1024
PAYLOAD_BYTES = 64 << 20


class PastClock(SystemClock):
    """Wall time that stands still, so that committing costs no waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = time.time_ns()

    def wall(self) -> int:
        """Nanoseconds."""
        return self.now


async def fill(store: Store, clock: PastClock, records: int) -> None:
    """Readings of 50 devices with 4 points each, committed as they come: 25 at a time."""
    values = [[random.randrange(2000, 3000) for _ in range(POINTS)] for _ in range(DEVICES)]
    for start in range(0, records, PER_COMMIT):
        drafts = []
        for number in range(start, start + PER_COMMIT):
            device = number % DEVICES
            values[device] = [value + random.choice((-1, 0, 0, 1)) for value in values[device]]
            points = {
                f"p{index}": {"value": value / 10, "unit": "V", "quality": "good"}
                for index, value in enumerate(values[device])
            }
            clock.now += 20_000_000
            name = f"meter-{device:02d}"
            identity = record_id(clock.now)
            drafts.append(Draft("perception", "linli.reading.v1", name, name, clock.now, {"points": points}, identity))
        await store.put(drafts)
        await store.committed()


async def dump(store: Store, path: Path) -> None:
    """Write the batches that the uplink would make of the first 64 MiB: as a file, and as rows of a database."""
    after = size = 0
    rows = sqlite3.connect(path.with_suffix(".db"))
    rows.execute("CREATE TABLE batches (number INTEGER PRIMARY KEY, records INTEGER, payload BLOB)")
    compress = zstandard.ZstdCompressor(level=3).compress
    with path.open("wb") as out, contextlib.closing(rows):
        while size < PAYLOAD_BYTES:
            records = await store.records("perception", after, BATCH_RECORDS, BATCH_BYTES)
            if not records:
                break
            payload = b"[" + b",".join([record.json for record in records]) + b"]"
            out.write(HEAD.pack(len(payload), len(records)) + payload)
            rows.execute("INSERT INTO batches (records, payload) VALUES (?, ?)", (len(records), compress(payload)))
            after, size = records[-1].sequence, size + len(payload)
        rows.commit()


async def build(folder: Path, payloads: Path, records: int) -> None:
    """Make both."""
    clock = PastClock()
    store = await Store.open(StoreSettings(records="4GiB"), folder, GATEWAY, clock, {"mqtt": frozenset(STREAMS)})
    await fill(store, clock, records)
    await dump(store, payloads)
    await store.close()


if __name__ == "__main__":
    words = sys.argv[1:]
    uvloop.run(build(Path(words[0]), Path(words[1]), int(words[2])))
