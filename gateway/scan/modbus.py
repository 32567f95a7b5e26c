"""Searches for Modbus units on a line: RTU, ASCII and TCP, with one read each; a refusal is an answer too."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from drivers._checksums import crc16
from gateway.contract import Clock, DeviceSilentError, Pipe
from gateway.scan.found import Clash, Found, Patience
from gateway.scan.reads import MODBUS_READS
from gateway.scan.wire import Wire
from gateway.settings import SerialSettings

TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
NOBODY = (0x0A, 0x0B)  # a gateway says that it reaches nobody there (Modbus application protocol 1.1b3, 7)
ILLEGAL = (0x01, 0x02, 0x03)
TRIES = 5  # of a unit whose answer was garbled
CHECKS = 2  # more of a unit that answered
NOISE_HEARD = 3  # bytes; a wire that changes direction makes one or two of its own
TRAILING = 5  # bytes behind an answer that can only be a second one
STRANGE_UNITS = (231, 197)  # nobody gives these to a device


class Spot(NamedTuple):
    """One register or bit, or some: function that reads it, first address, how many."""

    function: int
    start: int
    size: int = 1

    def __str__(self) -> str:
        return f"{TABLES[self.function]}:{self.start}"


FIRST, SECOND = Spot(3, 0), Spot(4, 0)
MORE = (Spot(3, 1), Spot(1, 0), Spot(2, 0), Spot(3, 4), Spot(4, 1))


@dataclass(frozen=True)
class Answer:
    """A sound frame of a device; ``code``: the exception, 0 without; ``data``: behind the byte count."""

    unit: int
    function: int
    code: int
    data: bytes


@dataclass(frozen=True)
class Heard:
    """What came back: sound answers, bytes that belong to none, seconds until the first byte."""

    answers: tuple[Answer, ...]
    rest: bytes
    seconds: float

    def of(self, unit: int) -> list[Answer]:
        """Answers of this unit, without a gateway's word that nobody is there."""
        return [answer for answer in self.answers if answer.unit == unit and answer.code not in NOBODY]

    @property
    def is_garbled(self) -> bool:
        """Something came, and nothing of it is sound."""
        return not self.answers and len(self.rest) >= NOISE_HEARD


_transactions = itertools.count(1)


def question(framing: str, unit: int, spot: Spot) -> bytes:
    """Build one read as it stands on the wire (framing ``rtu``, ``ascii`` or ``tcp``)."""
    body = bytes((unit, spot.function)) + spot.start.to_bytes(2) + spot.size.to_bytes(2)
    if framing == "rtu":
        return body + crc16(body)
    if framing == "ascii":
        return b":" + (body + bytes((-sum(body) & 0xFF,))).hex().upper().encode() + b"\r\n"
    return (next(_transactions) & 0xFFFF).to_bytes(2) + b"\0\0" + len(body).to_bytes(2) + body


def answers_in(framing: str, data: bytes) -> tuple[list[Answer], bytes]:
    """Find all sound answers, and return what is left of the bytes."""
    if framing == "ascii":
        return _ascii_answers(data)
    found: list[Answer] = []
    rest = bytearray()
    at = 0
    while at < len(data):
        frame, answer = _rtu_at(data[at:]) if framing == "rtu" else _mbap_at(data[at:])
        if answer is None:
            rest.append(data[at])
            at += 1
        else:
            found.append(answer)
            at += frame
    return found, bytes(rest)


def _rtu_at(data: bytes) -> tuple[int, Answer | None]:
    if len(data) < 5 or data[1] & 0x7F not in MODBUS_READS:
        return 0, None
    size = 5 if data[1] & 0x80 else 5 + data[2]
    frame = data[:size]
    if len(frame) < size or crc16(frame[:-2]) != frame[-2:]:
        return 0, None
    return size, _answer(frame[:-2])


def _mbap_at(data: bytes) -> tuple[int, Answer | None]:
    size = 6 + int.from_bytes(data[4:6])
    if len(data) < 9 or data[2:4] != b"\0\0" or not 9 <= size <= len(data) or data[7] & 0x7F not in MODBUS_READS:
        return 0, None
    return size, _answer(data[6:size])


def _ascii_answers(data: bytes) -> tuple[list[Answer], bytes]:
    found: list[Answer] = []
    rest = b""
    for line in data.split(b"\r\n"):
        _, colon, digits = line.rpartition(b":")
        try:
            frame = bytes.fromhex(digits.decode("ascii"))
        except ValueError:
            frame = b""
        fits = len(frame) >= 4 and not sum(frame) & 0xFF and frame[1] & 0x7F in MODBUS_READS
        answer = _answer(frame[:-1]) if colon and fits else None
        if answer is None:
            rest += line
        else:
            found.append(answer)
    return found, rest


def _answer(body: bytes) -> Answer | None:
    unit, function = body[0], body[1]
    if function & 0x80:
        return Answer(unit, function & 0x7F, body[2], b"")
    return Answer(unit, function, 0, body[3:]) if len(body) == 3 + body[2] else None


class Hailer:
    """Asks units on one line, with one framing, speed and format."""

    def __init__(
        self, wire: Wire, clock: Clock, framing: str, serial: SerialSettings | None, patience: Patience
    ) -> None:
        self.framing, self.serial, self.patience = framing, serial, patience
        self._wire, self._clock = wire, clock

    async def hail(self, unit: int, spot: Spot = FIRST, *, timeout: float = 0.0, linger: bool = False) -> Heard:
        """Ask once. ``linger``: wait on behind the first sound answer, for a second device with the same number."""
        asked = question(self.framing, unit, spot)
        buffer = bytearray()
        first = 0.0

        async def work(pipe: Pipe) -> None:
            nonlocal first
            await pipe.drain_input()
            await pipe.write(asked)
            began = self._clock.monotonic()
            while True:
                data = await pipe.read()
                first = first or self._clock.monotonic() - began
                buffer.extend(data)
                answers, _ = answers_in(self.framing, self._without_echo(bytes(buffer), asked))
                if not linger and any(answer.unit == unit for answer in answers):
                    return

        with contextlib.suppress(DeviceSilentError):
            await self._wire.lend(work, timeout=timeout or self.patience.seconds, serial=self.serial)
        answers, rest = answers_in(self.framing, self._without_echo(bytes(buffer), asked))
        return Heard(tuple(answers), rest, first)

    @staticmethod
    def _without_echo(data: bytes, asked: bytes) -> bytes:
        return data.removeprefix(asked)

    async def examine(self, unit: int, spot: Spot, heard: Heard) -> Found | Clash | None:
        """Say who answers as ``unit`` after a first answer or garble: one device, several, or only noise."""
        sound = int(bool(heard.of(unit)))
        garbled = int(heard.is_garbled)
        double = 0
        slowest, refused = heard.seconds, all(answer.code for answer in heard.of(unit))
        for _ in range(CHECKS if sound else TRIES - 1):
            again = await self.hail(unit, spot, linger=True)
            mine = again.of(unit)
            sound += bool(mine)
            garbled += again.is_garbled
            double += len(mine) > 1 or (bool(mine) and len(again.rest) >= TRAILING)
            if mine:
                slowest = max(slowest, again.seconds)
                refused = refused and all(answer.code for answer in mine)
        if not sound:
            return _garbled(unit, self.serial) if garbled > TRIES // 2 else None
        self.patience.learn(slowest)
        found = Found("modbus", unit, self.serial, framing=self.framing, seconds=slowest)
        found.readable = "" if refused else str(spot)
        if double or garbled:
            found.remarks.append(
                f"{double + garbled} of {sound + garbled} answers were two at once or garbled: probably two devices "
                f"have the address {unit}; disconnect one and give it another"
            )
        return found


def _garbled(unit: int, serial: SerialSettings | None) -> Clash:
    where = f" at {serial.baud} {serial.format}" if serial else ""
    return Clash(
        f"unit {unit}{where}: something answers, but every answer is garbled",
        "probably two devices have this address: disconnect one of them and scan again; if all addresses are garbled, "
        "check termination, wires A and B, and the format",
    )


async def walk(
    hailer: Hailer,
    units: Sequence[int],
    spots: Iterable[Spot],
    known: set[int],
    tick: Callable[[float], None],
) -> AsyncIterator[Found | Clash]:
    """Ask all units that are not ``known``; yields devices and clashes. ``tick`` gets the part that is done, 0 to 1.

    An answer of another unit than was asked is a late one: that unit is there, and the line slower than thought.
    """
    settled = set(known)
    asked = 0
    spots = list(spots)
    for spot in spots:
        for unit in units:
            asked += 1
            if unit in settled:
                continue
            wait = hailer.patience.seconds
            heard = await hailer.hail(unit, spot)
            late = sorted({answer.unit for answer in heard.answers if answer.code not in NOBODY} - settled - {unit})
            if late:
                hailer.patience.learn(wait + heard.seconds)
            for other in (*late, unit):
                again = heard if other == unit else await hailer.hail(other, spot, timeout=2 * wait + heard.seconds)
                if other not in units or not (again.of(other) or again.is_garbled):
                    continue
                result = await hailer.examine(other, spot, again)
                if result is not None:
                    settled.add(other)
                    yield result
                if isinstance(result, Found):
                    known.add(other)
            tick(asked / (len(units) * len(spots)))


async def answers_to_all(hailer: Hailer, units: Sequence[int], found: Sequence[Found]) -> bool:
    """Whether one device answers to every unit number, as many on TCP do."""
    if len(found) < len(units) or hailer.framing != "tcp":
        return False
    strange = [unit for unit in STRANGE_UNITS if unit not in units]
    return all([bool((await hailer.hail(unit)).of(unit)) for unit in strange])
