"""What a point of a fire station stands for: the words of ``at``."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from drivers._decimals import check_decimal
from drivers._points import PointError
from drivers.gb26875.objects import ComponentKey, SystemKey
from drivers.gb26875.words import ANALOGUE, DEVICE_STATES, STATES
from gateway.contract import Point

PlaceKind = Literal["any", "count", "where", "device", "system", "component", "analogue", "word"]
WORDS = {"manual-alarm": "bool", "online": "bool", "version": "string"}
TYPES = {
    "any": "bool", "count": "number", "where": "string", "device": "bool", "system": "bool", "component": "bool",
    "analogue": "number",
}  # fmt: skip
AT = re.compile(
    r"(?P<word>[a-z-]+)"
    r"|(?P<all>any|count|where|device):(?P<state>[a-z-]+)"
    r"|system:(?P<system>\d{1,3}/\d{1,3}):(?P<system_state>[a-z-]+)"
    r"|component:(?P<component>\d{1,3}/\d{1,3}/\d{1,5}/\d{1,5}):(?P<component_state>[a-z-]+)"
    r"|analogue:(?P<analogue>\d{1,3}/\d{1,3}/\d{1,5}/\d{1,5})/(?P<value_kind>\d{1,3})"
)
HINT = (
    '"any:fire", "count:fire", "where:fire", "device:fault", "system:1/1:fire", "component:1/1/10/2:fire" (type of the '
    'system, its address, circuit, number), "analogue:1/1/10/2/3" (and the kind of value), "manual-alarm", "online" '
    'or "version"'
)
BYTE, WORD = 255, 65535


class Place(NamedTuple):
    """``state`` is a word of the standard's states, or one of ``WORDS``; ``value_kind`` a number of ``ANALOGUE``."""

    kind: PlaceKind
    state: str = ""
    system: SystemKey | None = None
    component: ComponentKey | None = None
    value_kind: int = 0


def locate(point: Point) -> Place:
    """Return what a point stands for; PointError names the key that is wrong."""
    match = AT.fullmatch(point.at.strip())
    if match is None:
        raise PointError("at", f"{point.at!r} is no place of a fire station; write {HINT}")
    place = _place(match)
    _check_type(point, WORDS[place.state] if place.kind == "word" else TYPES[place.kind])
    return place


def _place(match: re.Match[str]) -> Place:
    if match["word"]:
        if match["word"] not in WORDS:
            raise PointError("at", f"{match['word']!r} is no place of a fire station; write {HINT}")
        return Place("word", match["word"])
    if match["all"]:
        known = {**STATES, **DEVICE_STATES} if match["all"] == "any" else STATES
        kind: PlaceKind = match["all"]  # type: ignore[assignment]
        return Place(kind, _state(match["state"], DEVICE_STATES if kind == "device" else known))
    if match["system"]:
        system = _numbers(match["system"])
        return Place("system", _state(match["system_state"], STATES), SystemKey(*system))
    kind_, address, *circuit = _numbers(match["component"] or match["analogue"])
    component = ComponentKey(SystemKey(kind_, address), *circuit)
    if match["component"]:
        return Place("component", _state(match["component_state"], STATES), component=component)
    value_kind = int(match["value_kind"])
    if value_kind not in ANALOGUE:
        known_kinds = ", ".join(f"{number} {kind.name} ({kind.unit})" for number, kind in ANALOGUE.items())
        raise PointError("at", f"{value_kind} is no kind of value; there are {known_kinds}")
    return Place("analogue", component=component, value_kind=value_kind)


def _state(word: str, known: dict[str, int]) -> str:
    if word not in known:
        raise PointError("at", f"{word!r} is no state here; write one of {', '.join(known)}")
    return word


def _numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split("/")]
    for number, most in zip(numbers, (BYTE, BYTE, WORD, WORD), strict=False):
        if number > most:
            raise PointError("at", f"{number} is too large; system numbers go to {BYTE}, circuits and parts to {WORD}")
    return numbers


def _check_type(point: Point, kind: str) -> None:
    if kind == "number":
        check_decimal(point, {})
        return
    if point.type != kind:
        raise PointError("type", f'this is a {kind}; write type = "{kind}"')
    for key, given in (
        ("scale", point.scale != 1),
        ("offset", point.offset != 0),
        ("valid", point.valid is not None),
        ("na", bool(point.na)),
        ("bit", point.bit is not None),
        ("length", point.length is not None),
        ("enum", bool(point.enum)),
        ("write", point.write),
        ("invert", point.invert and kind != "bool"),
    ):
        if given:
            raise PointError(key, f"a {kind} of a fire station has no use for {key}; leave it out")
