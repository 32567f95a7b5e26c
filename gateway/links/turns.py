"""Who waits for a line and who is next: writes, then whom a write interrupted, then commands, then the polls."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from dataclasses import dataclass
from typing import NamedTuple

from gateway.contract import LinkError
from gateway.settings import SerialSettings

# Deadlines that lie before any time of a clock.
WRITE = float("-inf")  # also between two questions of a read
RESUMED = -2e300
READ_NOW = -1e300


@dataclass(slots=True, eq=False)
class Asker:
    """Who wants the line, and what it needs of it; times in seconds."""

    device: str
    deadline: float
    timeout: float
    serial: SerialSettings | None
    turnaround: float
    away: float = 0.0  # for so long it had lent the line to writes


class Turn(NamedTuple):
    """A place in the queue; heapq compares deadline, then order of arrival."""

    deadline: float
    order: int
    granted: asyncio.Future[None]
    asker: Asker


class Turns:
    """Two queues: who is polled or commanded, and tries at silent devices, which run when the line can afford it."""

    def __init__(self) -> None:
        self.polls: list[Turn] = []
        self.probes: list[Turn] = []
        self.parted: str | None = None  # the device of which a read waits until writes to others are done
        self._order = itertools.count()

    def push(self, asker: Asker, deadline: float, *, probe: bool) -> asyncio.Future[None]:
        """Queue up; the future is done when it is the asker's turn."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self.probes if probe else self.polls, Turn(deadline, next(self._order), granted, asker))
        return granted

    def tidy(self) -> None:
        """Forget, at the heads, who waits no more."""
        for queue in (self.polls, self.probes):
            while queue and queue[0].granted.done():
                heapq.heappop(queue)

    def pop(self, queue: list[Turn]) -> Turn:
        """Take the first out. A write to the device whose read is parted waits: values from before it come after."""
        turn = queue[0]
        if self.parted is not None:
            free = (one for one in queue if one.deadline == RESUMED or one.asker.device != self.parted)
            turn = min((one for one in free if not one.granted.done()), default=turn)
        if turn is queue[0]:
            return heapq.heappop(queue)
        queue.remove(turn)
        heapq.heapify(queue)
        return turn

    def has_write(self, beside: str) -> bool:
        """Whether the first who waits wants to write to another device than this one."""
        self.tidy()
        return bool(self.polls) and self.polls[0].deadline == WRITE and self.polls[0].asker.device != beside

    def fail(self, sentence: str, reason: str) -> None:
        """Send everybody away with a LinkError."""
        for turn in (*self.polls, *self.probes):
            if not turn.granted.done():
                turn.granted.set_exception(LinkError(sentence, reason))
        self.polls.clear()
        self.probes.clear()
