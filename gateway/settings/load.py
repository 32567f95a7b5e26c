"""Loads a configuration file: all of its mistakes at once, each with its place and its fix."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from gateway.contract import ConfigError
from gateway.settings.base import Table
from gateway.settings.document import Document, Keys, Problem
from gateway.settings.tree import Settings

T = TypeVar("T", bound=Table)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that is sound in itself, and the file it came from."""

    settings: Settings
    document: Document

    def where(self, *keys: str | int) -> str:
        """Return ``FILE:LINE`` of a key, e.g. ``where("device", 0, "every")``; of its table when it is missing."""
        return f"{self.document.path}:{self.document.line(keys)}"


def load(path: Path) -> Loaded:
    """Read and validate a configuration; ConfigError with every problem of the file."""
    document = Document.read(path)
    settings, problems = validate(document, Settings)
    if settings is None:
        raise refusal(problems)
    return Loaded(settings, document)


def validate(
    document: Document, model: type[T], data: dict[str, object] | None = None
) -> tuple[T | None, list[Problem]]:
    """Validate a document, or ``data`` cut down from it, as a model; either the model or the problems are there."""
    try:
        # JSON, because only there are lists and paths taken strictly: "5" is no number, 1 is not true.
        text = json.dumps(document.data if data is None else data, default=_undated)
        return model.model_validate_json(text, strict=True), []
    except ValidationError as error:
        from gateway.settings.explain import explain  # only needed when something is wrong

        return None, explain(document, model, error.errors(include_url=False, include_input=False))


def refusal(problems: list[Problem]) -> ConfigError:
    """Make one error of all problems, in the order of the file, none twice."""
    ordered = sorted(problems, key=lambda problem: (str(problem.document.path), problem.line))
    return ConfigError(*dict.fromkeys(str(problem) for problem in ordered))


def _undated(value: object) -> dict[str, str]:
    # No setting is a date: as an object it is refused as one, wherever it stands.
    return {"date": str(value)}


__all__ = ["Document", "Keys", "Loaded", "Problem", "load", "refusal", "validate"]
