"""Small things that are somewhere for a moment only: a signed three-frame difference and each pixel's noise."""

from collections import deque
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from gateway.vision.evidence import Pixels

SHORT_SIDE = 540  # pixels to which the shorter side is brought: small dark things are seen better than at 1080
MOST = 120  # spots of one frame; in rain and snow the threshold rises until there are no more
LARGEST = 1600  # square pixels (of the reduced picture) of a spot; a larger one is no falling object
LEAST_STEP = 7.0  # grey levels above the noise
NOISES = 4.5  # the threshold in units of a pixel's own mean difference
LEARN_EVERY = 4  # frames
MEMORY = 0.03  # share of a new frame in a pixel's noise
APART = 0.063  # seconds at least between frames that are compared: what is large or slow covers itself until then
SAME = 0.02  # mean difference (grey levels) below which a frame is the one before, sent again


class Spot(NamedTuple):
    """Middle and size in pixels of the reduced picture, area, brightest difference, and +1 brighter or -1 darker."""

    x: float
    y: float
    wide: float
    tall: float
    area: float
    peak: float
    sign: int


class SpotFinder:
    """Feed it every frame's brightness; its answers lag by ``APART``, because it has to see what came after."""

    def __init__(self, width: int, height: int, ignored: npt.NDArray[np.uint8] | None = None) -> None:
        """``ignored``: mask (height, width) of the full frame, not 0 where nothing is looked for."""
        self.scale = min(1.0, SHORT_SIDE / min(width, height))
        self.size = (round(width * self.scale), round(height * self.scale))
        self._window: deque[tuple[float, Pixels]] = deque()
        self._next = 1
        self._noise: Any = None
        self._limit: Any = None
        self._raised = 0.0
        self._count = 0
        self._allowed: Any = None
        if ignored is not None:
            small = cv2.resize(ignored, self.size, interpolation=cv2.INTER_NEAREST)
            self._allowed = np.where(small > 0, 0, 255).astype(np.uint8)
        self._difference: Any = None

    def feed(self, luma: Pixels, time: float) -> list[tuple[float, list[Spot]]]:
        """Take the frame of ``time`` (s); answer with time and spots of every frame that can be judged now, in order.

        A frame that only repeats the one before is passed over.
        """
        small: Any = luma if self.scale == 1.0 else cv2.resize(luma, self.size, interpolation=cv2.INTER_AREA)
        window = self._window
        if window and float(cv2.absdiff(small[::8], window[-1][1][::8]).mean()) < SAME:
            return []
        window.append((time, small if self.scale != 1.0 else small.copy()))
        answers = []
        while self._next < len(window) - 1 and time - window[self._next][0] >= APART:
            moment, middle = window[self._next]
            while len(window) > 2 and self._next > 1 and window[1][0] <= moment - APART:
                window.popleft()
                self._next -= 1
            last = next(picture for at, picture in window if at >= moment + APART)
            answers.append((moment, self._compare(window[0][1], middle, last)))
            self._next += 1
        return answers

    def _compare(self, first: Pixels, middle: Pixels, last: Pixels) -> list[Spot]:
        # An edge that shakes, a light that is switched, a new exposure: one of the two differences is small or has
        # the other sign. What passes by stands out against before and after alike.
        brighter: Any = cv2.min(cv2.subtract(middle, first), cv2.subtract(middle, last))
        darker: Any = cv2.min(cv2.subtract(first, middle), cv2.subtract(last, middle))
        self._difference = cv2.max(brighter, darker)
        self._learn()
        marks = cv2.compare(self._difference, self._limit, cv2.CMP_GT)
        if self._allowed is not None:
            marks = cv2.bitwise_and(marks, self._allowed)
        return self._spots(marks, brighter)

    def _learn(self) -> None:
        """Every pixel's own restlessness: leaves, laundry and edges that shake get a threshold of their own."""
        self._count += 1
        if self._noise is None:
            self._noise = np.full(self._difference.shape, 1.0, np.float32)
        elif self._count % LEARN_EVERY and self._count > 12:
            return
        weight = MEMORY if self._count > 60 else 0.15
        # Saturated, so that one passing object does not blind its way for those who follow.
        cv2.accumulateWeighted(cv2.min(self._difference, _MOST_LEARNED), self._noise, weight)
        least = LEAST_STEP + self._raised
        self._limit = cv2.convertScaleAbs(self._noise, alpha=NOISES, beta=least)

    def _spots(self, marks: Any, brighter: Any) -> list[Spot]:  # noqa: ANN401 - OpenCV
        if not cv2.hasNonZero(marks):
            self._raised = max(0.0, self._raised - 0.05)
            return []
        marks = cv2.morphologyEx(marks, cv2.MORPH_CLOSE, _CROSS)
        outlines, _ = cv2.findContours(marks, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        crowded = len(outlines) > MOST
        self._raised = min(40.0, self._raised + 1.5) if crowded else max(0.0, self._raised - 0.05)
        found = []
        for outline in outlines:
            left, top, wide, tall = cv2.boundingRect(outline)
            if wide * tall > 4 * LARGEST:
                continue
            part = self._difference[top : top + tall, left : left + wide]
            peak = float(part.max())
            weight = np.where(part > peak / 3, part, 0).astype(np.float32)
            whole = float(weight.sum())
            area = float(np.count_nonzero(weight))
            if area > LARGEST or whole <= 0:
                continue
            x = left + float((weight.sum(axis=0) * np.arange(wide)).sum()) / whole
            y = top + float((weight.sum(axis=1) * np.arange(tall)).sum()) / whole
            bright = float(brighter[top : top + tall, left : left + wide].max())
            found.append(Spot(x, y, wide, tall, area, peak, 1 if bright * 2 > peak else -1))
        if crowded:
            found.sort(key=lambda spot: -spot.peak)
            del found[MOST:]
        return found


_MOST_LEARNED: Any = 30.0
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
