"""The JSON Schema agrees with what the gateway accepts, and describes every key."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gateway.settings.schema import profile_schema, settings_schema


def keys(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, table in {"": schema, **schema["$defs"]}.items():
        for key, field in table.get("properties", {}).items():
            yield f"{name}.{key}", field


@pytest.mark.parametrize("schema", [settings_schema(), profile_schema()], ids=["settings", "profile"])
def test_every_key_is_described(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    assert not [name for name, field in keys(schema) if not field.get("description")]


def test_durations_and_sizes_are_texts() -> None:
    fields = dict(keys(settings_schema()))
    commit, records = fields["StoreSettings.commit"], fields["StoreSettings.records"]
    assert (commit["type"], commit["default"]) == ("string", "500ms")
    assert (records["type"], records["default"]) == ("string", "2GiB")
    assert "minimum" not in commit
    assert fields["DeviceSettings.every"]["type"] == "string"
    assert fields["MqttSettings.window"]["maximum"] == 1000


def test_no_key_may_be_null() -> None:
    assert '"null"' not in str(settings_schema()).replace("'", '"')


def test_the_example_fits(shared: Path) -> None:
    data = tomllib.loads((shared / "linli.example.toml").read_text(encoding="utf-8"))
    jsonschema.validate(data, settings_schema())


def test_a_wrong_key_does_not_fit() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"gateway": {"id": "g-1", "stat": "x"}}, settings_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"gateway": {"id": "g-1"}, "store": {"commit": 5}}, settings_schema())
