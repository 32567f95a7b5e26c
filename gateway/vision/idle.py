"""The idle gate: tells from packet sizes and key frames alone whether an empty lane still is."""

from collections import deque
from typing import Any

import cv2
import numpy as np

from gateway.vision.evidence import Pixels
from gateway.vision.ring import Coded

ACROSS = 240  # pixels of width that key frames are compared at
STEP = 12.0  # grey levels, beyond the noise, that count as a change
SHARE = 0.003  # of the picture that must have changed
WINDOW = 3  # packets whose mean size is judged: one alone may be a parameter set or a slow network
HISTORY = 250
ENOUGH = 25  # sizes before anything is judged
SURGE = 1.5  # times the usual size, at least
SPREAD = 6.0  # and so many times the usual deviation above it
FLOOR = 160.0  # bytes: an empty picture's packets are so small that their ratios mean nothing
MOST_SURGE = 6.0


class SizeGate:
    """Judges the sizes of a stream's packets against their own history while nothing moved."""

    def __init__(self) -> None:
        self._recent: deque[int] = deque(maxlen=WINDOW)
        self._means: deque[float] = deque(maxlen=HISTORY)
        self._ratio = SURGE
        self._limit = float("inf")
        self._since = 0

    def surges(self, coded: Coded) -> bool:
        """Whether this packet is part of a jump; key frames have their own size and are passed over."""
        if coded.key:
            return False
        self._recent.append(coded.size)
        mean = sum(self._recent) / len(self._recent)
        if len(self._means) >= ENOUGH and mean > self._limit:
            return True
        self._means.append(mean)
        self._since += 1
        if self._since >= ENOUGH:
            self._since = 0
            self._judge()
        return False

    def _judge(self) -> None:
        middle = float(np.median(self._means))
        deviation = float(np.median(np.abs(np.array(self._means) - middle)))
        self._limit = max(self._ratio * middle, middle + SPREAD * deviation) + FLOOR

    def woke(self, *, rightly: bool) -> None:
        """Learn whether a jump was followed by anything; a stream that cries wolf has to cry louder."""
        self._recent.clear()
        self._ratio = max(SURGE, 0.8 * self._ratio) if rightly else min(MOST_SURGE, 1.25 * self._ratio)
        if len(self._means) >= ENOUGH:
            if not rightly and self._limit < float("inf"):
                self._means.append(self._limit)  # what was harmless is usual from now on
            self._judge()


class KeyGate:
    """Compares each key frame with the one before: small, and blind to noise and to the light of the whole."""

    def __init__(self) -> None:
        self._before: Any = None

    def changed(self, luma: Pixels) -> bool:
        """Whether this key frame shows something else; False for the first one."""
        height, width = luma.shape
        part = max(1, min(width // ACROSS, height))
        size = (width // part, height // part)
        whole = luma[: size[1] * part, : size[0] * part]
        small: Any = cv2.blur(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), (3, 3)).astype(np.int16)
        before, self._before = self._before, small
        if before is None or before.shape != small.shape:
            return False
        moved = small - before
        shift = np.median(moved[::4, ::4])
        apart = np.abs(moved - shift)
        noise = float(np.median(apart[::4, ::4]))
        limit = STEP + 4.0 * noise + 0.5 * abs(float(shift))
        return bool(np.count_nonzero(apart > limit) > SHARE * apart.size)
