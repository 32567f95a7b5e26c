"""What the uplink writes fits its published descriptions."""

import json
from pathlib import Path
from typing import Any

import jsonschema

from gateway.store.types import schema
from gateway.uplink import notices
from gateway.uplink.asyncapi import document
from gateway.uplink.reasons import MqttWords
from tests.conftest import FakeClock

PROJECT = Path(__file__).resolve().parents[2]


def test_the_asyncapi_document_is_the_generated_one() -> None:
    written = json.loads((PROJECT / "docs" / "asyncapi.json").read_text(encoding="utf-8"))
    assert written == document(), "run: .venv/bin/python -m gateway.uplink.asyncapi docs/asyncapi.json"


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    whole = document()

    def visit(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                target: Any = whole
                for part in node["$ref"].removeprefix("#/").split("/"):
                    target = target[part]
            for value in node.values():
                visit(value)
        elif isinstance(node, list):
            for value in node:
                visit(value)

    visit(whole)


def test_notices_fit_their_schemas(fake_clock: FakeClock) -> None:
    record = json.dumps({"id": "x", "sequence": "00000000000000000007", "type": "linli.reading.v1"}).encode()
    words = MqttWords("gw")
    drafts = [
        notices.refused(fake_clock, "mqtt", "alarm", 0x87, "a sentence", words, effect="held"),
        notices.refused(fake_clock, "mqtt", None, None, "a sentence", words),
        notices.parked(fake_clock, "mqtt", "perception", 0x95, "a sentence", words, [record]),
        notices.accepted(fake_clock, "mqtt", "alarm", "a sentence"),
    ]
    for draft in drafts:
        assert draft.stream == "management"
        jsonschema.validate(dict(draft.data), schema(draft.type)["properties"]["data"])
