"""Describes what goes over MQTT as AsyncAPI 3.0; ``python -m gateway.uplink.asyncapi FILE`` writes it out."""

import json
import sys
from pathlib import Path
from typing import Any

from gateway import __version__
from gateway.contract import STREAMS
from gateway.uplink.inbox import SINGLE_USE_SECONDS, TIME_WINDOW, VERBS
from gateway.uplink.topics import BATCH_TYPE

MEANINGS = {
    "perception": "readings, passages, counts (感知)",
    "management": "states of devices and of the gateway, configuration, gaps (管理)",
    "alarm": "alarms raised, updated, cleared (异常告警)",
    "disposal": "acknowledgements and commands (处置)",
}
CURSOR = {"type": "string", "description": "opaque: epoch, stream and sequence", "examples": ["k3f9a2.alarm.1042"]}
TEXT = {"type": "string"}
TIME = {"type": "string", "format": "date-time"}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "replay": {"stream": {"enum": list(STREAMS)}, "after": CURSOR, "limit": {"type": "integer", "minimum": 1}},
    "read": {"device": TEXT, "point": TEXT},
    "write": {"device": TEXT, "point": TEXT, "value": {"type": ["number", "boolean", "string"]}},
    "status": {},
}


def document() -> dict[str, Any]:
    """Build the whole document."""
    channels = {stream: _stream(stream) for stream in STREAMS} | {"state": _state()}
    operations: dict[str, Any] = {name: _operation("send", name) for name in channels}
    channels["ack"] = _receipt()
    operations["ack"] = _operation("receive", "ack")
    for verb in sorted(VERBS):
        channels[f"cmd-{verb}"] = _command(verb)
        channels[f"answer-{verb}"] = _answer(verb)
        reply = {"address": {"location": "$message.header#/responseTopic"}, "channel": _ref(f"answer-{verb}")}
        operations[verb] = _operation("receive", f"cmd-{verb}") | {"reply": reply}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Linli gateway over MQTT 5",
            "version": __version__,
            "description": "Records go as CloudEvents batches with QoS 1; the platform's unique key is a record's id.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
    }


def _stream(stream: str) -> dict[str, Any]:
    record = _object(
        {"specversion": {"const": "1.0"}, "id": TEXT, "source": TEXT, "type": TEXT, "subject": TEXT, "time": TIME,
         "stream": {"const": stream}, "epoch": TEXT, "sequence": {"type": "string", "pattern": "^[0-9]{20}$"},
         "recordedtime": TIME, "timequality": {"enum": ["synced", "holdover", "unknown"]}, "data": {"type": "object"}},
        "specversion", "id", "source", "type", "stream", "epoch", "sequence",
    )  # fmt: skip
    record["description"] = "one CloudEvent; docs/schemas has the data of each type"
    batch = {
        "contentType": BATCH_TYPE,
        "headers": _object(
            {"cursor": CURSOR | {"description": "the position after the batch's last record (user property)"},
             "encoding": {"const": "zstd", "description": "only where the configuration asks for it (user property)"}},
            "cursor",
        ),
        "payload": {"type": "array", "minItems": 1, "items": record},
    }  # fmt: skip
    return _channel(f"linli/v1/{{gateway}}/{stream}", batch, MEANINGS[stream])


def _state() -> dict[str, Any]:
    alarms = {"type": "array", "items": {"type": "object"}, "description": "only while the disk fails: stored is false"}
    payload = _object(
        {"state": {"enum": ["online", "offline"]}, "gateway": TEXT, "epoch": TEXT, "version": TEXT, "time": TIME,
         "reason": {"enum": ["stopped", "lost"]}, "store": TEXT, "alarms": alarms},
        "state", "gateway", "epoch",
    )  # fmt: skip
    return _channel("linli/v1/{gateway}/state", {"payload": payload}, "retained; the last will says offline, lost")


def _receipt() -> dict[str, Any]:
    payload = _object({"stream": {"enum": list(STREAMS)}, "cursor": CURSOR}, "stream", "cursor")
    text = 'where ack = "platform": the platform has stored everything of the stream up to the cursor, in order'
    return _channel("linli/v1/{gateway}/ack", {"payload": payload}, text)


def _command(verb: str) -> dict[str, Any]:
    headers = _object({"responseTopic": TEXT, "correlationData": TEXT}, "responseTopic", "correlationData")
    payload = _object({"by": TEXT, "time": TIME, **ARGUMENTS[verb]}, "by", "time")
    text = (
        f"response topic and correlation data are needed; correlation data counts once in {SINGLE_USE_SECONDS:.0f} s,"
        f" time may be {TIME_WINDOW:.0f} s off"
    )
    message = {"headers": headers, "payload": payload}
    return _channel(f"linli/v1/{{gateway}}/cmd/{verb}", message, text)


def _answer(verb: str) -> dict[str, Any]:
    refusal = _object({"ok": {"const": False}, "error": TEXT, "status": {"type": "integer"}}, "ok", "error", "status")
    if verb == "replay":
        batch = {"type": "array", "items": {"type": "object"}}
        headers = _object({"cursor": CURSOR, "more": {"enum": ["true", "false"]}})
        return _channel(None, {"headers": headers, "payload": {"oneOf": [batch, refusal]}}, "a batch, or a refusal")
    good = _object({"ok": {"const": True}, "result": {}}, "ok", "result")
    return _channel(None, {"payload": {"oneOf": [good, refusal]}}, "a result, or a refusal")


def _channel(address: str | None, message: dict[str, Any], description: str) -> dict[str, Any]:
    parameters = {"parameters": {"gateway": {"description": "[gateway] id"}}} if address else {}
    return {"address": address, "description": description, "messages": {"message": message}, **parameters}


def _operation(action: str, channel: str) -> dict[str, Any]:
    return {"action": action, "channel": _ref(channel)}


def _ref(channel: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{channel}"}


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(document(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
