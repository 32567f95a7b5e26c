"""Takes packets off a live camera as they come, in a thread of its own, so that the camera is never kept waiting."""

import threading
import time
from collections import deque
from collections.abc import Iterator

from gateway.contract import LinkError
from gateway.vision.capture import READ_SECONDS, Capture
from gateway.vision.ring import Coded, PacketRing

MOST_BYTES = 64 << 20  # that may wait for analysis
SILENCE = READ_SECONDS + 2.0  # not every input can be interrupted while it is read


class Live:
    """The packets of a live camera that wait for analysis: those of ``seconds``, then a jump to the newest picture.

    ``offered`` counts packets, ``dropped`` those that nobody will look at.
    """

    def __init__(self, capture: Capture, ring: PacketRing | None, seconds: float) -> None:
        self.offered = 0
        self.dropped = 0
        self._ring = ring
        self._seconds = seconds
        self._waiting: deque[Coded] = deque()
        self._bytes = 0
        self._headless = False  # the pictures that come need one that was dropped
        self._change = threading.Condition()
        self._over: LinkError | None = None
        self._done = self._ending = False
        self._heard = time.monotonic()
        threading.Thread(target=self._take, args=(capture,), name="capture", daemon=True).start()

    @property
    def lag(self) -> float:
        """Seconds that the oldest waiting packet has waited."""
        with self._change:
            return time.monotonic() - self._waiting[0].arrived if self._waiting else 0.0

    def end(self, patience: float) -> bool:
        """Let go of the camera when its next packet is there; whether that was within ``patience`` s."""
        with self._change:
            self._ending = True
            return self._change.wait_for(lambda: self._done, patience)

    def _take(self, capture: Capture) -> None:
        over: LinkError | None = None
        try:
            for coded in capture.packets():
                if self._ring is not None and not self._ending:
                    self._ring.add(coded)
                with self._change:
                    if self._ending:
                        break
                    self._heard = coded.arrived
                    self.offered += 1
                    self._add(coded)
                    self._change.notify()
        except LinkError as error:
            over = error
        with self._change:
            self._over, self._done = over, True
            self._change.notify()

    def _add(self, coded: Coded) -> None:
        if self._headless and not coded.key:
            self.dropped += 1
            return
        self._headless = False
        waiting = self._waiting
        if waiting and (coded.arrived - waiting[0].arrived > self._seconds or self._bytes + coded.size > MOST_BYTES):
            # What waits is given up as far as the newest picture that stands for itself.
            newest = None if coded.key else max((one.index for one in waiting if one.key), default=None)
            self._give_up(newest)
            if newest is None and not coded.key:
                self._headless = True
                self.dropped += 1
                return
        waiting.append(coded)
        self._bytes += coded.size

    def _give_up(self, until: int | None) -> None:
        while self._waiting and self._waiting[0].index != until:
            self._bytes -= self._waiting.popleft().size
            self.dropped += 1

    def packets(self, patience: float) -> Iterator[Coded | None]:
        """Give packets, None when none came for ``patience`` s; LinkError when the camera ends it or falls silent."""
        while True:
            with self._change:
                if not self._waiting and not self._done:
                    self._change.wait(patience)
                coded = self._waiting.popleft() if self._waiting else None
                if coded is not None:
                    self._bytes -= coded.size
                over = self._done and coded is None
                silent = coded is None and time.monotonic() - self._heard > SILENCE
            if over:
                raise self._over or LinkError("the camera closed the stream; check the camera", "closed")
            if silent:
                raise LinkError("the camera has stopped sending; check its power, cable and network", "timeout")
            yield coded
