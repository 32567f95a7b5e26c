"""Serves the status page: plain files without a build step, under a policy that runs nothing else."""

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response

from gateway.api.endpoint import Answer, Call, Endpoint, Parameter
from gateway.contract import CommandError

if TYPE_CHECKING:
    from gateway.api.service import Context

FOLDER = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


@cache
def _file(name: str) -> tuple[bytes, str]:
    data = (FOLDER / name).read_bytes()
    return data, f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def _known(name: str) -> str:
    if name not in {path.name for path in FOLDER.iterdir() if path.suffix in TYPES}:
        raise CommandError("the status page has no such file", 404)
    return name


async def page(context: "Context", call: Call) -> Response:
    """Answer the page itself or one of its files."""
    name = call.arguments.get("name", "index.html")
    data, tag = _file(name)
    headers = {"content-security-policy": POLICY, "cache-control": "no-cache", "etag": tag}
    if call.request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(data, headers={**headers, "content-type": TYPES[Path(name).suffix]})


NAME = Parameter("name", _known, {"type": "string"}, "A file of the page.", where="path")
PAGE_ENDPOINTS = (
    Endpoint("GET", "/", page, "The status page", {200: Answer("HTML.")}, open=True, listed=False),
    Endpoint(
        "GET",
        "/page/{name}",
        page,
        "A file of the status page",
        {200: Answer("The file.")},
        parameters=(NAME,),
        open=True,
        listed=False,
    ),
)
