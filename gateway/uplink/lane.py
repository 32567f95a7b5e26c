"""One stream on its way to the far end: batches in flight, what was refused, and how far everything is confirmed."""

import random
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

from gateway.contract import Stream
from gateway.uplink.answers import Ack

URGENT: frozenset[Stream] = frozenset({"alarm", "disposal"})
FIRST_RETRY, LAST_RETRY = 0.5, 10.0
# A refusal counts as over when nothing was refused for so long: a broker at its quota would flap otherwise.
QUIET_SECONDS = 60.0


class BatchState(Enum):
    """Where a batch is on its way."""

    DUE = auto()
    SENT = auto()
    DONE = auto()


@dataclass(slots=True, eq=False)
class Batch:
    """Records with ``after`` < sequence <= ``last``; at most ``limit`` of them go into one publish."""

    after: int
    last: int
    limit: int
    state: BatchState = BatchState.DUE
    count: int = 0
    size: int = 0
    sent_at: float = 0.0
    answered_at: float = 0.0
    ack: Ack | None = None
    only: tuple[int, bytes] | None = None  # the record, where the batch is a single one: to be named if parked


@dataclass(slots=True)
class Hold:
    """The stream is refused: one probe at a time, later and later. ``told``: codes that a record has named."""

    code: int
    sentence: str
    told: frozenset[int] = frozenset()
    delay: float = 0.0
    retry_at: float = 0.0
    quiet_since: float | None = None

    def refused(self, now: float, asked: float = 0.0) -> None:
        """Wait longer before the next probe, and as long as ``asked``; several answers to one burst count once."""
        self.quiet_since = None
        if now >= self.retry_at:
            self.delay = min(LAST_RETRY, max(FIRST_RETRY, self.delay * 2))
            self.retry_at = now + self.delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries only
        self.retry_at = max(self.retry_at, now + asked)

    def accepted(self, now: float) -> None:
        """A probe went through: back to full speed, but remembered until it has been quiet."""
        if self.quiet_since is None:
            self.quiet_since = now
        self.delay, self.retry_at = 0.0, 0.0


@dataclass(slots=True)
class Lane:
    """Positions and batches of one stream; ``confirmed`` <= every batch <= ``read_to``."""

    stream: Stream
    confirmed: int
    read_to: int = field(init=False)
    flight: deque[Batch] = field(default_factory=deque)
    hold: Hold | None = None
    paused_until: float = 0.0

    def __post_init__(self) -> None:
        self.read_to = self.confirmed

    @property
    def urgent(self) -> bool:
        """Whether this stream may use the part of the window that is kept free."""
        return self.stream in URGENT

    @property
    def held(self) -> Hold | None:
        """The hold, while nothing has been accepted since."""
        return self.hold if self.hold is not None and self.hold.quiet_since is None else None

    def sent(self) -> int:
        """Publishes of this stream without an answer."""
        return sum(1 for batch in self.flight if batch.state is BatchState.SENT)

    def bytes_sent(self) -> int:
        """Bytes of these publishes."""
        return sum(batch.size for batch in self.flight if batch.state is BatchState.SENT)

    def due(self) -> Batch | None:
        """The first batch that has to be sent (again)."""
        return next((batch for batch in self.flight if batch.state is BatchState.DUE), None)

    def wants(self, last: int, now: float) -> bool:
        """Whether there is something to send now; ``last`` is the end of the stream in the store."""
        if now < self.paused_until or (last <= self.read_to and self.due() is None):
            return False
        return self.held is None or (now >= self.held.retry_at and self.sent() == 0)

    def wakes_at(self, last: int) -> float | None:
        """Monotonic time at which ``wants`` may turn true by itself."""
        if last <= self.read_to and self.due() is None:
            return None
        times = [self.paused_until] + ([self.held.retry_at] if self.held is not None and self.sent() == 0 else [])
        return max(times)

    def add(self, batch: Batch) -> None:
        """Append a batch of records never sent before."""
        self.flight.append(batch)
        self.read_to = batch.last

    def cut(self, batch: Batch, last: int) -> None:
        """Let ``batch`` end at ``last``; the rest becomes due right behind it, under the same limit."""
        if last < batch.last:
            self.flight.insert(self.flight.index(batch) + 1, Batch(last, batch.last, batch.limit))
            batch.last = last

    def advance(self) -> bool:
        """Pass over what is done at the head; True when the cursor moved."""
        before = self.confirmed
        while self.flight and self.flight[0].state is BatchState.DONE:
            self.confirmed = self.flight.popleft().last
        return self.confirmed > before

    def lost(self) -> None:
        """The connection broke: what has no answer has to be sent again, with the same ids."""
        for batch in self.flight:
            if batch.state is BatchState.SENT and batch.ack is None:
                batch.state = BatchState.DUE
