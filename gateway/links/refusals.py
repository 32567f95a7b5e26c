"""Who was refused on a listening line: counted, shown, and logged once, however often it calls."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Any, NamedTuple

log = logging.getLogger("linli.links")

MOST = 64  # strangers that are remembered
FORGOTTEN_AFTER = 3600.0  # seconds of quiet, then a stranger is news again


class Refusal(NamedTuple):
    """The newest refusal: from where, why, at what time (wall-clock nanoseconds)."""

    peer: str
    sentence: str
    time: int


class Refusals:
    """The strangers of one line."""

    def __init__(self, line: str) -> None:
        self.count = 0
        self.last: Refusal | None = None
        self._line = line
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._crowded = False

    def note(self, peer: str, what: str, sentence: str, wall: int, monotonic: float) -> None:
        """Count a refusal of ``peer`` because of ``what`` (a short text); the log hears of it once a spell."""
        self.count += 1
        self.last = Refusal(peer, sentence, wall)
        while self._seen and next(iter(self._seen.values())) < monotonic - FORGOTTEN_AFTER:
            self._seen.popitem(last=False)
            self._crowded = False
        key = (peer, what)
        known = key in self._seen
        if not known and len(self._seen) >= MOST:
            if not self._crowded:
                self._crowded = True
                log.warning("line %s: many more strangers call; status shows how many", self._line)
            return
        self._seen[key] = monotonic
        self._seen.move_to_end(key)
        if not known:
            log.warning("line %s: refused %s: %s", self._line, peer, sentence)

    def welcome(self, peer: str) -> None:
        """It was let in: should it be refused again, that is news."""
        for key in [key for key in self._seen if key[0] == peer]:
            del self._seen[key]

    def view(self, rfc3339: Any) -> dict[str, Any]:  # noqa: ANN401
        """What status shows."""
        last = self.last
        if last is None:
            return {"count": 0}
        return {"count": self.count, "peer": last.peer, "sentence": last.sentence, "time": rfc3339(last.time)}
