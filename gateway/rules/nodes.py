"""The parts of a compiled expression: closures that give a value, or None while an input is bad or missing."""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from gateway.contract import Scalar
from gateway.rules.inputs import EVENT_HOLDS, EventCell, History, Moment, PointCell

Kind = Literal["number", "bool", "text", "any"]
Evaluate = Callable[[], Scalar | None]
Timer = Callable[[], float | None]

COMPARE: dict[str, Callable[[Scalar, Scalar], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
FUNCTIONS: dict[str, Callable[..., float]] = {"abs": abs, "min": min, "max": max}


class Node(NamedTuple):
    """A part of an expression: how to evaluate it, what it gives, and its source text for messages."""

    evaluate: Evaluate
    kind: Kind
    text: str


def constant(value: Scalar) -> Evaluate:
    """Always this value."""
    return lambda: value


def point(cell: PointCell) -> Evaluate:
    """The last value of a point."""
    return lambda: cell.value


def compare(sign: str, left: Evaluate, right: Evaluate) -> Evaluate:
    """Compare two values; a text with a number is unknown, like a bad input."""
    apply = COMPARE[sign]

    def evaluate() -> bool | None:
        a, b = left(), right()
        if a is None or b is None or isinstance(a, str) != isinstance(b, str):
            return None
        return apply(a, b)

    return evaluate


def arithmetic(sign: str, left: Evaluate, right: Evaluate) -> Evaluate:
    """Calculate; a division by zero or an overflow is unknown."""
    apply = ARITHMETIC[sign]

    def evaluate() -> float | None:
        a, b = left(), right()
        if a is None or b is None or isinstance(a, str) or isinstance(b, str):
            return None
        try:
            result = apply(a, b)
            return result if math.isfinite(result) else None
        except (ZeroDivisionError, OverflowError):
            return None

    return evaluate


def function(name: str, arguments: Sequence[Evaluate]) -> Evaluate:
    """``abs``, ``min`` and ``max`` of numbers."""
    apply = FUNCTIONS[name]

    def evaluate() -> float | None:
        numbers = []
        for argument in arguments:
            value = argument()
            if value is None or isinstance(value, str):
                return None
            numbers.append(value)
        return apply(*numbers)

    return evaluate


def truth(value: Scalar | None) -> bool | None:
    """A value as a condition: a number is true unless it is 0, a text is unknown."""
    return None if value is None or isinstance(value, str) else bool(value)


def negate(operand: Evaluate) -> Evaluate:
    """Not; the opposite of unknown is unknown."""

    def evaluate() -> bool | None:
        value = truth(operand())
        return None if value is None else not value

    return evaluate


def settle(decisive: bool, operands: Sequence[Evaluate]) -> Evaluate:
    """``or`` when ``decisive`` is True, ``and`` when it is False, with three values (Kleene).

    One decisive operand settles the matter whatever the others are, so a dead sensor never hides a live one.
    """

    def evaluate() -> bool | None:
        result: bool | None = not decisive
        for operand in operands:
            value = truth(operand())
            if value is decisive:
                return decisive
            if value is None:
                result = None
        return result

    return evaluate


def stale(cell: PointCell, seconds: float, moment: Moment) -> tuple[Evaluate, Timer]:
    """True once the last good read, or the engine's start if there was none, is ``seconds`` ago.

    Unknown until then if there was none, so that a restart does not clear the alarm on a device that is still silent.
    """

    def until() -> float | None:
        counted = cell.good_at if cell.good_at is not None else moment.start
        return None if counted is None else counted + seconds

    def evaluate() -> bool | None:
        end = until()
        if end is None or moment.now >= end:
            return end is not None
        return None if cell.good_at is None else False

    return evaluate, until


def event(cell: EventCell, moment: Moment) -> tuple[Evaluate, Timer]:
    """True while a fault lasts and for ``EVENT_HOLDS`` after an event; unknown as long after a start.

    So a restart clears nothing early.
    """

    def until() -> float | None:
        if cell.lasts:
            return None
        counted = cell.at if cell.at is not None else moment.start
        return None if counted is None else counted + EVENT_HOLDS

    def evaluate() -> bool | None:
        if cell.lasts:
            return True
        end = until()
        if end is None or moment.now >= end:
            return False
        return None if cell.at is None else True

    return evaluate, until


def rate(cell: PointCell, seconds: float) -> Evaluate:
    """Change per second over the last ``seconds``; unknown while the point is bad or the window is not covered."""
    history = next((kept for kept in cell.histories if kept.window == seconds), None)
    if history is None:
        history = History(seconds)
        cell.histories.append(history)
    measured = history.rate

    return lambda: None if cell.value is None else measured()
