"""What a simulated device is to the line it hangs on: something that hears and answers, or speaks by itself."""

from collections.abc import Callable
from typing import Protocol

from gateway.cli.simulate.gauge import Moment, Values

Elapsed = Callable[[], float]


class Slave(Protocol):
    """One device. ``refusal``: the code with which it refuses everything, None on good days."""

    values: Values
    refusal: int | None
    checked: bool  # whether a checksum guards what it says
    busy_code: int | None  # what it refuses with when it is busy, None when its protocol has no word for it
    period: float | None  # seconds between the messages of a device that speaks by itself

    def hear(self, question: bytes, now: Moment) -> bytes:
        """Answer what came on the wire until it fell silent; b"" when it is for somebody else."""

    def say(self, now: Moment) -> bytes:
        """What a device that speaks by itself says now."""

    def break_check(self, answer: bytes) -> bytes:
        """The same answer with a wrong checksum."""


class Asked:
    """What all slaves that only answer have in common."""

    refusal: int | None = None
    checked = True
    busy_code: int | None = None
    period: float | None = None

    def __init__(self, values: Values) -> None:
        self.values = values

    def say(self, now: Moment) -> bytes:
        """It never speaks by itself."""
        return b""

    def break_check(self, answer: bytes) -> bytes:
        """The last byte before the end mark is the checksum."""
        return answer[:-2] + bytes((answer[-2] ^ 0x5A,)) + answer[-1:]
