"""The search of one line, step by step: listens, asks in every protocol and setting, compares what it found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from gateway.contract import Clock, LineKind, LinkError
from gateway.scan.fingerprint import Comparison, Sheet
from gateway.scan.found import Clash, Found, Patience
from gateway.scan.mbus import MbusSearch
from gateway.scan.meters import search_cjt188, search_dlt645
from gateway.scan.modbus import FIRST, MORE, SECOND, Hailer, Spot, answers_to_all, walk
from gateway.scan.settings import settings_to_try
from gateway.scan.talkers import name_talker
from gateway.scan.talking import Talk, listen
from gateway.scan.wire import Wire
from gateway.settings import SerialSettings

PROTOCOLS = ("modbus", "modbus-ascii", "dlt645", "cjt188", "mbus", "talking")
QUICK = ("modbus", "dlt645", "cjt188", "mbus", "talking")
FIRST_WAIT = {"serial": 0.12, "network": 0.4}  # seconds for a silent Modbus unit until answers have taught better
LEAST_WAIT = {"serial": 0.08, "network": 0.12}
THOROUGH = 1.5  # times as long
METER_WAIT = 0.6  # a meter may take 500 ms (DL/T 645, 5.3.2)
MBUS_WAIT = 0.35
LEAST_METER, LEAST_MBUS = 0.2, 0.15
LISTEN, LISTEN_AGAIN = 2.5, 1.2
COMPARE_SECONDS, COMPARE_QUESTIONS = 3.0, 80  # a device, about
OVERHEAD = 0.02
METER_BYTES = 34
ENOUGH_DONE = 0.1  # of a step, to foretell its end
ENOUGH_SEEN = 2.0  # seconds of steps, to foretell how long the others take


@dataclass(frozen=True)
class Wanted:
    """What to search for. Without ``bauds`` and ``formats`` the likely ones are tried."""

    units: Sequence[int]
    thorough: bool = False
    protocols: Sequence[str] = QUICK
    bauds: Sequence[int] = ()
    formats: Sequence[str] = ()


@dataclass(frozen=True)
class Progress:
    """How far a search is: ``left`` seconds are an estimate."""

    title: str
    step: int
    steps: int
    done: float
    left: float


@dataclass
class Step:
    """One thing to do, and the seconds that it takes when nobody answers."""

    title: str
    seconds: float
    run: Callable[[Callable[[float], None]], Awaitable[None]]
    needed: Callable[[], bool] = field(default=lambda: True)


class Search:
    """One search. ``found``, ``clashes`` and ``remarks`` grow while it runs, and hold when it is stopped.

    ``own``: what the line is set to; ``shared``: others ask on it meanwhile; ``settled``: a device whose profile is
    known, so that none is looked for; ``timing``: what answers are timed by, if not by ``clock``; ``wait``: seconds
    that each question waits for its turn on a line with others.
    """

    def __init__(
        self,
        wire: Wire,
        clock: Clock,
        wanted: Wanted,
        sheets: Sequence[Sheet],
        *,
        timing: Clock | None = None,
        own: SerialSettings | None = None,
        shared: bool = False,
        wait: float = 0.0,
        settled: Callable[[Found], bool] = lambda _found: False,
        report: Callable[[Progress], None] = lambda _progress: None,
    ) -> None:
        self.found: list[Found] = []
        self.clashes: list[Clash] = []
        self.remarks: list[str] = []
        self.complete = False
        self._wire, self._clock, self._wanted, self._sheets = wire, clock, wanted, sheets
        self._timing = timing or clock
        self._own, self._shared, self._settled, self._report = own, shared, settled, report
        self._hailers: dict[tuple[object, ...], Hailer] = {}
        self._known: dict[tuple[str, int | None], set[int]] = {}
        self._ended = False
        self._overhead = OVERHEAD + wait
        self._behind = self._foreseen = 0.0  # seconds that the steps until now took, and that they were to take
        self._refused: set[SerialSettings | None] = set()
        kind = "serial" if wire.kind is LineKind.SERIAL else "network"
        factor = THOROUGH if wanted.thorough else 1.0
        self._modbus_patience = Patience(factor * FIRST_WAIT[kind], factor * LEAST_WAIT[kind])
        self._meter_wait, self._mbus_wait = factor * METER_WAIT, factor * MBUS_WAIT
        self.steps = self._plan()

    @property
    def expected(self) -> float:
        """Seconds that all steps take about, when few devices answer."""
        return sum(step.seconds for step in self.steps)

    @property
    def each_device(self) -> float:
        """Seconds that it takes to compare a device with the profiles, about."""
        return COMPARE_SECONDS + COMPARE_QUESTIONS * (self._overhead - OVERHEAD)

    async def run(self) -> None:
        """Do all steps; LinkError when the line is gone. May be cancelled at any time."""
        for number, step in enumerate(self.steps):
            if self._ended or not step.needed():
                continue
            began = self._clock.monotonic()
            tick = partial(self._tick, step, number, began)
            tick(0.0)
            await step.run(tick)
            self._behind += self._clock.monotonic() - began
            self._foreseen += step.seconds
        self.complete = True

    def _tick(self, step: Step, number: int, began: float, done: float) -> None:
        spent = self._clock.monotonic() - began
        foreseen = self._foreseen + done * step.seconds
        pace = (self._behind + spent) / foreseen if foreseen > ENOUGH_SEEN else 1.0
        self.steps[-1].seconds = self.each_device * len(self._unknown())
        left = spent / done * (1 - done) if done > ENOUGH_DONE else max(0.0, pace * step.seconds - spent)
        later = pace * sum(one.seconds for one in self.steps[number + 1 :] if one.needed())
        self._report(Progress(step.title, number + 1, len(self.steps), done, left + later))

    def _plan(self) -> list[Step]:
        steps: list[Step] = []
        wanted = [protocol for protocol in PROTOCOLS if protocol in self._wanted.protocols]
        if "talking" in wanted and not self._shared and self._wire.kind is not LineKind.UDP:
            steps.append(Step("listening for devices that speak by themselves", LISTEN, self._listen))
        if self._wire.kind is not LineKind.SERIAL and "modbus" in wanted:
            steps.append(self._modbus_step("tcp", None, (FIRST,)))
        if "modbus" in wanted:
            steps += self._modbus_steps("rtu", "modbus")
        steps += [
            step for protocol in ("dlt645", "cjt188", "mbus") if protocol in wanted for step in self._meters(protocol)
        ]
        if "modbus-ascii" in wanted:
            steps += self._modbus_steps("ascii", "modbus-ascii")
        steps.append(Step("comparing with the profiles", 0.0, self._compare))
        return steps

    def _settings(self, protocol: str) -> list[SerialSettings | None]:
        if self._wire.kind is not LineKind.SERIAL:
            return [None]
        wanted = self._wanted
        return list(
            settings_to_try(
                protocol, thorough=wanted.thorough, own=self._own, bauds=wanted.bauds, formats=wanted.formats,
                sheets=self._sheets,
            )
        )  # fmt: skip

    # ---- Modbus

    def _modbus_steps(self, framing: str, protocol: str) -> list[Step]:
        if self._wire.kind is LineKind.UDP:
            return []
        steps = []
        for number, serial in enumerate(self._settings(protocol)):
            spots = (FIRST,) if number else (FIRST, SECOND, *MORE) if self._wanted.thorough else (FIRST, SECOND)
            step = self._modbus_step(framing, serial, spots)
            if self._wire.kind is LineKind.TCP:
                step.needed = self._no_modbus_tcp
            steps.append(step)
        return steps

    def _modbus_step(self, framing: str, serial: SerialSettings | None, spots: Sequence[Spot]) -> Step:
        units = self._wanted.units
        each = self._modbus_patience.first + self._overhead + (8 * 11 / serial.baud if serial else 0.0)
        names = {"rtu": "Modbus RTU", "ascii": "Modbus ASCII", "tcp": "Modbus TCP"}
        title = f"{names[framing]}{_at(serial)}, units {units[0]} to {units[-1]}"

        async def run(tick: Callable[[float], None]) -> None:
            await self._walk(framing, serial, spots, tick)

        return Step(title, each * len(units) * len(spots), run, lambda: serial not in self._refused)

    async def _walk(
        self, framing: str, serial: SerialSettings | None, spots: Sequence[Spot], tick: Callable[[float], None]
    ) -> None:
        known = self._known.setdefault((framing, serial.baud if serial else None), set())
        hailer = Hailer(self._wire, self._timing, framing, serial, self._modbus_patience)
        self._hailers[framing, serial] = hailer
        before = len(self.found)
        try:
            async for result in walk(hailer, self._wanted.units, spots, known, tick):
                self._take([result])
        except LinkError as error:
            self._settings_refused(error, serial)
        mine = self.found[before:]
        if mine and await answers_to_all(hailer, self._wanted.units, mine):
            del self.found[before + 1 :]
            mine[0].remarks.append("answers to every unit number: it is one device")

    def _no_modbus_tcp(self) -> bool:
        return self._wanted.thorough or not any(found.framing == "tcp" for found in self.found)

    # ---- meters

    def _meters(self, protocol: str) -> list[Step]:
        if self._wire.kind is LineKind.UDP:
            return []
        steps = []
        editions: tuple[int, ...] = (2007, 1997) if protocol == "dlt645" else (0,)
        for serial in self._settings(protocol):
            for edition in editions:
                step = self._meter_step(protocol, serial, edition)
                step.needed = partial(self._asks_meters, serial)
                steps.append(step)
        return steps

    def _asks_meters(self, serial: SerialSettings | None) -> bool:
        return serial not in self._refused and (self._wire.kind is not LineKind.TCP or self._no_modbus_tcp())

    def _meter_step(self, protocol: str, serial: SerialSettings | None, edition: int) -> Step:
        deep = self._wanted.thorough
        wire_seconds = METER_BYTES * 11 / serial.baud if serial else 0.0
        each = self._meter_wait + wire_seconds + self._overhead
        mbus = self._mbus_wait + self._overhead
        seconds = {"dlt645": each, "cjt188": 2 * each * (11 if deep else 1), "mbus": mbus}[protocol]
        names = {"dlt645": f"DL/T 645-{edition}", "cjt188": "CJ/T 188", "mbus": "M-Bus"}
        if deep and protocol == "mbus":
            seconds *= 250

        async def run(tick: Callable[[float], None]) -> None:
            wire, clock = self._wire, self._timing
            patience = Patience(self._meter_wait, LEAST_METER)  # each speed anew: another one, other meters
            try:
                if protocol == "dlt645":
                    refusing = any(found.driver == "dlt645" and found.serial == serial for found in self.found)
                    results = await search_dlt645(wire, clock, serial, patience, edition, tick, deep, refusing)
                elif protocol == "cjt188":
                    results = await search_cjt188(wire, clock, serial, patience, tick, deep)
                else:
                    patience = Patience(self._mbus_wait, LEAST_MBUS)
                    results = await MbusSearch(wire, clock, serial, patience).run(tick, deep)
            except LinkError as error:
                self._settings_refused(error, serial)
            else:
                self._take(results)

        return Step(f"{names[protocol]}{_at(serial)}", seconds, run)

    # ---- listening and comparing

    async def _listen(self, tick: Callable[[float], None]) -> None:
        settings = self._settings("talking")
        talk = await listen(self._wire, self._clock, settings[0], LISTEN)
        tick(0.5)
        if not talk.kind:
            return
        best, found = talk, await name_talker(talk, self._sheets)
        for serial in settings[1:]:
            if found.candidates or best.kind in ("nmea", "text", "master"):
                break
            again = await listen(self._wire, self._clock, serial, LISTEN_AGAIN)
            named = await name_talker(again, self._sheets)
            if named.candidates or again.kind in ("nmea", "text", "master"):
                best, found = again, named
        self._heard(best, found)

    def _heard(self, talk: Talk, found: Found) -> None:
        self._ended = not self._wanted.thorough
        if talk.kind == "master":
            self._ended = True
            fix = "stop it (a gateway, a controller, or another program) or disconnect it, then scan again"
            self.clashes.append(Clash(f"another master asks on this line{_at(talk.serial)}: {talk.sample}", fix))
            return
        if talk.kind == "unknown" and not found.candidates:
            fix = "check A and B and the wiring; a device with a protocol of its own needs its manual"
            self.clashes.append(Clash(f"something speaks by itself, and nobody knows what: {talk.sample}", fix))
            return
        self.found.append(found)
        if self._ended:
            self.remarks.append("a device that speaks by itself needs a line for itself, so nothing was asked here")

    async def _compare(self, tick: Callable[[float], None]) -> None:
        comparison = Comparison(self._wire, self._hailers, self._sheets)
        devices = self._unknown()
        for number, found in enumerate(devices):
            tick(number / len(devices))
            await comparison.compare(found)

    def _unknown(self) -> list[Found]:
        return [one for one in self.found if not one.candidates and one.driver in ASKED and not self._settled(one)]

    def _take(self, results: Sequence[Found | Clash]) -> None:
        keys = {found.key for found in self.found}
        for result in results:
            if isinstance(result, Clash):
                if result not in self.clashes:
                    self.clashes.append(result)
            elif result.key not in keys:
                keys.add(result.key)
                self.found.append(result)

    def _settings_refused(self, error: LinkError, serial: SerialSettings | None) -> None:
        if error.reason != "settings":
            raise error
        self._refused.add(serial)
        self.remarks.append(str(error))


ASKED = ("modbus", "dlt645", "cjt188", "mbus")


def _at(serial: SerialSettings | None) -> str:
    return f" at {serial.baud} {serial.format}" if serial else ""
