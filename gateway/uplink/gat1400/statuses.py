"""Reads what a view library answers, however it types and wraps it."""

from typing import Any, NamedTuple

import msgspec

from gateway.uplink.reasons import clean

LISTS = ("ResponseStatusListObject", "ResponseStatusList")
ONE = "ResponseStatusObject"


class Status(NamedTuple):
    """What became of one thing: ``id`` may be empty; ``code`` is the StatusCode, ``text`` the StatusString."""

    id: str
    code: int
    text: str


def read_statuses(body: bytes) -> list[Status]:
    """Return every status in an answer's body; none when it holds nothing of the kind."""
    try:
        top = msgspec.json.decode(_utf8(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    if not isinstance(top, dict):
        return []
    node: Any = next((top[name] for name in LISTS if name in top), top)
    if isinstance(node, dict):
        node = node.get(ONE)
    entries = node if isinstance(node, list) else [node]
    found = (_status(entry) for entry in entries)
    return [status for status in found if status is not None]


def _utf8(body: bytes) -> bytes:
    """JSON is UTF-8 without a mark; some platforms answer with one, or in GB 18030."""
    try:
        return body.decode("utf-8-sig").encode()
    except UnicodeDecodeError:
        return body.decode("gb18030", errors="replace").encode()


def _status(entry: object) -> Status | None:
    if not isinstance(entry, dict):
        return None
    code = _code(entry.get("StatusCode"))
    if code is None:
        return None
    identity, text = entry.get("Id"), entry.get("StatusString")
    return Status(
        identity.strip() if isinstance(identity, str) else "", code, clean(text) if isinstance(text, str) else ""
    )


def _code(value: object) -> int | None:
    """0 and "0" are the same; everything that is no small number is none."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value.strip()) <= 3:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 100 else None
