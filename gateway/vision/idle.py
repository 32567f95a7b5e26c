"""The idle gate: tells from packet sizes and key frames alone whether an empty lane still is."""

import math
from collections import deque
from typing import Any

import cv2
import numpy as np

from gateway.vision.evidence import Pixels
from gateway.vision.ring import Coded

ACROSS = 240  # pixels of width that key frames are compared at
STEP = 12.0  # grey levels, beyond the noise, that count as a change
SHARE = 0.003  # of the picture that must have changed
WINDOW = 8  # packets that are judged together: a single large one may be noise that was coded anew
HISTORY = 250
ENOUGH = 25  # sizes before anything is judged
SURGE = 1.4  # times what nineteen in twenty windows of the last seconds had
FLOOR = 160.0  # bytes: an empty picture's packets are so small that their ratios mean nothing
MOST_SURGE = 6.0
HARMLESS = 10  # times that a size counts after which nothing came: rain is usual from now on


class SizeGate:
    """Judges the sizes of a stream's packets against their own history.

    Of every window it judges the mean and the fourth smallest: where an encoder hides most pictures between a few
    large ones, the small ones tell first.
    """

    def __init__(self) -> None:
        self._recent: deque[int] = deque(maxlen=WINDOW)
        self._past: tuple[deque[float], deque[float]] = (deque(maxlen=HISTORY), deque(maxlen=HISTORY))
        self._usual = (math.inf, math.inf)
        self._ratio = SURGE
        self._since = 0
        self._struck = (0.0, 0.0)

    def surges(self, coded: Coded) -> bool:
        """Whether this packet is part of a jump; key frames have their own size and are passed over."""
        if coded.key:
            return False
        self._recent.append(coded.size)
        if len(self._recent) < WINDOW:
            return False
        told = (sum(self._recent) / WINDOW, float(sorted(self._recent)[WINDOW // 2 - 1]))
        if any(now > self._ratio * usual + FLOOR for now, usual in zip(told, self._usual, strict=True)):
            self._struck = told
            return True
        self._learn(told)
        self._since += 1
        if self._since >= ENOUGH:
            self._judge()
        return False

    def _learn(self, told: tuple[float, float]) -> None:
        for past, now in zip(self._past, told, strict=True):
            past.append(now)

    def _judge(self) -> None:
        self._since = 0
        if len(self._past[0]) >= ENOUGH:
            self._usual = (float(np.quantile(self._past[0], 0.95)), float(np.quantile(self._past[1], 0.95)))

    def woke(self, *, rightly: bool) -> None:
        """Learn whether a jump was followed by anything; a stream that cries wolf has to cry louder."""
        self._recent.clear()
        if rightly:
            self._ratio = max(SURGE, 0.8 * self._ratio)
            return
        self._ratio = min(MOST_SURGE, 1.25 * self._ratio)
        if self._struck[0]:
            for _ in range(HARMLESS):
                self._learn(self._struck)
            self._struck = (0.0, 0.0)
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
