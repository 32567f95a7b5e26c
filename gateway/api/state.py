"""How the gateway is: status, metrics, health, and the commands of this machine's users."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from gateway.api.body import read_arguments
from gateway.api.endpoint import VERB, Answer, Call, Endpoint
from gateway.api.problem import problem
from gateway.metrics import ALARMS_ACTIVE, BACKLOG, REGISTRY, STORE_BYTES

if TYPE_CHECKING:
    from gateway.api.service import Context

SEVERITIES = ("warning", "minor", "major", "critical")
ACTIVE = ("unacknowledged", "acknowledged")
STORE_PARTS = {"records": "bytes", "media": "media_bytes"}
# What a status shows of perception records: a consumer without that stream does not see it.
PERCEIVED = {"devices": ("last",), "cameras": ("last_picture", "last_passages", "last_falls")}

STATUS_SCHEMA = {
    "type": "object",
    "required": [
        *("gateway", "epoch", "version", "uptime_s", "problems", "devices", "cameras", "lines", "streams"),
        *("consumers", "store"),
    ],
    "properties": {
        "gateway": {"type": "string"},
        "epoch": {"type": "string"},
        "version": {"type": "string"},
        "uptime_s": {"type": "number"},
        "problems": {"type": "array"},
        "devices": {"type": "array"},
        "cameras": {"type": "array"},
        "lines": {"type": "array"},
        "streams": {"type": "object"},
        "consumers": {"type": "array", "description": "One row per consumer and stream, with `acked` and `lag`."},
        "store": {"type": "object"},
    },
}


async def status(context: "Context", call: Call) -> Response:
    """Answer the whole state, without perception data for a consumer that has no such stream."""
    answer = dict(await context.commands.execute("status", {}, call.caller.actor))
    if "perception" not in call.caller.streams:
        for part, hidden in PERCEIVED.items():
            answer[part] = [_without(row, hidden) for row in answer.get(part, ())]
    return _json(answer)


def _without(row: Mapping[str, Any], hidden: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in hidden}


async def metrics(context: "Context", call: Call) -> Response:
    """Answer every metric in Prometheus' text format; what is a level is measured now."""
    state = await context.commands.execute("status", {}, call.caller.actor)
    for row in state["consumers"]:
        BACKLOG.labels(row["consumer"], row["stream"]).set(row["lag"])
    for part, name in STORE_PARTS.items():
        STORE_BYTES.labels(part).set(state["store"][name])
    alarms = state.get("alarms", ())
    for severity in SEVERITIES:
        active = sum(row["severity"] == severity and row["state"] in ACTIVE for row in alarms)
        ALARMS_ACTIVE.labels(severity).set(active)
    return Response(generate_latest(REGISTRY), headers={"content-type": CONTENT_TYPE_LATEST})


async def healthz(context: "Context", call: Call) -> Response:
    """Answer 200, or 503 when the store cannot write or the core does not turn."""
    trouble = context.store.failing or context.health()
    if trouble is None:
        return _json({"status": "ok"})
    # Strangers may ask this: what is wrong in detail is in the status.
    return problem(503, "the gateway runs, but not as it should; its status says why")


async def openapi(context: "Context", call: Call) -> Response:
    """Answer the description of this interface."""
    return _json(context.description)


async def local(context: "Context", call: Call) -> Response:
    """Do a command for a user of this machine; the answer is the command's own."""
    arguments = await read_arguments(call.request)
    return _json(await context.commands.execute(call.arguments["verb"], arguments, call.caller.actor))


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


STATE_ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/status",
        status,
        "Everything about how the gateway is",
        {200: Answer("The state.", schema=STATUS_SCHEMA)},
        errors=(401, 429),
    ),
    Endpoint(
        "GET",
        "/metrics",
        metrics,
        "Prometheus metrics",
        {200: Answer("Text exposition format.", ("text/plain",), {"type": "string"})},
        errors=(401, 429),
    ),
    Endpoint(
        "GET",
        "/healthz",
        healthz,
        "Whether the gateway works",
        {200: Answer("It does.", schema={"type": "object"})},
        errors=(503,),
        open=True,
    ),
    Endpoint(
        "GET",
        "/openapi.json",
        openapi,
        "This description",
        {200: Answer("OpenAPI 3.1.", schema={"type": "object"})},
        open=True,
    ),
    Endpoint(
        "POST",
        "/local/{verb}",
        local,
        "A command, on the Unix socket only",
        {200: Answer("The command's answer.")},
        parameters=(VERB,),
        local=True,
        listed=False,
    ),
)
