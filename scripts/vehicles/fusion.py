"""Compares rules for fusing the reads of a passage, over looks that were kept while the simulation ran."""

from typing import Any


def table(clips: list[dict[str, Any]]) -> None:
    print(len(clips))
