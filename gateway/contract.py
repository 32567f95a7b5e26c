"""What the parts of the gateway owe each other: readings, records, drivers, errors. Imports nothing of ours."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

STREAMS: tuple[Stream, ...] = ("perception", "management", "alarm", "disposal")
SEND_ORDER: tuple[Stream, ...] = ("alarm", "disposal", "management", "perception")

Stream = Literal["perception", "management", "alarm", "disposal"]
Quality = Literal["good", "uncertain", "bad"]
TimeQuality = Literal["synced", "holdover", "unknown"]
# How long a picture or clip is kept: as one of an ordinary passage, on a list or not, or as all others.
Kept = Literal["", "vehicle", "unlisted"]
Severity = Literal["warning", "minor", "major", "critical"]
Scalar = float | int | bool | str


# ---------------------------------------------------------------------------------------------------------- errors


class LinliError(Exception):
    """Any failure that we name; its text is fit to be read by a technician."""


class ConfigError(LinliError):
    """The configuration cannot be used: exit code 78, no restart.

    ``problems`` are whole lines ``FILE:LINE: key: what is wrong; fix``.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LinkError(LinliError):
    """A serial port, socket or other pipe cannot be opened or broke; ``reason`` is a short code."""

    def __init__(self, sentence: str, reason: str = "link") -> None:
        super().__init__(sentence)
        self.reason = reason


class DeviceError(LinliError):
    """A device answered wrongly or not at all; only ``sources`` retries. ``frame`` keeps the bytes, if any."""

    def __init__(self, sentence: str, reason: str = "protocol", frame: bytes = b"") -> None:
        super().__init__(sentence)
        self.reason = reason
        self.frame = frame


class DeviceSilentError(DeviceError):
    """Nothing came back within the device's timeout."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, reason="timeout")


class CommandError(LinliError):
    """A command was refused. ``status`` is the HTTP status that says the same (400, 403, 404, 409, 410, 503)."""

    def __init__(self, sentence: str, status: int = 400, **extra: object) -> None:
        super().__init__(sentence)
        self.status = status
        self.extra = extra


# ---------------------------------------------------------------------------------------------------------- readings


class PointValue(NamedTuple):
    """One value of one point. ``value`` is None if and only if ``quality`` is bad; then ``reason`` says why."""

    value: Scalar | None
    quality: Quality = "good"
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One whole read of one device: all points that were asked for, good or bad.

    ``time`` is wall-clock nanoseconds since 1970 (UTC), ``monotonic`` seconds of the clock that never steps.
    ``record`` names the points that belong into the record (report policy); empty means: rules only.
    ``told`` are times by the device's own clock, RFC 3339 text by point, of a device that gives them.
    """

    device: str
    time: int
    monotonic: float
    points: Mapping[str, PointValue]
    record: frozenset[str] = frozenset()
    units: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """Something that a station reports and that is no value of a point: becomes a ``linli.device.event.v1``.

    ``alarm``: it is about life and limb, goes into the stream ``alarm`` and to disk at once. ``data`` is its ``data``.
    """

    device: str
    time: int
    monotonic: float
    data: Mapping[str, Any]
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class VisionEvent:
    """One result of a camera: a record to be, its pictures, and the condition it raises for the rules.

    ``event`` are the words rules know (``deny``, ``fall``, ``passage``), with spaces between; ``media`` maps a key
    of ``data`` (``picture``) to (bytes, content type, suffix); the store files them and fills in ``sha256``, ``bytes``
    and ``content_type``.
    An empty ``type`` is an early word for the rules alone: what is certain so far, before the record is whole.
    ``told`` are those of its words that an early word has said already: they are no news.
    ``purpose`` is why its camera looks, which every record of it has to say (PIPL, article 6).
    ``kept`` says how long what it shows is kept.
    ``owes`` is what has to be recorded, under its own id, if what is promised by this never comes, be it for a power
    cut; ``settles`` is the id of what was owed and is so no more.
    """

    camera: str
    time: int
    monotonic: float
    type: str
    subject: str
    data: Mapping[str, Any]
    event: str = ""
    media: Mapping[str, tuple[bytes, str, str]] = field(default_factory=dict)
    id: str = ""
    purpose: str = ""
    told: str = ""
    kept: Kept = ""
    owes: VisionEvent | None = None
    settles: str = ""


class SourceState(StrEnum):
    """Life of a device or camera, as in ``linli.device.state.v1``."""

    STARTING = "starting"
    ONLINE = "online"
    DEGRADED = "degraded"
    OFFLINE = "offline"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class StateChange:
    """A device or camera changed state; becomes one management record. ``reason`` is a short code.

    ``besides`` are codes of what else lessens it, less seriously.
    """

    kind: Literal["device", "camera", "gateway"]
    name: str
    state: SourceState
    reason: str
    sentence: str
    time: int
    monotonic: float
    besides: tuple[str, ...] = ()


BusItem = Reading | DeviceEvent | VisionEvent | StateChange


# ---------------------------------------------------------------------------------------------------------- records


@dataclass(frozen=True, slots=True)
class Draft:
    """A record before the store has numbered it. The id is made here, so that an alarm has one without a disk.

    ``source`` is the device's, camera's or part's name, or "" for the gateway itself; ``time`` as in Reading.
    ``extra`` holds further CloudEvents attributes (``severitytext``, ``severitynumber``). ``monotonic`` is the same
    moment on the clock that never steps; without it the store works it out from ``time``. ``quality`` is how far
    ``time`` could be trusted when it was taken, if that was long ago: nothing waits for the clock or is corrected then.
    """

    stream: Stream
    type: str
    source: str
    subject: str
    time: int
    data: Mapping[str, Any]
    id: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    monotonic: float | None = None
    quality: TimeQuality | None = None


class Record(NamedTuple):
    """A stored record: its place in the stream and the very JSON bytes (one CloudEvent) that leave by every way."""

    sequence: int
    json: bytes


class Run(NamedTuple):
    """So many ``records``, those with ``after`` < sequence <= ``last``, as one JSON array."""

    after: int
    last: int
    records: int
    json: bytes

    @classmethod
    def of(cls, after: int, records: Sequence[Record]) -> Run:
        """Make a run of at least one record."""
        json = b"[" + b",".join([record.json for record in records]) + b"]"
        return cls(after, records[-1].sequence, len(records), json)


class Cursor(NamedTuple):
    """A position in a stream: everything up to and including ``sequence`` is behind it. 0 is the start."""

    epoch: str
    stream: Stream
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.stream}.{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read the text form; CommandError 400 when it is malformed."""
        epoch, _, rest = text.partition(".")
        stream, _, number = rest.partition(".")
        ok = epoch.isalnum() and epoch.isascii() and number.isdecimal() and number.isascii() and len(number) <= 20
        if not ok or stream not in STREAMS:
            raise CommandError(f"malformed cursor {text[:80]!r}: use one that this gateway gave out")
        return cls(epoch, stream, int(number))


def record_id(time_ns: int) -> str:
    """Make a UUIDv7 (RFC 9562, 5.7) from a wall-clock time in nanoseconds and 74 random bits."""
    milliseconds = (time_ns // 1_000_000) & (1 << 48) - 1
    random = int.from_bytes(os.urandom(10), "big")
    number = milliseconds << 80 | 0x7 << 76 | (random >> 62 & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


# ---------------------------------------------------------------------------------------------------------- devices


@dataclass(frozen=True, slots=True)
class Point:
    """What a driver must know of one point. ``at`` and ``type`` are the driver's own words, checked by the driver."""

    name: str
    at: str
    type: str = "uint16"
    order: str = "ABCD"
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    valid: tuple[float, float] | None = None
    na: tuple[float, ...] = ()
    write: bool = False
    length: int | None = None
    bit: int | None = None
    invert: bool = False
    enum: Mapping[str, str] = field(default_factory=dict)
    decimals: str | None = None
    ratio: str | float | None = None


class Pipe(Protocol):
    """An opened byte pipe, lent to a driver for one transaction by the line's owner."""

    async def write(self, data: bytes) -> None:
        """Send; LinkError when the pipe is broken."""

    async def read(self, at_most: int = 4096) -> bytes:
        """Return the bytes that are there, waiting for the first; DeviceSilentError when the time is up."""

    async def drain_input(self) -> bytes:
        """Throw away, and return, what came unasked, since the transaction before this one."""


class Driver(Protocol):
    """Turns bytes into named values for one device. Never sleeps, retries, stores or reads a clock."""

    async def read(self, pipe: Pipe, points: frozenset[str]) -> Mapping[str, PointValue]:
        """Read these points once; a point that alone cannot be read comes back bad, DeviceError if none can."""


class Written(NamedTuple):
    """What a write found and left, both as read from the device. ``fault``: why it was not done, or not surely."""

    before: PointValue
    after: PointValue
    fault: DeviceError | None = None


class Writer(Protocol):
    """What a Driver also has if it can set points; each write is one transaction: read, write, read back."""

    def check(self, point: str, value: Scalar) -> None:
        """CommandError 400 unless exactly this value can be written; it names what can."""

    async def write(self, pipe: Pipe, point: str, value: Scalar) -> Written:
        """Set a point whose value was checked; DeviceError only while nothing was sent that could change it."""


class ClockSetter(Protocol):
    """What a Driver also has if it can set the clocks of all devices of its kind on a line at once.

    ``sets_clock``: this device's configuration asks for it.
    """

    sets_clock: bool

    async def set_clocks(self, pipe: Pipe, now: datetime) -> None:
        """Broadcast the local time, which nobody answers."""


@runtime_checkable
class Learner(Protocol):
    """What a Driver also has if it learns what its device takes, so that a restart need not learn it again."""

    def learned(self) -> Mapping[str, Any]:
        """What it knows, as JSON; the same object until it has learned something new."""

    def recall(self, known: Mapping[str, Any]) -> None:
        """Take over from an earlier run; what makes no sense is passed over."""


class LineKind(StrEnum):
    """How a line carries bytes."""

    SERIAL = "serial"
    TCP = "tcp"
    UDP = "udp"
    LISTEN = "listen"


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A device as its driver sees it: profile and configuration already merged, defaults filled in."""

    name: str
    driver: str
    address: str | int
    line_kind: LineKind
    points: Mapping[str, Point]
    options: Mapping[str, Any] = field(default_factory=dict)


MakeDriver = Callable[[DeviceSpec], Driver]
Put = Callable[[BusItem], Awaitable[None]]


class Clock(Protocol):
    """Time, passed in everywhere and never patched."""

    def wall(self) -> int:
        """Nanoseconds since 1970, UTC; may step."""

    def monotonic(self) -> float:
        """Seconds that never step back."""

    def quality(self) -> TimeQuality:
        """How far ``wall`` can be trusted now."""

    async def sleep(self, seconds: float) -> None:
        """Wait; the one sleep of the gateway."""

    def rfc3339(self, time_ns: int) -> str:
        """Millisecond RFC 3339 text with the gateway's zone offset."""
