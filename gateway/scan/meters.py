"""Searches for DL/T 645 and CJ/T 188 meters by wildcard, and takes apart several that answer at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from drivers._meters import NOISE_HEARD, WAKE, Frames, exchange
from drivers.cjt188 import find_address as find_cjt188
from drivers.cjt188.frame import ANY_TYPE
from drivers.cjt188.frame import measure as measure_cjt188
from drivers.cjt188.frame import parse as parse_cjt188
from drivers.dlt645 import ENERGY_1997
from drivers.dlt645 import find_address as find_dlt645
from drivers.dlt645.frame import ABNORMAL, ANSWER, FUNCTION, READ, READ_1997, measure, parse, question
from gateway.contract import Clock, DeviceError, DeviceSilentError, Pipe
from gateway.scan.found import Clash, Found, Patience
from gateway.scan.wire import Wire
from gateway.settings import SerialSettings

T = TypeVar("T")
ENERGY_2007 = bytes.fromhex("00000100")  # 00-01-00-00, low byte first
WAKE_BYTES = 4
TRIES = 3  # of a wildcard whose answer was garbled, before it counts as several meters at once
ROUNDS = 6  # of a CJ/T 188 wildcard that several meters answer
DIGIT_PAIRS = 6
MOST_REST = 1024  # bytes
BITS = 11  # of a character: 8E1
SOONEST = 0.001  # seconds
CROWD = 2  # meters, at least, to garble each other's answers
GARBLED = 2  # answers in TRIES; once may be noise
SILENCE = b"\xfe\0\xff"  # wake-up bytes, and what an idle line turns glitches into
CJT_TYPES = (0x10, 0x11, 0x12, 0x13, 0x20, 0x21, 0x22, 0x25, 0x30, 0x40)
Tick = Callable[[float], None]


@dataclass(frozen=True)
class Heard(Generic[T]):
    """An answer, what came behind it, and the seconds until its first byte."""

    answer: T
    rest: bytes
    seconds: float

    @property
    def is_crowded(self) -> bool:
        """Whether somebody spoke behind the answer."""
        return len(self.rest.strip(SILENCE)) >= NOISE_HEARD


class GarbledError(Exception):
    """Every answer was garbled."""


class _Asker:
    """Asks on one line with one speed and format; tries garbled answers again; learns how long answers take."""

    def __init__(self, wire: Wire, clock: Clock, serial: SerialSettings | None, patience: Patience) -> None:
        self.serial, self.patience = serial, patience
        self._wire, self._clock = wire, clock

    async def ask(self, work: Callable[[Pipe], Awaitable[T]], tries: int = TRIES) -> Heard[T] | None:
        """Return the answer and what came behind it, from a meter that answers later; None without; GarbledError."""
        garbled = 0
        for _ in range(tries):
            try:
                heard = await self._wire.lend(
                    partial(self._heard, work), timeout=self.patience.seconds, serial=self.serial
                )
            except DeviceSilentError:
                if garbled:
                    continue
                return None
            except DeviceError:
                garbled += 1
                continue
            return heard
        if garbled < GARBLED:
            return None
        raise GarbledError

    async def _heard(self, work: Callable[[Pipe], Awaitable[T]], pipe: Pipe) -> Heard[T]:
        timed = _Timed(pipe, self._clock, BITS / self.serial.baud if self.serial else 0.0)
        try:
            answer = await work(timed)
        finally:
            if timed.seconds:
                self.patience.learn(timed.seconds)  # garbled or not, it tells how fast they are here
        rest = bytearray()
        try:
            while len(rest) < MOST_REST:
                rest.extend(await pipe.read())
        except DeviceSilentError:
            return Heard(answer, bytes(rest), timed.seconds)
        return Heard(answer, bytes(rest), timed.seconds)


class _Timed:
    """A pipe that notes how long the first byte took, from when the question had left the wire."""

    def __init__(self, pipe: Pipe, clock: Clock, character: float) -> None:
        self.seconds = 0.0
        self._pipe, self._clock, self._character = pipe, clock, character
        self._asked = 0.0
        self.drain_input = pipe.drain_input

    async def write(self, data: bytes) -> None:
        await self._pipe.write(data)
        self._asked = self._clock.monotonic() + len(data) * self._character

    async def read(self, at_most: int = 4096) -> bytes:
        data = await self._pipe.read(at_most)
        self.seconds = self.seconds or max(SOONEST, self._clock.monotonic() - self._asked)
        return data


async def search_dlt645(
    wire: Wire,
    clock: Clock,
    serial: SerialSettings | None,
    patience: Patience,
    edition: int,
    tick: Tick,
    deep: bool,
    refusing: bool = False,
) -> list[Found | Clash]:
    """Find the meters of one edition (2007 or 1997). ``deep``: look for more although one answered cleanly.

    ``refusing``: meters of the other edition are here; several that refuse at once are garbled too.
    """
    asker = _Asker(wire, clock, serial, patience)
    addresses: dict[str, float] = {}
    crowd = False

    try:
        heard = await asker.ask(partial(find_dlt645, edition=edition, wake=WAKE_BYTES))
    except GarbledError:
        if refusing and not deep:
            return []
        crowd = True
    else:
        if heard is None:
            return []
        addresses[heard.answer] = heard.seconds
        crowd = heard.is_crowded
    stuck: list[str] = []
    if crowd or deep:
        await _narrow(asker, edition, "", addresses, stuck, tick)
    lonely = crowd and addresses and len(addresses) + len(stuck) < CROWD
    if lonely:  # somebody else garbled the wildcard, and may have answered too late to be heard
        asker.patience = Patience(patience.first, patience.first)
        await _narrow(asker, edition, "", addresses, stuck, tick)
    results: list[Found | Clash] = [_dlt(address, serial, edition, seconds) for address, seconds in addresses.items()]
    where = f" at {serial.baud} {serial.format}" if serial else ""
    if stuck or (crowd and not addresses):
        results.append(
            Clash(
                f"several DL/T 645-{edition} meters answer at once{where}, and not all could be told apart",
                "they do not take shortened addresses: write the 12 digits on each plate into the configuration, or "
                "connect them one by one and scan each",
            )
        )
    elif lonely and len(addresses) < CROWD:
        results.append(
            Clash(
                f"the answers to the wildcard of DL/T 645-{edition} were garbled{where}, but only one meter was found",
                "look whether another one hangs there, and check termination and wiring: noise looks the same",
            )
        )
    return results


def _dlt(address: str, serial: SerialSettings | None, edition: int, seconds: float) -> Found:
    return Found("dlt645", address, serial, seconds=seconds, options={"edition": edition})


async def _narrow(
    asker: _Asker, edition: int, low: str, addresses: dict[str, float], stuck: list[str], tick: Tick
) -> None:
    """Try all next two digits before ``low``: a shortened address has its high digits as AA (DL/T 645, 5.2.3)."""
    for pair in range(100):
        if not low:
            tick(pair / 100)
        suffix = f"{pair:02d}{low}"
        try:
            heard = await asker.ask(partial(_hail_dlt, edition=edition, suffix=suffix))
        except GarbledError:
            if len(suffix) < 2 * DIGIT_PAIRS:
                await _narrow(asker, edition, suffix, addresses, stuck, tick)
            else:
                stuck.append(suffix)
            continue
        if heard is not None and heard.answer.endswith(suffix):
            addresses.setdefault(heard.answer, heard.seconds)


async def _hail_dlt(pipe: Pipe, edition: int, suffix: str) -> str:
    control, ident = (READ, ENERGY_2007) if edition == 2007 else (READ_1997, ENERGY_1997)

    def accept(frame: bytes) -> str | None:
        address, given, _ = parse(frame)
        answers = given & ANSWER and given & FUNCTION == control and address.isdecimal()
        return address if answers or (given & ABNORMAL and address.isdecimal()) else None

    asked = bytes((WAKE,)) * WAKE_BYTES + question(control, suffix.rjust(12, "A"), ident)
    return await exchange(pipe, asked, measure, accept, "shortened address")


async def search_cjt188(
    wire: Wire, clock: Clock, serial: SerialSettings | None, patience: Patience, tick: Tick, deep: bool
) -> list[Found | Clash]:
    """Find CJ/T 188 meters: the standard has no shortened address, so several are told apart by type and by luck."""
    asker = _Asker(wire, clock, serial, patience)
    found: dict[tuple[int, str], float] = {}
    crowded: set[int] = set()
    await _hail_cjt(asker, ANY_TYPE, found, crowded)
    if crowded or (deep and found) or (deep and not found):
        for number, kind in enumerate(CJT_TYPES):
            tick(number / len(CJT_TYPES))
            crowded.discard(ANY_TYPE)
            await _hail_cjt(asker, kind, found, crowded)
    for _ in range(ROUNDS if crowded else 0):
        for kind in sorted(crowded):
            await _hail_cjt(asker, kind, found, crowded)
    results: list[Found | Clash] = [
        Found("cjt188", address, serial, seconds=seconds, options={"meter_type": kind})
        for (kind, address), seconds in found.items()
    ]
    if crowded:
        where = f" at {serial.baud} {serial.format}" if serial else ""
        kinds = ", ".join(f"{kind:02X}H" for kind in sorted(crowded))
        results.append(
            Clash(
                f"several CJ/T 188 meters of type {kinds} answer at once{where}",
                "the standard has no way to ask fewer of them: write the numbers on their plates into the "
                "configuration, or connect them one by one and scan each",
            )
        )
    return results


async def _hail_cjt(asker: _Asker, kind: int, found: dict[tuple[int, str], float], crowded: set[int]) -> None:
    for low_first in (True, False):
        try:
            heard = await asker.ask(partial(find_cjt188, meter_type=kind, low_first=low_first, wake=WAKE_BYTES))
        except GarbledError:
            crowded.add(kind)
            return
        if heard is None:
            continue
        found.setdefault(heard.answer, heard.seconds)
        for frame in Frames(measure_cjt188).feed(heard.rest):
            later = parse_cjt188(frame)
            found.setdefault((later.type, later.address), heard.seconds)
        if heard.is_crowded:
            crowded.add(kind)
        return
