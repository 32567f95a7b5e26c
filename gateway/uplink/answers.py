"""What an answer from the far end means to the outbox, whatever the protocol calls it."""

from enum import Enum, auto
from typing import NamedTuple, Protocol

from gateway.contract import Stream


class Ack(NamedTuple):
    """The answer to one batch: the protocol's code, what is said beside it, and for how many seconds to wait."""

    code: int
    text: str
    wait: float = 0.0


class Verdict(Enum):
    """What follows from a code."""

    TAKEN = auto()
    UNHEARD = auto()  # taken, though nobody listens
    TOO_LARGE = auto()  # split, and smaller batches from now on; a single record is parked
    AT_FAULT = auto()  # split to find the culprit; a single record is parked
    HELD = auto()  # somebody must act: the stream waits, told once by a record
    LATER = auto()  # the far end is in trouble that passes: the stream waits


SPLITS = frozenset({Verdict.TOO_LARGE, Verdict.AT_FAULT})


class Words(Protocol):
    """The codes of one way out. ``too_large`` is the code for what is too large to be sent at all."""

    too_large: int
    silence: str

    def verdict(self, code: int) -> Verdict:
        """Say what a code means."""

    def name(self, code: int) -> str:
        """Write the code as it stands in records and metrics."""

    def meaning(self, code: int) -> str:
        """Return the standard's name of the code."""

    def refusal(self, code: int, stream: Stream, text: str = "") -> str:
        """Say that a stream's records are refused, and what to do."""

    def taken_again(self, stream: Stream) -> str:
        """Say that this is over."""
