"""Which media a record names."""

from typing import Any, NamedTuple

import msgspec

SHA256_DIGITS = 64


class Picture(NamedTuple):
    """A file that a record names: ``{"sha256", "bytes", "content_type"}`` somewhere in its data."""

    sha256: str
    bytes: int
    content_type: str


class _Event(msgspec.Struct):
    id: str
    sequence: str
    type: str
    data: Any


def named(record: bytes) -> list[Picture]:
    """Return the files that a record names, each once; most records name none and are not decoded."""
    if b'"content_type"' not in record or b'"sha256"' not in record:
        return []
    found: dict[str, Picture] = {}
    _collect(msgspec.json.decode(record, type=_Event).data, found)
    return list(found.values())


def naming(record: bytes) -> dict[str, str]:
    """Return what a notice says of the record: id, sequence, type."""
    event = msgspec.json.decode(record, type=_Event)
    return {"id": event.id, "sequence": event.sequence, "type": event.type}


def _collect(node: Any, found: dict[str, Picture]) -> None:  # noqa: ANN401 - any JSON
    if isinstance(node, list):
        for item in node:
            _collect(item, found)
    elif isinstance(node, dict):
        sha256, size, kind = node.get("sha256"), node.get("bytes"), node.get("content_type")
        if isinstance(sha256, str) and len(sha256) == SHA256_DIGITS and isinstance(size, int) and isinstance(kind, str):
            found.setdefault(sha256, Picture(sha256, size, kind))
        for value in node.values():
            _collect(value, found)
