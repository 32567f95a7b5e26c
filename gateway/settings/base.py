"""The words that settings are made of: frozen tables, names, durations in seconds, sizes in bytes."""

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


class Table(BaseModel):
    """A TOML table: frozen, and no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, hide_input_in_errors=True)


def parse_duration(value: object) -> float:
    """Read ``"250ms" "5s" "10m" "1h" "30d"`` as seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('expected a duration such as "250ms", "5s", "10m", "1h" or "30d"')
    return float(match[1]) * UNITS[match[2]]


def parse_size(value: object) -> int:
    """Read ``"64MiB" "8GiB"`` as bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(B|KiB|MiB|GiB|TiB)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('expected a size such as "64MiB" or "8GiB"')
    return int(float(match[1]) * BYTES[match[2]])


Duration = Annotated[float, BeforeValidator(parse_duration, json_schema_input_type=str)]
Size = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=str)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)]
