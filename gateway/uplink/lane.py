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
# What the broker took and the platform does not acknowledge goes again, each time later: it may lie in the platform's
# queue for weeks. After a reconnect the acknowledgement gets a moment to arrive.
FIRST_AGAIN, LAST_AGAIN, GRACE_SECONDS = 60.0, 600.0, 5.0


class BatchState(Enum):
    """Where a batch is on its way."""

    DUE = auto()
    SENT = auto()
    TAKEN = auto()  # by the broker; the platform has not said so yet
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
    load: int = 0  # bytes in flight when it was sent, its own among them
    offered: bool = False  # it was sent, and not refused since: the platform may have it
    ack: Ack | None = None
    only: tuple[int, bytes] | None = None  # the record, where the batch is a single one: to be named if parked


class Flight(deque[Batch]):
    """The batches of a stream in their order; ``sent`` and ``bytes`` of them wait for an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = self.bytes = 0
        self._some_due = False

    def launch(self, batch: Batch, size: int) -> None:
        """A batch was sent, with so many bytes."""
        batch.state, batch.size = BatchState.SENT, size
        self.sent += 1
        self.bytes += size

    def land(self, batch: Batch) -> None:
        """A batch that was sent has its answer, or will never have one."""
        self.sent -= 1
        self.bytes -= batch.size

    def again(self, batch: Batch) -> None:
        """A batch has to be sent, perhaps once more."""
        batch.state, self._some_due = BatchState.DUE, True

    def due(self) -> Batch | None:
        """The first batch that has to be sent (again)."""
        if not self._some_due:
            return None
        first = next((batch for batch in self if batch.state is BatchState.DUE), None)
        self._some_due = first is not None
        return first


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
class Word:
    """What the platform has acknowledged of a stream, and when what it has not goes again (times monotonic)."""

    said: int
    said_at: float = 0.0
    again_at: float = 0.0
    again: float = FIRST_AGAIN

    def awaited(self, now: float) -> None:
        """From now on something waits for it."""
        self.said_at, self.again_at = now, now + self.again

    def hears(self, sequence: int, now: float) -> None:
        """It has everything up to ``sequence``; going back changes nothing."""
        if sequence > self.said:
            self.said, self.again = sequence, FIRST_AGAIN
            self.awaited(now)

    def reconnected(self, now: float) -> None:
        """A connection begins: what the broker had may be lost with it."""
        self.again_at = min(self.again_at, now + GRACE_SECONDS)

    def repeated(self, now: float) -> None:
        """It was reminded; the next time is later."""
        self.again = min(LAST_AGAIN, self.again * 2)
        self.again_at = now + self.again


@dataclass(slots=True)
class Lane:
    """Positions and batches of one stream; ``confirmed`` <= every batch <= ``read_to``.

    ``awaits``: how many batches may be on their way to the platform, whose word is waited for; 0 when the broker's
    counts.
    """

    stream: Stream
    confirmed: int
    awaits: int = 0
    word: Word = field(init=False)
    read_to: int = field(init=False)
    flight: Flight = field(default_factory=Flight)
    hold: Hold | None = None
    parked_in_a_row: int = 0
    paused_until: float = 0.0
    answered: list[Batch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.read_to, self.word = self.confirmed, Word(self.confirmed)

    @property
    def urgent(self) -> bool:
        """Whether this stream may use the part of the window that is kept free."""
        return self.stream in URGENT

    @property
    def held(self) -> Hold | None:
        """The hold, while nothing has been accepted since."""
        return self.hold if self.hold is not None and self.hold.quiet_since is None else None

    def _full(self) -> bool:
        """Whether so much waits for the platform's word that nothing new may follow."""
        return bool(self.awaits) and len(self.flight) >= self.awaits

    def wants(self, last: int, now: float) -> bool:
        """Whether there is something to send now; ``last`` is the end of the stream in the store."""
        if now < self.paused_until or ((last <= self.read_to or self._full()) and self.flight.due() is None):
            return False
        return self.held is None or (now >= self.held.retry_at and self.flight.sent == 0)

    def wakes_at(self, last: int) -> float | None:
        """Monotonic time at which ``wants`` may turn true by itself."""
        if (last <= self.read_to or self._full()) and self.flight.due() is None:
            return None
        times = [self.paused_until] + ([self.held.retry_at] if self.held is not None and self.flight.sent == 0 else [])
        return max(times)

    def add(self, batch: Batch) -> None:
        """Append a batch of records never sent before."""
        self.flight.append(batch)
        self.read_to = batch.last

    def cut(self, batch: Batch, last: int) -> None:
        """Let ``batch`` end at ``last``; the rest becomes due right behind it, under the same limit."""
        if last < batch.last:
            rest = Batch(last, batch.last, batch.limit, offered=batch.offered)
            self.flight.insert(self.flight.index(batch) + 1, rest)
            self.flight.again(rest)
            batch.last = last

    def advance(self) -> int:
        """Pass over what is done, or known to the platform, at the head; returns the records that it has said."""
        records = 0
        while self.flight:
            head = self.flight[0]
            if head.state is not BatchState.DONE and (head.last > self.word.said or head.state is BatchState.SENT):
                break
            self.confirmed = self.flight.popleft().last
            records += head.count if head.state is not BatchState.DONE else 0
        # The platform's word counts within a batch, too, and before the broker's.
        self.confirmed = max(self.confirmed, self.word.said)
        return records

    def lost(self) -> None:
        """The connection broke: what has no answer has to be sent again, with the same ids."""
        for batch in self.flight:
            if batch.state is BatchState.SENT and batch.ack is None:
                self.flight.land(batch)
                self.flight.again(batch)
            elif batch.state is BatchState.DUE:  # the connection broke while it was being sent
                self.flight.again(batch)

    # ------------------------------------------------------------------------------------------------ the platform

    def taken(self, batch: Batch, now: float) -> None:
        """The broker has a batch."""
        if not self.awaits:
            batch.state = BatchState.DONE
            return
        if not self.unsaid():
            self.word.awaited(now)
        batch.state = BatchState.TAKEN

    def unsaid(self) -> bool:
        """Whether the platform has yet to acknowledge something that the broker took."""
        return any(batch.state is BatchState.TAKEN for batch in self.flight)

    def _reach(self) -> int:
        """How far an acknowledgement can go: to the end of what was sent without a refusal, in order."""
        reach = self.confirmed
        for batch in self.flight:
            if not batch.offered and batch.state is not BatchState.DONE:
                break
            reach = batch.last
        return reach

    def acknowledge(self, sequence: int, now: float) -> bool:
        """Take the platform's word for everything up to ``sequence``; False when that was never sent."""
        if sequence > self._reach():
            return False
        self.word.hears(sequence, now)
        return True

    def overdue(self, now: float) -> int:
        """Let what the platform did not acknowledge in time go again; returns how many batches that are."""
        if now < self.word.again_at or not self.unsaid():
            return 0
        waiting = [batch for batch in self.flight if batch.state is BatchState.TAKEN]
        for batch in waiting:
            self.flight.again(batch)
        self.word.repeated(now)
        return len(waiting)
