"""Seconds of a stream from time stamps that repeat, are missing, jump or belong to a clock that was set."""

REORDER = 1.0  # seconds that a stamp may lie behind the newest one: B-frames come in another order than they show
GAP = 3.0  # seconds that a live stamp may run ahead of what has really passed
REPEATS = 5  # packets in a row with one stamp: some cameras stamp a few pictures alike, more is a clock that stands
LEAP = 10.0  # seconds ahead that a file's stamp must prove by a second one


class Timeline:
    """Places every packet of one opened stream; what lies is measured against the arrival, or against its neighbour."""

    def __init__(self, period: float) -> None:
        """``period`` is the usual time between two frames, in seconds."""
        self._period = period
        self._shift = 0.0
        self._begun = False
        self._newest = 0.0
        self._arrived: float | None = None
        self._doubted: float | None = None
        self._same: tuple[float | None, int] = (None, 0)  # a stamp, and how often it has come in a row

    def place(self, stamp: float | None, arrival: float | None = None) -> float:
        """Seconds from the first packet; ``arrival`` (monotonic) is known of live streams only."""
        passed = self._period
        if arrival is not None:
            passed = self._period if self._arrived is None else max(0.0, arrival - self._arrived)
            self._arrived = arrival
        if not self._begun:
            self._begun = True
            self._shift = -(stamp or 0.0)
            return 0.0
        self._same = (stamp, self._same[1] + 1 if stamp == self._same[0] else 0)
        seconds = self._judged(None if self._same[1] > REPEATS else stamp, passed, live=arrival is not None)
        self._newest = max(self._newest, seconds)
        return seconds

    def _judged(self, stamp: float | None, passed: float, *, live: bool) -> float:
        onward = self._newest + (max(passed, self._period) if live else self._period)
        if stamp is None:
            return onward
        seconds = stamp + self._shift
        ahead = seconds - self._newest
        if -REORDER <= ahead <= (passed + GAP if live else LEAP):
            self._doubted = None
            return seconds
        before, self._doubted = self._doubted, stamp
        if before is None or abs(stamp - before) > REORDER:
            return onward  # one stray stamp says nothing; two that agree mean that the clock was set
        if not live and ahead > 0:
            self._doubted = None
            return seconds  # a recording that really has a hole
        self._shift = onward - stamp
        self._doubted = None
        return onward
