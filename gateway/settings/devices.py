"""Lines, devices, points and device profiles."""

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from gateway.contract import LineKind
from gateway.settings.address import HostPort
from gateway.settings.base import Duration, IntOrText, MisfitError, Name, NumberOrText, Range, Table, pattern

SerialFormat = Annotated[
    str, pattern(r"^[5678][NEO][12]$", 'expected data bits, parity (N, E, O) and stop bits such as "8N1" or "8E1"')
]
Framing = Literal["tcp", "rtu", "ascii"]
ProfileName = Annotated[
    str, pattern(r"^[a-z0-9][a-z0-9._-]{0,63}$", 'expected the file name of a profile without .toml, such as "qdy30a"')
]
Baud = Annotated[int, Field(ge=50, le=4_000_000)]
MaxRead = Annotated[int, Field(ge=1, le=2000)]
Gap = Annotated[int, Field(ge=0, le=125)]

BAUD = "speed in bit/s"
FORMAT = "data bits, parity and stop bits"
EVERY = "how often it is read"
TIMEOUT = "how long an answer may take; of a station that calls us: how long it may be silent"
TURNAROUND = "silence that it needs before a request; the line's own turnaround counts, too"
FRAMING = "how Modbus frames stand on the line; `tcp` on TCP and UDP lines, `rtu` on serial ones"
MAX_READ = "most registers (or coils) in one request"
GAP = "most unwanted registers read along to join two requests"
OPTIONS = "what else the driver wants to know of the device, in the driver's own words"
POINTS = "the points: what can be read, by name"


class SerialSettings(Table):
    """``serial``: a device's own speed and format on a shared line."""

    baud: Baud = Field(default=9600, description=BAUD)
    format: SerialFormat = Field(default="8N1", description=FORMAT)


class LineSettings(Table):
    """``[[line]]``: one wire or socket; exactly one of serial, tcp, udp, listen."""

    name: Name = Field(description="the line's name", examples=["rs485-1"])
    serial: Path | None = Field(
        default=None, description="the serial port; best by id", examples=["/dev/serial/by-id/usb-FTDI_0421-if00"]
    )
    tcp: HostPort | None = Field(default=None, description="HOST:PORT to connect to", examples=["192.168.10.20:502"])
    udp: HostPort | None = Field(default=None, description="HOST:PORT to send datagrams to", examples=["10.0.0.20:502"])
    listen: HostPort | None = Field(
        default=None, description="ADDRESS:PORT where devices call us", examples=["0.0.0.0:5200"]
    )
    baud: Baud = Field(default=9600, description=BAUD)
    format: SerialFormat = Field(default="8N1", description=FORMAT)
    allow: tuple[str, ...] = Field(
        default=(), description="networks that may call a `listen` line", examples=[["192.168.10.0/24"]]
    )
    turnaround: Duration = Field(default=0.0, le=10, description="silence kept between an answer and the next request")

    @field_validator("allow")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ValueError(f'"{network}" is not a network; {_network_fix(network)}') from None
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [kind.value for kind in LineKind if getattr(self, kind.value) is not None]
        if not ways:
            raise MisfitError('says nowhere where it leads; expected serial = "/dev/…" or tcp = "HOST:PORT"')
        if len(ways) > 1:
            raise MisfitError(f"has {' and '.join(ways)}; a line is one wire or socket: keep one of them", ways[-1])
        if self.listen is not None and not self.allow:
            raise MisfitError('has listen but not allow; name who may call, e.g. allow = ["192.168.10.0/24"]', "listen")
        if self.listen is None and self.allow:
            raise MisfitError("has allow, which only a listen line uses; delete it", "allow")
        if self.serial is None:
            wrong = sorted({"baud", "format"} & self.model_fields_set)
            if wrong:
                raise MisfitError(f"has {' and '.join(wrong)}, which only a serial line uses; delete it", wrong[0])
        return self

    @property
    def kind(self) -> LineKind:
        """Which of the four ways this line is."""
        for kind in LineKind:
            if getattr(self, kind.value) is not None:
                return kind
        raise AssertionError("validated")


class ReportSettings(Table):
    """``report``: what of a point becomes a record."""

    on: Literal["always", "change"] = Field(default="always", description="record every answered poll, or only changes")
    deadband: float = Field(default=0.0, ge=0, description="smallest change that counts, in the point's unit")
    at_least: Duration | None = Field(default=None, description="record at least this often, changed or not")

    @model_validator(mode="after")
    def _of_changes(self) -> Self:
        idle = [key for key in ("deadband", "at_least") if key in self.model_fields_set]
        if self.on == "always" and idle:
            raise MisfitError(f'has {" and ".join(idle)}, which works only with on = "change"; add it', idle[0])
        return self


class PointSettings(Table):
    """``points.<name>``: where a value is and what it means; the same keys in a profile and in a configuration."""

    at: str = Field(
        min_length=1,
        description="where the driver finds it, in the driver's words",
        examples=["holding:0", "input:0x0C"],
    )
    type: Literal[
        "bool",
        "int16",
        "uint16",
        "int32",
        "uint32",
        "int64",
        "uint64",
        "float32",
        "float64",
        "bcd",
        "sbcd",
        "string",
        "bits",
    ] = Field(default="uint16", description="how the raw bytes are read; `sbcd` is `bcd` whose top bit is the sign")
    order: Literal["ABCD", "CDAB", "BADC", "DCBA"] = Field(
        default="ABCD", description="byte order of several registers"
    )
    length: int | None = Field(
        default=None, ge=1, le=125, description="registers (bytes, for a meter) of a `string` or `bcd`"
    )
    bit: int | None = Field(default=None, ge=0, le=15, description="one bit of a register, 0 is the lowest")
    invert: bool = Field(default=False, description="a `bool` the other way round")
    scale: float = Field(default=1.0, description="the raw value is multiplied by this")
    offset: float = Field(default=0.0, description="added after scaling, in the point's unit")
    decimals: str | None = Field(default=None, description="point that holds the number of decimals")
    ratio: NumberOrText | None = Field(default=None, description="factor, or the point that holds it (transformers)")
    enum: dict[str, str] = Field(default={}, description="words for raw values", examples=[{"0": "off", "1": "on"}])
    unit: str = Field(default="", description="unit of the value", examples=["m", "A", "°C"])
    valid: Range | None = Field(default=None, description="[lowest, highest] believable value, in the point's unit")
    na: tuple[float, ...] = Field(default=(), description="raw values that mean: not available", examples=[[65535]])
    write: bool = Field(default=False, description="the point may be written; a number then also needs valid")
    report: ReportSettings = Field(default=ReportSettings(), description="what of this point becomes a record")

    @model_validator(mode="after")
    def _sound(self) -> Self:
        text = self.type == "string"
        if self.scale == 0:
            raise MisfitError("has scale = 0, which makes every value 0; expected another number", "scale")
        if self.write and self.is_number and self.valid is None:
            raise MisfitError(
                "is a writable number without valid; say what may be written, e.g. valid = [0, 100]", "write"
            )
        if self.report.deadband and (text or self.type == "bool"):
            raise MisfitError(f'has a deadband, but "{self.type}" is no number; delete deadband', "report")
        return self

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers (neither bool, text, bits nor words)."""
        return self.type not in ("bool", "string", "bits") and self.bit is None and not self.enum


class Vector(Table):
    """``[[vector]]`` of a profile: what the device sent and what it means; ``source`` says honestly where from."""

    source: str = Field(
        min_length=1,
        description="capture YYYY-MM-DD (unit, firmware), manual p. N, published, or synthetic",
        examples=["manual p. 12", "synthetic"],
    )
    address: IntOrText | None = Field(default=None, description="address of the device that the frames belong to")
    registers: dict[str, list[int]] = Field(default={}, description="raw registers, by their address as in `at`")
    frames: list[str] = Field(default=[], description="raw frames in hexadecimal, request and answer in turn")
    expect: dict[str, Any] = Field(description="the value of each point")


class Profile(Table):
    """One device model as data: config/devices/<profile>.toml."""

    driver: Name = Field(description="the driver that speaks to it", examples=["modbus"])
    model: str = Field(min_length=1, description="maker and model", examples=["Eastron SDM120"])
    family: str = Field(default="", description="kind of device", examples=["electricity meter"])
    every: Duration = Field(default=5.0, gt=0, description=EVERY)
    serial: SerialSettings | None = Field(default=None, description="speed and format it is delivered with")
    framing: Framing | None = Field(default=None, description=FRAMING)
    max_read: MaxRead | None = Field(default=None, description=MAX_READ)
    gap: Gap | None = Field(default=None, description=GAP)
    timeout: Duration | None = Field(default=None, gt=0, description=TIMEOUT)
    turnaround: Duration | None = Field(default=None, ge=0, le=10, description=TURNAROUND)
    options: dict[str, Any] = Field(default={}, description=OPTIONS, examples=[{"wake": 4}])
    points: dict[Name, PointSettings] = Field(default={}, description=POINTS)
    vector: tuple[Vector, ...] = Field(default=(), description="test vectors; a profile without one fails the tests")


class DeviceSettings(Table):
    """``[[device]]``: one device on a line, by profile or with its points written out."""

    name: Name = Field(description="the device's name", examples=["sump-level"])
    line: Name = Field(description="the line it is connected to", examples=["rs485-1"])
    profile: ProfileName | None = Field(
        default=None, description="its model: a file in config/devices or devices beside this file", examples=["qdy30a"]
    )
    driver: Name | None = Field(
        default=None, description="the driver, for a device without a profile", examples=["modbus"]
    )
    address: IntOrText = Field(default=1, description="its address on the line", examples=[3, "202312345678"])
    every: Duration | None = Field(default=None, gt=0, description=EVERY)
    timeout: Duration | None = Field(default=None, gt=0, le=86400, description=TIMEOUT)
    turnaround: Duration | None = Field(default=None, ge=0, le=10, description=TURNAROUND)
    framing: Framing | None = Field(default=None, description=FRAMING)
    serial: SerialSettings | None = Field(default=None, description="its own speed and format on the shared line")
    max_read: MaxRead | None = Field(default=None, description=MAX_READ)
    gap: Gap | None = Field(default=None, description=GAP)
    password_file: Path | None = Field(
        default=None,
        description="file with the password that a station which calls us must send",
        examples=["/etc/linli/secrets/dust-station"],
    )
    write: tuple[Name, ...] = Field(
        default=(), description="points of its profile that may be written: those that the profile says can be"
    )
    options: dict[str, Any] = Field(default={}, description=OPTIONS, examples=[{"wake": 4}])
    points: dict[Name, PointSettings] = Field(default={}, description=POINTS)

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.profile and self.driver:
            raise MisfitError(
                "has both profile and driver; a profile already names its driver: delete driver", "driver"
            )
        if not self.profile and not self.driver:
            raise MisfitError('needs a profile, e.g. profile = "qdy30a", or driver = "modbus" with its own points')
        if self.driver and not self.points:
            raise MisfitError("has a driver but no points; write at least one [device.points.NAME] below it", "driver")
        return self


def _network_fix(network: str) -> str:
    try:
        return f'did you mean "{ipaddress.ip_network(network, strict=False)}"?'
    except ValueError:
        return 'expected an address and prefix such as "192.168.10.0/24"'
