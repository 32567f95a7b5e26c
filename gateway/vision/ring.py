"""Encoded packets: what one carries through the worker, and the ring of the last ones that clips are made from."""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

RING_BYTES = 64 << 20  # a camera's share of memory, whatever its bit rate


@dataclass(frozen=True, slots=True)
class Coded:
    """One encoded picture: ``time`` in seconds of the stream, ``wall`` in ns since 1970, ``arrived`` monotonic."""

    packet: Any
    index: int
    time: float
    wall: int
    arrived: float
    key: bool
    size: int


class PacketRing:
    """The last packets of a camera, bounded by seconds and by bytes; one thread adds, another one asks."""

    def __init__(self, seconds: float, most_bytes: int = RING_BYTES) -> None:
        """Keep ``seconds`` before the newest packet, and the group of pictures that they begin in."""
        self._seconds = seconds
        self._most = most_bytes
        self._kept: deque[Coded] = deque()
        self._bytes = 0
        self._keys: deque[float] = deque()
        self._lock = threading.Lock()
        self._on = True
        self.late = 0.0  # seconds by which whoever asks is behind: so much more is kept

    def keep(self, *, on: bool) -> None:
        """Whether packets are kept at all; what is kept goes when not."""
        if on != self._on:
            self.clear()
            self._on = on

    def add(self, coded: Coded) -> None:
        """Take the newest; the oldest group goes as soon as the rest is long enough, or when all is too much."""
        with self._lock:
            if not self._on:
                return
            self._kept.append(coded)
            self._bytes += coded.size
            if coded.key:
                self._keys.append(coded.time)
            oldest = coded.time - self._seconds - self.late
            while (len(self._keys) > 1 and self._keys[1] < oldest) or self._bytes > self._most:
                self._forget_group()

    def _forget_group(self) -> None:
        while self._kept:
            self._bytes -= self._kept[0].size
            if self._kept.popleft().key:
                self._keys.popleft()
            if not self._kept or self._kept[0].key:
                return

    def clear(self) -> None:
        """Forget all: what comes now cannot be joined to what was."""
        with self._lock:
            self._kept.clear()
            self._keys.clear()
            self._bytes = 0

    def forget(self, before: int) -> None:
        """Let go of the packets before the one of this index."""
        with self._lock:
            while self._kept and self._kept[0].index < before:
                gone = self._kept.popleft()
                self._bytes -= gone.size
                if gone.key:
                    self._keys.popleft()

    @property
    def newest(self) -> Coded | None:
        """The packet that came last."""
        with self._lock:
            return self._kept[-1] if self._kept else None

    def between(self, begin: int, end: int) -> list[Coded]:
        """Packets from the last key frame at or before ``begin`` (else the first there is) to ``end`` (wall, ns)."""
        with self._lock:
            kept = list(self._kept)
        keys = [place for place, coded in enumerate(kept) if coded.key]
        if not keys:
            return []
        first = max((place for place in keys if kept[place].wall <= begin), default=keys[0])
        found = [coded for coded in kept[first:] if coded.wall <= end]
        while found and not found[0].key:  # the clock was set back meanwhile
            del found[0]
        return found
