"""Every type of record and the JSON Schema of it; ``python -m gateway.store.types docs/schemas`` writes them out."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.contract import STREAMS, Stream
from gateway.store.falls import DROP_TEST, FALL, LABEL
from gateway.store.vehicles import ACCESSED, DWELL, ERASED, HELD, OCCUPANCY, PASSAGE, RECOUNT
from gateway.store.words import (
    FILE_NEEDED,
    SHA256,
    TIME,
    UUID7_PATTERN,
    Schema,
    list_of,
    map_of,
    one_of,
    or_null,
    table,
    text,
    whole,
)

SCHEMA_HOST = "https://linli.example/schemas"


SCALAR = {"type": ["number", "boolean", "string"]}
SEVERITY = one_of("warning", "minor", "major", "critical")
STREAM = one_of(*STREAMS)
POINT: Schema = {
    **table(
        {"value": {"type": ["number", "boolean", "string", "null"]}, "quality": one_of("good", "uncertain", "bad")},
        {"unit": text("of the value; empty when it has none"), "reason": text("why it is bad"), "time": TIME},
    ),
    "if": {"properties": {"quality": {"const": "bad"}}},
    "then": {"required": ["reason"], "properties": {"value": {"type": "null"}}},
    "else": {"properties": {"value": SCALAR}},
}
COMMAND = table(
    {
        "command": {
            **one_of("write", "set_clock"),
            "description": "set_clock: the time, broadcast to all meters of a kind on a line",
        },
        "by": text("uid:<user>, mqtt:<who asks>, alarm:<name>, camera:<name>, schedule:set_clock"),
        "device": text("of a broadcast: the first that asks for it"),
        "point": text("of a broadcast: clock"),
        "value": {**SCALAR, "description": "what was asked for"},
        "before": {**or_null(POINT), "description": "read before the write; null when nothing was sent"},
        "after": {**or_null(POINT), "description": "read back after it"},
        "outcome": {
            **one_of("done", "refused", "failed", "mismatch", "unverified"),
            "description": "refused: by the gateway, nothing was sent; mismatch: read back otherwise; "
            "unverified: not read back",
        },
        "asked_at": TIME,
        "done_at": TIME,
    },
    {
        "unit": text("of the values; empty when they have none"),
        "reason": or_null(text("a short code")),
        "text": or_null(text("a sentence for people")),
        "alarm": text("whose action it was"),
        "occurrence": or_null(text("id of the raised record", UUID7_PATTERN)),
        "cause": {
            **one_of("raised", "uncovered", "restart", "cleared", "acknowledged", "allowed", "ended"),
            "description": "uncovered: a newer alarm has let go of the point; allowed: a plate on the allow list; "
            "ended: a pulse is over",
        },
        "camera": text("whose gate it was"),
        "attempts": whole("until now", 1),
        "line": text("of a broadcast: where"),
        "devices": {"type": "array", "items": text(), "description": "of a broadcast: all that ask for it"},
    },
)
ALARM = table(
    {
        "occurrence": text("id of the raised record", UUID7_PATTERN),
        "state": text("state of ISA-18.2"),
        "severity": SEVERITY,
        "text": map_of(text()),
        "when": text("the condition as configured"),
        "points": map_of(POINT),
        "raised_at": TIME,
    },
    {
        "acknowledged_at": or_null(TIME),
        "cleared_at": or_null(TIME),
        "by": or_null(text()),
        "note": or_null(text()),
        "test": {"const": True, "description": "raised by a drop test: nobody is to be called; absent otherwise"},
    },
)
STATE = table(
    {
        "state": one_of("starting", "online", "degraded", "offline", "ended"),
        "reason": text("a short code", "^[a-z0-9_-]+$"),
        "text": text("a sentence for people"),
    },
    {
        "besides": {
            "type": "array",
            "items": text("a short code", "^[a-z0-9_-]+$"),
            "description": "of a camera: what else lessens it, less seriously; absent when nothing does",
        },
    },
)
EVENT = table(
    {
        "event": text("fire, manual_alarm, fault, state, operation, …", "^[a-z0-9_-]+$"),
        "text": text("a sentence for people"),
    },
    {
        "states": list_of(text("what holds now")),
        "over": list_of(text("what held before and does no more")),
        "system": table(
            {"type": whole("its number in GB/T 26875.3"), "address": whole("of the system")}, {"name": text()}
        ),
        "component": table(
            {
                "type": whole("its number in GB/T 26875.3"),
                "circuit": whole("zone or loop"),
                "number": whole("position in it"),
            },
            {"name": text()},
        ),
        "note": text("what the station says of the place, in its own words"),
        "operator": whole("number of who operated the device"),
        "device_time": {**TIME, "description": "when it happened, by the device's own clock"},
    },
)
GAP = table(
    {
        "stream": STREAM,
        "first": whole("first sequence that is gone", 1),
        "last": whole("last sequence that is gone", 1),
        "count": whole("last - first + 1", 1),
        "cause": one_of("quota", "age", "erased"),
    }
)
MEDIA_GAP = table(
    {
        "count": whole("files that are gone", 1),
        "bytes": whole("their length together"),
        "cause": one_of("quota", "age", "erased", "unsent"),
        "sha256": list_of(SHA256),
    },
    {
        "uplink": text("unsent: the uplink that came too late for them"),
        "records": list_of(table({"id": text(), "sequence": text()})),
    },
)
REFUSAL = table(
    {"uplink": text(), "stream": or_null(STREAM), "text": text("a sentence for people")},
    {"code": text(), "meaning": text(), "records": list_of(table({"id": text(), "sequence": text()}))},
)

STRANGER = table(
    {
        "address": text("IPv4 address, or the /64 of an IPv6 address"),
        "count": whole("wrong tokens from there since `since`", 1),
        "since": TIME,
        "until": {**TIME, "description": "when the slowdown of this address ends"},
        "text": text("a sentence for people"),
    },
    {"others": whole("slowdowns since the last such record that have none: there were too many")},
)


PERCEPTION: tuple[Stream, ...] = ("perception",)
MANAGEMENT: tuple[Stream, ...] = ("management",)
ALARMS: tuple[Stream, ...] = ("alarm",)
DISPOSAL: tuple[Stream, ...] = ("disposal",)
# Type of record -> (the streams it may stand in, what it says, its data).
TYPES: Final[Mapping[str, tuple[tuple[Stream, ...], str, Schema]]] = {
    "linli.reading.v1": (
        PERCEPTION,
        "one read of one device",
        table({"points": {**map_of(POINT), "minProperties": 1}}),
    ),
    "linli.vehicle.passage.v1": (PERCEPTION, "one vehicle passing one lane", PASSAGE),
    "linli.vehicle.dwell.v1": (PERCEPTION, "a vehicle stands where none may for long", DWELL),
    "linli.parking.occupancy.v1": (PERCEPTION, "how full a parking area is", OCCUPANCY),
    "linli.falling_object.v1": (PERCEPTION, "one object falling from a facade", FALL),
    "linli.media.ready.v1": (
        ("perception", "management"),
        "a clip that ended after its record",
        table(
            {"record": text("id of that record"), **FILE_NEEDED},
            {
                "first_time": TIME,
                "last_time": TIME,
                "hidden": {"type": "boolean", "description": "faces and plates were looked for and hidden"},
                "frame_size": list_of(
                    whole("width and height in pixels of the camera's frames; the clip may be smaller")
                ),
            },
        ),
    ),
    "linli.media.lost.v1": (
        PERCEPTION,
        "a clip that was announced or asked for and never comes",
        table(
            {
                "record": text("id of the record that it would have belonged to"),
                "reason": text(
                    "a short code: stopped, restarted, ended, refused, not_made, disk, or why the camera failed",
                    "^[a-z0-9_-]+$",
                ),
                "text": text("a sentence for people"),
            }
        ),
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
    "linli.config.changed.v1": (MANAGEMENT, "the gateway runs with another configuration", table({"sha256": SHA256})),
    "linli.inspection.v1": (MANAGEMENT, "the gateway was inspected", table({})),
    "linli.uplink.refused.v1": (MANAGEMENT, "an uplink's far end refused something", REFUSAL),
    "linli.uplink.accepted.v1": (MANAGEMENT, "what was refused is taken again", REFUSAL),
    "linli.api.refused.v1": (MANAGEMENT, "somebody guesses tokens and is slowed down", STRANGER),
    "linli.gap.v1": (STREAMS, "records of this stream that are no longer here", GAP),
    "linli.media.gap.v1": (MANAGEMENT, "files that are no longer here", MEDIA_GAP),
    "linli.disposal.acknowledged.v1": (
        DISPOSAL,
        "somebody has acknowledged an alarm",
        table(
            {"alarm": text(), "occurrence": text("id of the raised record"), "by": text()},
            {"note": or_null(text())},
        ),
    ),
    "linli.disposal.erased.v1": (DISPOSAL, "personal data was erased; gap records say which numbers", ERASED),
    "linli.disposal.accessed.v1": (DISPOSAL, "somebody has looked up or taken out personal data", ACCESSED),
    "linli.disposal.held.v1": (DISPOSAL, "evidence is kept until it is released, or was released", HELD),
    "linli.disposal.labelled.v1": (
        DISPOSAL,
        "somebody has called a fall true or false; the last word counts",
        LABEL,
    ),
    "linli.disposal.droptest.v1": (DISPOSAL, "somebody has tried a camera with things that fall", DROP_TEST),
    "linli.disposal.recount.v1": (DISPOSAL, "somebody has set how many vehicles are inside", RECOUNT),
    "linli.disposal.command.v1": (DISPOSAL, "a point of a device was set, or was not", COMMAND),
}

FROM_CAMERAS = frozenset(
    {
        "linli.vehicle.passage.v1",
        "linli.vehicle.dwell.v1",
        "linli.falling_object.v1",
        "linli.media.ready.v1",
        "linli.media.lost.v1",
    }
)


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one type of record; KeyError for an unknown type."""
    streams, meaning, data = TYPES[kind]
    members: dict[str, Schema] = {
        "specversion": {"const": "1.0"},
        "id": text("UUIDv7, the same on every resend", UUID7_PATTERN),
        "source": text("/gateways/<gateway>, and /<device or camera> if it is of one", r"^/gateways/[a-z0-9-]+(/.+)?$"),
        "type": {"const": kind},
        "subject": text("the device, lane or alarm"),
        "time": {**TIME, "description": "when it happened"},
        "datacontenttype": {"const": "application/json"},
        "stream": one_of(*streams),
        "epoch": text("one incarnation of the store", "^[a-z0-9]+$"),
        "sequence": text("strictly +1 in a stream of an epoch, from 1", r"^\d{20}$"),
        "recordedtime": {**TIME, "description": "when it was committed"},
        "timequality": one_of("synced", "holdover", "unknown"),
        "data": data,
    }
    attributes: dict[str, Schema] = {
        "bootid": text("with `monotonic`, if the time was not known: the boot that it counts from"),
        "monotonic": text("seconds since the boot began, by a clock that never steps", r"^-?\d+\.\d{3}$"),
        "formerepoch": text("of a record salvaged from a damaged store: the epoch it stood in", "^[a-z0-9]+$"),
        "formersequence": text("and its sequence there", r"^\d{20}$"),
    }
    if kind in FROM_CAMERAS:
        attributes["purpose"] = text("why the camera looks, as its configuration says")
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
        content = json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n"
        (folder / f"{kind}.json").write_text(content, encoding="utf-8")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
