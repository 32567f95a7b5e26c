"""Compiles the alarms and checks what they do."""

import re
from collections.abc import Mapping
from typing import Literal

from gateway.contract import CommandError, Driver, Point
from gateway.plan.checks import NO_CLIP, UNBLURRED, clips_leave
from gateway.plan.devices import Devices
from gateway.plan.findings import Findings, Sketch
from gateway.rules import Rules, compile_rules
from gateway.settings import AlarmSettings, ClipAction, WriteAction
from gateway.settings.document import Keys
from gateway.settings.nearest import did_you_mean

WORD = re.compile(r"[a-z][a-z0-9-]*")


def compile_alarms(sketch: Sketch, devices: Devices, findings: Findings) -> Rules:
    """Compile all alarms whose devices and cameras are known; complaints go to ``findings``."""
    kept, places = [], []
    for keys, alarm in sketch.items("alarm"):
        words = set(WORD.findall(f"{alarm.when} {alarm.clear or ''}"))
        dark = words & devices.dark
        if not dark and not words & (sketch.broken["device"] | sketch.broken["camera"]):
            kept.append(alarm)
            places.append(keys)
    points = {name: frozenset(device.spec.points) for name, device in devices.resolved.items()}
    kinds = {
        f"{name}.{point.name}": kind_of(point)
        for name, device in devices.resolved.items()
        for point in device.spec.points.values()
    }
    cameras = frozenset(camera.name for camera in sketch.settings.camera)
    rules, problems = compile_rules(kept, points, cameras, kinds=kinds)
    for problem in problems:
        findings.error((*places[problem.alarm], problem.key), problem.message)
    for keys, alarm in sketch.items("alarm"):
        _check_actions(keys, alarm, sketch, devices, findings)
    return rules


def kind_of(point: Point) -> Literal["number", "bool", "text", "any"]:
    """What a point's values are to an expression."""
    if point.enum or point.type == "bits":
        return "any"
    if point.type == "bool" or point.bit is not None:
        return "bool"
    return "text" if point.type == "string" else "number"


def _check_actions(keys: Keys, alarm: AlarmSettings, sketch: Sketch, devices: Devices, findings: Findings) -> None:
    for number, action in enumerate(alarm.do):
        where = (*keys, "do", number)
        if isinstance(action, ClipAction):
            cameras = sketch.names("camera")
            if action.clip not in cameras:
                hint = did_you_mean(action.clip, cameras, what="cameras")
                findings.error((*where, "clip"), f'there is no camera "{action.clip}"; {hint}')
            elif any(one.name == action.clip and not clips_leave(one.unblurred) for _, one in sketch.items("camera")):
                findings.warning((*where, "clip"), f"{NO_CLIP} of this camera are made; {UNBLURRED}")
            continue
        check_write(where, action, sketch, devices, findings)


def check_write(where: Keys, action: WriteAction, sketch: Sketch, devices: Devices, findings: Findings) -> None:
    """Check that what is to be written can be, as far as is known without the device."""
    device, dot, name = action.write.partition(".")
    if not dot:
        findings.error((*where, "write"), 'expected DEVICE.POINT such as "siren.output"')
    elif device not in sketch.names("device"):
        hint = did_you_mean(device, sketch.names("device"), what="devices")
        findings.error((*where, "write"), f'there is no device "{device}"; {hint}')
    elif device in devices.resolved:
        points = devices.resolved[device].spec.points
        if _check_point(where, action, points, name, findings) and device in devices.drivers:
            _check_values(where, action, devices.drivers[device], name, findings)


def _check_values(where: Keys, action: WriteAction, driver: Driver, name: str, findings: Findings) -> None:
    """Have the driver judge what it will be asked to write."""
    check = getattr(driver, "check", None)
    if check is None:
        return  # told where the point says write = true
    for key, value in (("value", action.value), ("else", action.after if action.until or action.for_ else None)):
        if value is None:
            continue
        try:
            check(name, value)
        except CommandError as error:
            findings.error((*where, key), str(error))
            break


def _check_point(where: Keys, action: WriteAction, points: Mapping[str, Point], name: str, findings: Findings) -> bool:
    """Check what needs no driver; True when the driver may go on."""
    point = points.get(name)
    device = action.write.partition(".")[0]
    if point is None:
        hint = did_you_mean(name, points)
        findings.error((*where, "write"), f'"{device}" has no point "{name}"; {hint}')
        return False
    if not point.write:
        findings.error((*where, "write"), f"may not be written; add write = true to the point {name} of {device}")
        return False
    wrong = _wrong_value(point, action)
    if wrong:
        findings.error((*where, "value"), wrong)
    return not wrong


def _wrong_value(point: Point, action: WriteAction) -> str:
    kind, value = kind_of(point), action.value
    if kind == "bool" and not isinstance(value, bool):
        return f"{action.write} is switched with true or false, not a number or text"
    if kind == "text" and not isinstance(value, str):
        return f'{action.write} takes a text in quotes: "…"'
    if kind == "number":
        if isinstance(value, bool | str):
            return f"{action.write} takes a number, without quotes"
        if point.valid is not None and not point.valid[0] <= value <= point.valid[1]:
            low, high = point.valid
            return f"is not valid for {action.write}; expected {low:g} to {high:g} {point.unit}".rstrip()
    return ""
