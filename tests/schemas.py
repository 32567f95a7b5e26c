"""Validates records against the JSON Schemas of the repository; for the tests of every part."""

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from gateway.store.types import TYPES, schema

_sound: set[int] = set()  # hashes of records that have passed


@cache
def validator(kind: str) -> Draft202012Validator:
    """The validator of one type of record."""
    assert kind in TYPES, f"no schema for records of type {kind}: declare it in gateway/store/types.py"
    return Draft202012Validator(schema(kind))


def validate(record_json: bytes | str) -> dict[str, Any]:
    """Check one record's JSON; returns it decoded, raises jsonschema.ValidationError or AssertionError."""
    record: dict[str, Any] = json.loads(record_json)
    known = hash(record_json)
    if known not in _sound:  # tests look at the same records again and again, and a look takes two milliseconds
        _check(record)
        _sound.add(known)
    return record


def _check(record: dict[str, Any]) -> None:
    validator(record["type"]).validate(record)
    assert len(record["sequence"]) == 20
    assert list(record)[:12] == [
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "stream",
        "epoch",
        "sequence",
        "recordedtime",
        "timequality",
    ]
    assert list(record)[-1] == "data"
    if record["type"] == "linli.gap.v1":
        data = record["data"]
        assert data["count"] == data["last"] - data["first"] + 1
        assert data["stream"] == record["stream"]
