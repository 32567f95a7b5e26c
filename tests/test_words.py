"""Words that depend on a number, and no sentence of the product that says ``1 devices``."""

import re
from pathlib import Path

import pytest

from gateway.words import many

GATEWAY = Path(__file__).resolve().parents[1] / "gateway"
# Nouns that are counted for people, behind what was computed.
COUNTED = re.compile(
    r"(?:\{(?:len\(|total|count|[a-z_.]*\[)[^{}]*\}|%d) "
    r"(?:devices|cameras|records|files|alarms|clips|days|problems|warnings|vehicles|plates|calls|links|throws)\b"
)
# More than one by what is asked before, or no number of things.
SEVERAL = (
    "if len(mine) > 1",
    "if count == 1 else",
    "if len(warnings) > 1",
    "have the id",
    "lie between these records",
    "asked in vain",
)


@pytest.mark.parametrize(
    ("count", "what", "text"),
    [
        (1, "device", "1 device"),
        (0, "device", "0 devices"),
        (2, "older fall", "2 older falls"),
        (3, "batch", "3 batches"),
    ],
)
def test_a_noun_follows_its_number(count: int, what: str, text: str) -> None:
    assert many(count, what) == text


def test_no_number_of_things_is_written_without_asking_how_many() -> None:
    found = [
        f"{path.relative_to(GATEWAY)}: {line.strip()}"
        for path in sorted(GATEWAY.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if COUNTED.search(line) and not any(known in line for known in SEVERAL)
    ]
    assert found == []
