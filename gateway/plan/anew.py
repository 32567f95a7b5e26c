"""Shows how a profile's point is written anew in a configuration: whole, since it replaces the profile's."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.contract import ConfigError
from gateway.plan.findings import Findings
from gateway.settings.document import Document
from gateway.settings.profiles import Profiles


def point_anew(name: str, profile: Document, **more: object) -> str:
    """The profile's point as TOML for the end of a ``[[device]]``, with ``more`` keys."""
    return f"points.{name} = {_toml({**profile.data['points'][name], **more})}"


def explain_halves(findings: Findings, profiles: Profiles) -> None:
    """Say of points that were meant to change a profile's only in part what the whole is."""
    for number, problem in enumerate(findings.errors):
        keys, document = problem.keys, problem.document
        if len(keys) != 5 or (keys[0], keys[2], keys[4]) != ("device", "points", "at") or document.value(keys):
            continue
        name, half = str(keys[3]), document.value(keys[:-1])
        try:
            _, profile, _ = profiles.find(str(document.value((*keys[:2], "profile"))))
        except (KeyError, ConfigError):
            continue  # that there is no such profile is told where it is named
        points = profile.data.get("points") if profile else None
        if profile and isinstance(points, Mapping) and isinstance(points.get(name), Mapping) and isinstance(half, dict):
            whole = point_anew(name, profile, **half)
            sentence = f"is missing; a point written here replaces the profile's whole, so write all of it: {whole}"
            findings.errors[number] = replace(problem, sentence=sentence)


def _toml(value: Any) -> str:  # noqa: ANN401 - whatever TOML holds
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False, default=str)
