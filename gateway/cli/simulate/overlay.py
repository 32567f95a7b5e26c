"""The configuration of a rehearsal: the same site, its lines led to the simulated ones; nothing leaves this host."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.plan import Plan
from gateway.settings import Settings
from gateway.settings.document import Document

HEAD = """# Written by `linli simulate`: {origin} with its lines led to simulated devices.
# Not for a real site. Start the simulation first, then: linli run -c {name}
"""
# What is left out, why, and what to do where something can be done.
NO_LINE = "none of its devices can be simulated"
NO_DEVICE = "its line is left out"
NO_PICTURES = (
    "the simulation draws no pictures; play a recorded clip of it instead: linli replay {name} FILE -c {origin}"
)
NEEDS = "it needs what is left out ({missing})"
NO_UPLINK = "nothing leaves this machine"
BARE = re.compile(r"[A-Za-z0-9_-]+")
OF_TLS = ("tls_cert", "tls_key")
SECRETS = ("password_file",)  # a rehearsal has none
LOOPBACK, THIS_HOST = "127.0.0.1", "127.0.0.0/8"


def overlay(plan: Plan, ports: Mapping[str, str], out: Path) -> tuple[str, list[str]]:
    """Return the text of the configuration, and what was left out of it and why. ``ports``: where lines are served."""
    data: dict[str, Any] = Document.read(plan.path).data
    dropped: list[str] = []
    lines = []
    for line in data.get("line", []):
        kind = next(kind for kind in ("serial", "tcp", "udp", "listen") if kind in line)
        if line["name"] in ports:
            allow = {"allow": [THIS_HOST]} if kind == "listen" else {}
            lines.append({**line, kind: ports[line["name"]], **allow})
        else:
            dropped.append(f"line {line['name']}: {NO_LINE}")
    served = {line["name"] for line in lines}
    devices = [
        {key: value for key, value in device.items() if key not in SECRETS}
        for device in data.get("device", [])
        if device["line"] in served
    ]
    lost = [device["name"] for device in data.get("device", []) if device["line"] not in served]
    dropped += [f"device {name}: {NO_DEVICE}" for name in lost]
    cameras = [camera["name"] for camera in data.get("camera", [])]
    dropped += [f"camera {name}: {NO_PICTURES.format(name=name, origin=plan.path)}" for name in cameras]
    missing = [(alarm, _mentioned(alarm, {*cameras, *lost})) for alarm in data.get("alarm", [])]
    alarms = [alarm for alarm, names in missing if not names]
    dropped += [f"alarm {alarm['name']}: {NEEDS.format(missing=', '.join(names))}" for alarm, names in missing if names]
    dropped += [f"uplink {name}: {NO_UPLINK}" for name in data.get("uplink", {})]
    api = {key: value for key, value in data.get("api", {}).items() if key not in OF_TLS}
    if "listen" in api:
        api["listen"] = f"{LOOPBACK}:{str(api['listen']).rpartition(':')[2]}"
    made: dict[str, Any] = {
        **{key: value for key, value in data.items() if key not in ("uplink", "camera")},
        "gateway": {**data["gateway"], "state": f"{out.stem}.state"},
        "api": api,
        "line": lines,
        "device": devices,
        "alarm": alarms,
    }
    order = [key for key in Settings.model_fields if made.get(key)]
    body = "".join(_table((key,), made[key]) for key in order)
    return HEAD.format(origin=plan.path.name, name=out.name) + body, dropped


def _mentioned(alarm: Mapping[str, Any], names: set[str]) -> list[str]:
    """Those of these cameras and devices without which an alarm cannot be."""
    text = " ".join((str(alarm.get("when", "")), str(alarm.get("clear", "")), json.dumps(alarm.get("do", []))))
    words = set(re.findall(r"[a-z][a-z0-9-]*", text))
    return sorted(words & names)


def _table(path: Sequence[str], value: Any) -> str:  # noqa: ANN401 - whatever TOML holds
    """Write a table or a list of tables with its head."""
    if isinstance(value, list):
        return "".join(_one(path, element, "[[", "]]") for element in value)
    return _one(path, value, "[", "]")


def _one(path: Sequence[str], table: Mapping[str, Any], opens: str, closes: str) -> str:
    head = f"\n{opens}{'.'.join(map(_key, path))}{closes}\n"
    plain = "".join(f"{_key(key)} = {_value(each)}\n" for key, each in table.items() if not _has_head(each))
    inner = "".join(_table((*path, key), each) for key, each in table.items() if _has_head(each))
    return head + plain + inner


def _has_head(value: Any) -> bool:  # noqa: ANN401 - whatever TOML holds
    """Tables of tables, and lists of tables with tables in them, are better read with heads."""
    tables = value if isinstance(value, list) else [value]
    return bool(tables) and all(
        isinstance(each, dict) and any(isinstance(part, dict | list) for part in each.values()) for each in tables
    )


def _value(value: Any) -> str:  # noqa: ANN401 - whatever TOML holds
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)
