"""Writes the JSON Schema of configurations and profiles, so that editors complete and check them."""

from collections.abc import Iterator
from typing import Any

from gateway.settings.base import DURATION, SIZE, Table, duration_text, size_text
from gateway.settings.devices import Profile
from gateway.settings.tree import Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Checked on the parsed number, not on the text that stands in the file.
LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def settings_schema() -> dict[str, Any]:
    """Return the JSON Schema of linli.toml."""
    return _schema(Settings, "linli.toml", "Configuration of the Linli gateway")


def profile_schema() -> dict[str, Any]:
    """Return the JSON Schema of a device profile."""
    return _schema(Profile, "device profile", "One device model of the Linli gateway: driver, points and test vectors")


def _schema(model: type[Table], title: str, description: str) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    for node in _nodes(schema):
        _tidy(node)
    return {"$schema": DIALECT, **schema, "title": title, "description": description}


def _nodes(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)


def _tidy(node: dict[str, Any]) -> None:
    """Say things as they stand in the file: no null, which TOML lacks; defaults as texts; no invented titles."""
    if isinstance(node.get("title"), str):
        del node["title"]
    choices = [choice for choice in node.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        del node["anyOf"]
        for key, value in choices[0].items():
            node.setdefault(key, value)
    elif choices:
        node["anyOf"] = choices
    if isinstance(node.get("description"), str):
        node["description"] = node["description"].replace("``", "`")
    default = node.get("default", ())
    if node.get("pattern") in (DURATION, SIZE):
        for limit in LIMITS:
            node.pop(limit, None)
        if isinstance(default, int | float):
            node["default"] = duration_text(default) if node["pattern"] == DURATION else size_text(default)
    if default is None or (isinstance(default, dict | list) and "default" in node):
        del node["default"]
