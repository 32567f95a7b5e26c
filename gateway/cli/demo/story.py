"""What the pulled records tell: counts, last values, alarms, passages, and whether anything is missing."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.contract import STREAMS

Event = Mapping[str, Any]

REMEMBERED_IDS = 100_000
REMEMBERED_LINES = 8


class Ledger:
    """Proves the completeness of one stream: every sequence number once, or inside a gap record."""

    def __init__(self) -> None:
        self.pulled = 0
        self.last = 0
        self.faults: list[str] = []
        self._missing: set[int] = set()
        self._ids: dict[str, None] = {}

    def take(self, record: Event) -> bool:
        """Enter one record, in the order it was pulled; False when it was there before."""
        sequence, identity = int(record["sequence"]), str(record["id"])
        if identity in self._ids or sequence <= self.last:
            self.faults.append(f"sequence {sequence} came twice or out of order")
            return False
        self._missing.update(range(self.last + 1, sequence))
        self.last = sequence
        self.pulled += 1
        self._ids[identity] = None
        if len(self._ids) > REMEMBERED_IDS:
            del self._ids[next(iter(self._ids))]
        if record["type"] == "linli.gap.v1":
            gap = record["data"]
            self._missing.difference_update(range(int(gap["first"]), int(gap["last"]) + 1))
        return True

    @property
    def missing(self) -> int:
        """How many sequence numbers neither came nor are explained by a gap record."""
        return len(self._missing)


@dataclass
class Story:
    """Everything the demo shows and sums up; fed with records only, so it knows what a platform knows."""

    ledgers: dict[str, Ledger] = field(default_factory=lambda: {stream: Ledger() for stream in STREAMS})
    values: int = 0
    bad_values: int = 0
    readings: int = 0
    raised: int = 0
    acknowledged: int = 0
    cleared: int = 0
    silent: int = 0
    back: int = 0
    plates: Counter[str] = field(default_factory=Counter)
    latest: dict[str, Event] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    alarms: dict[str, Event] = field(default_factory=dict)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED_LINES))

    def take(self, record: Event) -> Iterator[str]:
        """Enter one pulled record; yields the lines that a person should see."""
        if not self.ledgers[record["stream"]].take(record):
            return
        line = self._enter(record)
        if line:
            line = f"{clock_time(record['time'])}  {line}"
            self.lines.append(line)
            yield line

    @property
    def pulled(self) -> int:
        """Records pulled, all streams."""
        return sum(ledger.pulled for ledger in self.ledgers.values())

    @property
    def passages(self) -> int:
        """Passages pulled, with a plate or without."""
        return self.plates.total()

    @property
    def faults(self) -> list[str]:
        """What is wrong with the streams, as sentences; empty when they are complete."""
        found = []
        for stream, ledger in self.ledgers.items():
            found += [f"{stream}: {fault}" for fault in ledger.faults[:3]]
            if ledger.missing:
                found.append(f"{stream}: {ledger.missing} sequence numbers missing without a gap record")
        return found

    def behind(self, streams: Mapping[str, Mapping[str, int]]) -> list[str]:
        """Streams of which the gateway has more than was pulled; ``streams`` as in its status."""
        return [name for name, bounds in streams.items() if self.ledgers[name].last < bounds["last"]]

    def _enter(self, record: Event) -> str:
        kind, subject, data = record["type"], record["subject"], record["data"]
        name = record["source"].rpartition("/")[2]
        if kind == "linli.reading.v1":
            self.readings += 1
            self.values += len(data["points"])
            self.bad_values += sum(point["quality"] == "bad" for point in data["points"].values())
            self.latest[name] = record
            return ""
        if kind == "linli.vehicle.passage.v1":
            self.plates[(data.get("plate") or {}).get("text") or ""] += 1
            return f"passage  {name}: {passage_text(data)}"
        if kind == "linli.alarm.raised.v1":
            self.raised += 1
            self.alarms[subject] = record
            return f"ALARM    {subject} raised ({data['severity']}): {alarm_text(data)}"
        if kind == "linli.alarm.cleared.v1":
            self.cleared += 1
            self.alarms.pop(subject, None)
            return f"alarm    {subject} cleared"
        if kind == "linli.disposal.acknowledged.v1":
            self.acknowledged += 1
            return f"disposal {subject} acknowledged by {data.get('by')}: {data.get('note')}"
        if kind in {"linli.device.state.v1", "linli.camera.state.v1"}:
            return self._enter_state(name, data)
        return ""

    def _enter_state(self, name: str, data: Event) -> str:
        before, now = self.states.get(name), str(data["state"])
        self.states[name] = now
        if before == now or now == "starting":
            return ""
        lost = now in {"offline", "degraded"}
        if lost and before == "online":
            self.silent += 1
        if now == "online" and before in {"offline", "degraded"}:
            self.back += 1
        return f"state    {name} is {now}" + (f": {state_text(data)}" if lost else "")


def clock_time(rfc3339: str) -> str:
    """The time of day of an RFC 3339 text, to the second."""
    return rfc3339[11:19]


def passage_text(data: Event) -> str:
    """A passage in a few words."""
    plate = data.get("plate") or {}
    sure = plate.get("confidence")
    words = [
        plate.get("text") or "no plate read",
        f"({plate['color']})" if plate.get("text") and plate.get("color") else "",
        {"in": "drives in", "out": "drives out", "none": "does not cross"}.get(data["direction"], data["direction"]),
        f"by lane {data['lane']}",
        f"(confidence {sure:.2f})" if plate.get("text") and sure is not None else "",
        "with picture" if data.get("picture") else "",
    ]
    return " ".join(word for word in words if word)


def alarm_text(data: Event) -> str:
    """An alarm's own words in all languages, then the readings behind it."""
    texts = data.get("text") or {}
    words = " / ".join(texts.values()) if isinstance(texts, Mapping) else str(texts)
    points = data.get("points") or {}
    if isinstance(points, Mapping):
        behind = ", ".join(
            f"{name} {point_text(point)}" for name, point in points.items() if isinstance(point, Mapping)
        )
        words += f" [{behind}]" if behind else ""
    return words


def state_text(data: Event) -> str:
    """The sentence of a state record: ``text``, or ``reason`` where it is the sentence itself."""
    reason = data.get("reason")
    if isinstance(reason, Mapping):
        return str(reason.get("text") or reason.get("sentence") or reason.get("code") or "")
    return str(data.get("text") or reason or "")


def point_text(point: Event) -> str:
    """A value with its unit, or why there is none."""
    value = point.get("value")
    if value is None:
        return f"bad ({point.get('reason', 'no reason given')})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:,.2f}" if isinstance(value, float) else str(value)
    return f"{text} {point.get('unit', '')}".rstrip()
