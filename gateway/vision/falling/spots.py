"""Small things that are somewhere for a moment only: a signed three-frame difference and each pixel's noise."""

from collections import deque
from collections.abc import Sequence
from itertools import groupby, islice
from math import sqrt
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from gateway.settings.camera import SHORT_SIDE
from gateway.vision.evidence import Pixels

MOST = 120  # spots of one frame; in rain and snow the threshold rises until there are no more
LARGEST = 1600  # square pixels of a spot; a larger one is no falling object
LEAST_STEP = 7.0  # grey levels above the noise
NOISES = 4.5  # the threshold in units of a pixel's own mean difference
LEARN_EVERY = 4  # frames
MEMORY = 0.03  # share of a new frame in a pixel's noise
APART = 0.063  # seconds at least between a frame and the later one that it is compared with
EARLIER = 0.13  # the same for the one before: what is large or slow covers itself until then, and this costs no time
FLOOD = 600  # outlines of one frame from which nothing can be told apart: a new exposure, a flash
BAND = 36  # rows that are looked through together
HALVED = 128  # rows that are halved together
LOOK_ROWS = 61  # every so many-th row of a frame is compared first
LINEAR = 1.5  # times as large at most is what is read between its pixels: means over them would cost five times as much
EDGE = 0.6  # pixels of the picture that is looked at by which a thing seems larger than it is
ASIDE = 2  # frames at least between them: some cameras send every third frame twice


class Spot(NamedTuple):
    """Middle, size and area, brightest difference, and +1 brighter or -1 darker.

    Pixels are those of a picture of ``SHORT_SIDE``, whatever size is looked at: what is told of a thing means the same.
    """

    x: float
    y: float
    wide: float
    tall: float
    area: float
    peak: float
    sign: int


class SpotFinder:
    """Feed it every frame's brightness; its answers lag by ``APART``, because it has to see what came after."""

    def __init__(
        self,
        width: int,
        height: int,
        ignored: npt.NDArray[np.uint8] | None = None,
        short_side: int = SHORT_SIDE,
    ) -> None:
        """``ignored``: mask (height, width) of the full frame, not 0 where nothing is looked for.

        ``short_side``: to which the shorter side is brought; ``scale``: pixels of a spot in one of the full frame.
        """
        reduced = min(1.0, short_side / min(width, height))
        self.scale = min(1.0, SHORT_SIDE / min(width, height))
        self._unit = self.scale / reduced
        self.size = (round(width * reduced), round(height * reduced))
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
        # Means over two by two pixels cost a tenth of means over anything else: halves first, then what is left.
        self._halves: list[Pixels] = []
        while min(width, height) > 2 * min(self.size):
            width, height = width // 2, height // 2
            self._halves.append(np.empty((height, width), np.uint8))
        self._how = cv2.INTER_LINEAR if min(width, height) <= LINEAR * min(self.size) else cv2.INTER_AREA
        # Every frame is written over an old one: fresh memory costs more than the arithmetic.
        shape = self.size[::-1]
        self._idle: list[Pixels] = []
        self._bright, self._dark, self._difference, self._marks = (np.empty(shape, np.uint8) for _ in range(4))

    def reduced(self, luma: Pixels) -> Pixels:
        """The picture at the size that is looked at; hand it to ``feed``, which keeps it."""
        small: Pixels = self._idle.pop() if self._idle else np.empty(self.size[::-1], np.uint8)
        for half in self._halves:
            luma = _brought(luma, half, cv2.INTER_AREA)
        return _brought(luma, small, self._how)

    def clear(self) -> None:
        """Forget all that was seen: the view is another one."""
        self._window.clear()
        self._next, self._noise, self._raised, self._count = 1, None, 0.0, 0

    def feed(self, small: Pixels, time: float) -> list[tuple[float, list[Spot]]]:
        """Take the reduced frame of ``time`` (s); answer with time and spots of every frame that can be judged now.

        In order. A frame that only repeats the one before is passed over.
        """
        window = self._window
        if window and self._repeats(small, window[-1][1]):
            self._idle.append(small)
            return []
        window.append((time, small))
        answers = []
        while len(window) > self._next + ASIDE and time - window[self._next][0] >= APART:
            moment, middle = window[self._next]
            while self._next > ASIDE and window[1][0] <= moment - EARLIER:
                self._idle.append(window.popleft()[1])
                self._next -= 1
            last = next(picture for at, picture in islice(window, self._next + ASIDE, None) if at >= moment + APART)
            answers.append((moment, self._compare(window[0][1], middle, last)))
            self._next += 1
        return answers

    def _repeats(self, small: Pixels, before: Pixels) -> bool:
        """Whether a frame is the one before; a few rows tell it of most."""
        if not np.array_equal(small[::LOOK_ROWS], before[::LOOK_ROWS]):
            return False
        return not cv2.hasNonZero(cv2.absdiff(small, before, dst=self._difference))

    def _compare(self, first: Pixels, middle: Pixels, last: Pixels) -> list[Spot]:
        # An edge that shakes, a light that is switched, a new exposure: one of the two differences is small or has
        # the other sign. What passes by stands out against before and after alike.
        bright, dark = self._bright, self._dark
        cv2.subtract(middle, cv2.max(first, last, dst=bright), dst=bright)
        cv2.subtract(cv2.min(first, last, dst=dark), middle, dst=dark)
        cv2.max(bright, dark, dst=self._difference)
        self._learn()
        marks: Any = cv2.compare(self._difference, self._limit, cv2.CMP_GT, dst=self._marks)
        if self._allowed is not None:
            cv2.bitwise_and(marks, self._allowed, dst=marks)
        outlines = self._outlines(marks)
        if not outlines:
            self._raised = max(0.0, self._raised - 0.05)
            return []
        return self._spots(outlines)

    def _outlines(self, marks: Any) -> list[Any]:  # noqa: ANN401 - OpenCV
        """Around everything that is marked; most of the picture has no mark and is not looked at twice."""
        height = self.size[1]
        # From below, as one search of the whole picture would find them.
        bands = [top for top in range(0, height, BAND) if cv2.hasNonZero(marks[top : top + BAND])][::-1]
        outlines: list[Any] = []
        for _, run in groupby(enumerate(bands), lambda entry: entry[0] * BAND + entry[1]):
            tops = [top for _, top in run]
            rows = slice(max(0, tops[-1] - 1), min(height, tops[0] + BAND + 1))
            # A pixel more all around joins the parts of one thing; it is taken off its size again.
            part = cv2.dilate(marks[rows], _CROSS, dst=self._dark[rows])
            outlines += cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(0, rows.start))[0]
        return outlines

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

    def _spots(self, outlines: Sequence[Any]) -> list[Spot]:
        crowded = len(outlines) > MOST
        self._raised = min(40.0, self._raised + 1.5) if crowded else max(0.0, self._raised - 0.05)
        if len(outlines) > FLOOD:
            return []
        found, unit = list[Spot](), self._unit
        most, more = LARGEST / unit**2, EDGE * (unit - 1)
        for outline in outlines:
            left, top, wide, tall = cv2.boundingRect(outline)
            if wide * tall > 4 * most:
                continue
            part = self._difference[top : top + tall, left : left + wide]
            peak = cv2.minMaxLoc(part)[1]
            weight: Any = cv2.threshold(part, peak / 3, 0, cv2.THRESH_TOZERO)[1]
            area = cv2.countNonZero(weight)
            if not 0 < area <= most:
                continue
            sums = cv2.moments(weight)
            x, y = left + sums["m10"] / sums["m00"], top + sums["m01"] / sums["m00"]
            bright = cv2.minMaxLoc(self._bright[top : top + tall, left : left + wide])[1]
            sign = 1 if bright * 2 > peak else -1
            wide, tall = max(1, wide - 2), max(1, tall - 2)
            place = (x + 0.5) * unit - 0.5, (y + 0.5) * unit - 0.5
            found.append(
                Spot(*place, wide * unit - more, tall * unit - more, (sqrt(area) * unit - more) ** 2, peak, sign)
            )
        if crowded:
            found.sort(key=lambda spot: -spot.peak)
            del found[MOST:]
        return found


def _brought(luma: Pixels, to: Pixels, how: int) -> Pixels:
    """A picture at the size of ``to``, written there."""
    tall, wide = to.shape
    if luma.shape == to.shape:
        np.copyto(to, luma)
    elif luma.shape != (2 * tall, 2 * wide):
        cv2.resize(luma, (wide, tall), dst=to, interpolation=how)
    else:
        for top in range(0, tall, HALVED):
            rows, part = luma[2 * top : 2 * (top + HALVED)], to[top : top + HALVED]
            # Two rows at a time come from memory at a third of the speed of one after the other.
            cv2.norm(rows, cv2.NORM_INF)
            cv2.resize(rows, part.shape[::-1], dst=part, interpolation=how)
    return to


_MOST_LEARNED: Any = 30.0
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
