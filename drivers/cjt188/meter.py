"""Reads one CJ/T 188 meter: learns the byte order of its identifiers, tells layouts by length, converts units."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from drivers._meters import WAKE, RefusedError, Rounds, exchange
from drivers._points import NOT_AVAILABLE, Finish, finisher
from drivers.cjt188.frame import READ, answer_to, measure, question
from drivers.cjt188.layout import LAYOUTS, Layout, bad, raw_of, unit_factor
from drivers.cjt188.place import Place
from gateway.contract import DeviceError, DeviceSilentError, Pipe, Point, PointValue

ORDERS = ("learn", "low", "high")  # which byte of the identifier goes first; the standard says low
HEAD = 3  # identifier and serial number in front of the data


@dataclass(frozen=True, slots=True)
class Part:
    """One identifier to read and the points that its answer holds."""

    ident: str
    names: tuple[str, ...]


class Meter:
    """A Driver (see contract) for one meter."""

    def __init__(
        self,
        address: str,
        meter_type: int,
        points: Mapping[str, Point],
        places: Mapping[str, Place],
        *,
        wake: int,
        order: str,
    ) -> None:
        self._address = address
        self._type = meter_type
        self._points = points
        self._places = places
        self._wake = bytes((WAKE,)) * wake
        self._learned = order != "learn"
        self._low_first = order != "high"
        self._serial = itertools.count()
        self._finish: dict[str, Finish] = {name: finisher(point) for name, point in points.items()}
        self._plans: dict[frozenset[str], list[Part]] = {}
        self._rounds: Rounds[Part] = Rounds(self._ask)

    def requests(self, points: Iterable[str]) -> list[str]:
        """Return the identifiers that one read of these points asks for."""
        return [part.ident for part in self._plan(frozenset(points))]

    async def read(self, pipe: Pipe, points: frozenset[str]) -> Mapping[str, PointValue]:
        """Read these points once; a point that alone cannot be read comes back bad, DeviceError if none can."""
        if self._learned:
            return await self._rounds.read(pipe, self._plan(points))
        # Half of all meters want the identifier's bytes the other way round, and are silent or refuse otherwise.
        try:
            values = await self._rounds.read(pipe, self._plan(points))
        except (DeviceSilentError, RefusedError) as first:
            self._low_first = not self._low_first
            try:
                values = await self._rounds.read(pipe, self._plan(points))
            except DeviceError as second:
                self._low_first = not self._low_first
                raise first if isinstance(second, DeviceSilentError) else second from None
        self._learned = True
        return values

    async def _ask(self, pipe: Pipe, part: Part) -> Mapping[str, PointValue]:
        ident = bytes.fromhex(part.ident)

        def accept(frame: bytes) -> bytes | None:
            return answer_to(frame, self._type, self._address, part.ident, part.ident)

        sent = ident[::-1] if self._low_first else ident
        asked = self._wake + question(READ, self._type, self._address, sent, next(self._serial))
        data = await exchange(pipe, asked, measure, accept, part.ident)
        layout = LAYOUTS[part.ident].get(len(data) + HEAD)
        if layout is None:
            raise DeviceError(
                f"{part.ident}: the answer has {len(data) + HEAD} bytes, no known layout", "protocol", data
            )
        return {name: self._value(name, layout, data) for name in part.names}

    def _value(self, name: str, layout: Layout, data: bytes) -> PointValue:
        field = layout.get(self._places[name].field)
        if field is None:
            return bad("no_such_data")
        raw = raw_of(field, data)
        if raw is None:
            return NOT_AVAILABLE
        point = self._points[name]
        if field.kind == "measure":
            factor = unit_factor(field, data, point.unit)
            if isinstance(factor, str):
                return bad(factor)
            return self._finish[name](raw, float(factor), 0)
        if field.kind == "battery":
            raw = bool(raw) is not point.invert
        return self._finish[name](raw, 1, 0)

    def _plan(self, points: frozenset[str]) -> list[Part]:
        plan = self._plans.get(points)
        if plan is None:
            by_ident: dict[str, list[str]] = {}
            for name in sorted(points):
                by_ident.setdefault(self._places[name].ident, []).append(name)
            plan = self._plans[points] = [Part(ident, tuple(names)) for ident, names in sorted(by_ident.items())]
        return plan
