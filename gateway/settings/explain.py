"""Turns validation errors into sentences that say what was expected and which name was probably meant."""

import json
import re
import types
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from gateway.settings.base import EXPECTED, NAME, duration_text, parse_duration, parse_size, size_text
from gateway.settings.document import Document, Keys, Problem
from gateway.settings.nearest import did_you_mean

SECRETS = ("password", "passwd", "passphrase", "pass", "token", "secret", "pin")
PURPOSE = (
    "a camera without a purpose is refused: the people in its picture have a right to know why it looks; "
    'say it in words, e.g. purpose = "vehicle gate"'
)
LIMITS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
TYPES = {
    "string_type": 'a text in quotes "…"',
    "bool_type": "true or false, without quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "tuple_type": "a list [ … ]",
    "list_type": "a list [ … ]",
    "dict_type": "a table { … }",
    "model_type": "a table { … }",
}


def explain(document: Document, model: type[BaseModel], errors: list[ErrorDetails]) -> list[Problem]:
    """Explain all errors of one file, one problem each, without repeating one within another."""
    problems: dict[Problem, None] = {}
    paths = [_keys(error) for error in errors]
    for error, keys in zip(errors, paths, strict=True):
        inner = any(len(other) > len(keys) and other[: len(keys)] == keys for other in paths)
        if not (inner and error["type"] in ("too_short", "too_long")):
            problems[_problem(document, model, keys, error)] = None
    return list(problems)


def unknown_keys(model: type[BaseModel], errors: list[ErrorDetails]) -> list[Keys]:
    """Return the key paths that no table knows which may stand there."""
    found = [_keys(error) for error in errors if error["type"] == "extra_forbidden"]
    return [keys for keys in dict.fromkeys(found) if keys[-1] not in names_at(model, keys[:-1])]


def _keys(error: ErrorDetails) -> Keys:
    keys = tuple(key for key in error["loc"] if not (isinstance(key, str) and key[:1] + key[-1:] in ("<>", "[]")))
    if error["type"] == "missing" and keys and isinstance(keys[-1], int):
        return keys[:-1]
    misfit = getattr(error.get("ctx", {}).get("error"), "key", "")
    return (*keys, misfit) if misfit else keys


def _problem(document: Document, model: type[BaseModel], keys: Keys, error: ErrorDetails) -> Problem:
    kind, context, value = error["type"], error.get("ctx", {}), document.value(keys)
    field = field_at(model, keys)
    if len(keys) == 3 and keys[0] == "camera" and keys[2] == "purpose":
        sentence = PURPOSE
    elif kind == "missing" and error["loc"][-1] == keys[-1]:
        sentence = f"is missing; expected {_about(field, str(keys[-1]))}"
    elif kind == "extra_forbidden":
        sentence = _unknown(model, keys, value)
    elif kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", context["expected"])
        sentence = f"{_shown(value)} is not known; {did_you_mean(str(value), allowed)}"
    elif kind in LIMITS:
        name, words = LIMITS[kind]
        sentence = f"is out of range; expected {words} {_limit(field, context[name])}"
    elif kind == "string_pattern_mismatch":
        sentence = _pattern(keys, value, context["pattern"])
    elif kind in TYPES:
        sentence = _type(document, keys, value, TYPES[kind], field)
    else:
        sentence = _plain(kind, context, error["msg"], field)
    return document.problem(keys, sentence)


def _plain(kind: str, context: Mapping[str, Any], message: str, field: FieldInfo | None) -> str:
    if kind in ("value_error", "action"):
        return str(context["error"]) if "error" in context else message
    if kind == "too_short":
        return f"has too few values; expected at least {context['min_length']}"
    if kind == "too_long":
        return f"has {context['actual_length']} values; expected {context['max_length']}: {_about(field, '')}"
    if kind == "string_too_short":
        return f"is empty or too short; expected {_about(field, '')}"
    if kind == "string_too_long":
        return f"is too long; expected at most {context['max_length']} characters"
    return (
        f"has too few values; expected {_about(field, '')}"
        if kind == "missing"
        else "is not a value that can stand here"
    )


def field_at(model: type[BaseModel], keys: Keys) -> FieldInfo | None:
    """Return the field that a key path leads to, None when the path ends elsewhere."""
    field: FieldInfo | None = None
    annotations: list[Any] = [model]
    for key in keys:
        field, steps = None, []
        for annotation in annotations:
            for found in _step(annotation, key):
                field = found if isinstance(found, FieldInfo) else field
                steps.append(found.annotation if isinstance(found, FieldInfo) else found)
        annotations = steps
    return field


def names_at(model: type[BaseModel], keys: Keys) -> list[str]:
    """Return the keys that a table may have."""
    annotations: list[Any] = [model]
    for key in keys:
        annotations = [
            found.annotation if isinstance(found, FieldInfo) else found
            for annotation in annotations
            for found in _step(annotation, key)
        ]
    return [name for annotation in annotations for table in _tables(annotation) for name in _fields(table)]


def _step(annotation: Any, key: str | int) -> Iterator[Any]:  # noqa: ANN401 - type annotations
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        for one in inner:
            yield from _step(one, key)
    elif hasattr(annotation, "__metadata__"):
        yield from _step(inner[0], key)
    elif origin is dict and isinstance(key, str):
        yield inner[1]
    elif origin in (tuple, list) and isinstance(key, int):
        yield inner[min(key, len(inner) - 1) if inner[-1] is not Ellipsis else 0]
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel) and isinstance(key, str):
        field = _fields(annotation).get(key)
        if field is not None:
            yield field


def _tables(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - type annotations
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType) or hasattr(annotation, "__metadata__"):
        for inner in get_args(annotation):
            yield from _tables(inner)


def _fields(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _about(field: FieldInfo | None, key: str) -> str:
    if field is None:
        return "another value"
    example = f", e.g. {key + ' = ' if key else ''}{_toml(field.examples[0])}" if field.examples else ""
    return f"{field.description}{example}"


def _unknown(model: type[BaseModel], keys: Keys, value: object) -> str:
    key = str(keys[-1])
    names = names_at(model, keys[:-1])
    if key.lower() in SECRETS and not isinstance(value, dict):
        better = next((name for name in (f"{key.lower()}_file", "password_file", "token_sha256") if name in names), "")
        instead = f"; write {better} instead" if better else "; delete it"
        return f"a secret is never written here, where every reader of the file sees it{instead}"
    return f"is not a known key; {did_you_mean(key, names)}"


def _pattern(keys: Keys, value: object, expression: str) -> str:
    expected = EXPECTED.get(expression, "expected another text")
    text = str(keys[-1]) if not isinstance(value, str) else value
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") if expression == NAME else ""
    hint = f'; e.g. "{slug}"' if re.match(NAME, slug) and slug != text else ""
    return f"is not allowed as written; {expected}{hint}"


def _type(document: Document, keys: Keys, value: object, expected: str, field: FieldInfo | None) -> str:
    name = ".".join(str(key) for key in keys if isinstance(key, str))
    if expected.startswith("a list") and isinstance(value, dict) and document.text and f"[{name}]" in document.text:
        return f"needs two brackets, [[{name}]], for each one"
    if expected.startswith("a table") and isinstance(value, list) and f"[[{name}]]" in document.text:
        return f"must stand only once, with one pair of brackets: [{name}]"
    if expected == TYPES["finite_number"]:
        return "is too large or no number at all; expected a number"
    if isinstance(value, str) and expected.endswith("number"):
        return f"is a text; expected {expected} without quotes"
    about = f" ({field.description})" if field is not None and field.description else ""
    return f"is {_kind(value)}; expected {expected}{about}"


def _limit(field: FieldInfo | None, limit: float) -> str:
    readers = set(_readers(field)) if field else set()
    if parse_duration in readers:
        return f'"{duration_text(limit)}"'
    return f'"{size_text(limit)}"' if parse_size in readers else f"{limit:g}" if limit < 1e6 else f"{limit:.0f}"


def _readers(part: Any) -> Iterator[Any]:  # noqa: ANN401 - annotations and metadata
    metadata = part.metadata if isinstance(part, FieldInfo) else getattr(part, "__metadata__", ())
    yield from (getattr(entry, "func", None) for entry in metadata)
    for inner in get_args(part.annotation if isinstance(part, FieldInfo) else part):
        yield from _readers(inner)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    kinds: dict[Any, str] = {
        (int, float): "a number",
        str: "a text",
        list: "a list",
        dict: "a table",
        (date, time, datetime): "a date or time",
    }
    return next((word for kind, word in kinds.items() if isinstance(value, kind)), "missing")


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | int | float) else _kind(value)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
