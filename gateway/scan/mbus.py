"""Searches for wired M-Bus meters: whether any is there, then by secondary address, digit by digit where they clash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from drivers.mbus.link import (
    POINT_TO_POINT,
    REQ_UD2,
    SELECTED,
    SND_NKE,
    ask_ack,
    ask_long,
    selection,
    short_frame,
)
from gateway.contract import Clock, DeviceError, DeviceSilentError, Pipe
from gateway.scan.found import Clash, Found, Patience
from gateway.scan.wire import Wire
from gateway.settings import SerialSettings

DIGITS = 8
ANY_DIGIT, ANY_MAKER = "F", b"\xff" * 4
VARIABLE_DATA = 0x72
TRIES = 3
PRIMARIES = range(1, 251)
Tick = Callable[[float], None]
T = TypeVar("T")


class MbusSearch:
    """One search on one line with one speed."""

    def __init__(self, wire: Wire, clock: Clock, serial: SerialSettings | None, patience: Patience) -> None:
        self._wire, self._clock, self._serial, self._patience = wire, clock, serial, patience
        self._found: dict[bytes, Found] = {}
        self._stuck: list[str] = []

    async def run(self, tick: Tick, deep: bool) -> list[Found | Clash]:
        """Find all meters. ``deep``: ask every primary address too, for meters without a secondary one."""
        if not await self._anybody() and not deep:
            return []
        answer = await self._telegram(POINT_TO_POINT, b"")
        if isinstance(answer, bytes) and not deep:
            self._add(answer, primary=answer[5])
        else:
            await self._select("", tick)
            if not self._found and answer:
                self._stuck.append("the test address 254, and none can be selected by its number,")
        if deep:
            for number, primary in enumerate(PRIMARIES):
                tick(number / len(PRIMARIES))
                answer = await self._telegram(primary, b"")
                if isinstance(answer, bytes):
                    self._add(answer, primary=primary)
                elif answer:
                    self._stuck.append(f"primary address {primary}")
        results: list[Found | Clash] = list(self._found.values())
        if self._stuck:
            results.append(
                Clash(
                    f"several M-Bus meters answer at once as {', '.join(self._stuck)}",
                    "give each an address of its own, or connect them one by one and scan each",
                )
            )
        return results

    async def _anybody(self) -> bool:
        """Whether any meter acknowledges the test address; several acknowledgements at once are still one byte."""
        try:
            await self._lend(lambda pipe: ask_ack(pipe, short_frame(SND_NKE, POINT_TO_POINT)))
        except DeviceSilentError:
            return False
        except DeviceError:
            return True
        return True

    async def _select(self, digits: str, tick: Tick) -> None:
        """Try what begins with ``digits``; where several answer, try every next digit."""
        pattern = digits.ljust(DIGITS, ANY_DIGIT)
        answer = await self._telegram(SELECTED, bytes.fromhex(pattern)[::-1] + ANY_MAKER)
        if isinstance(answer, bytes):
            self._add(answer)
        elif answer and len(digits) == DIGITS:
            self._stuck.append(f"number {digits}")
        if not answer or (isinstance(answer, bytes) and digits):
            return
        if len(digits) < DIGITS:
            for digit in range(10):
                if not digits:
                    tick(digit / 10)
                await self._select(f"{digits}{digit}", tick)

    async def _telegram(self, address: int, identity: bytes) -> bytes | bool:
        """Return the telegram of one meter, True when several or damaged ones came, False without any."""
        damaged = False
        for _ in range(TRIES):
            began = self._clock.monotonic()

            async def work(pipe: Pipe) -> bytes:
                await ask_ack(pipe, selection(identity) if identity else short_frame(SND_NKE, address))
                return await ask_long(pipe, short_frame(REQ_UD2[0], address))

            try:
                frame = await self._lend(work)
            except DeviceSilentError:
                if damaged:
                    continue
                return False
            except DeviceError:
                damaged = True
                continue
            self._patience.learn((self._clock.monotonic() - began) / 2)
            return frame
        return damaged

    async def _lend(self, work: Callable[[Pipe], Awaitable[T]]) -> T:
        return await self._wire.lend(work, timeout=self._patience.seconds, serial=self._serial)

    def _add(self, frame: bytes, primary: int | None = None) -> None:
        identity = frame[7:15] if len(frame) >= 21 and frame[6] == VARIABLE_DATA else b""
        address: int | str
        if identity and identity[:4].hex().isdecimal():
            address = identity[3::-1].hex() + identity[4:8].hex().upper()
        elif primary is not None:
            address = primary
        else:
            return
        key = identity or bytes((primary or 0,))
        if key in self._found:
            return
        found = Found("mbus", address, self._serial, seconds=self._patience.slowest)
        if identity:
            found.options["medium"] = identity[7]
        self._found[key] = found
