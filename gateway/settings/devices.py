"""Lines, devices, points and device profiles."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from gateway.contract import LineKind
from gateway.settings.base import Duration, Name, Table

SerialFormat = Annotated[str, StringConstraints(pattern=r"^[5678][NEO][12]$")]
Framing = Literal["tcp", "rtu", "ascii"]


class SerialSettings(Table):
    """``serial``: a device's own speed and format on a shared line."""

    baud: Annotated[int, Field(ge=50, le=4_000_000)] = 9600
    format: SerialFormat = "8N1"


class LineSettings(Table):
    """``[[line]]``: one wire or socket; exactly one of serial, tcp, udp, listen."""

    name: Name
    serial: Path | None = None
    tcp: str | None = None
    udp: str | None = None
    listen: str | None = None
    baud: Annotated[int, Field(ge=50, le=4_000_000)] = 9600
    format: SerialFormat = "8N1"
    allow: tuple[str, ...] = ()
    turnaround: Duration = 0.0

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.serial, self.tcp, self.udp, self.listen)) != 1:
            raise ValueError('a line needs exactly one of serial, tcp, udp or listen, e.g. tcp = "192.168.10.20:502"')
        if self.listen is not None and not self.allow:
            raise ValueError('a listen line needs allow, e.g. allow = ["192.168.10.0/24"]')
        return self

    @property
    def kind(self) -> LineKind:
        """Which of the four ways this line is."""
        for kind in LineKind:
            if getattr(self, kind.value) is not None:
                return kind
        raise AssertionError("validated")


class ReportSettings(Table):
    """``report``: what of a point becomes a record. ``deadband`` in the point's unit, ``at_least`` in seconds."""

    on: Literal["always", "change"] = "always"
    deadband: Annotated[float, Field(ge=0)] = 0.0
    at_least: Duration | None = None


class PointSettings(Table):
    """``points.<name>``: where a value is and what it means; the same keys in a profile and in a configuration."""

    at: str
    type: Literal[
        "bool", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bcd", "string", "bits"
    ] = "uint16"
    order: Literal["ABCD", "CDAB", "BADC", "DCBA"] = "ABCD"
    length: Annotated[int, Field(ge=1, le=125)] | None = None
    bit: Annotated[int, Field(ge=0, le=15)] | None = None
    invert: bool = False
    scale: float = 1.0
    offset: float = 0.0
    decimals: str | None = None
    ratio: str | float | None = None
    enum: dict[str, str] = {}
    unit: str = ""
    valid: tuple[float, float] | None = None
    na: tuple[float, ...] = ()
    write: bool = False
    report: ReportSettings = ReportSettings()


class Vector(Table):
    """``[[vector]]`` of a profile: what the device sent and what it means; ``source`` says honestly where from."""

    source: str
    registers: dict[str, list[int]] = {}
    frames: list[str] = []
    expect: dict[str, Any]


class Profile(Table):
    """One device model as data: config/devices/<profile>.toml."""

    driver: Name
    model: str
    family: str = ""
    every: Duration = 5.0
    serial: SerialSettings | None = None
    framing: Framing | None = None
    max_read: Annotated[int, Field(ge=1, le=2000)] | None = None
    gap: Annotated[int, Field(ge=0, le=125)] | None = None
    timeout: Duration | None = None
    points: dict[Name, PointSettings] = {}
    vector: tuple[Vector, ...] = ()


class DeviceSettings(Table):
    """``[[device]]``: one device on a line, by profile or with its points written out."""

    name: Name
    line: Name
    profile: str | None = None
    driver: Name | None = None
    address: str | int = 1
    every: Annotated[Duration, Field(gt=0)] | None = None
    timeout: Annotated[Duration, Field(gt=0)] | None = None
    framing: Framing | None = None
    serial: SerialSettings | None = None
    max_read: Annotated[int, Field(ge=1, le=2000)] | None = None
    gap: Annotated[int, Field(ge=0, le=125)] | None = None
    points: dict[Name, PointSettings] = {}
