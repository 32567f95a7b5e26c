"""Simulated stations that call the gateway: GB/T 26875.3-2011 (fire) and HJ 212-2017 (environment)."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from gateway.cli.simulate.checks import byte_sum, crc_hj212
from gateway.cli.simulate.gauge import Grid, Moment, Values
from gateway.contract import DeviceSpec, Point, Scalar

Wall = Callable[[], datetime]
EVERY = 2.0  # seconds between two messages
REPEAT = 15  # messages after which a fire station tells everything anew


class Caller:
    """What both have in common: they speak by themselves, and hear confirmations."""

    refusal: int | None = None
    busy_code: int | None = None
    checked = True
    period: float | None = EVERY

    def __init__(self, spec: DeviceSpec, values: Values, wall: Wall = datetime.now) -> None:
        self.values = values
        self.confirmed = 0
        self._spec = spec
        self._wall = wall

    def hear(self, question: bytes, now: Moment) -> bytes:
        """What the gateway says are confirmations; it wants no answer."""
        self.confirmed += bool(question)
        return b""


# ---- HJ 212: the CN by which each kind of data is sent

COMMANDS = {"": "2011", "realtime": "2011", "minute": "2051", "hour": "2061", "day": "2031"}
PLACES = 3


class EnvironmentCaller(Caller):
    """A station that sends all kinds of data every time."""

    def say(self, now: Moment) -> bytes:
        """See ``Slave``."""
        groups: dict[str, list[str]] = {}
        for name, point in self._spec.points.items():
            period, _, place = point.at.rpartition(":")
            raw = now.raw(name)
            text = raw if isinstance(raw, str) else f"{raw or 0:.{PLACES}f}"
            mark = "D" if raw is None else "N"
            groups.setdefault(COMMANDS[period], []).append(f"{place}={text},{place.rpartition('-')[0]}-Flag={mark}")
        return b"".join(self._packet(command, fields) for command, fields in groups.items())

    def break_check(self, answer: bytes) -> bytes:
        """See ``Slave``: of the last packet."""
        return answer[:-3] + (b"0" if answer[-3:-2] != b"0" else b"1") + answer[-2:]

    def _packet(self, command: str, fields: list[str]) -> bytes:
        time = self._wall()
        number = f"{time:%Y%m%d%H%M%S}{time.microsecond // 1000:03}"
        head = f"QN={number};ST=22;CN={command};PW=123456;MN={self._spec.address};Flag=5"
        data = f"{head};CP=&&DataTime={time:%Y%m%d%H%M%S};{';'.join(fields)}&&".encode()
        return b"##%04d" % len(data) + data + crc_hj212(data) + b"\r\n"


def environment_grid(point: Point, _spec: DeviceSpec) -> Grid:
    """The raw values that a point can have."""
    return Grid(0, 99_999, 10.0**-PLACES) if point.type != "string" else Grid(0, 1)


# ---- GB/T 26875.3

DATA, SYSTEM_STATE, COMPONENT_STATE, ANALOGUE, DEVICE_STATE = 2, 1, 2, 3, 21
SMOKE_DETECTOR = 40
# Bits of the state of a system or component, and of the transmission device itself.
BITS = {name: bit for bit, name in enumerate(
    ("run", "fire", "fault", "shielded", "supervised", "started", "feedback", "delay", "mains-fault", "backup-fault",
     "bus-fault", "manual", "changed", "reset"))}  # fmt: skip
DEVICE_BITS = {name: bit for bit, name in enumerate(
    ("run", "fire", "fault", "mains-fault", "backup-fault", "channel-fault", "line-fault"))}  # fmt: skip
RUNS = 1
NOTE = 31
ANYWHERE = "1/1/1/"  # what says `any:STATE` of a point is the component with the state's number


class Told(NamedTuple):
    """Something that a station reports: type of the object, its place, its state bits."""

    type: int
    place: str
    bits: int


class FireCaller(Caller):
    """A station that reports what changed, and everything now and then."""

    def __init__(self, spec: DeviceSpec, values: Values, wall: Wall = datetime.now) -> None:
        super().__init__(spec, values, wall)
        self._serial = 0
        self._said: dict[tuple[int, str], Told] = {}
        for name, point in spec.points.items():
            derived = self._derived(point.at)
            if derived is not None:
                values.gauges[name].derived = derived

    def say(self, now: Moment) -> bytes:
        """See ``Slave``."""
        if self._serial % REPEAT == 0:
            self._said.clear()
        frames = [self._frame(DEVICE_STATE, b"\1" + bytes((self._device_bits(now) | RUNS,)))]
        for told in self._states(now):
            if self._said.get((told.type, told.place)) != told:
                self._said[told.type, told.place] = told
                frames.append(self._frame(told.type, b"\1" + _object(told)))
        for name, point in self._spec.points.items():
            if point.at.startswith("analogue:"):
                raw = now.raw(name)
                *place, kind = _numbers(point.at)
                number = int(raw or 0).to_bytes(2, "little", signed=True)
                frames.append(self._frame(ANALOGUE, b"\1" + _component(place) + bytes((kind,)) + number))
        return b"".join(frames)

    def break_check(self, answer: bytes) -> bytes:
        """See ``Slave``: of the last frame."""
        return answer[:-3] + bytes((answer[-3] ^ 0x5A,)) + answer[-2:]

    def _states(self, now: Moment) -> list[Told]:
        bits: dict[tuple[int, str], int] = {}
        for name, point in self._spec.points.items():
            kind, _, rest = point.at.partition(":")
            place, _, state = rest.rpartition(":")
            if kind == "any" and rest in BITS:
                kind, place, state = "component", f"{ANYWHERE}{BITS[rest]}", rest
            if kind in ("component", "system"):
                key = (COMPONENT_STATE if kind == "component" else SYSTEM_STATE, place)
                bits[key] = bits.get(key, 0) | int(bool(now.raw(name)) is not point.invert) << BITS[state]
        return [Told(*key, word or RUNS) for key, word in bits.items()]

    def _device_bits(self, now: Moment) -> int:
        return sum(
            int(bool(now.raw(name)) is not point.invert) << DEVICE_BITS[point.at.partition(":")[2]]
            for name, point in self._spec.points.items()
            if point.at.startswith("device:")
        )

    def _derived(self, at: str) -> Callable[[float], float | str | bool] | None:
        """What a point shows that only sums up what others say."""
        kind, _, state = at.partition(":")
        if kind in ("count", "where"):

            def places(now: float) -> list[str]:
                told = self._states(self.values.at(now))
                return [each.place for each in told if each.type == COMPONENT_STATE and each.bits >> BITS[state] & 1]

            return (lambda now: len(places(now))) if kind == "count" else lambda now: ", ".join(sorted(places(now)))
        fixed: dict[str, Scalar] = {"online": True, "manual-alarm": False, "version": ""}
        return (lambda _now: fixed[at]) if at in fixed else None

    def _frame(self, kind: int, objects: bytes) -> bytes:
        self._serial += 1
        time = self._wall()
        tag = bytes((time.second, time.minute, time.hour, time.day, time.month, time.year % 100))
        unit = bytes((kind,)) + objects + tag
        body = (self._serial % 65536).to_bytes(2, "little") + b"\1\1" + tag + _address(self._spec.address) + bytes(6)
        body += len(unit).to_bytes(2, "little") + bytes((DATA,)) + unit
        return b"@@" + body + byte_sum(body) + b"##"


def fire_grid(point: Point, _spec: DeviceSpec) -> Grid:
    """The raw values that a point can have."""
    return Grid(-32_000, 32_000) if point.at.startswith("analogue:") else Grid(0, 65_535)


def _object(told: Told) -> bytes:
    numbers = _numbers(told.place)
    word = told.bits.to_bytes(2, "little")
    if told.type == SYSTEM_STATE:
        return bytes(numbers) + word
    return _component(numbers) + word + b" " * NOTE


def _component(place: list[int]) -> bytes:
    system, address, circuit, number = place
    return bytes((system, address, SMOKE_DETECTOR)) + circuit.to_bytes(2, "little") + number.to_bytes(2, "little")


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.rpartition(":")[2].split("/")]


def _address(address: int | str) -> bytes:
    if isinstance(address, int):
        return address.to_bytes(6, "little")
    return bytes.fromhex("".join(filter(str.isalnum, address)))
