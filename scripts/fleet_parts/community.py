"""One simulated site: which records it makes when, the same bytes whenever it is asked for the same number again."""

import hashlib
import math
import random
from collections.abc import Iterator

from gateway.clock import SystemClock
from gateway.contract import STREAMS, Cursor, Draft, PointValue, Stream
from gateway.daemon.drafts import point_json
from gateway.store.envelope import Envelope, Stamp, waiting

# Records a second beside perception: an alarm, its acknowledgement and a device's change of state, each once a minute.
SIDE_RATE = 1 / 60
COMMIT_NS = 250_000_000
METERS = 9
METER = (("voltage", "V"), ("current", "A"), ("power", "W"), ("factor", ""), ("frequency", "Hz"), ("energy", "kWh"))

_clock = SystemClock("Asia/Shanghai")


class Numbering:
    """What one stream of one epoch has made: up to ``last``, without ``skipped``, with gap records at ``gaps``."""

    def __init__(self) -> None:
        self.last = 0
        self.skipped: list[tuple[int, int]] = []
        self.gaps: dict[int, tuple[int, int]] = {}

    def evict(self, count: int, back: int) -> None:
        """Lose the next ``count`` numbers before they are sent, and ``back`` that were; then say so."""
        first, last = max(1, self.last + 1 - back), self.last + count
        if self.gaps:
            before = self.gaps[max(self.gaps)]
            if first <= before[1]:
                first = before[0]  # a wider gap contains the earlier one whole
        self.skipped.append((self.last + 1, last))
        self.gaps[last + 1] = (first, last)
        self.last = last + 1

    def made(self, after: int, until: int) -> Iterator[int]:
        """The numbers in ``after`` + 1 … ``until`` that are records."""
        number = after + 1
        for first, last in self.skipped:
            if last < number:
                continue
            yield from range(number, min(first, until + 1))
            number = max(number, last + 1)
        yield from range(number, until + 1)

    @property
    def count(self) -> int:
        """How many records there are."""
        return self.last - sum(last - first + 1 for first, last in self.skipped)


class Site:
    """A gateway's records: ``rate`` perception records a second from ``start`` (wall ns) on."""

    def __init__(self, number: int, rate: float, start: int) -> None:
        self.name = f"fleet-{number:05d}"
        self.random = random.Random(number)
        self._rate, self._start = rate, start
        self._phase = self.random.random()
        self.epochs = 0
        self.finished = self.numbered = 0
        self.new_epoch(0.0)

    def new_epoch(self, seconds: float) -> None:
        """The store was made anew: numbers begin at 1 again."""
        if self.epochs:
            self.finished, self.numbered = self.count(), self.numbers()
        self.epochs += 1
        self.epoch = f"e{self.epochs}{self.name[-5:]}"
        self.streams: dict[Stream, Numbering] = {stream: Numbering() for stream in STREAMS}
        self._envelope = Envelope(self.name, self.epoch)
        self._since = seconds
        self._done: dict[Stream, int] = dict.fromkeys(STREAMS, 0)

    def make(self, seconds: float) -> None:
        """Number what has happened until now, ``seconds`` after the start."""
        for stream, numbering in self.streams.items():
            rate = self._rate if stream == "perception" else SIDE_RATE
            due = int((seconds - self._since) * rate + self._phase)
            numbering.last += max(0, due - self._done[stream])
            self._done[stream] = max(due, self._done[stream])

    def count(self) -> int:
        """All records ever made."""
        return self.finished + sum(numbering.count for numbering in self.streams.values())

    def numbers(self) -> int:
        """All sequence numbers ever given out, evicted ones included."""
        return self.numbered + sum(numbering.last for numbering in self.streams.values())

    def batch(self, stream: Stream, after: int, limit: int) -> tuple[bytes, str, int, int]:
        """Up to ``limit`` records after a number: payload, cursor, the last number that it accounts for, records."""
        numbering = self.streams[stream]
        numbers = []
        for number in numbering.made(after, numbering.last):
            numbers.append(number)
            if len(numbers) == limit:
                break
        until = numbers[-1] if numbers else after
        payload = b"[" + b",".join([self.record(stream, number) for number in numbers]) + b"]"
        return payload, str(Cursor(self.epoch, stream, until)), until, len(numbers)

    def record(self, stream: Stream, sequence: int) -> bytes:
        """The JSON of one record, by the gateway's own code."""
        rate = self._rate if stream == "perception" else SIDE_RATE
        time = self._start + int((self._since + sequence / rate) * 1e9)
        gap = self.streams[stream].gaps.get(sequence)
        identity = self._identity(stream, sequence, time)
        draft = _gap(stream, gap, time, identity) if gap else _draft(stream, sequence, time, identity)
        stamp = Stamp(time + COMMIT_NS, _clock.rfc3339(time + COMMIT_NS), "synced")
        return self._envelope.json(waiting(draft, "synced"), _clock.rfc3339(time), sequence, stamp)

    def _identity(self, stream: str, sequence: int, time: int) -> str:
        """A UUIDv7 whose random bits are a hash of the record's place, so that it is the same on every resend."""
        bits = hashlib.blake2b(f"{self.name} {self.epoch} {stream} {sequence}".encode(), digest_size=10).hexdigest()
        milliseconds = f"{time // 1_000_000:012x}"
        return f"{milliseconds[:8]}-{milliseconds[8:]}-7{bits[:3]}-8{bits[3:6]}-{bits[6:18]}"


def _gap(stream: Stream, gap: tuple[int, int], time: int, identity: str) -> Draft:
    first, last = gap
    data = {"stream": stream, "first": first, "last": last, "count": last - first + 1, "cause": "quota"}
    return Draft(stream, "linli.gap.v1", "", "store", time, data, identity)


def _draft(stream: Stream, sequence: int, time: int, identity: str) -> Draft:
    if stream == "perception":
        device, points = _reading(sequence)
        return Draft(stream, "linli.reading.v1", device, device, time, {"points": points}, identity)
    if stream == "management":
        data = {"state": "offline", "reason": "timeout", "text": "no answer to the last 3 polls"}
        return Draft(stream, "linli.device.state.v1", "meter-4", "meter-4", time, data, identity)
    if stream == "disposal":
        about = {"alarm": "sump-high", "occurrence": identity, "by": "uid:1000", "note": "pump sent for"}
        return Draft(stream, "linli.disposal.acknowledged.v1", "", "sump-high", time, about, identity)
    alarm = {
        "occurrence": identity, "state": "raised", "severity": "major",
        "text": {"zh": "集水井水位高", "en": "Sump level high"}, "when": "sump-level.level > 2.5",
        "points": {"sump-level.level": {"value": 2.61, "unit": "m", "quality": "good"}},
        "raised_at": _clock.rfc3339(time), "acknowledged_at": None, "cleared_at": None, "by": None, "note": None,
    }  # fmt: skip
    return Draft(stream, "linli.alarm.raised.v1", "sump-level", "sump-high", time, alarm, identity)


def _reading(sequence: int) -> tuple[str, dict[str, dict[str, object]]]:
    """Nine meters with six points each to one level, by turns."""
    device = sequence % (METERS + 1)
    phase = math.sin(sequence / 50)
    if device == METERS:
        return "sump-level", {"level": point_json(PointValue(round(1.8 + 0.3 * phase, 3)), "m")}
    values = (230 + 4 * phase, 6 + 2 * phase, 1380 + 500 * phase, 0.93, 50.0, 4000 + sequence / 100)
    points = {
        name: point_json(PointValue(round(value, 2)), unit) for (name, unit), value in zip(METER, values, strict=True)
    }
    return f"meter-{device}", points
