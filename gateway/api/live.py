"""The picture of now for whoever aims a camera: made when asked for, never stored, plates covered."""

import re
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from gateway.api.endpoint import Answer, Call, Endpoint, Parameter
from gateway.contract import CommandError

if TYPE_CHECKING:
    from gateway.api.service import Context

FINDINGS = "linli-aim"  # the header that holds what was measured, as JSON


def _camera_name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,79}", text):
        raise CommandError("a camera's name is made of a-z, 0-9 and -", 404)
    return text


async def live(context: "Context", call: Call) -> Response:
    """Answer the camera's picture of now with lanes and plate sizes drawn in, and its findings in a header."""
    call.caller.may_see("pictures")
    answer = dict(await context.commands.execute("peek", {"camera": call.arguments["name"]}, call.caller.actor))
    jpeg = answer.pop("jpeg")
    return Response(jpeg, headers={FINDINGS: msgspec.json.encode(answer).decode("ascii")}, media_type="image/jpeg")


NAME = Parameter("name", _camera_name, {"type": "string", "pattern": "^[a-z][a-z0-9-]*$"}, "A camera.", where="path")
LIVE_ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/cameras/{name}/live",
        live,
        "The picture of now, for aiming the camera",
        {200: Answer("A picture; the header linli-aim holds what was measured, as JSON.", ("image/jpeg",))},
        errors=(401, 403, 404, 409, 429),
        parameters=(NAME,),
        listed=False,
    ),
)
