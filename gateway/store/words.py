"""The words that the schemas of records are made of."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

TIME_PATTERN = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}(Z|[+-]\d{2}:\d{2})$"
UUID7_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"


def text(meaning: str = "", pattern: str = "") -> Schema:
    """A text."""
    return {
        "type": "string",
        **({"description": meaning} if meaning else {}),
        **({"pattern": pattern} if pattern else {}),
    }


def whole(meaning: str, least: int = 0) -> Schema:
    """A whole number."""
    return {"type": "integer", "minimum": least, "description": meaning}


def number(meaning: str) -> Schema:
    """A number."""
    return {"type": "number", "description": meaning}


def one_of(*values: str | None) -> Schema:
    """One of these, and nothing else."""
    return {"enum": list(values)}


def or_null(schema: Schema) -> Schema:
    """A number."""
    return {"anyOf": [schema, {"type": "null"}]}


def list_of(items: Schema) -> Schema:
    """A whole number."""
    return {"type": "array", "items": items}


def map_of(values: Schema) -> Schema:
    """A text."""
    return {"type": "object", "additionalProperties": values}


def table(needed: Mapping[str, Schema], more: Mapping[str, Schema] | None = None) -> Schema:
    """An object; it may grow members that a reader does not know, and must ignore."""
    return {"type": "object", "required": list(needed), "properties": {**needed, **(more or {})}}


TIME = text("RFC 3339 with milliseconds and offset", TIME_PATTERN)
SHA256 = text("SHA-256 in hexadecimal", "^[0-9a-f]{64}$")
SHARE = {"type": "number", "minimum": 0, "maximum": 1, "description": "confidence, 0 to 1"}
FILE_NEEDED = {"sha256": SHA256, "bytes": whole("length of the file", 1), "content_type": text()}
PICTURE = table(FILE_NEEDED, {"frame_time": TIME, "frame_sha256": SHA256})
