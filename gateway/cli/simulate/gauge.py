"""What a simulated point holds at a moment: a raw value as its protocol carries it, and what the gateway must show."""

import hashlib
import math
import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import NamedTuple

from gateway.cli.simulate.motion import COUNTERS, Motion, Span, constant, contact, counter, is_quiet, swing, usual
from gateway.contract import Point, Scalar

INTEGERS = {"int16": 16, "int32": 32, "int64": 64}
UNSIGNED = {"uint16": 16, "uint32": 32, "uint64": 64, "bits": 16}
TEXTS = frozenset({"string"})
RATIO = 20.0  # of transformers, where a device says it itself
MOST_DECIMALS = 2
Text = Callable[[Point, float], str]  # what a point that is a text says, after so many elapsed seconds


def plain_text(point: Point, _now: float) -> str:
    """The text of a point that nobody scripted."""
    return f"SIM {point.name}"[: 2 * (point.length or 8)].strip()


class Grid(NamedTuple):
    """Raw values that a protocol can carry for a point: from ``low`` to ``high`` in steps; step 0: any."""

    low: float
    high: float
    step: float = 1.0


def grid_of(point: Point, digits: int = 0) -> Grid:
    """The grid of a point that is carried in binary, or in ``digits`` decimal ones."""
    if point.type in ("float32", "float64"):
        return Grid(-1e9, 1e9, 0.001)
    if point.type in INTEGERS:
        half = 1 << INTEGERS[point.type] - 1
        return Grid(1 - half, half - 1)
    if point.type in ("bcd", "sbcd"):
        most = 10 ** (digits or 4) - 1
        return Grid(0, most) if point.type == "bcd" else Grid(1 - 8 * 10 ** (digits - 1), 8 * 10 ** (digits - 1) - 1)
    return Grid(0, (1 << UNSIGNED.get(point.type, 16)) - 2)


class Gauge:
    """One point. ``script`` overrides how it moves by itself; ``factor`` is what one raw unit is in the point's."""

    def __init__(
        self, device: str, point: Point, grid: Grid, factor: float, seed: int, fixed: float | None, text: Text
    ) -> None:
        self.point = point
        self.grid = grid
        self.factor = factor
        self.script: tuple[float, Motion | str | bool] | None = None  # began at (elapsed seconds), what it does
        self.derived: Callable[[float], float | str | bool] | None = None  # what sums up other points
        chance = random.Random(hashlib.sha256(f"{seed} {device} {point.name}".encode()).digest())  # noqa: S311 - a toy
        self._codes = sorted(int(code) for code in point.enum)
        self._text = text
        self._moves = self._own_motion(chance) if fixed is None else constant(fixed)
        self._not_available = {code for code in point.na if grid.low <= code <= grid.high}

    @property
    def may(self) -> Span:
        """What the point may show, in its unit: ``valid`` and what the protocol can carry."""
        ends = sorted(raw * self.factor + self.point.offset for raw in (self.grid.low, self.grid.high))
        low, high = self.point.valid or (-math.inf, math.inf)
        return Span(max(ends[0], low), min(ends[1], high))

    def raw(self, now: float) -> Scalar:
        """What is on the wire, before scale, offset, words and inversion."""
        point = self.point
        if self.script is not None:
            began, what = self.script
            wanted: float | str | bool = what(max(now - began, 0.0)) if callable(what) else what
        elif self.derived is not None:
            wanted = self.derived(now)
        else:
            wanted = self._text(point, now) if point.type in TEXTS else self._moves(now)
        if point.type in TEXTS:
            return str(wanted)
        if point.enum:
            return self._code(wanted)
        if point.type == "bool":
            return bool(wanted) is not point.invert
        if isinstance(wanted, str):
            raise TypeError(f"{point.name} is a number")
        if point.type == "bits":
            return int(wanted)
        # A script may go beyond `valid`, to see what the gateway makes of it.
        return self._number(float(wanted) if self.script is not None else self.may.clip(float(wanted)))

    def shown(self, raw: Scalar) -> Scalar:
        """What the gateway must make of it."""
        point = self.point
        if isinstance(raw, str):
            return raw
        if point.enum:
            return point.enum.get(str(int(raw)), str(int(raw)))
        if point.type == "bool":
            return bool(raw) is not point.invert
        return raw if point.type == "bits" else round(raw * self.factor + point.offset, 9)

    def _number(self, value: float) -> float:
        raw = (value - self.point.offset) / self.factor
        step = self.grid.step
        raw = math.floor(raw / step + 0.5) * step
        if step != 1:
            raw = float(round(Decimal(repr(raw)), 6))
        raw = min(max(raw, self.grid.low), self.grid.high)
        while raw in self._not_available:
            raw -= step
        return int(raw) if step == 1 else raw

    def _code(self, wanted: float | str | bool) -> int | bool:
        names = {text: int(code) for code, text in self.point.enum.items()}
        code = names[wanted] if isinstance(wanted, str) else self._codes[int(wanted) % len(self._codes)]
        return bool(code) if self.point.type == "bool" else code

    def _own_motion(self, chance: random.Random) -> Motion:
        point = self.point
        if point.enum or point.type in ("bits", *TEXTS):
            return constant(0)
        if point.type == "bool":
            return contact(point.name, chance)
        if not point.unit and is_quiet(point.name):
            return constant(0)
        span = usual(point.name, point.unit, self.may)
        return counter(span, chance) if point.unit in COUNTERS else swing(span, chance)


class Values:
    """All points of one device at one moment. ``elapsed`` since the start is passed in by ``at``."""

    def __init__(
        self,
        device: str,
        points: Mapping[str, Point],
        grids: Mapping[str, Grid],
        seed: int,
        text: Text = plain_text,
    ) -> None:
        self.device = device
        self.missing: set[str] = set()  # points that are not available now
        self.frozen: float | None = None  # elapsed seconds at which everything got stuck
        self.written: dict[str, Scalar] = {}  # raw values that a master has set
        roles = _roles(points)
        self.gauges: dict[str, Gauge] = {}
        for name, point in points.items():
            fixed = None
            if name in roles:
                fixed = _setting(roles[name], point, grids[name])
            self.gauges[name] = Gauge(device, point, grids[name], _factor(point, points, grids), seed, fixed, text)
        self._same = _shared(points)
        self._bits = _slices(points)

    def at(self, now: float) -> "Moment":
        """Everything at this moment."""
        return Moment(self, self.frozen if self.frozen is not None else now)

    def raw(self, name: str, now: float) -> Scalar | None:
        """One raw value, None when it is not available."""
        if name in self.missing:
            return None
        name = self._same.get(name, name)
        if name in self.written:
            return self.written[name]
        word = self._bits.get(name)
        if word is not None and self.gauges[name].script is None:
            raw = self.raw(word, now)
            return None if raw is None else bool(int(raw) >> (self.gauges[name].point.bit or 0) & 1)
        return self.gauges[name].raw(now)


class Moment(NamedTuple):
    """The values of a device at ``now`` elapsed seconds."""

    values: Values
    now: float

    def raw(self, name: str) -> Scalar | None:
        """What is on the wire; None: not available."""
        return self.values.raw(name, self.now)

    def shown(self) -> dict[str, Scalar | None]:
        """What the gateway must show of every point; None: not available."""
        gauges = self.values.gauges
        return {name: None if (raw := self.raw(name)) is None else gauges[name].shown(raw) for name in gauges}


def _roles(points: Mapping[str, Point]) -> dict[str, str]:
    """Points that only say how others are to be read."""
    roles = {point.decimals: "decimals" for point in points.values() if point.decimals is not None}
    roles.update({point.ratio: "ratio" for point in points.values() if isinstance(point.ratio, str)})
    return roles


def _setting(role: str, point: Point, grid: Grid) -> float:
    low, high = point.valid or (-math.inf, math.inf)
    value = min(max(RATIO if role == "ratio" else MOST_DECIMALS, low), high)
    raw = min(max((value - point.offset) / point.scale, grid.low), grid.high)
    return raw * point.scale + point.offset


def _factor(point: Point, points: Mapping[str, Point], grids: Mapping[str, Grid]) -> float:
    factor = point.scale
    if isinstance(point.ratio, str):
        factor *= _setting("ratio", points[point.ratio], grids[point.ratio])
    elif point.ratio is not None:
        factor *= point.ratio
    if point.decimals is not None:
        factor /= 10 ** int(_setting("decimals", points[point.decimals], grids[point.decimals]))
    return factor


def _shared(points: Mapping[str, Point]) -> dict[str, str]:
    """Points that are another one's bytes, seen a second time."""
    first: dict[tuple[object, ...], str] = {}
    same = {}
    for name, point in points.items():
        place = (point.at.strip().lower(), point.type, point.order, point.length, point.bit)
        if first.setdefault(place, name) != name:
            same[name] = first[place]
    return same


def _slices(points: Mapping[str, Point]) -> dict[str, str]:
    """Bools that are one bit of a word which is a point, too."""
    words = {point.at.strip().lower(): name for name, point in points.items() if point.type in ("bits", "uint16")}
    found = {}
    for name, point in points.items():
        word = words.get(point.at.strip().lower())
        if point.bit is not None and word is not None and word != name:
            found[name] = word
    return found
