"""A plain windowed paho publisher in a process of its own, to measure a drain against; prints a line of JSON.

Started as `plain.py PAYLOADS BROKER_PORT SECONDS WINDOW`: publishes the payloads of a file (each with its length and
its number of records before it) again and again, with QoS 1 and at most WINDOW unacknowledged. With `PAYLOADS.db` they
come out of SQLite, one row each, and are decompressed (zstd): the least that any store on a disk has to do.
"""

import itertools
import json
import sqlite3
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import zstandard
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HEAD = struct.Struct("<II")


def read(path: Path) -> list[tuple[bytes, int]]:
    """Read payloads and their numbers of records."""
    data, found, at = path.read_bytes(), [], 0
    while at < len(data):
        size, records = HEAD.unpack_from(data, at)
        at += HEAD.size
        found.append((data[at : at + size], records))
        at += size
    return found


def stored(path: Path) -> Iterator[tuple[bytes, int]]:
    """Read and decompress them from SQLite, for ever."""
    connection, decompress = sqlite3.connect(path), zstandard.ZstdDecompressor().decompress
    while True:
        for payload, records in connection.execute("SELECT payload, records FROM batches ORDER BY number"):
            yield decompress(payload), records


def publish(payloads: Iterator[tuple[bytes, int]], port: int, seconds: float, window: int) -> dict[str, float]:
    """Publish for so long, then wait for the last acknowledgements."""
    places = threading.Semaphore(window)
    client = Client(CallbackAPIVersion.VERSION2, client_id="plain", protocol=MQTTv5)
    client.max_inflight_messages_set(window)
    client.on_publish = lambda *_: places.release()
    client.connect("127.0.0.1", port)
    client.loop_start()
    about = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    about.ContentType, about.UserProperty = "application/cloudevents-batch+json", [("cursor", "k3f9a2.perception.1042")]
    sent = records = count = 0
    began, cpu = time.monotonic(), time.process_time()
    while time.monotonic() - began < seconds:
        payload, inside = next(payloads)
        places.acquire()
        client.publish("linli/v1/plain/perception", payload, 1, properties=about)
        sent, records, count = sent + len(payload), records + inside, count + 1
    for _ in range(window):
        places.acquire()
    took, cpu = time.monotonic() - began, time.process_time() - cpu
    client.disconnect()
    client.loop_stop()
    return {"records": records, "bytes": sent, "messages": count, "seconds": took, "cpu_s": cpu}


if __name__ == "__main__":
    words = sys.argv[1:]
    source = Path(words[0])
    payloads = stored(source) if source.suffix == ".db" else itertools.cycle(read(source))
    print(json.dumps(publish(payloads, int(words[1]), float(words[2]), int(words[3]))))
