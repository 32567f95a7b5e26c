"""The bare minimum beside which the gateway is measured: a raw asyncio poll loop, a raw sqlite3 insert loop."""

import asyncio
import json
import os
import sqlite3
import struct
import sys
import time
from pathlib import Path

import uvloop

REQUEST = struct.pack("!HHHBBHH", 1, 0, 6, 100, 3, 0, 20)
ANSWER_BYTES = 9 + 40


async def poll(ports: list[int], seconds: float, every: float) -> dict[str, float]:
    """Poll 20 registers of one slave per port, each ``every`` seconds (0: as fast as it goes), keeping nothing."""
    count = 0

    async def one(port: int) -> None:
        nonlocal count
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        due = time.monotonic()
        end = due + seconds
        while time.monotonic() < end:
            writer.write(REQUEST)
            await reader.readexactly(ANSWER_BYTES)
            count += 20
            if every:
                due += every
                await asyncio.sleep(due - time.monotonic())
        writer.close()

    before, start = time.process_time(), time.monotonic()
    await asyncio.gather(*(one(port) for port in ports))
    took = time.monotonic() - start
    return {"readings_s": count / took, "cpu_percent": 100 * (time.process_time() - before) / took}


def insert(folder: Path, seconds: float, per_commit: int, rate: float) -> dict[str, float]:
    """Insert one JSON row of ~1 kB a read (20 readings), committed FULL every ``per_commit`` reads at ``rate`` reads/s
    (0: as fast as it goes)."""
    database = sqlite3.connect(folder / f"raw-{per_commit}-{rate:.0f}.db", isolation_level=None)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=full")
    database.execute("create table reads (sequence integer primary key, json blob)")
    points = {f"r{number}": {"value": 200 + number, "unit": "", "quality": "good"} for number in range(20)}
    row = json.dumps({"source": "/gateways/bench/device-00", "data": {"points": points}}).encode()
    written, cpu, start = _written(), time.process_time(), time.monotonic()
    reads = 0
    while time.monotonic() < start + seconds:
        database.execute("begin")
        database.executemany("insert into reads (json) values (?)", [(row,)] * per_commit)
        database.execute("commit")
        reads += per_commit
        if rate:
            time.sleep(max(0.0, start + reads / rate - time.monotonic()))
    took = time.monotonic() - start
    return {
        "readings_s": reads * 20 / took,
        "cpu_percent": 100 * (time.process_time() - cpu) / took,
        "bytes_per_reading": (_written() - written) / (reads * 20),
    }


def _written() -> int:
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    return 0


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    if kind == "poll":
        result = uvloop.run(poll(json.loads(rest[0]), float(rest[1]), float(rest[2])))
    else:
        result = insert(Path(rest[0]), float(rest[1]), int(rest[2]), float(rest[3]))
    print(json.dumps(result), flush=True)
    os._exit(0)
