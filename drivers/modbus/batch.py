"""Takes all plain numbers of a block apart in one go, and finishes only what has changed. Never raises on data."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import compress
from operator import ne

from drivers._points import Finish, Raw
from drivers.modbus.address import Span
from drivers.modbus.values import FORMATS, NEW, shortest
from gateway.contract import Point, PointValue

LEAST = 3  # points; fewer are read as fast one by one


class Batch:
    """Numbers in one block, in the order of their addresses; remembers what it made of them."""

    def __init__(self, base: int, members: list[tuple[str, Point, Span, Finish]]) -> None:
        layout, at = ">", base
        self.names: list[str] = []
        self._finish: list[Callable[[Raw], PointValue]] = []
        for name, point, span, finish in members:
            layout += f"{2 * (span.start - at)}x" + FORMATS[point.type]
            at = span.end
            self.names.append(name)
            self._finish.append(_single(finish) if point.type == "float32" else _plain(finish))
        self._unpack = struct.Struct(layout).unpack_from
        self._numbers = range(len(self.names))
        self._raws: tuple[object, ...] = (NEW,) * len(self.names)
        self._values: dict[str, PointValue] = {}

    def read(self, data: bytes, values: dict[str, PointValue]) -> None:
        """Put the value of each point into ``values``."""
        raws = self._unpack(data)
        for number in compress(self._numbers, map(ne, raws, self._raws)):
            self._values[self.names[number]] = self._finish[number](raws[number])
        self._raws = raws
        values.update(self._values)


def batch_of(base: int, members: list[tuple[str, Point, Span, Finish]]) -> Batch | None:
    """Make one for those members that lie behind each other and are stored high byte first; None for too few."""
    fitting, end = [], base
    for member in sorted(members, key=lambda member: member[2].start):
        _, point, span, _ = member
        if point.type in FORMATS and point.order == "ABCD" and not span.table.of_bits and span.start >= end:
            fitting.append(member)
            end = span.end
    return Batch(base, fitting) if len(fitting) >= LEAST else None


def _plain(finish: Finish) -> Callable[[Raw], PointValue]:
    return lambda raw: finish(raw, 1, 0)


def _single(finish: Finish) -> Callable[[Raw], PointValue]:
    return lambda raw: finish(shortest(raw), 1, 0) if isinstance(raw, float) else finish(raw, 1, 0)
