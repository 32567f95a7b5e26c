"""How much of a line's time silent devices may take, and how busy the line is. Pure: time is passed in."""

SHARE = 0.03  # of the line's time, for all silent devices together
SHARE_NOBODY = 0.5  # when nobody answers there is nobody to protect
NOBODY_AFTER = 30.0
CREDIT_LIMIT = 1.0
SHORT = 0.3  # of the timeout, when the budget is overdrawn and nobody knows how long the device takes
MARGIN = 3  # times the slowest answer so far
SHORTEST = 0.2  # seconds; a sound device on a busy machine must not look dead
WINDOW = 10.0


class SilentBudget:
    """An account in seconds of line time: fills by ``SHARE``, pays for every wait that brought no answer.

    It may be overdrawn by one wait (debt is paid back before the next probe), so the first detection of a dead device
    needs no saving up.
    """

    def __init__(self, now: float) -> None:
        self._balance = 0.0
        self._at = now
        self._answered = now
        self._nobody = now + NOBODY_AFTER  # from then on it holds that nobody answers

    def charge(self, seconds: float, now: float) -> None:
        """Pay for a wait in vain."""
        self._fill(now)
        self._balance -= seconds

    def answered(self, now: float) -> None:
        """Note that some device answered."""
        if now >= self._nobody:
            self._fill(now)  # at the share that has held until now
        self._answered = now
        self._nobody = now + NOBODY_AFTER

    def give_up(self, now: float) -> None:
        """It is known already that nobody answers."""
        if now < self._nobody:
            self._fill(now)
            self._nobody = now

    def unheard(self, now: float) -> float:
        """Seconds since any device answered."""
        return now - self._answered

    def wait(self, now: float) -> float:
        """Seconds until a probe may run; 0 when it may now."""
        self._fill(now)
        if self._balance >= 0:
            return 0.0
        # From then on, when nobody answers, the debt is paid back faster.
        slow = max(0.0, self._nobody - now)
        needed = -self._balance / SHARE
        return needed if needed <= slow else slow - (self._balance + slow * SHARE) / SHARE_NOBODY

    def patience(self, timeout: float, learned: float | None, now: float, *, doubtful: bool) -> float:
        """How many seconds to wait for an answer.

        ``learned``: seconds that the device took at the slowest so far, None when it is not known; ``doubtful``: it
        missed its last question. Overdrawn, nobody is waited for longer than need be.
        """
        self._fill(now)
        if learned is not None and (doubtful or self._balance < 0):
            return min(timeout, max(SHORTEST, MARGIN * learned))
        return timeout if self._balance >= 0 else min(timeout, max(SHORTEST, SHORT * timeout))

    def _fill(self, now: float) -> None:
        slow = max(0.0, min(now, self._nobody) - self._at)
        self._balance = min(CREDIT_LIMIT, self._balance + slow * SHARE + (now - self._at - slow) * SHARE_NOBODY)
        self._at = now


class BusyMeter:
    """Share of the last 10 to 20 seconds in which the line carried a transaction."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._busy = 0.0
        self._earlier: tuple[float, float] = (0.0, 0.0)

    def add(self, seconds: float, now: float) -> None:
        """Count a transaction that ended now."""
        if now - self._since >= WINDOW:
            self._turn(now)
        self._busy += seconds

    def ratio(self, now: float) -> float:
        """From 0 (idle) to 1."""
        self._turn(now)
        span = now - self._since + self._earlier[1]
        return min(1.0, (self._busy + self._earlier[0]) / span) if span > 0 else 0.0

    def _turn(self, now: float) -> None:
        span = now - self._since
        if span >= WINDOW:
            self._earlier = (self._busy, span) if span < 2 * WINDOW else (0.0, WINDOW)
            self._since, self._busy = now, 0.0
