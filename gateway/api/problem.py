"""Errors as RFC 9457 problem JSON: every refusal says what happened and what to do."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway.contract import CommandError, Cursor, DeviceError, LinkError

CONTENT_TYPE = "application/problem+json"

HINTS = {
    404: "there is nothing at this address; /openapi.json lists what is",
    405: "this address does not take this method; the Allow header names the ones that it does",
}


class RefusalError(CommandError):
    """A refusal that also sets headers, such as ``Retry-After``."""

    def __init__(self, sentence: str, status: int, headers: Mapping[str, str], **extra: object) -> None:
        super().__init__(sentence, status, **extra)
        self.headers = headers


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, **members: object) -> Response:
    """Make one problem answer; ``members`` are RFC 9457, 3.2 extension members."""
    return Response(problem_body(status, detail, **members), status, headers, CONTENT_TYPE)


def problem_body(status: int, detail: str, **members: object) -> bytes:
    """Make the JSON of a problem; its own members win over extension members of the same name."""
    title = HTTPStatus(status).phrase
    return msgspec.json.encode({**members, "type": "about:blank", "title": title, "status": status, "detail": detail})


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, CommandError)  # noqa: S101 - Starlette's signature is wider than its promise
    members = {key: str(value) if isinstance(value, Cursor) else value for key, value in error.extra.items()}
    headers = dict(error.headers) if isinstance(error, RefusalError) else {}
    return problem(error.status, str(error), headers, **members)


async def _not_here(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    return problem(error.status_code, HINTS.get(error.status_code, error.detail), error.headers)


async def _device_failed(_: Request, error: Exception) -> Response:
    return problem(502, str(error), reason=getattr(error, "reason", "protocol"))


async def _gone(_: Request, error: Exception) -> Response:
    return problem(400, "the client closed the connection before its request was complete")


async def _broken(_: Request, error: Exception) -> Response:
    return problem(500, "the gateway made a mistake; its log has the details: please report them")


HANDLERS = {
    CommandError: _refused,
    HTTPException: _not_here,
    DeviceError: _device_failed,
    LinkError: _device_failed,
    ClientDisconnect: _gone,
    500: _broken,
}
