"""Loads a configuration file: all of its mistakes at once, each with its place and its fix."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

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
    return Loaded(sound(survey(document, Settings)), document)


@dataclass(frozen=True)
class Survey(Generic[T]):
    """What could be made of a file, and all that is wrong with it.

    ``slips`` are the keys that nobody knows. ``model`` and ``document`` take each of them for what was probably meant,
    so ``model`` may be there although there are slips; ``problems`` are the other mistakes.
    """

    model: T | None
    document: Document
    slips: list[Problem]
    problems: list[Problem]


def survey(document: Document, model: type[T]) -> Survey[T]:
    """Validate a document, and go on behind each key that is not known."""
    slips: list[Problem] = []
    while True:
        try:
            return Survey(_validated(document.data, model), document, slips, [])
        except ValidationError as error:
            from gateway.settings.explain import explain, unknown_keys  # only needed when something is wrong
            from gateway.settings.mend import mended

            errors = error.errors(include_url=False, include_input=False)
            problems = explain(document, model, errors)
            unknown = unknown_keys(model, errors)
            if not unknown:
                return Survey(None, document, slips, problems)
            slips += [problem for problem in problems if problem.keys in unknown]
            document = mended(document, model, unknown)


def attempt(data: dict[str, object], model: type[T]) -> T | None:
    """Validate data that was cut down from a file; None when it is still not sound."""
    try:
        return _validated(data, model)
    except ValidationError:
        return None


def _validated(data: dict[str, object], model: type[T]) -> T:
    # JSON, because only there are lists and paths taken strictly: "5" is no number, 1 is not true.
    return model.model_validate_json(json.dumps(data, default=_undated), strict=True)


def sound(found: Survey[T]) -> T:
    """Return what the file says; ConfigError with every mistake when there is one."""
    if found.model is None or found.slips:
        raise refusal([*found.slips, *found.problems])
    return found.model


def refusal(problems: list[Problem]) -> ConfigError:
    """Make one error of all problems, in the order of the file, none twice."""
    ordered = sorted(problems, key=lambda problem: (str(problem.document.path), problem.line))
    return ConfigError(*dict.fromkeys(str(problem) for problem in ordered))


def _undated(value: object) -> dict[str, str]:
    # No setting is a date: as an object it is refused as one, wherever it stands.
    return {"date": str(value)}


__all__ = ["Document", "Keys", "Loaded", "Problem", "Survey", "attempt", "load", "refusal", "sound", "survey"]
