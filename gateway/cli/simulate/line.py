"""A simulated line: hears questions, lets its devices answer in the time that bytes take on a wire, spoils both."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.cli.simulate.ports import Meet, Peer, Port, Send
from gateway.cli.simulate.slave import Elapsed
from gateway.cli.simulate.station import Fault, Said, Served, Station, collide, noisy, silent_now
from gateway.settings import SerialSettings

QUIET = 0.002  # seconds without a byte end a question where bytes take no time
SILENT_CHARACTERS = 3.5  # Modbus over serial line 1.02, 2.5.1.1
SILENT_FAST = 0.00175  # the same, above 19200 baud
TURNAROUND = 0.005
PIECE = 0.004  # seconds of wire time that an adapter hands over at once


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a line is. ``real``: bytes take their time; ``turnaround``: seconds before an answer begins."""

    serial: SerialSettings | None = None
    real: bool = False
    turnaround: float = 0.0

    def character(self, serial: SerialSettings | None) -> float:
        """Seconds of one character."""
        serial = serial or self.serial
        if not self.real or serial is None:
            return 0.0
        bits = 1 + int(serial.format[0]) + (serial.format[1] != "N") + int(serial.format[2])
        return bits / serial.baud

    def silence(self, baud: int | None) -> float:
        """Seconds without a byte that end a question."""
        if not self.real or baud is None:
            return QUIET
        return max(SILENT_FAST, SILENT_CHARACTERS * 11 / baud) if baud <= 19200 else SILENT_FAST


def _forget(_device: str, _values: object) -> None:
    """Nobody wants to know."""


@dataclass
class SimulatedLine:
    """``whole`` tells how many bytes of a stream are whole questions, where they tell it; else silence ends them."""

    name: str
    stations: Sequence[Station]
    port: Port
    pace: Pace
    elapsed: Elapsed
    chance: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - noise, no secret
    whole: Callable[[bytes], int] | None = None
    served: Served = _forget
    faults: dict[int, Fault] = field(default_factory=dict)
    questions: int = 0
    unheard: int = 0
    unplugged: bool = False
    _sends: set[Send] = field(default_factory=set)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def open(self) -> None:
        """Be there; LinkError when the port cannot be had."""
        await self.port.open(self._meet)
        self._tasks = [
            asyncio.create_task(self._talk(station), name=f"{station.name} speaks")
            for station in self.stations
            if station.slave.period is not None
        ]

    async def close(self) -> None:
        """Be gone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.port.close()

    async def heed(self) -> None:
        """Plug the port in or out, as the faults of the moment say."""
        wanted = silent_now(self.faults, "unplug")
        if wanted != self.unplugged:
            self.unplugged = wanted
            await (self.port.close() if wanted else self.port.open(self._meet))

    def answer(self, question: bytes, baud: int | None) -> tuple[Said, SerialSettings | None] | None:
        """What comes back on the wire, and at whose speed; None when nothing does."""
        self.questions += 1
        if silent_now(self.faults, "cut", "silence", "unplug"):
            self.unheard += 1
            return None
        elapsed = self.elapsed()
        heard = [
            (said, station.serial)
            for station in self.stations
            if _listens(station, baud)
            and (said := station.hear(question, elapsed, self.chance, self.served)) is not None
        ]
        if not heard:
            self.unheard += 1
            return None
        spoken = [(said, serial) for said, serial in heard if said.data]
        if not spoken:
            return None
        said, serial = spoken[0]
        for other, _ in spoken[1:]:
            said = Said(collide(said.data, other.data), said.delay)
        for fault in self.faults.values():
            if fault.kind == "noise":
                said = Said(noisy(said.data, fault.percent, self.chance), said.delay)
            elif fault.kind == "echo":
                said = Said(question + said.data, said.delay)
            elif fault.kind == "late":
                said = Said(said.data, said.delay + fault.delay)
        return said, serial

    def _meet(self, send: Send) -> Peer:
        self._sends.add(send)
        return _Conversation(self, send, lambda: self._sends.discard(send))

    async def _talk(self, station: Station) -> None:
        while True:
            await asyncio.sleep(station.slave.period or 1.0)
            if not self._sends or silent_now(self.faults, "cut", "silence", "unplug"):
                continue
            said = station.speak(self.elapsed(), self.chance, self.served)
            data = said.data
            for fault in self.faults.values():
                if fault.kind == "noise":
                    data = noisy(data, fault.percent, self.chance)
            if _listens(station, self.port.speed()):
                for send in list(self._sends):
                    send(data)


def _listens(station: Station, baud: int | None) -> bool:
    """Whether a device hears this speed; ports without a speed, and odd speeds, are heard by all."""
    return baud is None or station.serial is None or station.serial.baud == baud


class _Conversation:
    """What one master has said so far, and what it is still to be told."""

    def __init__(self, line: SimulatedLine, send: Send, leave: Callable[[], None]) -> None:
        self._line = line
        self._send = send
        self._leave = leave
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._began = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timers: set[asyncio.TimerHandle] = set()

    def heard(self, data: bytes) -> None:
        """See ``Peer``."""
        now = self._loop.time()
        if not self._buffer:
            self._began = now
        self._buffer += data
        whole = self._line.whole
        if whole is not None:
            end = whole(self._buffer)
            question, self._buffer = self._buffer[:end], self._buffer[end:]
            if question:
                self._ask(question, now)
            return
        baud = self._line.port.speed()
        character = self._character(baud)
        ends = max(now, self._began + len(self._buffer) * character) + self._line.pace.silence(baud)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(ends, self._fell_silent, ends)

    def gone(self) -> None:
        """See ``Peer``."""
        if self._timer is not None:
            self._timer.cancel()
        for timer in self._timers:
            timer.cancel()
        self._leave()

    def _fell_silent(self, ended: float) -> None:
        question, self._buffer = self._buffer, b""
        self._ask(question, ended)

    def _ask(self, question: bytes, ended: float) -> None:
        line = self._line
        answer = line.answer(question, line.port.speed())
        if answer is None:
            return
        said, serial = answer
        character = line.pace.character(serial)
        begins = ended + line.pace.turnaround + said.delay
        size = max(1, int(PIECE / character)) if character else len(said.data)
        for at in range(0, len(said.data), size):
            piece = said.data[at : at + size]
            when = begins + (at + len(piece)) * character
            if when <= self._loop.time():
                self._send(piece)
            else:
                self._timers.add(self._loop.call_at(when, self._send, piece))
        self._timers = {timer for timer in self._timers if not timer.cancelled() and timer.when() > self._loop.time()}

    def _character(self, baud: int | None) -> float:
        serial = self._line.pace.serial
        if serial is not None and baud is not None and baud != serial.baud:
            serial = SerialSettings(baud=baud, format=serial.format)
        return self._line.pace.character(serial)


__all__ = ["Meet", "Pace", "SimulatedLine"]
