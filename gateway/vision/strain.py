"""Whether this machine keeps up with a camera: what is late is looked at more seldom, and what is too much is said."""

from collections import deque

LATE = 0.6  # seconds of lag from which frames are looked at more seldom
CAUGHT_UP = 0.25
SELDOM = 0.15  # seconds between looks then
BEATS = 10  # that overload is judged by
OVERLOAD = 0.05  # of the frames
BEHIND = 4.0  # seconds by which all looks are late then
ADVICE = "lower the camera's frame rate or size, or watch fewer cameras"


class Strain:
    """One camera's; it is told of frames and beats, times in seconds."""

    def __init__(self) -> None:
        self._looked = -SELDOM
        self._skipped = 0
        self._excused = False
        self._late = 0.0
        self._lates = deque([0.0] * BEATS, BEATS)
        self._beats: deque[tuple[int, int]] = deque(maxlen=BEATS)
        self._told = ""

    def begin(self) -> None:
        """A stream begins, and its times with it: what came while models were loaded is no sign of a slow machine."""
        self._looked, self._skipped, self._excused = -SELDOM, 0, True

    def excuse(self) -> None:
        """Nor is what a wake has to catch up with."""
        self._excused = True

    @property
    def skipped(self) -> int:
        """How many frames of the stream were not looked at because they were late."""
        return self._skipped

    def in_time(self, time: float, lag: float, *, may_skip: bool) -> bool:
        """Whether to look at the frame of ``time`` while packets wait for ``lag``.

        What is late is looked at more seldom, where that is allowed.
        """
        self._excused = self._excused and lag > CAUGHT_UP
        if lag <= LATE or self._excused or not may_skip or time - self._looked >= SELDOM:
            self._looked = time
            return True
        self._skipped += 1
        return False

    def late(self, seconds: float) -> None:
        """A packet was done with so long after it came."""
        self._late = max(self._late, seconds)

    def beat(self, looked: int, dropped: int) -> float:
        """Another second is over, with so many frames looked at and dropped; how late its latest packet was."""
        late, self._late = self._late, 0.0
        self._beats.append((looked, dropped))
        self._lates.append(late)
        return late

    @property
    def trouble(self) -> tuple[str, str]:
        """Reason and sentence while there is too much to look at, both empty when there is not."""
        looked, dropped = (sum(beat[place] for beat in self._beats) for place in (0, 1))
        # It is over when nothing is left for later either: what waits may be dropped next.
        share, most, late = (0.0, LATE, max(self._lates)) if self._told else (OVERLOAD, BEHIND, min(self._lates))
        if dropped <= share * (looked + dropped) and late <= most:
            self._told = ""
        elif not self._told:
            seen = f"{looked} of {looked + dropped} frames were looked at in the last seconds, {late:.0f} s late"
            self._told = f"this machine cannot keep up with the camera: {seen}; {ADVICE}"
        return ("overload", self._told) if self._told else ("", "")
