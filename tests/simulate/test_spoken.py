"""Lines that a pattern matches are found, whatever the pattern's build; what cannot be found is said."""

import pytest

from gateway.cli.simulate.spoken import speak
from tests.simulate.bench import spec_from


@pytest.mark.parametrize(
    ("pattern", "raws", "line"),
    [
        (r"(?:(?P<stable>ST)|US),GS,(?P<weight>[+-] *[0-9.]+)kg", {"stable": True, "weight": 12.34}, "ST,GS,+12.34kg"),
        (r"(?:(?P<stable>ST)|US),GS,(?P<weight>[+-] *[0-9.]+)kg", {"stable": False, "weight": -0.5}, "US,GS,-0.50kg"),
        (r"R(?P<mm>[0-9]{4})", {"mm": 87.0}, "R0087"),
        (r"T=(?P<t>-?\d+\.\d)C( H=(?P<h>\d+)%)?", {"t": -3.5, "h": 60.0}, "T=-3.5C H=60%"),
        (r"(?>,(?>A=(?P<a>[0-9.]+)|B=(?P<b>[0-9.]+)|[A-Z]=[^,]*))*", {"a": 1.5, "b": 2.0}, ",A=1.50,B=2.00"),
        (r"\s*OK(?P<open>0|1)[^x]\w\W.", {"open": True}, "OK100 0"),
        (r"state (?P<on>on|off)", {"on": False}, "state off"),
        (r"id=(?P<id>\w+);(?P<v>\d{3}\.\d{2})$", {"id": "AB7", "v": 7.25}, "id=AB7;007.25"),
        (r"(?P<a>\((?:x|[()])\d\))", {"a": "(x1)"}, "(x1)"),
        (r"(?P<v>[0-9.]+)(?<!.)", {"v": 1.0}, None),
    ],
)
def test_the_pattern_run_backwards(pattern: str, raws: dict, line: str | None) -> None:
    kinds = {bool: "bool", str: "string"}
    points = {name: {"at": name, "type": kinds.get(type(raw), "float64")} for name, raw in raws.items()}
    assert speak(spec_from("line", points, pattern=pattern), raws) == line


def test_columns() -> None:
    points = {"level": {"at": "2"}, "on": {"at": "4", "type": "bool"}}
    assert speak(spec_from("line", points, separator=";"), {"level": 1.5, "on": True}) == ";1.50;;1"
