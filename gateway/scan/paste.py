"""Writes what was found as TOML that can be pasted into a configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.contract import LineKind
from gateway.scan.found import Found
from gateway.settings import LineSettings, SerialSettings
from gateway.settings.address import host_port
from gateway.settings.resolve import default_framing

ENERGY = 'points.import-energy = {{ at = "{at}", type = "bcd", length = 4, scale = 0.01, unit = "kWh" }}'
METER_DIGITS = 6
LONGEST_NAME, LONGEST_END = 64, 60  # of what the configuration takes; some of the family stays
LONGEST_LINE = 40
OF_EVERY_ADAPTER = frozenset(("usb", "uart", "serial", "bridge", "controller", "converter", "if00", "port0"))
USUAL_PORT = 502
SECONDS_OF = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@dataclass
class Surroundings:
    """What a configuration already has: the line's name, device names, and devices by driver and address."""

    line: LineSettings
    is_new_line: bool
    names: set[str] = field(default_factory=set)
    devices: Mapping[tuple[str, str], str] = field(default_factory=dict)


def configured_as(found: Found, around: Surroundings) -> str:
    """The name that a device already has in the configuration, or ""."""
    return around.devices.get((found.driver, str(found.address).lower()), "")


def toml(devices: Iterable[Found], around: Surroundings) -> str:
    """Write a ``[[line]]`` where it is new, and a ``[[device]]`` for each that is not configured yet."""
    new = [found for found in devices if not configured_as(found, around)]
    blocks = [_line(around.line, new)] if around.is_new_line and new else []
    names = set(around.names)
    seen: dict[tuple[str, str], str] = {}
    for found in new:
        name = device_name(found, around.line.name, names)
        names.add(name)
        block = _device(found, name, around.line)
        key = (found.driver, str(found.address).lower())
        if key in seen:
            why = f"{seen[key]} has this address already, at another speed: give one of them another address, then use"
            block = _commented([f"# {why}", *block])
        else:
            seen[key] = name
        blocks.append("\n".join(block))
    return "\n\n".join(blocks) + "\n" if blocks else ""


def device_name(found: Found, line: str, taken: Iterable[str]) -> str:
    """A name that the configuration takes: family, line and address, ``water-level-riser-3``.

    Without the line, what was found by two scans at a time could not stand in one file.
    """
    family = found.candidates[0].family if found.candidates else ""
    words = slug(family.partition(",")[0])
    if not words or not words[0].isalpha():
        words = {"dlt645": "energy-meter", "cjt188": "meter", "mbus": "meter"}.get(found.driver, found.driver)
    end = str(found.address).lower()
    if found.driver == "mbus" and len(end) > METER_DIGITS:
        end = end[:8]
    behind = f"-{line}" if found.sample else f"-{line}-{end[-METER_DIGITS:]}"
    behind = behind[-LONGEST_END:]
    name = first = words[: LONGEST_NAME - len(behind)].rstrip("-") + behind
    number = 2
    while name in taken:
        name, number = f"{first}-{number}", number + 1
    return name


def line_name(line: LineSettings) -> str:
    """A name for a line that has none, after its port or host, so that no two lines get the same."""
    if line.serial is not None:
        words = slug(line.serial.name)
        if line.serial.parent.name == "by-id":  # maker and number of the adapter
            words = "-".join([word for word in words.split("-") if word not in OF_EVERY_ADAPTER][-2:])
    else:
        host, port = host_port(str(line.tcp or line.udp))
        words = slug(f"{line.kind.value}-{host}" + ("" if port == USUAL_PORT else f"-{port}"))
    words = words[-LONGEST_LINE:].strip("-")
    return words if words and words[0].isalpha() else f"line-{words}".rstrip("-")


def slug(text: str) -> str:
    """Small letters, digits and single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _line(line: LineSettings, devices: list[Found]) -> str:
    rows = ["[[line]]", f"name = {_text(line.name)}"]
    if line.kind is LineKind.SERIAL:
        settings = [found.serial for found in devices if found.serial]
        most = max(settings, key=settings.count) if settings else SerialSettings()
        rows += [f"serial = {_text(str(line.serial))}", f"baud = {most.baud}", f"format = {_text(most.format)}"]
    else:
        rows.append(f"{line.kind.value} = {_text(str(line.tcp or line.udp))}")
    return "\n".join(rows)


def _device(found: Found, name: str, line: LineSettings) -> list[str]:
    rows = [f"# {_plain(remark)}" for remark in found.remarks]
    best = found.candidates[0] if found.candidates else None
    if best:
        others = ", ".join(candidate.profile for candidate in found.candidates[1:])
        rows.append(f"# {found.sureness}: {_plain(best.model)}" + (f"; fits too: {others}" if others else ""))
    rows += ["[[device]]", f"name = {_text(name)}"]
    rows.append(f"profile = {_text(best.profile)}" if best else f"driver = {_text(found.driver)}")
    rows += [f"line = {_text(line.name)}", f"address = {_value(found.address)}"]
    rows.append(f"every = {_text(_duration(best.every if best else 60.0))}")
    if line.kind is LineKind.SERIAL and found.serial:
        rows.append(f"serial = {{ baud = {found.serial.baud}, format = {_text(found.serial.format)} }}")
    if found.framing and found.framing != default_framing(line.kind):
        rows.append(f"framing = {_text(found.framing)}")
    if best is None:
        points = _points(found)
        if not points:
            return _commented(
                ["# no profile fits and nothing is known of its values: complete it with its manual", *rows]
            )
        rows += ["# no profile fits: look its values up in its manual", *points]
    return rows


def _points(found: Found) -> list[str]:
    match found.driver:
        case "modbus" if found.readable:
            kind = "" if found.readable.startswith(("holding", "input")) else ', type = "bool"'
            return [f"points.value = {{ at = {_text(found.readable)}{kind} }}"]
        case "dlt645":
            return [ENERGY.format(at="9010" if found.options.get("edition") == 1997 else "00-01-00-00")]
        case "cjt188":
            return [
                f"options = {{ meter_type = {found.options['meter_type']:#04x} }}",
                'points.volume = { at = "901F:total", type = "bcd", unit = "m³" }',
            ]
        case "mbus":
            return ['points.number = { at = "id", type = "string" }']
    return []


def _commented(rows: list[str]) -> list[str]:
    return [row if row.startswith("#") else f"# {row}" for row in rows]


def _duration(seconds: float) -> str:
    if seconds < 1 or seconds % 1:
        return f"{round(seconds * 1000)}ms"
    unit = next(unit for unit, size in SECONDS_OF.items() if seconds % size == 0)
    return f"{int(seconds) // SECONDS_OF[unit]}{unit}"


def _value(value: Any) -> str:  # noqa: ANN401 - a number or a text
    return str(value) if isinstance(value, int) else _text(str(value))


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a JSON string is a TOML basic string


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
