"""What stations that call us need: a listening line, an address of their own, an alarm for a fire."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from gateway.contract import LineKind
from gateway.links.calls import StationDriver
from gateway.plan.findings import Findings, Sketch
from gateway.settings import DeviceSettings
from gateway.settings.document import Keys
from gateway.settings.resolve import ResolvedDevice

LONGEST_ANSWER = 60.0


def calls(module: ModuleType) -> bool:
    """Whether the devices of a driver call us, instead of being asked."""
    return bool(getattr(module, "CALLS", False))


def misfit(
    keys: Keys, device: DeviceSettings, resolved: ResolvedDevice, module: ModuleType, findings: Findings
) -> bool:
    """Complain of a device whose driver and line do not go together; True when it cannot run."""
    name, listens = resolved.spec.driver, resolved.line.kind is LineKind.LISTEN
    if calls(module) and not listens:
        sentence = f'calls us by {name}; give it a line with listen = "0.0.0.0:5200" and allow'
        findings.error((*keys, "line"), sentence)
    elif listens and not calls(module):
        findings.error((*keys, "line"), f"is asked by {name} and calls nobody; give it a serial, tcp or udp line")
    elif not listens and device.timeout is not None and device.timeout > LONGEST_ANSWER:
        findings.error(
            (*keys, "timeout"), f"is too long for an answer; expected at most {LONGEST_ANSWER:g}s, usually 1s"
        )
    if device.password_file is not None and not getattr(module, "PASSWORD", False):
        findings.error((*keys, "password_file"), f"has no effect: {name} knows no password; delete it")
    return calls(module) is not listens


def check_stations(sketch: Sketch, stations: Mapping[str, StationDriver], findings: Findings) -> None:
    """One address is one station, and somebody is told of a fire."""
    seen: dict[tuple[str, str, str], Keys] = {}
    conditions = [f"{alarm.when} {alarm.clear or ''}" for alarm in sketch.settings.alarm]
    for keys, device in sketch.items("device"):
        station = stations.get(device.name)
        if station is None:
            continue
        first = seen.setdefault((device.line, type(station).__name__, station.station), keys)
        if first != keys:
            line = findings.document.line((*first, "address"))
            findings.error((*keys, "address"), f"line {line} has this station already on the same line; delete one")
        for point in sorted(station.urgent):
            if not any(f"{device.name}.{point}" in condition for condition in conditions):
                findings.warning(
                    (*keys, "name"),
                    f"no alarm watches {device.name}.{point}: a fire would be recorded and sent, but raise no alarm; "
                    f'add an [[alarm]] with when = "{device.name}.{point}" and severity = "critical"',
                )
