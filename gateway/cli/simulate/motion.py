"""How simulated values move: plausibly by themselves, or as a script says; pure functions of elapsed seconds."""

import math
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

Motion = Callable[[float], float]


class Span(NamedTuple):
    """The values that a point may take, in its own unit."""

    low: float
    high: float

    def clip(self, value: float) -> float:
        """The nearest value inside."""
        return min(max(value, self.low), self.high)


# What such a point usually shows, by unit; narrowed to what the point may take.
USUAL = {
    "V": Span(222, 236), "A": Span(1, 9), "mA": Span(4, 20), "W": Span(200, 1800), "kW": Span(2, 18),
    "VA": Span(220, 1900), "var": Span(10, 300), "Hz": Span(49.95, 50.05), "°C": Span(17, 27), "%": Span(38, 62),
    "m": Span(0.6, 1.9), "mm": Span(300, 900), "ppm": Span(2, 20), "hPa": Span(1002, 1021), "m/s": Span(0.5, 7),
    "°": Span(20, 340), "kWh": Span(1200, 90000), "Wh": Span(120000, 900000), "m³": Span(40, 900),
    "m³/h": Span(0.1, 2.5), "L/h": Span(20, 400), "bar": Span(2, 4), "kPa": Span(180, 320), "MPa": Span(0.2, 0.4),
    "µg/m³": Span(8, 45), "ppb": Span(60, 180), "dB": Span(38, 61), "h": Span(900, 9000), "kg": Span(2, 80),
    "GJ": Span(10, 90), "MJ": Span(100, 9000), "MWh": Span(3, 90), "lx": Span(80, 600), "l/min": Span(1, 14),
    "s": Span(1200, 2700), "min": Span(20, 45), "rpm": Span(900, 2900),
}  # fmt: skip
COUNTERS = frozenset({"kWh", "Wh", "MWh", "varh", "kvarh", "m³", "m3", "GJ", "MJ", "h"})
FACTOR = Span(0.86, 0.99)
ANYTHING = Span(10, 90)
SLOWEST, FASTEST = 240.0, 45.0  # seconds of a swing
COUNTER_GROWS = 2e-6  # of its value, a second
# Words in the names of contacts and codes that are quiet on a good day, and of contacts that are made then.
QUIET = ("alarm", "fault", "fire", "smoke", "leak", "gas", "tamper", "low", "error", "over", "trip", "emergency",
         "flood", "call", "sos", "button", "battery", "warning", "abnormal", "lost", "high", "empty",
         "shield")  # fmt: skip
MADE = ("mains", "online", "ready", "valid", "stable")


def usual(name: str, unit: str, may: Span) -> Span:
    """Where a value moves that nobody scripted, inside what the point may take."""
    wish = FACTOR if "factor" in name else USUAL.get(unit, ANYTHING)
    low, high = max(wish.low, may.low), min(wish.high, may.high)
    if low < high:
        return Span(low, high)
    if math.isfinite(may.high - may.low):
        return Span(may.low + 0.4 * (may.high - may.low), may.low + 0.6 * (may.high - may.low))
    return Span(may.clip(wish.low), may.clip(wish.high))


def swing(span: Span, chance: random.Random) -> Motion:
    """Two sines of different length that stay inside ``span``."""
    middle, half = (span.low + span.high) / 2, (span.high - span.low) / 2
    slow, fast = chance.uniform(0.5, 1) * SLOWEST, chance.uniform(0.5, 1) * FASTEST
    first, second = chance.uniform(0, math.tau), chance.uniform(0, math.tau)
    return lambda now: (
        middle + half * (0.7 * math.sin(first + math.tau * now / slow) + 0.3 * math.sin(second + math.tau * now / fast))
    )


def is_quiet(name: str) -> bool:
    """Whether a contact or code of this name is 0 on a good day."""
    return any(word in name for word in QUIET)


def counter(span: Span, chance: random.Random) -> Motion:
    """A total that only grows."""
    start = chance.uniform(span.low, (span.low + span.high) / 2)
    grows = COUNTER_GROWS * abs(span.high)
    return lambda now: min(start + grows * max(now, 0.0), span.high)


def contact(name: str, chance: random.Random) -> Motion:
    """0 or 1: 0 of what is quiet on a good day, 1 of what is made then, else some tens of seconds each."""
    if is_quiet(name):
        return constant(0)
    if any(word in name for word in MADE):
        return constant(1)
    length, start = chance.uniform(30, 90), chance.uniform(0, 90)
    return lambda now: float(int((now + start) / length) % 2)


def constant(value: float) -> Motion:
    """Always the same."""
    return lambda _now: value


def ramp(begin: float, end: float, seconds: float) -> Motion:
    """From one value to another in this time, then staying there; time counts from 0."""
    return lambda now: begin + (end - begin) * (min(now / seconds, 1.0) if seconds else 1.0)


def sine(low: float, high: float, period: float) -> Motion:
    """A sine from the middle upwards; time counts from 0."""
    return lambda now: (low + high) / 2 + (high - low) / 2 * math.sin(math.tau * now / period)


def steps(values: Sequence[float], every: float) -> Motion:
    """One value after the other, from the beginning again after the last; time counts from 0."""
    return lambda now: values[int(now / every) % len(values)]
