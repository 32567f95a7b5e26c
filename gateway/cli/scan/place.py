"""What LINE names: a line of the configuration or an address, who owns it now, and what is configured on it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.cli import DEFAULT_CONFIG
from gateway.cli.client import Daemon, Refusal, find
from gateway.contract import ConfigError, LineKind, LinkError
from gateway.plan.findings import sketch
from gateway.scan.paste import Surroundings
from gateway.settings import LineSettings, SerialSettings, Settings
from gateway.settings.document import Document
from gateway.settings.nearest import did_you_mean
from gateway.settings.profiles import Profiles, profile_folders

NEW_NAMES = {LineKind.SERIAL: "rs485", LineKind.TCP: "plant", LineKind.UDP: "plant"}
SCHEMES = ("tcp", "udp")


@dataclass(frozen=True)
class Where:
    """The line to scan. ``owner``: the running daemon that has it open; ``own_serial``: what it is configured with."""

    settings: LineSettings
    around: Surroundings
    config: Path | None
    owner: Daemon | None
    own_serial: SerialSettings | None

    @property
    def address(self) -> str:
        """Port or host, as people write it."""
        return str(self.settings.serial or self.settings.tcp or self.settings.udp)

    def advice(self, error: LinkError) -> str:
        """The error, and what to do when somebody else has the line."""
        if error.reason == "in_use":
            return (
                f"{error}. If it is a gateway of another configuration, name that with -c FILE or --state DIR, and the "
                "scan goes through it; or stop it first: sudo systemctl stop linli"
            )
        return str(error)


def find_line(text: str, config: Path | None, state: Path | None) -> Where:
    """Find the line; Refusal says what LINE can be."""
    settings, path = _configuration(config)
    lines = {line.name: line for line in settings.line} if settings else {}
    address = _address(text, lines)
    if address is None and text not in lines:
        hint = did_you_mean(text, lines, what="lines: name a port instead, such as /dev/ttyUSB0")
        raise Refusal(
            f'there is no line "{text}" in {path or config or DEFAULT_CONFIG}; {hint}. '
            "A port or tcp://HOST:PORT works too."
        )
    line = lines.get(text) or next((one for one in lines.values() if address and _same(one, address)), None)
    is_new = line is None
    if line is None:
        assert address is not None  # noqa: S101 - for mypy: without it text was refused above
        line = address
        if settings:
            line = line.model_copy(update={"name": _free(line, lines)})
    around = Surroundings(
        line,
        is_new,
        {device.name for device in settings.device} if settings else set(),
        _configured(settings, line.name, path),
    )
    own = SerialSettings(baud=line.baud, format=line.format) if line.serial and not is_new else None
    return Where(line, around, path, _owner(line, config, state), own)


def _configuration(config: Path | None) -> tuple[Settings | None, Path | None]:
    """Return the sound part of the configuration; without -c it may be missing."""
    path = config or DEFAULT_CONFIG
    if config is None and not os.access(path, os.R_OK):
        return None, None
    try:
        sound, _ = sketch(Document.read(path))
    except ConfigError as error:
        raise Refusal(str(error)) from None
    return (sound.settings if sound else None), path


def _address(text: str, lines: Mapping[str, LineSettings]) -> LineSettings | None:
    """Read LINE as a port or address; None when it is a name. Refusal when it is neither."""
    scheme, found, rest = text.partition("://")
    given: dict[str, Any]
    if found:
        if scheme not in SCHEMES:
            raise Refusal(f"{scheme}:// is no way to a line; write tcp://HOST:PORT, udp://HOST:PORT or /dev/ttyUSB0")
        given = {"name": "plant", scheme: rest}
    elif "/" in text or (text not in lines and Path(text).is_char_device()):
        # Absolute, since the TOML is pasted elsewhere; not resolved, since a port is best known by its id.
        given = {"name": "rs485", "serial": Path(text).absolute()}
    else:
        return None
    try:
        return LineSettings(**given)
    except ValidationError as error:
        raise Refusal(f"{text}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def _same(one: LineSettings, other: LineSettings) -> bool:
    if one.serial and other.serial:
        return os.path.realpath(one.serial) == os.path.realpath(other.serial)
    return one.kind is other.kind and (one.tcp, one.udp) == (other.tcp, other.udp)


def _free(line: LineSettings, lines: Mapping[str, LineSettings]) -> str:
    base = NEW_NAMES[line.kind]
    return next(name for name in (f"{base}-{number}" for number in range(1, len(lines) + 2)) if name not in lines)


def _configured(settings: Settings | None, line: str, path: Path | None) -> dict[tuple[str, str], str]:
    """The line's devices by driver and address."""
    if settings is None:
        return {}
    profiles = Profiles(profile_folders(path))
    found = {}
    for device in settings.device:
        driver = device.driver
        if device.profile:
            try:
                profile, _, _ = profiles.find(device.profile)
            except (KeyError, ConfigError):
                continue  # of a profile that is not there, `linli check` speaks
            driver = profile.driver if profile else None
        if driver and device.line == line:
            found[driver, str(device.address).lower()] = device.name
    return found


def _owner(line: LineSettings, config: Path | None, state: Path | None) -> Daemon | None:
    """The running daemon when it has this line open, or tries to."""
    try:
        daemon = find(config, state)
        rows = daemon.ask("status")["lines"]
    except Refusal:
        return None
    address = str(line.serial or line.tcp or line.udp)
    for row in rows:
        same = (
            os.path.realpath(row["address"]) == os.path.realpath(address) if line.serial else row["address"] == address
        )
        if row["kind"] == line.kind.value and same:
            return Daemon(daemon.path, row["name"])
    return None
