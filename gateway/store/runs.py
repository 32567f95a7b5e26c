"""Joins records into runs, the JSON arrays in which an uplink sends them."""

from gateway.contract import Run
from gateway.store.assembly import LINE


class RunWriter:
    """Collects records, given as lines, into one run after the other; ``size`` in bytes of JSON."""

    def __init__(self, after: int) -> None:
        self._after = self.last = after
        self._lines: list[bytes] = []
        self.count = self.size = 0

    def add(self, lines: bytes, last: int, count: int) -> None:
        """Append ``count`` records, each with a line feed behind it; ``last`` is the last sequence."""
        self._lines.append(lines)
        self.last = last
        self.count += count
        self.size += len(lines)

    def finish(self) -> Run:
        """Return what was added since the last run, and begin the next one."""
        self._lines[-1] = self._lines[-1][:-1] + b"]"
        # A line feed never stands inside JSON text as ours: it is escaped there.
        run = Run(self._after, self.last, self.count, b"".join((b"[", *self._lines)).replace(LINE, b","))
        self._after, self._lines = self.last, []
        self.count = self.size = 0
        return run
