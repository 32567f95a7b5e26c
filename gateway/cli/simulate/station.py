"""One simulated device on its line: its slave, what is wrong with it now, and what it has done so far."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from gateway.cli.simulate.slave import Slave
from gateway.contract import Scalar
from gateway.settings import SerialSettings

FaultKind = Literal[
    "silence", "cut", "unplug", "noise", "wrong-crc", "late", "echo", "busy", "exception", "stuck",
    "duplicate-address", "half", "na",
]  # fmt: skip
OF_LINES: frozenset[FaultKind] = frozenset({"silence", "cut", "unplug", "noise", "late", "echo"})
LATE = 1.5  # seconds, without another word
TWIN_SHIFT = 2  # bytes that the second of two devices with one address begins later
Served = Callable[[str, dict[str, Scalar | None]], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong for a while: ``percent`` of bytes, ``delay`` in s, ``code`` in the protocol's words."""

    kind: FaultKind
    percent: float = 0.0
    delay: float = LATE
    code: int | None = None
    points: frozenset[str] = frozenset()


class Said(NamedTuple):
    """Bytes on the wire, and how many seconds later than due they begin."""

    data: bytes
    delay: float = 0.0


@dataclass
class Counts:
    """What a device has done: questions it answered, refused and ignored."""

    answered: int = 0
    refused: int = 0
    ignored: int = 0
    spoken: int = 0


@dataclass
class Station:
    """``serial``: at what speed it listens, None for any; ``twin``: who answers with it when both have one address."""

    name: str
    what: str
    slave: Slave
    serial: SerialSettings | None
    twin: Slave
    faults: dict[int, Fault] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)

    def hear(self, question: bytes, elapsed: float, chance: random.Random, served: Served) -> Said | None:
        """Answer, as far as the faults of the moment let it; None when the question is not for it."""
        faults = {fault.kind: fault for fault in self.faults.values()}
        self.settle(faults, elapsed)
        now = self.slave.values.at(elapsed)
        answer = self.slave.hear(question, now)
        if not answer:
            return None
        if "silence" in faults:
            self.counts.ignored += 1
            return Said(b"")
        if self.slave.refusal is not None:
            self.counts.refused += 1
        else:
            self.counts.answered += 1
            served(self.name, now.shown())
        if "duplicate-address" in faults:
            answer = collide(answer, self.twin.hear(question, self.twin.values.at(elapsed)))
        return self.spoil(answer, faults, question, chance)

    def speak(self, elapsed: float, chance: random.Random, served: Served) -> Said:
        """What a device says that speaks by itself."""
        faults = {fault.kind: fault for fault in self.faults.values()}
        self.settle(faults, elapsed)
        if "silence" in faults:
            self.counts.ignored += 1
            return Said(b"")
        now = self.slave.values.at(elapsed)
        self.counts.spoken += 1
        served(self.name, now.shown())
        return self.spoil(self.slave.say(now), faults, b"", chance)

    def settle(self, faults: dict[FaultKind, Fault], elapsed: float) -> None:
        """Bring the slave into the state that the faults ask for."""
        slave, values = self.slave, self.slave.values
        slave.refusal = None
        if "busy" in faults:
            slave.refusal = slave.busy_code
        if "exception" in faults:
            slave.refusal = faults["exception"].code
        if "stuck" not in faults:
            values.frozen = None
        elif values.frozen is None:
            values.frozen = elapsed
        absent = faults.get("na")
        values.missing = set(absent.points or values.gauges) if absent else set()

    def spoil(self, answer: bytes, faults: dict[FaultKind, Fault], question: bytes, chance: random.Random) -> Said:
        """Damage and delay what was said."""
        if "wrong-crc" in faults:
            answer = self.slave.break_check(answer)
        if "half" in faults:
            answer = answer[: len(answer) // 2]
        if "noise" in faults:
            answer = noisy(answer, faults["noise"].percent, chance)
        if "echo" in faults:
            answer = question + answer
        return Said(answer, faults["late"].delay if "late" in faults else 0.0)


def noisy(data: bytes, percent: float, chance: random.Random) -> bytes:
    """Replace each byte with a chance of ``percent`` in 100."""
    return bytes(chance.randrange(256) if chance.random() * 100 < percent else byte for byte in data)


def collide(first: bytes, second: bytes) -> bytes:
    """What a wire carries when two drive it at once, not quite together: of differing bits the dominant 0 wins."""
    if not first or not second:
        return first or second
    shifted = b"\xff" * TWIN_SHIFT + second
    length = max(len(first), len(shifted))
    return bytes(a & b for a, b in zip(first.ljust(length, b"\xff"), shifted.ljust(length, b"\xff"), strict=True))


def silent_now(faults: dict[int, Fault], *kinds: FaultKind) -> bool:
    """Whether one of these faults holds."""
    return any(fault.kind in kinds for fault in faults.values())
