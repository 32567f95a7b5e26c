"""The schemas in docs/ are those of the code, and they refuse what is wrong."""

import json
from pathlib import Path

import jsonschema
import pytest

from gateway.clock import SystemClock
from gateway.store.envelope import Envelope, Stamp, waiting
from gateway.store.types import TYPES, schema, write_schemas
from tests.schemas import validate
from tests.store.desk import alarm, disposal, reading, state

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "schemas"
CLOCK = SystemClock()


def written(draft, **changes):
    stamp = Stamp(draft.time, CLOCK.rfc3339(draft.time), "synced")
    event = json.loads(Envelope("gw-1", "k3f9").json(waiting(draft, "synced"), CLOCK.rfc3339(draft.time), 1, stamp))
    return json.dumps({**event, **changes})


def test_docs_hold_the_schemas_of_the_code(tmp_path):
    write_schemas(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {path.name for path in FOLDER.iterdir()}
    for name in names:
        assert (tmp_path / name).read_text() == (FOLDER / name).read_text(), (
            f"run: python -m gateway.store.types {FOLDER}"
        )


@pytest.mark.parametrize("kind", TYPES)
def test_a_schema_is_a_schema(kind):
    jsonschema.Draft202012Validator.check_schema(schema(kind))


@pytest.mark.parametrize("draft", [reading(), state(), alarm(), disposal()], ids=lambda draft: draft.type)
def test_records_of_the_gateway_are_valid(draft):
    assert validate(written(draft))["type"] == draft.type


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": "alarm"},
        {"sequence": "1"},
        {"time": "2026-11-21 08:25:30"},
        {"timequality": "good"},
        {"id": "1"},
        {"Unknown": 1},
        {"source": "gw-1"},
        {"data": {}},
        {"data": {"points": {}}},
        {"data": {"points": {"a": {"value": None, "quality": "good"}}}},
        {"data": {"points": {"a": {"value": 1, "quality": "bad", "reason": "timeout"}}}},
        {"data": {"points": {"a": {"value": None, "quality": "bad"}}}},
    ],
)
def test_a_wrong_reading_is_refused(changes):
    with pytest.raises(jsonschema.ValidationError):
        validate(written(reading(), **changes))


def test_a_bad_point_has_no_value_and_a_reason():
    point = {"value": None, "unit": "m", "quality": "bad", "reason": "timeout"}
    validate(written(reading(), data={"points": {"a": point}}))


@pytest.mark.parametrize(
    ("attributes", "valid"),
    [
        ({"bootid": "0b5c", "monotonic": "12.345"}, True),
        ({"formerepoch": "k3f9", "formersequence": "00000000000000000042"}, True),
        ({"monotonic": "12.345"}, False),
        ({"bootid": "0b5c", "monotonic": 12.345}, False),
        ({"formerepoch": "k3f9"}, False),
        ({"formerepoch": "k3f9", "formersequence": "42"}, False),
    ],
)
def test_attributes_of_special_records(attributes, valid):
    event = json.loads(written(reading()))
    validator = jsonschema.Draft202012Validator(schema("linli.reading.v1"))
    assert validator.is_valid(event)
    assert validator.is_valid(event | attributes) is valid
