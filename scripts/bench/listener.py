"""A platform in a process of its own: takes every batch, counts unique ids and readings, checks that none is missing.

Started as `listener.py BROKER_PORT GATEWAY`; prints a JSON line with what it has for every line read from stdin. Its
session is kept by the broker, so nothing is missed while either of them restarts.
"""

import asyncio
import json
import sys
import time
from datetime import datetime

import aiomqtt
import msgspec
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

LATENCIES = 200_000


class Event(msgspec.Struct):
    id: str
    type: str
    time: str
    stream: str
    epoch: str
    sequence: str
    source: str
    data: msgspec.Raw


class Points(msgspec.Struct):
    points: dict[str, dict[str, msgspec.Raw]] = {}


class Tally:
    """What arrived, by id and by sequence."""

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self.sequences: dict[tuple[str, str], set[int]] = {}
        self.duplicates = self.readings = self.messages = self.bytes = 0
        self.first = 0.0
        self.latencies: list[float] = []
        self.gaps: dict[tuple[str, str], list[tuple[int, int]]] = {}
        self.newest = 0.0
        self.counters: dict[str, int] = {}
        self.holes = 0
        self._decode = msgspec.json.Decoder(list[Event]).decode
        self._points = msgspec.json.Decoder(Points).decode

    def take(self, payload: bytes) -> None:
        now = time.time()
        self.messages += 1
        self.bytes += len(payload)
        for event in self._decode(payload):
            identity = int(event.id.replace("-", ""), 16)
            if identity in self.ids:
                self.duplicates += 1
                continue
            self.ids.add(identity)
            self.sequences.setdefault((event.epoch, event.stream), set()).add(int(event.sequence))
            if event.type == "linli.gap.v1":
                gap = msgspec.json.decode(event.data)
                self.gaps.setdefault((event.epoch, gap["stream"]), []).append((gap["first"], gap["last"]))
            if event.type == "linli.reading.v1":
                self.first = self.first or now
                points = self._points(event.data).points
                self.readings += len(points)
                self._count(event.source, points)
                moment = datetime.fromisoformat(event.time).timestamp()
                self.newest = max(self.newest, moment)
                if len(self.latencies) < LATENCIES:
                    self.latencies.append(now - moment)

    def _count(self, source: str, points: dict[str, dict[str, msgspec.Raw]]) -> None:
        """A slave counts its answers in its first registers: a hole is a reading that was answered and never came."""
        high, low = (msgspec.json.decode(points[name]["value"]) for name in ("r00", "r01"))
        if high is None or low is None:
            return
        number = high << 16 | low
        self.holes += max(0, number - self.counters.get(source, number - 1) - 1) * len(points)
        self.counters[source] = max(number, self.counters.get(source, 0))

    def report(self) -> dict[str, object]:
        missing = 0
        for key, numbers in self.sequences.items():
            accounted = set(numbers)
            for first, last in self.gaps.get(key, []):
                accounted |= set(range(first, last + 1))
            missing += max(accounted) - len(accounted)
        ordered = sorted(self.latencies)
        return {
            "records": len(self.ids),
            "duplicates": self.duplicates,
            "readings": self.readings,
            "missing": missing,
            "holes": self.holes,
            "messages": self.messages,
            "bytes": self.bytes,
            "first": self.first,
            "newest": self.newest,
            "p50": ordered[len(ordered) // 2] if ordered else None,
            "p99": ordered[int(len(ordered) * 0.99)] if ordered else None,
        }


async def listen(port: int, gateway: str, tally: Tally) -> None:
    keep = Properties(PacketTypes.CONNECT)
    keep.SessionExpiryInterval = 3600
    while True:
        try:
            async with aiomqtt.Client(
                "127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, identifier="bench-platform", clean_start=False,
                properties=keep,
            ) as client:  # fmt: skip
                await client.subscribe(f"linli/v1/{gateway}/+", qos=1)
                print("ready", file=sys.stderr, flush=True)
                async for message in client.messages:
                    if not str(message.topic).endswith("/state"):
                        tally.take(bytes(message.payload))
        except aiomqtt.MqttError:
            await asyncio.sleep(0.1)


async def main() -> None:
    tally = Tally()
    work = asyncio.ensure_future(listen(int(sys.argv[1]), sys.argv[2], tally))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        if line == b"reset\n":
            tally.latencies.clear()
        print(json.dumps(tally.report()), flush=True)
    work.cancel()


if __name__ == "__main__":
    asyncio.run(main())
