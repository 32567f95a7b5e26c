"""Joins a device with its profile: what the configuration leaves open, the profile or the default fills."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.contract import DeviceSpec, LineKind, Point
from gateway.settings.devices import (
    DeviceSettings,
    LineSettings,
    PointSettings,
    Profile,
    ReportSettings,
    SerialSettings,
)

DEFAULT_EVERY = 5.0
DEFAULT_TIMEOUT = 1.0
DEFAULT_SILENCE = 300.0  # that a station may keep, which calls us


@dataclass(frozen=True, slots=True)
class ResolvedDevice:
    """A device ready to run. ``every``, ``timeout`` and ``turnaround`` in seconds; ``reports`` by point."""

    name: str
    model: str
    spec: DeviceSpec
    line: LineSettings
    every: float
    timeout: float
    serial: SerialSettings | None
    reports: Mapping[str, ReportSettings]
    turnaround: float = 0.0
    password_file: Path | None = None

    @property
    def wire(self) -> tuple[str, SerialSettings | None]:
        """Line and, of a serial one, speed and format: devices of one wire hear each other's frames."""
        if self.line.kind is not LineKind.SERIAL:
            return self.line.name, None
        return self.line.name, self.serial or SerialSettings(baud=self.line.baud, format=self.line.format)


def resolve_device(device: DeviceSettings, line: LineSettings, profile: Profile | None) -> ResolvedDevice:
    """Merge; a point written in the configuration replaces the profile's point of that name.

    What a profile says can be written, may be only where the configuration says so, too.
    """
    of_profile = {
        name: point if not point.write or name in device.write else point.model_copy(update={"write": False})
        for name, point in (profile.points if profile else {}).items()
    }
    points = {**of_profile, **device.points}
    options: dict[str, Any] = {
        **(profile.options if profile else {}),
        **device.options,
        "framing": device.framing or (profile and profile.framing) or default_framing(line.kind),
        "max_read": device.max_read or (profile and profile.max_read),
        "gap": device.gap if device.gap is not None else profile and profile.gap,
    }
    return ResolvedDevice(
        name=device.name,
        model=profile.model if profile else "",
        spec=DeviceSpec(
            name=device.name,
            driver=device.driver or (profile.driver if profile else ""),
            address=device.address,
            line_kind=line.kind,
            points={name: _point(name, point) for name, point in points.items()},
            options={key: value for key, value in options.items() if value is not None},
        ),
        line=line,
        every=device.every or (profile.every if profile else DEFAULT_EVERY),
        timeout=device.timeout or (profile and profile.timeout) or default_timeout(line.kind),
        serial=device.serial or (profile.serial if profile else None),
        reports={name: point.report for name, point in points.items()},
        turnaround=device.turnaround if device.turnaround is not None else (profile and profile.turnaround) or 0.0,
        password_file=device.password_file,
    )


def default_timeout(kind: LineKind) -> float:
    """Seconds for an answer; on a listening line the silence after which a station is missed."""
    return DEFAULT_SILENCE if kind is LineKind.LISTEN else DEFAULT_TIMEOUT


def default_framing(kind: LineKind) -> str:
    """``tcp`` on TCP and UDP lines, ``rtu`` on serial ones."""
    return "rtu" if kind is LineKind.SERIAL else "tcp"


def _point(name: str, point: PointSettings) -> Point:
    return Point(name=name, **point.model_dump(exclude={"report"}))
