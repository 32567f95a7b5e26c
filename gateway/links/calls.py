"""What a line on which stations call us and the drivers of those stations owe each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from gateway.contract import DeviceError, DeviceSpec, PointValue


@dataclass(frozen=True, slots=True)
class Call:
    """One message of a station that called us. ``station`` is whom it says it is from, in the protocol's own words.

    ``fault`` (``crc``, ``length``, …) says why nothing in ``frame`` may be believed; empty for a sound one.
    """

    station: str
    frame: bytes
    fault: str = ""


class Ears(Protocol):
    """Cuts what comes over one connection into messages; keeps little, whatever comes."""

    def feed(self, data: bytes) -> list[Call]:
        """Take more bytes; return the messages that are whole now."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that a station reported and that is recorded; ``data`` as in ``DeviceEvent``, ``time`` by its clock."""

    data: Mapping[str, Any]
    alarm: bool = False
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What one message of a station means, and the ``reply`` it is to get once that is on the bus.

    ``told`` are times by the station's own clock, naive and local, by point; ``clock`` is that clock when it spoke.
    ``unnamed`` describes what it said beside all points. ``fault``: the message counts for nothing.
    """

    reply: bytes = b""
    values: Mapping[str, PointValue] = field(default_factory=dict)
    told: Mapping[str, datetime] = field(default_factory=dict)
    happenings: tuple[Happening, ...] = ()
    unnamed: tuple[str, ...] = ()
    clock: datetime | None = None
    fault: DeviceError | None = None


class StationDriver(Protocol):
    """Turns the calls of one station into values and replies. Never sleeps, retries, stores or reads a clock."""

    station: str  # as ``Call.station`` names it
    password: str | None  # what the station must say; None: anything goes
    urgent: frozenset[str]  # points for which somebody must be told at once

    def ears(self) -> Ears:
        """Begin to hear a connection on which this protocol may be spoken."""

    def hear(self, call: Call, now: datetime | None, monotonic: float) -> Heard:
        """Take one message. ``now`` is the local time, None while it is not known."""

    def held(self) -> Mapping[str, PointValue]:
        """Return the values that hold until the station says otherwise, as far as it has said anything."""

    def doubt(self) -> None:
        """Take what holds with a grain of salt: the station was silent, and may not have said everything."""


MakeStation = Callable[[DeviceSpec], StationDriver]
