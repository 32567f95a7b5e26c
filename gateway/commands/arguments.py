"""Checks the arguments of a command: unknown, missing or of the wrong kind is refused with the fix."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.contract import CommandError, Scalar

VALUE = object  # an argument of this kind takes any value that a point can have
KINDS = {str: "a text", int: "a whole number", bool: "true or false", VALUE: "a number, true, false or a text"}
LONGEST_TEXT = 1000


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a verb. ``least`` and ``most`` bound a number."""

    kind: type
    required: bool = False
    default: Any = None
    least: int = 0
    most: int = 0


def checked(verb: str, wanted: Mapping[str, Argument], given: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of ``verb`` with defaults filled in; CommandError 400 names the first that is wrong."""
    if unknown := sorted(set(given) - set(wanted)):
        takes = ", ".join(wanted) or "no arguments"
        raise CommandError(f"{verb} does not take {unknown[0][:80]!r}; it takes {takes}")
    values = {}
    for name, argument in wanted.items():
        value = given.get(name)
        if value is None:
            if argument.required:
                raise CommandError(f"{verb} needs {name}: {KINDS[argument.kind]}")
            value = argument.default
        else:
            _check(name, argument, value)
        values[name] = value
    return values


def _check(name: str, argument: Argument, value: object) -> None:
    fits = isinstance(value, Scalar) if argument.kind is VALUE else type(value) is argument.kind
    if not fits:
        raise CommandError(f"{name} must be {KINDS[argument.kind]}")
    if isinstance(value, int) and argument.most and not argument.least <= value <= argument.most:
        raise CommandError(f"{name} must be from {argument.least} to {argument.most}, not {value}")
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise CommandError(f"{name} is longer than {LONGEST_TEXT} characters: shorten it")
