"""What LINE names: a line of the configuration or an address, who owns it now, and what is configured on it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.cli import DEFAULT_CONFIG
from gateway.cli.client import Daemon, Refusal, find
from gateway.contract import ConfigError, LinkError
from gateway.plan.findings import sketch
from gateway.scan.paste import Surroundings, line_name
from gateway.settings import LineSettings, SerialSettings, Settings
from gateway.settings.document import Document
from gateway.settings.nearest import did_you_mean
from gateway.settings.profiles import Profiles, profile_folders

SCHEMES = ("tcp", "udp")
LONGEST_WAIT = 1.0  # seconds; then the gateway lets a question of a scan go first
SOCKET = 0.01  # seconds a question, to the gateway and back


@dataclass(frozen=True)
class Where:
    """The line to scan. ``owner``: the running daemon that has it open; ``own_serial``: what it is configured with.

    ``wait``: seconds that a question waits for its turn between the owner's polls, about.
    """

    settings: LineSettings
    around: Surroundings
    config: Path | None
    owner: Daemon | None
    own_serial: SerialSettings | None
    wait: float = 0.0

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
        if path is None:
            raise Refusal(
                f'"{text}" is no port, and {DEFAULT_CONFIG} cannot be read, so there is no line of that name either; '
                "name the configuration with -c FILE, or a port such as /dev/ttyUSB0, or tcp://HOST:PORT"
            )
        raise Refusal(
            f'there is no line "{text}" in {path or config or DEFAULT_CONFIG}; {hint}. '
            "A port or tcp://HOST:PORT works too."
        )
    line = lines.get(text) or next((one for one in lines.values() if address and _same(one, address)), None)
    is_new = line is None
    if line is None:
        assert address is not None  # noqa: S101 - for mypy: without it text was refused above
        line = address
        line = line.model_copy(update={"name": _free(line_name(line), lines)})
    around = Surroundings(
        line,
        is_new,
        {device.name for device in settings.device} if settings else set(),
        _configured(settings, line.name, path),
    )
    own = SerialSettings(baud=line.baud, format=line.format) if line.serial and not is_new else None
    owner, wait = _owner(line, config, state)
    return Where(line, around, path, owner, own, wait)


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
        given = {"name": "new", scheme: rest}
    elif "/" in text or (text not in lines and Path(text).is_char_device()):
        # Absolute, since the TOML is pasted elsewhere; not resolved, since a port is best known by its id.
        given = {"name": "new", "serial": Path(text).absolute()}
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


def _free(base: str, lines: Mapping[str, LineSettings]) -> str:
    numbered = (f"{base}-{number}" for number in range(2, len(lines) + 3))
    return next(name for name in (base, *numbered) if name not in lines)


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


def _owner(line: LineSettings, config: Path | None, state: Path | None) -> tuple[Daemon | None, float]:
    """The running daemon when it has this line open, or tries to, and how long a question waits there."""
    try:
        daemon = find(config, state)
        rows = daemon.ask("status")["lines"]
    except Refusal:
        return None, 0.0
    address = str(line.serial or line.tcp or line.udp)
    for row in rows:
        same = (
            os.path.realpath(row["address"]) == os.path.realpath(address) if line.serial else row["address"] == address
        )
        if row["kind"] == line.kind.value and same:
            return Daemon(daemon.path, row["name"]), _wait(row.get("busy") or 0.0, (row.get("mean_ms") or 0.0) / 1000)
    return None, 0.0


def _wait(busy: float, mean: float) -> float:
    """Seconds until a line is free that is ``busy`` so often, for ``mean`` seconds at a time (as M/M/1 waits)."""
    return SOCKET + min(LONGEST_WAIT, mean * busy / max(1.0 - busy, 0.01))
