"""Random histories of one stream as a real gateway could make them, and what a platform has received of them."""

import json
import random
from typing import Any
from uuid import UUID

Record = dict[str, Any]


def identity(rng: random.Random) -> str:
    number = rng.getrandbits(128) & ~(0xF << 76) & ~(0b11 << 62) | 0x7 << 76 | 0b10 << 62
    return str(UUID(int=number))


def record(rng: random.Random, gateway: str, epoch: str, stream: str, sequence: int, value: float) -> Record:
    return {
        "specversion": "1.0", "id": identity(rng), "source": f"/gateways/{gateway}/meter", "type": "linli.reading.v1",
        "subject": "meter", "time": "2026-11-21T08:25:30.120+08:00", "datacontenttype": "application/json",
        "stream": stream, "epoch": epoch, "sequence": f"{sequence:020d}",
        "recordedtime": "2026-11-21T08:25:30.455+08:00", "timequality": "synced",
        "data": {"points": {"power": {"value": value, "unit": "W", "quality": "good"}}},
    }  # fmt: skip


def gap(rng: random.Random, gateway: str, epoch: str, stream: str, sequence: int, first: int, last: int) -> Record:
    whole = record(rng, gateway, epoch, stream, sequence, 0.0)
    data = {"stream": stream, "first": first, "last": last, "count": last - first + 1, "cause": "quota"}
    return {**whole, "source": f"/gateways/{gateway}", "type": "linli.gap.v1", "data": data}


class History:
    """A stream with evictions by the rules of the gateway: oldest first, a gap record told, evicted into a wider one.

    ``received`` is what a platform has at the end: everything that was not evicted before it was sent.
    """

    def __init__(self, rng: random.Random, gateway: str, epoch: str, stream: str, steps: int) -> None:
        self.rng, self.place = rng, (gateway, epoch, stream)
        self.kept: list[Record] = []
        self.received: dict[int, Record] = {}
        self._told: dict[int, tuple[int, int]] = {}
        self.last = self.sent = 0
        for _ in range(steps):
            what = rng.random()
            if what < 0.6:
                for _ in range(rng.randint(1, 6)):
                    self._append(record(rng, *self.place, self.last + 1, rng.random()))
            elif what < 0.8:
                self._send(rng.randint(1, 12))
            elif self.kept:
                self._evict(rng.randint(1, len(self.kept)))
        self._send(self.last)

    def _append(self, one: Record) -> None:
        self.last += 1
        self.kept.append(one)

    def _send(self, number: int) -> None:
        for one in [one for one in self.kept if int(one["sequence"]) > self.sent][:number]:
            self.sent = int(one["sequence"])
            self.received[self.sent] = one

    def _evict(self, number: int) -> None:
        gone, self.kept = self.kept[:number], self.kept[number:]
        first, last = int(gone[0]["sequence"]), int(gone[-1]["sequence"])
        # A gap whose record goes now must lie inside the new one, unless a wider one has told it since.
        first = min([first, *(told for sequence, (told, _) in self._told.items() if sequence <= last)])
        self._told = {key: span for key, span in self._told.items() if not first <= span[0] <= span[1] <= last}
        self._append(gap(self.rng, *self.place, self.last + 1, first, last))
        self._told[self.last] = (first, last)


def resent(rng: random.Random, records: list[Record]) -> list[Record]:
    """The same records in another order, some of them several times, members in another order."""
    copies = records + [dict(reversed(one.items())) for one in records if rng.random() < 0.3]
    rng.shuffle(copies)
    return copies


def lines(records: list[Record]) -> bytes:
    """JSON lines, as a platform would export them."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in records)
