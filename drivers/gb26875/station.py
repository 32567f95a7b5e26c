"""One fire station (user information transmission device): its frames to values, events and confirmations."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from drivers._decimals import DecimalFinish, decimal_finisher
from drivers.gb26875.events import of_component, of_operation, of_system
from drivers.gb26875.frame import ANSWER, CONFIRM, CONTROL, DATA, DENY, HEAD, Frame, FrameEars, tag_of, time_of
from drivers.gb26875.memory import FIRE_MASK, Memory, place_of
from drivers.gb26875.objects import (
    ComponentState,
    DeviceState,
    Measured,
    Operated,
    Other,
    Said,
    SystemKey,
    SystemState,
    Version,
    parse_unit,
)
from drivers.gb26875.place import Place
from drivers.gb26875.words import ANALOGUE, DEVICE_STATES, STATES
from gateway.contract import DeviceError, Point, PointValue
from gateway.links.calls import Call, Happening, Heard

# A station sends a frame that was not confirmed three times more, ten seconds apart.
RESENT_WITHIN = 60.0
REMEMBERED = 64
CLOCK_OFF = timedelta(seconds=60)
CLOCK_SET_EVERY = 3600.0
SET_CLOCK = 90
DEVICE_FIRE_MASK = 1 << DEVICE_STATES["fire"]
NOT_KNOWN = PointValue(None, "bad", "not_known")
FAULTS = {
    "crc": "a frame has a wrong checksum",
    "end": "a frame does not end as it should",
    "length": "a frame is longer than the standard allows",
}


class FireStation:
    """A StationDriver. States hold until the station says otherwise, also through its silence."""

    password: str | None = None

    def __init__(
        self, station: str, points: Mapping[str, Point], places: Mapping[str, Place], *, set_clock: bool
    ) -> None:
        self.station = station
        self.urgent = frozenset(name for name, place in places.items() if place == Place("any", "fire"))
        self._set_clock = set_clock
        self._places = places
        self._analogue = {
            (place.component, place.value_kind): (name, decimal_finisher(points[name]))
            for name, place in places.items()
            if place.kind == "analogue"
        }
        self._invert = frozenset(name for name, point in points.items() if point.invert)
        self._whole = {name: decimal_finisher(points[name]) for name, place in places.items() if place.kind == "count"}
        self._named_systems = frozenset(place.system for place in places.values() if place.system)
        self._memory = Memory(frozenset(place.component for place in places.values() if place.component))
        self._version: str | None = None
        self._spoke = self._manual_known = False
        self._before: Mapping[str, PointValue] = {}
        self._recent: OrderedDict[tuple[bytes, int, bytes], float] = OrderedDict()
        self._last: tuple[bytes, int, bytes] | None = None
        self._counts = True  # its serial numbers, as far as seen
        self._clock_set = float("-inf")

    def ears(self) -> FrameEars:
        """Begin to hear a connection."""
        return FrameEars()

    def hear(self, call: Call, now: datetime | None, monotonic: float) -> Heard:
        """Take one frame; the reply confirms or denies it."""
        if call.fault:
            reply = Frame.parse(call.frame).reply(DENY, now) if len(call.frame) >= HEAD else b""
            sentence = f"{FAULTS[call.fault]}; check the network and the device's protocol version"
            return Heard(reply, fault=DeviceError(sentence, call.fault, call.frame))
        frame = Frame.parse(call.frame)
        clock = time_of(frame.tag)
        self._spoke = True
        if frame.command in (CONFIRM, DENY):
            unnamed = ("it denies what we asked",) if frame.command == DENY else ()
            return Heard(unnamed=unnamed, clock=clock)
        if frame.command not in (DATA, ANSWER):
            return Heard(frame.reply(DENY, now), unnamed=(f"a frame with command {frame.command}",), clock=clock)
        said, fault = parse_unit(frame.unit)
        if fault and not said:
            sentence = f"a frame cannot be read: {fault}; compare the device's protocol version"
            return Heard(frame.reply(DENY, now), fault=DeviceError(sentence, "malformed", call.frame))
        reply = frame.reply(CONFIRM, now) if frame.command == DATA else b""
        reply += self._correction(frame, clock, now, monotonic)
        if self._is_repeated(frame, monotonic):
            return Heard(reply, clock=clock)
        return replace(self._take(said, fault), reply=reply, clock=clock)

    def held(self) -> Mapping[str, PointValue]:
        """Return every state that holds, as far as it is known."""
        held = {name: self._held(name, place) for name, place in self._places.items() if place.kind != "analogue"}
        return {name: value for name, value in held.items() if value is not None}

    def doubt(self) -> None:
        """It was silent: what it said before may be over, or more may have begun."""
        self._memory.doubt()

    # ------------------------------------------------------------------------------------------------ what it said

    def _take(self, said: list[Said], fault: str) -> Heard:
        values: dict[str, PointValue] = {}
        times: list[datetime] = []
        happenings: list[Happening] = []
        unnamed: list[str] = [f"a frame of which {fault}"] if fault else []
        for each in said:
            happening = self._remember(each)
            if happening is not None:
                happenings.append(happening)
            if isinstance(each, Measured):
                named = self._measured(each)
                values.update(named)
            unnamed += self._unnamed(each)
            time = getattr(each, "time", None)
            if time is not None:
                times.append(time)
        held = self.held()
        values.update({name: value for name, value in held.items() if self._before.get(name) != value})
        self._before = held
        told = dict.fromkeys(values, times[-1]) if times else {}
        return Heard(values=values, told=told, happenings=tuple(happenings), unnamed=tuple(unnamed))

    def _remember(self, said: Said) -> Happening | None:
        memory = self._memory
        if isinstance(said, ComponentState):
            return of_component(said, memory.take_component(said))
        if isinstance(said, SystemState):
            if said.state >> STATES["reset"] & 1:
                memory.reset(said.key)
            before = memory.take_system(said.key, said.state)
            self._vouch(said.key, before & FIRE_MASK, said.state & FIRE_MASK)
            return of_system(said.state, before, STATES, said.time, said.key)
        if isinstance(said, DeviceState):
            before, memory.device = memory.device or 0, said.state
            self._vouch(None, before & DEVICE_FIRE_MASK, said.state & DEVICE_FIRE_MASK)
            return of_system(said.state, before, DEVICE_STATES, said.time, None)
        if isinstance(said, Operated):
            happening, called, over, reset = of_operation(said)
            if reset:
                memory.reset(said.system)
            memory.manual = called or (memory.manual and not over)
            self._manual_known = self._manual_known or called or over
            return happening
        if isinstance(said, Version) and said.system is None:
            self._version = said.text
        return None

    def _vouch(self, system: SystemKey | None, before: int, now: int) -> None:
        """A whole that said "fire" and says so no more means its parts, too: many of them never take theirs back."""
        if before and not now:
            self._memory.clear(system, FIRE_MASK)
            self._memory.manual = self._memory.manual and system is not None
        elif not now:
            self._memory.vouch(system)

    def _measured(self, said: Measured) -> dict[str, PointValue]:
        named: tuple[str, DecimalFinish] | None = self._analogue.get((said.key, said.kind))
        if named is None:
            return {}
        return {named[0]: named[1](Decimal(said.raw) * Decimal(ANALOGUE[said.kind].step))}

    def _unnamed(self, said: Said) -> list[str]:
        """Describe what was said of a thing that no point names."""
        if isinstance(said, ComponentState) and said.key not in self._memory.named:
            address = "/".join(map(str, (*said.key.system, said.key.circuit, said.key.number)))
            return [f"component {address}" + (f" ({said.note})" if said.note else "")]
        if isinstance(said, SystemState) and said.key not in self._named_systems:
            return [f"system {said.key.type}/{said.key.address}"]
        if isinstance(said, Measured) and (said.key, said.kind) not in self._analogue:
            address = "/".join(map(str, (*said.key.system, said.key.circuit, said.key.number, said.kind)))
            return [f"analogue {address}"]
        if isinstance(said, Version) and said.system is not None:
            return [f"version {said.text} of {place_of(said.system)}"]
        return [f"{said.size} bytes of type {said.type}"] if isinstance(said, Other) else []

    # ------------------------------------------------------------------------------------------------ what holds

    def _held(self, name: str, place: Place) -> PointValue | None:
        memory = self._memory
        if place.kind == "word":
            return self._word(place.state)
        if place.kind in ("any", "count", "where"):
            return self._everywhere(name, place)
        if place.kind == "device":
            state, bit = memory.device, DEVICE_STATES[place.state]
        elif place.kind == "system":
            state, bit = memory.systems.get(place.system) if place.system else None, STATES[place.state]
        else:
            component = memory.components.get(place.component) if place.component else None
            state, bit = component.state if component else None, STATES[place.state]
        return None if state is None else self._doubted(bool(state >> bit & 1) is not (name in self._invert))

    def _everywhere(self, name: str, place: Place) -> PointValue | None:
        """A value of the whole station. That nothing burns is only known when the station has said so."""
        memory = self._memory
        if not memory.anything(place.state) and memory.known == "never":
            return NOT_KNOWN if self._before.get(name) is not None else None
        if place.kind == "any":
            return self._doubted(memory.anything(place.state) is not (name in self._invert))
        parts = list(memory.burning(place.state))
        if place.kind == "count":
            return self._whole[name](Decimal(len(parts)))
        return PointValue(_where(parts, memory.places(place.state)))

    def _word(self, word: str) -> PointValue | None:
        if word == "version":
            return None if self._version is None else PointValue(self._version)
        if word == "online":
            return PointValue(True) if self._spoke else None
        known = self._memory.known != "never" or self._manual_known
        return PointValue(self._memory.manual) if known else None

    def _doubted(self, value: bool) -> PointValue:
        return PointValue(value, "uncertain", "before_silence") if self._memory.known == "before" else PointValue(value)

    # ------------------------------------------------------------------------------------------------ the exchange

    def _is_repeated(self, frame: Frame, monotonic: float) -> bool:
        """Whether this frame was taken already and its confirmation got lost."""
        if not frame.unit:
            return False
        key = (frame.serial, frame.command, frame.unit)
        last, self._last = self._last, key
        if last is not None and last[0] == frame.serial and last != key:
            self._counts = False  # every frame has one number: only the same frame twice in a row is a repetition
        while self._recent and next(iter(self._recent.values())) < monotonic - RESENT_WITHIN:
            self._recent.popitem(last=False)
        repeated = key in self._recent and (self._counts or last == key)
        if not repeated:
            self._recent.pop(key, None)
            self._recent[key] = monotonic
            if len(self._recent) > REMEMBERED:
                self._recent.popitem(last=False)
        return repeated

    def _correction(self, frame: Frame, clock: datetime | None, now: datetime | None, monotonic: float) -> bytes:
        """Set the station's clock (type 90), where the configuration wants that and the clock is wrong."""
        if not self._set_clock or now is None or monotonic - self._clock_set < CLOCK_SET_EVERY:
            return b""
        if clock is not None and abs(clock - now.replace(tzinfo=None)) <= CLOCK_OFF:
            return b""
        self._clock_set = monotonic
        unit = bytes((SET_CLOCK, 1)) + tag_of(now)
        return Frame(frame.serial, frame.version, tag_of(now), frame.target, frame.source, CONTROL, unit).build()


def _where(parts: list[ComponentState], others: list[str]) -> str:
    """The newest component with the station's own text, or what else says so, and how many more components do."""
    if not parts:
        return ", ".join(others[:3])
    newest = parts[-1]
    address = "/".join(map(str, (*newest.key.system, newest.key.circuit, newest.key.number)))
    more = f" and {len(parts) - 1} more" if len(parts) > 1 else ""
    return f"{address} {newest.note}".rstrip() + more
