"""One declaration an endpoint: what it takes, checks and answers, read by the router and by OpenAPI alike."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.access import Caller
from gateway.api.body import CURSOR_SCHEMA
from gateway.contract import STREAMS, CommandError, Cursor

if TYPE_CHECKING:
    from gateway.api.service import Context

Check = Callable[[str], Any]
Method = Literal["GET", "POST"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument in the path or the query; ``check`` reads its text or raises CommandError with the fix."""

    name: str
    check: Check
    schema: Mapping[str, Any]
    text: str
    default: Any = None
    where: Literal["path", "query"] = "query"


@dataclass(frozen=True, slots=True)
class Answer:
    """One successful answer of an endpoint. ``links``: OpenAPI links to what is asked next."""

    text: str
    content_types: tuple[str, ...] = ("application/json",)
    schema: Mapping[str, Any] | None = None
    links: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, its caller known and its arguments checked."""

    request: Request
    caller: Caller
    arguments: Mapping[str, Any]


Work = Callable[["Context", Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address, what it takes, and the work behind it. ``open``: no token; ``local``: only on the Unix socket."""

    method: Method
    path: str
    work: Work
    summary: str
    answers: Mapping[int, Answer]
    errors: tuple[int, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: type[msgspec.Struct] | None = None
    open: bool = False
    local: bool = False
    listed: bool = True

    def arguments(self, request: Request) -> dict[str, Any]:
        """Check path and query; CommandError 400 names the argument, 404 an unknown path value."""
        given = _query(request)
        known = [parameter.name for parameter in self.parameters if parameter.where == "query"]
        unknown = [name for name in given if name not in known]
        if unknown and self.listed:
            takes = ", ".join(known) or "none"
            raise CommandError(f"unknown argument {unknown[0][:80]!r}; this address takes: {takes}")
        values = {}
        for parameter in self.parameters:
            if parameter.where == "path":
                values[parameter.name] = parameter.check(request.path_params[parameter.name])
            elif parameter.name in given:
                values[parameter.name] = parameter.check(given[parameter.name])
            else:
                values[parameter.name] = parameter.default
        return values


def _query(request: Request) -> dict[str, str]:
    pairs = request.query_params.multi_items()
    given = dict(pairs)
    if len(given) != len(pairs):
        raise CommandError("an argument is given more than once; give each once")
    return given


def whole_number(name: str, least: int, most: int) -> Check:
    """Make a check for a whole number from ``least`` to ``most``."""

    def check(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or not least <= int(text) <= most:
            raise CommandError(f"{name}={text[:40]!r}: expected a whole number from {least} to {most}")
        return int(text)

    return check


def seconds_up_to(name: str, most: float) -> Check:
    """Make a check for seconds from 0; more than ``most`` is taken as ``most``."""

    def check(text: str) -> float:
        if not re.fullmatch(r"-?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,9})?", text) or float(text) < 0:
            raise CommandError(f"{name}={text[:40]!r}: expected seconds, 0 or more (at most {most:g} are waited)")
        return min(float(text), most)

    return check


def stream_name(text: str) -> str:
    """Check a stream's name; 404 for any other, as it is part of the address."""
    if text not in STREAMS:
        raise CommandError(f"there is no stream {text[:80]!r}; there are: {', '.join(STREAMS)}", 404)
    return text


def sha256_name(text: str) -> str:
    """Check the name of a media file: 64 lower-case hexadecimal digits, else 404."""
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise CommandError("media are named by 64 lower-case hexadecimal digits, their SHA-256", 404)
    return text


STREAM = Parameter(
    "stream", stream_name, {"type": "string", "enum": list(STREAMS)}, "One of the streams.", where="path"
)
AFTER = Parameter(
    "after", Cursor.parse, CURSOR_SCHEMA, "A cursor that this gateway gave out; without it, from the oldest kept."
)
LIMIT = Parameter(
    "limit",
    whole_number("limit", 1, 10_000),
    {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 1000},
    "How many records at most.",
    default=1000,
)
WAIT = Parameter(
    "wait",
    seconds_up_to("wait", 60.0),
    {"type": "number", "minimum": 0, "default": 0},
    "Seconds to wait for the first record; more than 60 is taken as 60.",
    default=0.0,
)
SHA256 = Parameter("sha256", sha256_name, {"type": "string", "pattern": "^[0-9a-f]{64}$"}, "SHA-256.", where="path")
VERB = Parameter("verb", str, {"type": "string"}, "What to do.", where="path")
