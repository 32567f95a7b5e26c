"""How fast a backlog is worked off, and when it will be done."""

from collections import deque
from typing import Any

SAMPLE_SECONDS = 1.0
WINDOW_SECONDS = 30.0


class Progress:
    """Looks at an uplink about once a second over the last half minute."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, int]] = deque()

    def begin(self) -> None:
        """Forget what was: a connection begins."""
        self._samples.clear()

    def wants(self, now: float) -> bool:
        """Whether it is time for another sample (``now`` is monotonic)."""
        return not self._samples or now - self._samples[-1][0] >= SAMPLE_SECONDS

    def note(self, now: float, confirmed: int, waiting: int) -> None:
        """Take a sample: the sum of the cursors, and the records that wait."""
        while len(self._samples) > 1 and now - self._samples[1][0] > WINDOW_SECONDS:
            self._samples.popleft()
        self._samples.append((now, confirmed, waiting))

    def view(self) -> dict[str, Any]:
        """``rate``: records confirmed a second; ``eta_s``: seconds until nothing waits, None while that only grows."""
        if len(self._samples) < 2:
            return {"rate": 0.0, "eta_s": None}
        (begin, confirmed, waited), (end, now_confirmed, waits) = self._samples[0], self._samples[-1]
        shrinks = (waited - waits) / (end - begin)
        rate = (now_confirmed - confirmed) / (end - begin)
        eta = 0 if waits == 0 else round(waits / shrinks) if shrinks > 0 else None
        return {"rate": round(rate, 1), "eta_s": eta}
