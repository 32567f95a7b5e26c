"""How much may be on the wire at once, so that an alarm never waits behind a backlog, and how much a second."""

FIRST_BUDGET, SMALLEST_BUDGET, BUDGET = 16 * 1024, 4 * 1024, 8 * 1024 * 1024
# Seconds that an answer took beyond the link's own round trip: below FAST the link is not full, above SLOW an alarm
# would wait too long.
FAST, SLOW = 0.15, 0.75
# With next to nothing on the wire for so long, answers show the link's own round trip, even if that has grown.
BARE_SECONDS = 10.0
BURST_SECONDS = 1.0


class Flow:
    """Bytes in flight for one connection after the other, and the rate of a metered link.

    ``budget`` holds for alarm and disposal together, and again for the other two. It follows the delay that our own
    bytes cause, not the link's: 600 ms by satellite are no reason to send less.
    """

    def __init__(self, rate: int | None = None) -> None:
        self._rate = rate
        self._paid_until = 0.0
        self.budget = FIRST_BUDGET
        self._round_trip = float("inf")
        self._halved_at = 0.0
        self._bare_since: float | None = None
        self._bare_trip = float("inf")

    def begin(self, round_trip: float) -> None:
        """A new connection, on which an exchange of next to nothing took ``round_trip`` seconds (0: not known)."""
        self._round_trip = round_trip or float("inf")
        self._bare_since = None

    def answered(self, sent: float, answered: float, size: int, load: int) -> None:
        """Learn from one answer (times monotonic); ``load`` bytes were in flight when it was sent."""
        took = answered - sent
        self._learn_trip(took, answered)
        excess = took - self._round_trip
        if excess > SLOW:
            # What was sent before the last halving says nothing about what was right to do since.
            if sent >= self._halved_at:
                self.budget = max(SMALLEST_BUDGET, self.budget // 2)
                self._halved_at = answered
        elif excess < FAST and load * 2 >= self.budget:
            # Only a budget that was used has been tried: an idle link must not grow a burst for the next backlog.
            self.budget = min(BUDGET, self.budget + size)

    def lost(self, *, unanswered: bool) -> None:
        """The connection ended; with publishes unanswered the next one is tried with less."""
        self.budget = max(SMALLEST_BUDGET, min(FIRST_BUDGET, self.budget // 2 if unanswered else self.budget))

    def spend(self, size: int, now: float) -> None:
        """Note bytes that were sent, urgent ones too."""
        if self._rate is not None:
            self._paid_until = max(self._paid_until, now - BURST_SECONDS) + size / self._rate

    def free_at(self) -> float:
        """Monotonic time from which the rate allows more that is not urgent."""
        return self._paid_until

    def largest(self) -> int:
        """Bytes that one publish should have at most."""
        return self.budget if self._rate is None else min(self.budget, max(SMALLEST_BUDGET, self._rate))

    def _learn_trip(self, took: float, now: float) -> None:
        self._round_trip = min(self._round_trip, took)
        if self.budget > SMALLEST_BUDGET:
            self._bare_since = None
            return
        if self._bare_since is None:
            self._bare_since, self._bare_trip = now, took
        self._bare_trip = min(self._bare_trip, took)
        if now - self._bare_since >= BARE_SECONDS:
            self._round_trip, self._bare_since = self._bare_trip, None
