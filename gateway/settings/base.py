"""The words that settings are made of: frozen tables, names, durations in seconds, sizes in bytes."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
DURATION = r"^[0-9]{1,9}(\.[0-9]{1,6})?(ms|s|m|h|d)$"
SIZE = r"^[0-9]{1,9}(\.[0-9]{1,6})?(B|KiB|MiB|GiB|TiB)$"
NAME = r"^[a-z][a-z0-9-]*$"
# What people write for a unit, in small letters.
DURATION_SLIPS = {
    "msec": "ms", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m", "minute": "m",
    "minutes": "m", "hr": "h", "hour": "h", "hours": "h", "day": "d", "days": "d", "ms": "ms", "s": "s", "h": "h",
}  # fmt: skip
SIZE_SLIPS = {
    "kb": "KiB", "k": "KiB", "mb": "MiB", "m": "MiB", "gb": "GiB", "g": "GiB", "tb": "TiB", "t": "TiB", "b": "B",
    "kib": "KiB", "mib": "MiB", "gib": "GiB", "tib": "TiB",
}  # fmt: skip
A_DURATION = 'expected a duration in quotes such as "250ms", "5s", "10m", "1h" or "30d"'
A_SIZE = 'expected a size in quotes such as "64MiB" or "8GiB"'

# What a text must look like, in words, by the pattern that checks it.
EXPECTED = {NAME: "expected a name of a-z, 0-9 and -, beginning with a letter"}


class Table(BaseModel):
    """A TOML table: frozen, and no key that is not known."""

    # Deferred: the whole tree is compiled once, not every table by itself again (half a megabyte).
    model_config = ConfigDict(
        defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )


class MisfitError(ValueError):
    """Keys of one table that do not go together; ``key`` is the one to point at, the table itself without."""

    def __init__(self, sentence: str, key: str = "") -> None:
        super().__init__(sentence)
        self.key = key


def parse_duration(value: object) -> float:
    """Read ``"250ms" "5s" "10m" "1h" "30d"`` as seconds."""
    match = re.fullmatch(DURATION, value) if isinstance(value, str) else None
    if match is None or not isinstance(value, str):
        raise ValueError(_no_quantity(value, A_DURATION, DURATION_SLIPS))
    unit = match[2]
    return float(value.removesuffix(unit)) * UNITS[unit]


def parse_size(value: object) -> int:
    """Read ``"64MiB" "8GiB"`` as bytes."""
    match = re.fullmatch(SIZE, value) if isinstance(value, str) else None
    if match is None or not isinstance(value, str):
        raise ValueError(_no_quantity(value, A_SIZE, SIZE_SLIPS))
    unit = match[2]
    return int(float(value.removesuffix(unit)) * BYTES[unit])


def _no_quantity(value: object, expected: str, slips: Mapping[str, str]) -> str:
    text = str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([A-Za-z]{0,9})", text)
    if match is None:
        return expected
    if not match[2]:
        return f"has no unit; {expected}"
    unit = slips.get(match[2].lower(), match[2])
    known = unit in UNITS or unit in BYTES
    return (
        f'is written differently; did you mean "{match[1]}{unit}"?' if known else f'"{match[2]}" is no unit; {expected}'
    )


def duration_text(seconds: float) -> str:
    """Write seconds the way a configuration says them: ``90.0`` is ``"90s"``, ``3600`` is ``"1h"``."""
    for unit, length in reversed(UNITS.items()):
        count = seconds / length
        if count >= 1 and abs(count - round(count)) < 1e-9:
            return f"{round(count)}{unit}"
    return f"{seconds:g}s"


def size_text(size: float) -> str:
    """Write bytes the way a configuration says them: ``1048576`` is ``"1MiB"``."""
    for unit, length in reversed(BYTES.items()):
        if size >= length and size % length == 0:
            return f"{round(size / length)}{unit}"
    return f"{round(size)}B"


def pattern(expression: str, expected: str) -> StringConstraints:
    """Constrain a text by a pattern and register the words that explain it."""
    EXPECTED[expression] = expected
    return StringConstraints(pattern=expression)


def _single(value: object) -> object:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("expected one value: a number, true, false or a text in quotes")
    return value


def _number_or_text(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("expected a number or a text in quotes")
    return value


def _int_or_text(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise ValueError("expected a whole number or a text in quotes")
    return value


def _pair(value: object) -> object:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("expected a point [x, y] in pixels")
    for number in value:
        if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) < 1e6:
            raise ValueError("expected a point [x, y], two numbers in pixels")
    return tuple(value)


def _polygon(value: object) -> object:
    if isinstance(value, list | tuple) and len(value) < 3:
        raise ValueError(
            "an area needs three points or more, [[x, y], [x, y], [x, y]], and brackets stand around all areas"
        )
    return tuple(value) if isinstance(value, list) else value


def _range(value: object) -> object:
    if not isinstance(value, list | tuple) or len(value) != 2 or any(isinstance(v, bool | str) for v in value):
        raise ValueError("expected two numbers [lowest, highest]")
    return tuple(value)


def _rising(value: tuple[float, float]) -> tuple[float, float]:
    low, high = value
    if not low < high:
        raise ValueError(f"expected the lowest value before the highest, not [{low:g}, {high:g}]")
    return value


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(duration_text, return_type=str, when_used="json"),  # so that a worker can read it again
    WithJsonSchema({"type": "string", "pattern": DURATION, "examples": ["250ms", "5s", "10m", "1h", "30d"]}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": "string", "pattern": SIZE, "examples": ["64MiB", "8GiB"]}),
]
Name = Annotated[str, StringConstraints(pattern=NAME, max_length=64)]
Value = Annotated[float | int | bool | str, BeforeValidator(_single)]
NumberOrText = Annotated[float | int | str, BeforeValidator(_number_or_text)]
IntOrText = Annotated[int | str, BeforeValidator(_int_or_text)]
Range = Annotated[tuple[float, float], BeforeValidator(_range), AfterValidator(_rising)]
PixelPoint = Annotated[tuple[float, float], BeforeValidator(_pair)]
Polygon = Annotated[tuple[PixelPoint, ...], BeforeValidator(_polygon), Field(min_length=3)]
