"""The books of a line: how busy it is, its bytes, transactions and errors, as status and metrics show them."""

from __future__ import annotations

from typing import Any

from gateway.contract import Clock, LineKind
from gateway.links.budget import BusyMeter
from gateway.links.health import DAMAGE, SILENCE, LineHealth, Tally, Trouble
from gateway.links.hush import Hush
from gateway.links.pipe import StreamPipe
from gateway.metrics import LINE_BUSY, LINE_BYTES, LINE_ERRORS, LINE_SECONDS, LINE_TRANSACTIONS

STRAY = 4  # bytes; fewer are what a wire makes of a change of direction
CANCELLED, BROKEN = "cancelled", "link"
UNHEARD = "unheard"  # a broadcast, or a search: asked without an answer, and content with it


class Ledger:
    """Notes every transaction of a line; ``health`` and ``hush`` know what they say of its devices."""

    def __init__(self, name: str, clock: Clock, kind: LineKind, address: str) -> None:
        self.health = LineHealth(name)
        self.hush = Hush(name, kind, address, clock)
        self._clock = clock
        self._transactions = self._errors = 0
        self._seconds = self._worst = 0.0
        self._before: Tally | None = None
        busy = self._busy = BusyMeter(clock.monotonic())
        self._bytes_in, self._bytes_out = LINE_BYTES.labels(name, "in"), LINE_BYTES.labels(name, "out")
        self._failures = LINE_ERRORS.labels(name)
        self._count, self._took = LINE_TRANSACTIONS.labels(name), LINE_SECONDS.labels(name)
        LINE_BUSY.labels(name).set_function(lambda: busy.ratio(clock.monotonic()))

    def attach(self, device: str) -> Tally:
        """One more device on this line."""
        tally = self.health.tally(device)
        self.hush.attach(tally)
        return tally

    def trouble(self, device: str) -> Trouble | None:
        """Name the fault that the answers of a device, or their absence, show."""
        return self.health.trouble(device) or self.hush.alone(device)

    def left(self, device: str) -> None:
        """A transaction of ``device`` is interrupted: what comes unasked now is behind its answer."""
        self._before = self.health.tally(device)

    def note(self, device: str, kind: str, began: float, now: float, pipe: StreamPipe) -> None:
        """Note a transaction from ``began`` until ``now``, both monotonic; ``kind`` is "" or what became of it."""
        seconds = now - began
        self._busy.add(seconds, now)
        if kind == CANCELLED:
            return
        self._transactions += 1
        self._seconds += seconds
        if seconds > self._worst:
            self._worst = seconds
        before_in, before_out = pipe.counted  # its own: a read that was parted may end on a connection that is gone
        pipe.counted = (pipe.bytes_in, pipe.bytes_out)
        self._bytes_in.inc(pipe.bytes_in - before_in)
        self._bytes_out.inc(pipe.bytes_out - before_out)
        self._count.inc()
        self._took.inc(seconds)
        if kind == UNHEARD:
            self._before = None
            return
        if kind:
            self._errors += 1
            self._failures.inc()
            if kind == BROKEN:
                return
        before, within = pipe.strays
        if before >= STRAY and self._before is not None:
            self._before.spoke_twice()
        mine = self.health.tally(device)
        self._before = mine if pipe.questions else None  # what nobody asked for is no second answer
        mine.add(kind, seconds, pipe.latency)
        self.health.echoed(pipe.echoed)
        if within >= STRAY:
            mine.spoke_twice()
        if kind or self.hush.missing or self.health.faint.score:
            self._judge(mine, kind, pipe.questions or 1)

    def _judge(self, mine: Tally, kind: str, questions: int) -> None:
        """Where all is well there is nothing to judge."""
        if kind in SILENCE:
            self.hush.missed(mine)
            return
        if kind in DAMAGE:
            self.health.faint.hurt(mine.name, questions)
        elif self.health.faint.score:
            self.health.faint.sound(mine.name, questions)
        if self.hush.missing:
            self.hush.spoke(mine)

    def view(self) -> dict[str, Any]:
        """What status shows."""
        count = self._transactions
        return {
            "busy": round(self._busy.ratio(self._clock.monotonic()), 3),
            "transactions": count,
            "errors": self._errors,
            "mean_ms": round(1000 * self._seconds / count, 1) if count else None,
            "worst_ms": round(1000 * self._worst, 1) if count else None,
            "troubles": self._troubles(),
        }

    def _troubles(self) -> list[dict[str, Any]]:
        rows = [{"reason": reason, "sentence": sentence} for reason, sentence in self.health.troubles()]
        since = self._clock.rfc3339(self.hush.since)
        silent = [{"reason": reason, "sentence": sentence, "since": since} for reason, sentence in self.hush.troubles()]
        return silent + rows
