"""What a configuration may already say although this version cannot do it: building a part deletes its line here."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.plan.findings import Findings, NotBuilt
from gateway.settings.document import Keys

ANY = object()


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """A key (``*`` is any element) and the value of it that is meant, and what happens instead."""

    where: str
    sentence: str
    value: object = ANY


UNBUILT: tuple[Unbuilt, ...] = ()


def find_unbuilt(findings: Findings) -> None:
    """Warn of every key of the table that is used, and note the part that is left out."""
    for unbuilt in UNBUILT:
        for keys, value in _matches(findings.document.data, unbuilt.where.split(".")):
            if unbuilt.value is not ANY and value != unbuilt.value:
                continue
            findings.warning(keys, unbuilt.sentence)
            findings.not_built.append(NotBuilt("part", findings.document.key_text(keys), unbuilt.sentence))


def _matches(value: Any, where: list[str], keys: Keys = ()) -> Iterator[tuple[Keys, Any]]:  # noqa: ANN401 - TOML
    if not where:
        yield keys, value
        return
    key, *rest = where
    if key == "*" and isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _matches(inner, rest, (*keys, number))
    elif isinstance(value, dict) and key in value:
        yield from _matches(value[key], rest, (*keys, key))
