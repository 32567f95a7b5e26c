"""Reads one M-Bus meter: reset or select, then ask for telegrams until all that is wanted was said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import NamedTuple

from drivers._decimals import decimal_finisher
from drivers._meters import Rounds
from drivers._points import NOT_AVAILABLE
from drivers.mbus.link import POINT_TO_POINT, REQ_UD2, SELECTED, SND_NKE, ask_ack, ask_long, selection, short_frame
from drivers.mbus.telegram import Place, Raw, Telegram, decode
from gateway.contract import DeviceError, Pipe, Point, PointValue

MOST_TELEGRAMS = 16
NO_SUCH_DATA = PointValue(None, "bad", "no_such_data")


class Telegrams(NamedTuple):
    """All telegrams of one read, and the points that are wanted of them."""

    names: tuple[str, ...]


class MbusDevice:
    """A Driver (see contract). ``primary`` 0 to 250 or 254; ``identity``: the bytes of a secondary address instead."""

    def __init__(self, primary: int, identity: bytes, points: Mapping[str, Point], places: Mapping[str, Place]) -> None:
        self._address = SELECTED if identity else primary
        self._sender = None if identity or primary == POINT_TO_POINT else primary
        self._identity = identity
        self._places = places
        self._finish = {name: _finisher(point) for name, point in points.items()}
        # A byte sum lets one in 256 multiply damaged answers pass: after a damaged one they are looked at again.
        self._rounds: Rounds[Telegrams] = Rounds(self._ask)

    async def read(self, pipe: Pipe, points: frozenset[str]) -> Mapping[str, PointValue]:
        """Read these points once; what the meter does not send is bad, DeviceError when it sends nothing."""
        return await self._rounds.read(pipe, [Telegrams(tuple(sorted(points)))])

    async def _ask(self, pipe: Pipe, part: Telegrams) -> Mapping[str, PointValue]:
        # Either makes the meter begin with its first telegram and expect the frame count bit set.
        await ask_ack(pipe, selection(self._identity) if self._identity else short_frame(SND_NKE, self._address))
        wanted = {self._places[name] for name in part.names}
        raws: dict[Place, Raw] = {}
        for number in range(MOST_TELEGRAMS):
            frame = await ask_long(pipe, short_frame(REQ_UD2[number % 2], self._address))
            telegram = decode(frame, self._sender)
            self._check_identity(telegram, frame)
            raws = {**telegram.values, **raws}
            if not telegram.more or wanted <= raws.keys():
                break
        return {name: self._value(name, raws) for name in part.names}

    def _check_identity(self, telegram: Telegram, frame: bytes) -> None:
        for wanted, found in zip(self._identity, telegram.identity, strict=False):
            if wanted not in (found, 0xFF):
                raise DeviceError("another meter answered; check the secondary address", "protocol", frame)

    def _value(self, name: str, raws: Mapping[Place, Raw]) -> PointValue:
        raw = raws.get(self._places[name])
        if raw is None:
            return NO_SUCH_DATA
        return raw if isinstance(raw, PointValue) else self._finish[name](raw)


def _finisher(point: Point) -> Callable[[Decimal | str | bool], PointValue]:
    finish = decimal_finisher(point)

    def value(raw: Decimal | str | bool) -> PointValue:
        if isinstance(raw, bool):
            return PointValue(raw is not point.invert)
        if isinstance(raw, str):
            return PointValue(raw) if raw else NOT_AVAILABLE
        return finish(raw)

    return value
