"""Reads one DL/T 645 meter: joins values into blocks where the meter has them, follows long answers, decodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from drivers._meters import WAKE, Rounds, StrayError, exchange, packed
from drivers._points import NOT_AVAILABLE, Finish, Raw, finisher
from drivers.dlt645.frame import READ, READ_1997, READ_ON, READ_ON_1997, answer_to, measure, question, time_for_all
from drivers.dlt645.place import MOST_DATA, Place, block_of
from gateway.contract import DeviceError, DeviceSilentError, Pipe, Point, PointValue

MOST_FOLLOWING = 32  # frames behind the first; a meter that never ends must not hold the line


@dataclass(frozen=True, slots=True)
class Part:
    """One identifier to read, and which bytes of its data are whose."""

    ident: str
    names: tuple[str, ...]
    places: tuple[Place, ...]
    is_block: bool = False

    @property
    def needed(self) -> int:
        """Bytes of data that hold all the points."""
        return max(place.end for place in self.places)


class Meter:
    """A Driver (see contract) for one meter."""

    def __init__(
        self,
        address: str,
        points: Mapping[str, Point],
        places: Mapping[str, Place],
        *,
        wake: int,
        blocks: bool,
        set_clock: bool = False,
    ) -> None:
        self.sets_clock = set_clock
        self._address = address
        self._points = points
        self._places = places
        self._wake = bytes((WAKE,)) * wake
        self._blocks = blocks
        self._finish: dict[str, Finish] = {name: finisher(point) for name, point in points.items()}
        self._without: set[str] = set()  # blocks that this meter does not have
        self._doubtful: set[str] = set()
        self._plans: dict[frozenset[str], list[Part]] = {}
        is_1997 = any(place.is_1997 for place in places.values())
        self._read, self._read_on = (READ_1997, READ_ON_1997) if is_1997 else (READ, READ_ON)
        self._rounds: Rounds[Part] = Rounds(self._ask, self._singly)

    def requests(self, points: Iterable[str]) -> list[str]:
        """Return the identifiers that one read of these points asks for now."""
        return [part.ident for part in self._plan(frozenset(points))]

    async def read(self, pipe: Pipe, points: frozenset[str]) -> Mapping[str, PointValue]:
        """Read these points once; a point that alone cannot be read comes back bad, DeviceError if none can."""
        return await self._rounds.read(pipe, self._plan(points))

    async def set_clocks(self, pipe: Pipe, now: datetime) -> None:
        """Tell all meters that hear it the local time; by both editions none answers, so nothing is waited for."""
        await pipe.write(self._wake + time_for_all(now))

    async def _ask(self, pipe: Pipe, part: Part) -> Mapping[str, PointValue]:
        data = await self._fetch(pipe, part)
        self._doubtful.discard(part.ident)
        if len(data) < part.needed or any(place.offset is None and place.size != len(data) for place in part.places):
            raise DeviceError(
                f"{part.ident}: the answer has {len(data)} bytes, the profile expects {part.needed}", "protocol", data
            )
        return {name: self._value(name, place, data) for name, place in zip(part.names, part.places, strict=True)}

    async def _fetch(self, pipe: Pipe, part: Part) -> bytes:
        """Return the data of one identifier, from as many frames as it takes."""
        ident = bytes.fromhex(part.ident)[::-1]
        data, more = await self._exchange(pipe, self._read, ident, b"", part.ident)
        for number in range(1, MOST_FOLLOWING + 1):
            if not more or len(data) >= part.needed:
                break
            # 2007: a sequence number goes out behind the identifier and comes back behind the data.
            sequence = bytes((number,)) if self._read_on == READ_ON else b""
            said, more = await self._exchange(pipe, self._read_on, ident, sequence, part.ident)
            if sequence and said[-1:] != sequence:
                raise DeviceError(f"{part.ident}: following frame {number} has another number", "protocol", said)
            data += said[: len(said) - len(sequence)]
        return data

    async def _exchange(self, pipe: Pipe, control: int, ident: bytes, sequence: bytes, what: str) -> tuple[bytes, bool]:
        def accept(frame: bytes) -> tuple[bytes, bool] | None:
            return answer_to(frame, control, self._address, ident, what)

        asked = self._wake + question(control, self._address, ident + sequence)
        return await exchange(pipe, asked, measure, accept, what)

    def _value(self, name: str, place: Place, data: bytes) -> PointValue:
        point = self._points[name]
        raw = _raw(point, data[place.offset or 0 : place.end])
        return NOT_AVAILABLE if raw is None else self._finish[name](raw, 1, 0)

    def _singly(self, part: Part, error: DeviceError) -> list[Part]:
        """Read the values one by one from now on when the meter has no such block (or less in it)."""
        if not part.is_block or isinstance(error, StrayError) or error.reason == "damaged":
            return []
        silent = isinstance(error, DeviceSilentError)
        if silent and part.ident not in self._doubtful:
            self._doubtful.add(part.ident)  # one lost answer proves nothing
            return []
        self._without.add(part.ident)
        self._plans.clear()
        # After silence the single values wait for the next read.
        return [] if silent else self._compile(part.names)

    def _plan(self, points: frozenset[str]) -> list[Part]:
        plan = self._plans.get(points)
        if plan is None:
            plan = self._plans[points] = self._compile(points)
        return plan

    def _compile(self, names: Iterable[str]) -> list[Part]:
        wanted: dict[str, list[str]] = {}
        for name in sorted(names):
            wanted.setdefault(self._places[name].ident, []).append(name)
        joined: dict[tuple[str, int], dict[str, Place]] = {}
        for ident, members in wanted.items():
            place = self._places[members[0]]
            block = block_of(place) if self._blocks else None
            if block and len(members) == 1 and block[0] not in self._without | wanted.keys():
                inside = Place(block[0], block[1] * place.size, place.size)
                if inside.end <= MOST_DATA:
                    joined.setdefault((block[0], place.size), {})[ident] = inside
        parts = []
        for (block_ident, _), places in joined.items():
            if len(places) > 1:
                members = [wanted.pop(ident)[0] for ident in places]
                parts.append(Part(block_ident, tuple(members), tuple(places.values()), is_block=True))
        parts += [
            Part(ident, tuple(members), tuple(self._places[name] for name in members))
            for ident, members in wanted.items()
        ]
        return sorted(parts, key=lambda part: part.ident)


def _raw(point: Point, data: bytes) -> Raw:
    """Take a raw value out of its bytes; None is "not available"."""
    if point.type == "bool":
        return bool(int.from_bytes(data, "little") >> (point.bit or 0) & 1) is not point.invert
    if point.type == "bits":
        return int.from_bytes(data, "little")
    if point.type == "string":
        digits = data[::-1].hex()
        return digits if digits.isdecimal() else None
    return packed(data, signed=point.type == "sbcd")
