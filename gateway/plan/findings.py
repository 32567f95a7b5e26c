"""What checking a configuration brings to light, and the configuration as far as it is sound."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.settings.document import Document, Keys, Problem
from gateway.settings.load import attempt, survey
from gateway.settings.tree import Settings

LISTS = ("line", "device", "alarm", "camera")
NEEDED = ("address", "user")  # what is left out there would look like another mistake


@dataclass
class Findings:
    """Collects what is found; the problems' texts are made at the end, when there are any.

    ``unreadable`` are ready-made lines about files that are not TOML.
    """

    document: Document
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    unreadable: dict[str, None] = field(default_factory=dict)

    def error(self, keys: Keys, sentence: str) -> None:
        """Add a mistake at a key of the configuration."""
        self.errors.append(self.document.problem(keys, sentence))

    def warning(self, keys: Keys, sentence: str) -> None:
        """Add something to know at a key of the configuration."""
        self.warnings.append(self.document.problem(keys, sentence))


@dataclass(frozen=True)
class Sketch:
    """The sound part of a configuration: checking goes on with it, so that all mistakes come out at once.

    ``index`` gives the place of each element of a list in the file; ``broken`` the names that were left out by kind.
    """

    settings: Settings
    index: Mapping[str, tuple[int, ...]]
    broken: Mapping[str, frozenset[str]]

    def items(self, kind: str) -> Iterator[tuple[Keys, Any]]:
        """Every sound element of a list with its key path."""
        for number, item in zip(self.index[kind], getattr(self.settings, kind), strict=True):
            yield (kind, number), item

    def names(self, kind: str) -> set[str]:
        """All names of a kind, sound or not."""
        return {item.name for item in getattr(self.settings, kind)} | self.broken[kind]


def sketch(document: Document) -> tuple[Sketch | None, Findings]:
    """Validate a document; with problems, once more without what has them. None when nothing is left to check."""
    found = survey(document, Settings)
    document, settings = found.document, found.model
    findings = Findings(document, [*found.slips, *found.problems])
    rest = document
    if settings is None:
        rest = _trimmed(document, [problem.keys for problem in found.problems])
        found = survey(rest, Settings)
    wrong = {problem.keys for problem in found.problems}
    index = {kind: _sound(rest, (kind,), wrong) for kind in LISTS}
    if settings is None:
        settings = attempt(_without(rest, wrong, index), Settings)
    if settings is None:
        return None, findings
    broken = {kind: _names(document, kind) - {item.name for item in getattr(settings, kind)} for kind in LISTS}
    return Sketch(settings, index, {kind: frozenset(names) for kind, names in broken.items()}), findings


def _trimmed(document: Document, wrong: Sequence[Keys]) -> Document:
    """Return the file without the wrong values of devices and their kin: the rest of each is still checked."""
    trimmed = replace(document, data=deepcopy(document.data))
    for keys in wrong:
        table = trimmed.value(keys[:-1])
        if keys[:1] and keys[0] in LISTS and len(keys) > 2 and keys[2] not in NEEDED and isinstance(table, dict):
            table.pop(str(keys[-1]), None)
    return trimmed


def _sound(document: Document, where: Keys, wrong: set[Keys]) -> tuple[int, ...]:
    """Return which elements of a list have nothing wrong in them; none when the list itself is wrong."""
    items = document.value(where)
    if where in wrong or not isinstance(items, list):
        return ()
    depth = len(where) + 1
    bad = {keys[:depth] for keys in wrong}
    return tuple(number for number in range(len(items)) if (*where, number) not in bad)


def _without(document: Document, wrong: set[Keys], index: Mapping[str, tuple[int, ...]]) -> dict[str, object]:
    """Return the data without what is wrong: elements of lists one by one, other tables as a whole."""
    data: dict[str, object] = {"gateway": {"id": "unknown"}, **document.data}
    for kind, numbers in index.items():
        data[kind] = [document.data[kind][number] for number in numbers]
    consumers: Keys = ("api", "consumer")
    if any(keys[:2] == consumers for keys in wrong) and isinstance(data.get("api"), dict):
        kept = [document.value((*consumers, number)) for number in _sound(document, consumers, wrong)]
        data["api"] = {**document.data["api"], "consumer": kept}
    for keys in wrong:
        if keys and keys[0] not in LISTS and keys[:2] != consumers:
            data.pop(str(keys[0]), None)
    return {"gateway": {"id": "unknown"}, **data}


def _names(document: Document, kind: str) -> set[str]:
    items = document.value((kind,))
    items = items if isinstance(items, list) else [items]
    return {item["name"] for item in items if isinstance(item, dict) and isinstance(item.get("name"), str)}
