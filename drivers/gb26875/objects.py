"""The application unit of GB/T 26875.3-2011: the objects that a station reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from drivers.gb26875.frame import time_of
from drivers.gb26875.words import COMPONENT_MASK

TIME = 6


class SystemKey(NamedTuple):
    """One fire system behind the station."""

    type: int
    address: int


class ComponentKey(NamedTuple):
    """One component: its system, and its place there. Its type is no part of its address."""

    system: SystemKey
    circuit: int
    number: int


@dataclass(frozen=True, slots=True)
class SystemState:
    """Type 1."""

    key: SystemKey
    state: int
    time: datetime | None


@dataclass(frozen=True, slots=True)
class ComponentState:
    """Type 2. ``note`` is the station's own text of the place."""

    key: ComponentKey
    type: int
    state: int
    note: str
    time: datetime | None


@dataclass(frozen=True, slots=True)
class Measured:
    """Type 3. ``kind`` and the unit of ``raw`` as in ``words.ANALOGUE``."""

    key: ComponentKey
    type: int
    kind: int
    raw: int
    time: datetime | None


@dataclass(frozen=True, slots=True)
class Operated:
    """Types 4 (``system`` is where) and 24 (``system`` is None: the transmission device itself)."""

    system: SystemKey | None
    flags: int
    operator: int
    time: datetime | None


@dataclass(frozen=True, slots=True)
class DeviceState:
    """Type 21."""

    state: int
    time: datetime | None


@dataclass(frozen=True, slots=True)
class Version:
    """Types 5 and 25."""

    system: SystemKey | None
    text: str


@dataclass(frozen=True, slots=True)
class Other:
    """A type that is none of these: only shown."""

    type: int
    size: int


Said = SystemState | ComponentState | Measured | Operated | DeviceState | Version | Other


class Layout(NamedTuple):
    """How an object of a type is read, and its bytes without the time that may follow."""

    size: int
    timed: bool
    read: Callable[[bytes, datetime | None], Said]


def parse_unit(unit: bytes) -> tuple[list[Said], str]:
    """Read all objects of a unit, and say what is wrong with it, if anything; whole objects count all the same.

    An empty unit is a sign of life (command 2 of several makers).
    """
    if not unit:
        return [], ""
    if len(unit) < 2:
        return [], "it ends before the number of objects"
    kind, count = unit[0], unit[1]
    layout = LAYOUTS.get(kind)
    if layout is None:
        return [Other(kind, len(unit) - 2)], ""
    data = unit[2:]
    size = layout.size + (TIME if layout.timed else 0)
    if layout.timed and count and len(data) == count * layout.size:
        size = layout.size  # some devices leave the time out
    whole = min(count, len(data) // size)
    said = [_object(layout, data[at * size : (at + 1) * size]) for at in range(whole)]
    return said, "" if whole == count else f"it announces {count} objects and has {whole}"


def _object(layout: Layout, data: bytes) -> Said:
    time = time_of(data[layout.size :]) if layout.timed else None
    return layout.read(data[: layout.size], time)


def _text(data: bytes) -> str:
    """GB 18030, padded; what stands behind the first NUL is rubbish."""
    text = data.split(b"\0", 1)[0].decode("gb18030", "replace").strip()
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _component(data: bytes) -> ComponentKey:
    """System, then (behind the component's type) circuit and number, low byte first."""
    circuit, number = int.from_bytes(data[3:5], "little"), int.from_bytes(data[5:7], "little")
    return ComponentKey(SystemKey(data[0], data[1]), circuit, number)


def _word(data: bytes) -> int:
    return int.from_bytes(data, "little")


LAYOUTS: dict[int, Layout] = {
    1: Layout(4, True, lambda data, time: SystemState(SystemKey(data[0], data[1]), _word(data[2:4]), time)),
    2: Layout(
        40,
        True,
        lambda data, time: ComponentState(
            _component(data), data[2], _word(data[7:9]) & COMPONENT_MASK, _text(data[9:40]), time
        ),
    ),
    3: Layout(
        10,
        True,
        lambda data, time: Measured(
            _component(data), data[2], data[7], int.from_bytes(data[8:10], "little", signed=True), time
        ),
    ),
    4: Layout(4, True, lambda data, time: Operated(SystemKey(data[0], data[1]), data[2], data[3], time)),
    5: Layout(4, False, lambda data, _: Version(SystemKey(data[0], data[1]), f"{data[2]}.{data[3]}")),
    21: Layout(1, True, lambda data, time: DeviceState(data[0], time)),
    24: Layout(2, True, lambda data, time: Operated(None, data[0], data[1], time)),
    25: Layout(2, False, lambda data, _: Version(None, f"{data[0]}.{data[1]}")),
}
