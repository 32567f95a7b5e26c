"""What a search brings to light: devices, clashes of several devices, and how long it may wait for answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.contract import PointValue
from gateway.settings import SerialSettings

MOST_PATIENCE = 1.0  # seconds
MARGIN = 0.02


@dataclass(frozen=True)
class Candidate:
    """A profile that fits a device. ``bits``: how much its values say, in bits; ``fraction``: of its points, read."""

    profile: str
    model: str
    family: str
    every: float
    bits: float
    fraction: float
    values: Mapping[str, PointValue]
    units: Mapping[str, str]
    serial: SerialSettings | None
    options: Mapping[str, Any]

    @property
    def weight(self) -> float:
        """What candidates are ranked by."""
        return self.bits * self.fraction


@dataclass
class Found:
    """A device. ``framing`` of Modbus only; ``seconds``: its slowest answer; ``readable``: a place that it gave."""

    driver: str
    address: str | int
    serial: SerialSettings | None
    framing: str = ""
    seconds: float = 0.0
    readable: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    sample: bytes = b""

    @property
    def key(self) -> tuple[object, ...]:
        """The same device, heard again with another format, has the same."""
        return (self.driver, self.framing, str(self.address), self.serial.baud if self.serial else None)

    @property
    def sureness(self) -> str:
        """``likely``, ``possible``, ``guess`` or ``none``: how far the first candidate can be believed."""
        if not self.candidates:
            return "none"
        best, *others = self.candidates
        lead = best.weight - others[0].weight if others else best.weight
        if best.weight >= SURE_BITS and lead >= SURE_LEAD:
            return "likely"
        return "possible" if best.weight >= POSSIBLE_BITS else "guess"


SURE_BITS, SURE_LEAD, POSSIBLE_BITS = 10.0, 3.0, 4.0


@dataclass(frozen=True)
class Clash:
    """Answers that nobody can be told from: what was seen, and what to do."""

    sentence: str
    fix: str


@dataclass
class Patience:
    """How many seconds a silent address is waited for: ``first``, until answers have taught what is usual here."""

    first: float
    least: float
    slowest: float = 0.0

    def learn(self, seconds: float) -> None:
        """An answer took so long."""
        self.slowest = max(self.slowest, seconds)

    @property
    def seconds(self) -> float:
        """The wait now."""
        if not self.slowest:
            return self.first
        return min(max(self.least, 3 * self.slowest + MARGIN), MOST_PATIENCE)
