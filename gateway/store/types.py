"""Every type of record and the JSON Schema of it; ``python -m gateway.store.types docs/schemas`` writes them out."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.contract import STREAMS, Stream

Schema = Mapping[str, Any]

SCHEMA_HOST = "https://linli.example/schemas"
TIME_PATTERN = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}(Z|[+-]\d{2}:\d{2})$"
UUID7_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"


def _text(meaning: str = "", pattern: str = "") -> Schema:
    return {
        "type": "string",
        **({"description": meaning} if meaning else {}),
        **({"pattern": pattern} if pattern else {}),
    }


def _whole(meaning: str, least: int = 0) -> Schema:
    return {"type": "integer", "minimum": least, "description": meaning}


def _number(meaning: str) -> Schema:
    return {"type": "number", "description": meaning}


def _one_of(*values: str | None) -> Schema:
    return {"enum": list(values)}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _map(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _table(needed: Mapping[str, Schema], more: Mapping[str, Schema] | None = None) -> Schema:
    """An object; it may grow members that a reader does not know, and must ignore."""
    return {"type": "object", "required": list(needed), "properties": {**needed, **(more or {})}}


TIME = _text("RFC 3339 with milliseconds and offset", TIME_PATTERN)
SHA256 = _text("SHA-256 in hexadecimal", "^[0-9a-f]{64}$")
SHARE = {"type": "number", "minimum": 0, "maximum": 1, "description": "confidence, 0 to 1"}
SCALAR = {"type": ["number", "boolean", "string"]}
SEVERITY = _one_of("warning", "minor", "major", "critical")
STREAM = _one_of(*STREAMS)
POINT: Schema = {
    **_table(
        {"value": {"type": ["number", "boolean", "string", "null"]}, "quality": _one_of("good", "uncertain", "bad")},
        {"unit": _text("of the value; empty when it has none"), "reason": _text("why it is bad"), "time": TIME},
    ),
    "if": {"properties": {"quality": {"const": "bad"}}},
    "then": {"required": ["reason"], "properties": {"value": {"type": "null"}}},
    "else": {"properties": {"value": SCALAR}},
}
COMMAND = _table(
    {
        "command": {"const": "write"},
        "by": _text("uid:<user>, mqtt:<who asks>, alarm:<name>, camera:<name>"),
        "device": _text(),
        "point": _text(),
        "value": {**SCALAR, "description": "what was asked for"},
        "before": {**_or_null(POINT), "description": "read before the write; null when nothing was sent"},
        "after": {**_or_null(POINT), "description": "read back after it"},
        "outcome": {
            **_one_of("done", "refused", "failed", "mismatch", "unverified"),
            "description": "refused: by the gateway, nothing was sent; mismatch: read back otherwise; "
            "unverified: not read back",
        },
        "asked_at": TIME,
        "done_at": TIME,
    },
    {
        "unit": _text("of the values; empty when they have none"),
        "reason": _or_null(_text("a short code")),
        "text": _or_null(_text("a sentence for people")),
        "alarm": _text("whose action it was"),
        "occurrence": _or_null(_text("id of the raised record", UUID7_PATTERN)),
        "cause": {
            **_one_of("raised", "uncovered", "restart", "cleared", "acknowledged", "allowed", "ended"),
            "description": "uncovered: a newer alarm has let go of the point; allowed: a plate on the allow list; "
            "ended: a pulse is over",
        },
        "camera": _text("whose gate it was"),
        "attempts": _whole("until now", 1),
    },
)
FILE_NEEDED = {"sha256": SHA256, "bytes": _whole("length of the file", 1), "content_type": _text()}
PICTURE = _table(FILE_NEEDED, {"frame_time": TIME, "frame_sha256": SHA256})
ALARM = _table(
    {
        "occurrence": _text("id of the raised record", UUID7_PATTERN),
        "state": _text("state of ISA-18.2"),
        "severity": SEVERITY,
        "text": _map(_text()),
        "when": _text("the condition as configured"),
        "points": _map(POINT),
        "raised_at": TIME,
    },
    {
        "acknowledged_at": _or_null(TIME),
        "cleared_at": _or_null(TIME),
        "by": _or_null(_text()),
        "note": _or_null(_text()),
    },
)
STATE = _table(
    {
        "state": _one_of("starting", "online", "degraded", "offline", "ended"),
        "reason": _text("a short code", "^[a-z0-9_-]+$"),
        "text": _text("a sentence for people"),
    }
)
EVENT = _table(
    {
        "event": _text("fire, manual_alarm, fault, state, operation, …", "^[a-z0-9_-]+$"),
        "text": _text("a sentence for people"),
    },
    {
        "states": _list(_text("what holds now")),
        "over": _list(_text("what held before and does no more")),
        "system": _table(
            {"type": _whole("its number in GB/T 26875.3"), "address": _whole("of the system")}, {"name": _text()}
        ),
        "component": _table(
            {
                "type": _whole("its number in GB/T 26875.3"),
                "circuit": _whole("zone or loop"),
                "number": _whole("position in it"),
            },
            {"name": _text()},
        ),
        "note": _text("what the station says of the place, in its own words"),
        "operator": _whole("number of who operated the device"),
        "device_time": {**TIME, "description": "when it happened, by the device's own clock"},
    },
)
PASSAGE = _table(
    {
        "lane": _text(),
        "direction": _text("in, out, none; without lanes also toward, away, left, right"),
        "plate": _or_null(
            _table(
                {
                    "text": _or_null(_text()),
                    "kind": _or_null(_text()),
                    "status": _or_null(_text()),
                    "confidence": SHARE,
                },
                {"color": _or_null(_text()), "characters": _list(SHARE)},
            )
        ),
        "first_time": TIME,
        "last_time": TIME,
    },
    {
        "vehicle": _table({"type": _or_null(_text()), "color": _or_null(_text())}),
        "list": _or_null(_text("the list that the plate stands on")),
        "picture": _or_null(PICTURE),
        "clip": _or_null(_table(FILE_NEEDED)),
        "reads": _list(_table({"time": TIME, "text": _text(), "confidence": SHARE})),
    },
)
FALL = _table(
    {
        "trajectory": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "array",
                "prefixItems": [TIME, _number("x in pixels"), _number("y in pixels")],
                "minItems": 3,
                "maxItems": 3,
            },
        },
        "confidence": SHARE,
    },
    {
        "size_px": _number("of the object"),
        "origin": _or_null(
            _table(
                {},
                {
                    "floor": _whole("1 is the ground"),
                    "column": _whole("from 1 at the left"),
                    "interval": _list(_whole("floor")),
                },
            )
        ),
        "picture": _or_null(PICTURE),
        "clip": _or_null(_table(FILE_NEEDED)),
    },
)
GAP = _table(
    {
        "stream": STREAM,
        "first": _whole("first sequence that is gone", 1),
        "last": _whole("last sequence that is gone", 1),
        "count": _whole("last - first + 1", 1),
        "cause": _one_of("quota", "age", "erased"),
    }
)
MEDIA_GAP = _table(
    {
        "count": _whole("files that are gone", 1),
        "bytes": _whole("their length together"),
        "cause": _one_of("quota", "age", "erased", "unsent"),
        "sha256": _list(SHA256),
    },
    {
        "uplink": _text("unsent: the uplink that came too late for them"),
        "records": _list(_table({"id": _text(), "sequence": _text()})),
    },
)
REFUSAL = _table(
    {"uplink": _text(), "stream": _or_null(STREAM), "text": _text("a sentence for people")},
    {"code": _text(), "meaning": _text(), "records": _list(_table({"id": _text(), "sequence": _text()}))},
)

STRANGER = _table(
    {
        "address": _text("IPv4 address, or the /64 of an IPv6 address"),
        "count": _whole("wrong tokens from there since `since`", 1),
        "since": TIME,
        "until": {**TIME, "description": "when the slowdown of this address ends"},
        "text": _text("a sentence for people"),
    },
    {"others": _whole("slowdowns since the last such record that have none: there were too many")},
)

PERCEPTION: tuple[Stream, ...] = ("perception",)
MANAGEMENT: tuple[Stream, ...] = ("management",)
ALARMS: tuple[Stream, ...] = ("alarm",)
DISPOSAL: tuple[Stream, ...] = ("disposal",)
# Type of record -> (the streams it may stand in, what it says, its data).
TYPES: Final[Mapping[str, tuple[tuple[Stream, ...], str, Schema]]] = {
    "linli.reading.v1": (PERCEPTION, "one read of one device", _table({"points": {**_map(POINT), "minProperties": 1}})),
    "linli.vehicle.passage.v1": (PERCEPTION, "one vehicle passing one lane", PASSAGE),
    "linli.parking.occupancy.v1": (PERCEPTION, "how full the parking places are", _table({})),
    "linli.falling_object.v1": (PERCEPTION, "one object falling from a facade", FALL),
    "linli.media.ready.v1": (
        ("perception", "management"),
        "a clip that ended after its record",
        _table({"record": _text("id of that record"), **FILE_NEEDED}),
    ),
    "linli.alarm.raised.v1": (ALARMS, "an alarm was raised", ALARM),
    "linli.alarm.updated.v1": (ALARMS, "an alarm has changed", ALARM),
    "linli.alarm.cleared.v1": (ALARMS, "an alarm's condition is over", ALARM),
    "linli.device.state.v1": (MANAGEMENT, "a device has changed its state", STATE),
    "linli.device.event.v1": (
        ("alarm", "management"),
        "a station has reported something: a fire, a fault, an operation",
        EVENT,
    ),
    "linli.camera.state.v1": (MANAGEMENT, "a camera has changed its state", STATE),
    "linli.gateway.state.v1": (MANAGEMENT, "the gateway has changed its state", STATE),
    "linli.config.changed.v1": (MANAGEMENT, "the gateway runs with another configuration", _table({"sha256": SHA256})),
    "linli.inspection.v1": (MANAGEMENT, "the gateway was inspected", _table({})),
    "linli.uplink.refused.v1": (MANAGEMENT, "an uplink's far end refused something", REFUSAL),
    "linli.uplink.accepted.v1": (MANAGEMENT, "what was refused is taken again", REFUSAL),
    "linli.api.refused.v1": (MANAGEMENT, "somebody guesses tokens and is slowed down", STRANGER),
    "linli.gap.v1": (STREAMS, "records of this stream that are no longer here", GAP),
    "linli.media.gap.v1": (MANAGEMENT, "files that are no longer here", MEDIA_GAP),
    "linli.disposal.acknowledged.v1": (
        DISPOSAL,
        "somebody has acknowledged an alarm",
        _table(
            {"alarm": _text(), "occurrence": _text("id of the raised record"), "by": _text()},
            {"note": _or_null(_text())},
        ),
    ),
    "linli.disposal.command.v1": (DISPOSAL, "a point of a device was set, or was not", COMMAND),
}


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one type of record; KeyError for an unknown type."""
    streams, meaning, data = TYPES[kind]
    members: dict[str, Schema] = {
        "specversion": {"const": "1.0"},
        "id": _text("UUIDv7, the same on every resend", UUID7_PATTERN),
        "source": _text(
            "/gateways/<gateway>, and /<device or camera> if it is of one", r"^/gateways/[a-z0-9-]+(/.+)?$"
        ),
        "type": {"const": kind},
        "subject": _text("the device, lane or alarm"),
        "time": {**TIME, "description": "when it happened"},
        "datacontenttype": {"const": "application/json"},
        "stream": _one_of(*streams),
        "epoch": _text("one incarnation of the store", "^[a-z0-9]+$"),
        "sequence": _text("strictly +1 in a stream of an epoch, from 1", r"^\d{20}$"),
        "recordedtime": {**TIME, "description": "when it was committed"},
        "timequality": _one_of("synced", "holdover", "unknown"),
        "data": data,
    }
    attributes: dict[str, Schema] = {
        "bootid": _text("with `monotonic`, if the time was not known: the boot that it counts from"),
        "monotonic": _text("seconds since the boot began, by a clock that never steps", r"^-?\d+\.\d{3}$"),
        "formerepoch": _text("of a record salvaged from a damaged store: the epoch it stood in", "^[a-z0-9]+$"),
        "formersequence": _text("and its sequence there", r"^\d{20}$"),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{SCHEMA_HOST}/{kind}.json",
        "title": kind,
        "description": f"CloudEvents 1.0 event: {meaning}.",
        "type": "object",
        "required": list(members),
        "properties": {**members, **attributes},
        "dependentRequired": {"monotonic": ["bootid"], "formerepoch": ["formersequence"]},
        # Further attributes are CloudEvents extensions (3.1): lower-case letters and digits.
        "patternProperties": {"^[a-z0-9]{1,20}$": True},
        "additionalProperties": False,
    }


def write_schemas(folder: Path) -> None:
    """Write ``<type>.json`` for every type."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in TYPES:
        text = json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n"
        (folder / f"{kind}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
