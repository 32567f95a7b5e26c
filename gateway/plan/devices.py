"""Joins every device with its line, its profile and its driver."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import cast

from gateway.contract import ConfigError, Driver
from gateway.links.calls import StationDriver
from gateway.plan.anew import point_anew
from gateway.plan.findings import Findings, Sketch
from gateway.plan.stations import calls, misfit
from gateway.settings import DeviceSettings, LineSettings, Profile
from gateway.settings.document import Document, Keys
from gateway.settings.nearest import did_you_mean
from gateway.settings.profiles import Profiles
from gateway.settings.resolve import ResolvedDevice, resolve_device


@dataclass
class Devices:
    """What became of the devices. ``dark`` ones have points that nobody knows, so nothing can be said of their use."""

    resolved: dict[str, ResolvedDevice] = field(default_factory=dict)
    drivers: dict[str, Driver] = field(default_factory=dict)
    stations: dict[str, StationDriver] = field(default_factory=dict)
    dark: set[str] = field(default_factory=set)


def resolve_devices(sketch: Sketch, profiles: Profiles, findings: Findings) -> Devices:
    """Resolve all devices that can be; what cannot is in ``findings``."""
    devices = Devices()
    lines = {line.name: line for line in sketch.settings.line}
    seen: dict[tuple[str, str, str], Keys] = {}
    for keys, device in sketch.items("device"):
        line = lines.get(device.line)
        if line is None and device.line not in sketch.broken["line"]:
            hint = did_you_mean(device.line, lines, what="lines: write a [[line]] first")
            findings.error((*keys, "line"), f'there is no line "{device.line}"; {hint}')
        profile, document, known = _profile(device, keys, profiles, findings)
        if not known:
            devices.dark.add(device.name)
            continue
        # With a line that is not there nothing will run, but the alarms can still be checked.
        _check_writable(keys, device, profile, document, findings)
        resolved = resolve_device(device, line or LineSettings(name=device.line, tcp="nowhere:1"), profile)
        devices.resolved[device.name] = resolved
        if line is None:
            continue
        _address_once(seen, keys, resolved, findings)
        _drive(keys, device, resolved, findings, document, devices)
    _talk_alone(sketch, devices, findings)
    _told_too(sketch, devices, findings)
    return devices


def _talk_alone(sketch: Sketch, devices: Devices, findings: Findings) -> None:
    """What speaks by itself speaks into the answers of others."""
    by_line: dict[str, list[tuple[Keys, DeviceSettings]]] = {}
    for keys, device in sketch.items("device"):
        by_line.setdefault(device.line, []).append((keys, device))
    for together in by_line.values():
        for keys, device in together:
            driver = devices.drivers.get(device.name)
            if len(together) > 1 and getattr(driver, "free_running", False):
                other = next(other for other_keys, other in together if other_keys != keys)
                sentence = f"speaks by itself and disturbs {other.name} on the same line; give it a line of its own"
                findings.error((*keys, "line"), sentence)


def _told_too(sketch: Sketch, devices: Devices, findings: Findings) -> None:
    """The time is broadcast, so it also sets those that do not ask for it."""
    asking: dict[Hashable, Keys] = {}
    others: dict[Hashable, list[str]] = {}
    for keys, device in sketch.items("device"):
        sets_clock = getattr(devices.drivers.get(device.name), "sets_clock", None)
        if sets_clock is not None:
            resolved = devices.resolved[device.name]
            wire: Hashable = (resolved.spec.driver, resolved.wire)
            if sets_clock:
                asking.setdefault(wire, keys)
            else:
                others.setdefault(wire, []).append(device.name)
    for heard, keys in asking.items():
        if heard in others:
            sentence = f"is a broadcast, which sets {', '.join(others[heard])} on its line, too; write it there as well"
            findings.warning((*keys, "options", "set_clock"), sentence)


def _check_writable(
    keys: Keys, device: DeviceSettings, profile: Profile | None, document: Document | None, findings: Findings
) -> None:
    points = profile.points if profile else {}
    for number, name in enumerate(device.write):
        where = (*keys, "write", number)
        if name in device.points:
            findings.error(where, f"is a point of your own; put write = true into points.{name} instead")
        elif name not in points:
            findings.error(where, f'its profile has no point "{name}"; {did_you_mean(name, points)}')
        elif not points[name].write and document is not None:
            anew = point_anew(name, document, write=True)
            sentence = f"the profile does not say that {name} can be written; write the point anew instead: {anew}"
            findings.error(where, sentence)


def _profile(
    device: DeviceSettings, keys: Keys, profiles: Profiles, findings: Findings
) -> tuple[Profile | None, Document | None, bool]:
    """Find the profile; the last value is False when the device's points cannot be known."""
    if device.profile is None:
        return None, None, True
    try:
        profile, document, problems = profiles.find(device.profile)
    except ConfigError as error:
        findings.unreadable.update(dict.fromkeys(error.problems))
        return None, None, False
    except KeyError:
        hint = did_you_mean(
            device.profile, profiles.names(), what="profiles: put one into the folder devices beside this file"
        )
        findings.error((*keys, "profile"), f'there is no profile "{device.profile}"; {hint}')
        return None, None, False
    findings.errors += [problem for problem in problems if problem not in findings.errors]
    return profile, document, profile is not None


def _drive(
    keys: Keys,
    device: DeviceSettings,
    resolved: ResolvedDevice,
    findings: Findings,
    document: Document | None,
    devices: Devices,
) -> None:
    """Make the driver of one device, and see that it fits its line."""
    import drivers  # loads what speaks to devices: a gateway with cameras only has none

    name = resolved.spec.driver
    try:
        module = drivers.find(name)
    except KeyError:
        if document is not None:
            findings.errors.append(document.problem(("driver",), _no_driver(name, drivers.names())))
        else:
            findings.error((*keys, "driver"), _no_driver(name, drivers.names()))
        return
    if misfit(keys, device, resolved, module, findings):
        return
    try:
        driver: Driver | StationDriver = module.make(resolved.spec)
    except ConfigError as error:
        for problem in error.problems:
            _point_at(problem, keys, device, resolved, findings, document)
        return
    for point in resolved.spec.points.values():
        if point.write and not hasattr(driver, "write"):
            sentence = f"points.{point.name}.write: the driver {name} only reads; leave write out"
            _point_at(sentence, keys, device, resolved, findings, document)
    if calls(module):
        devices.stations[device.name] = cast("StationDriver", driver)
    else:
        devices.drivers[device.name] = cast("Driver", driver)


def _no_driver(name: str, names: Iterable[str]) -> str:
    return f'there is no driver "{name}"; {did_you_mean(name, names)}'


def _point_at(
    problem: str,
    keys: Keys,
    device: DeviceSettings,
    resolved: ResolvedDevice,
    findings: Findings,
    document: Document | None,
) -> None:
    """Put a driver's complaint where the point, key or device stands that it begins with."""
    subject, _, sentence = problem.partition(": ")
    parts = tuple(part for part in subject.split(".") if part != "points")
    if parts and parts[0] in resolved.spec.points:
        where: Keys = ("points", *parts)
        if parts[0] not in device.points and document is not None:
            findings.errors.append(document.problem(where, sentence))
        else:
            findings.error((*keys, *where), sentence)
    elif parts[:1] == ("options",) and len(parts) == 2 and parts[1] not in device.options and document is not None:
        findings.errors.append(document.problem(parts, sentence))
    elif parts and parts[0] in type(device).model_fields:
        findings.error((*keys, *parts), sentence)
    else:
        findings.error(keys, problem)


def _address_once(
    seen: dict[tuple[str, str, str], Keys], keys: Keys, resolved: ResolvedDevice, findings: Findings
) -> None:
    address = str(resolved.spec.address).lower()
    first = seen.setdefault((resolved.line.name, resolved.spec.driver, address), keys)
    if first != keys:
        line = findings.document.line((*first, "address"))
        findings.error(
            (*keys, "address"),
            f"line {line} has this address already on the same line; two devices with one address disturb each other",
        )
