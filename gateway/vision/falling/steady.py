"""Holds the picture of a swaying camera still: how far it is shifted, by least squares, and the shift taken back."""

import math
from collections import deque
from typing import Any

import cv2
import numpy as np

from gateway.vision.evidence import Pixels

HALVINGS = 2  # the shift is measured on a picture so much smaller: a sway of two pixels is half of one there
COARSE = 2**HALVINGS
KNOWN = 0.5  # pixels by which a picture is shifted to see what is measured of it
SWAY = 0.12  # pixels by which shifts have to differ before anything is taken back; to be still they differ by half
LOOKS = 16  # measurements over which they differ
SELDOM = 10  # frames between two of them while the camera stands still
SETTLED = 20  # frames of which every one is measured
FARTHEST = 8.0  # pixels; more is no sway
LEARN, LEARN_EVERY = 0.1, 50
ROUNDS = 4  # of leaving out what is no shift
FLAT = 1e-3  # of a picture without edges nothing can be said


class Steadier:
    """Measures each reduced picture against a slowly learnt one, and shifts it back while the camera sways."""

    def __init__(self) -> None:
        self._usual: Any = None
        self._slopes: Any = None
        self._shifts: deque[tuple[float, float]] = deque(maxlen=LOOKS)
        self._count = 0
        self.sways = False

    def still(self, small: Pixels) -> Pixels:
        """The picture, in place, as it would be if the camera stood still."""
        self._count += 1
        if self._count > SETTLED and not self.sways and self._count % SELDOM:
            return small
        coarse = _coarse(small)
        if self._usual is None:
            self._usual = coarse
            self._learn()
            self._answers = self._answer(small, 0), self._answer(small, 1)
            return small
        x, y = (way / answer for way, answer in zip(self._shift(coarse), self._answers, strict=True))
        self._shifts.append((x, y))
        spread = max(float(np.std(values)) for values in zip(*self._shifts, strict=True))
        self.sways = len(self._shifts) >= LOOKS // 2 and spread > (SWAY / 2 if self.sways else SWAY)
        if self._count % LEARN_EVERY == 0:
            cv2.accumulateWeighted(coarse, self._usual, LEARN)
            self._learn()
        if self.sways and 0.02 < math.hypot(x, y) < FARTHEST:
            np.copyto(small, _shifted(small, -x, -y))
        return small

    def _learn(self) -> None:
        """Slopes of the learnt picture, its own brightness and one: what a shift, a gain and an offset add."""
        across = cv2.Sobel(self._usual, cv2.CV_32F, 1, 0, scale=1 / 8)
        down = cv2.Sobel(self._usual, cv2.CV_32F, 0, 1, scale=1 / 8)
        self._slopes = np.stack([_some(part) for part in (across, down, self._usual)])
        self._slopes -= self._slopes.mean(axis=1, keepdims=True)
        self._seen = _some(self._usual)
        power = np.linalg.inv(self._slopes @ self._slopes.T + FLAT * self._slopes.shape[1] * np.eye(3))
        self._power = power.astype(np.float32)

    def _shift(self, coarse: Any) -> tuple[float, float]:  # noqa: ANN401 - OpenCV
        away = _some(coarse) - self._seen
        away -= away.mean()
        found = self._power @ (self._slopes @ away)
        for _ in range(ROUNDS):
            # What moves before the wall counts no more than the rest of it.
            all_of_it = found @ self._slopes
            rest = away - all_of_it
            most = float(np.abs(rest).mean())
            found = self._power @ (self._slopes @ (all_of_it + np.clip(rest, -most, most)))
        return -float(found[0]) * COARSE, -float(found[1]) * COARSE

    def _answer(self, small: Pixels, axis: int) -> float:
        """What is measured of a shift by one pixel: edges that are finer than the coarse pixels make it more."""
        way = [0.0, 0.0]
        way[axis] = KNOWN
        told = self._shift(_coarse(_shifted(small, *way)))[axis] / KNOWN
        return told if 0.5 < told < 2.0 else 1.0


def _coarse(small: Pixels) -> Any:  # noqa: ANN401 - OpenCV
    part: Any = small
    for _ in range(HALVINGS):
        part = cv2.resize(part, (part.shape[1] // 2, part.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(part, (5, 5), 1.0), np.float32)


def _some(coarse: Any) -> Any:  # noqa: ANN401 - OpenCV
    """Every second pixel: neighbours of a blurred picture say the same."""
    return np.asarray(coarse)[:, ::2].ravel()


def _shifted(small: Pixels, x: float, y: float) -> Pixels:
    # The same weights for every pixel: eight times as quick as a warp.
    tall, wide = small.shape
    middle = (wide - 1) / 2 - x, (tall - 1) / 2 - y
    return np.asarray(cv2.getRectSubPix(small, (wide, tall), middle), np.uint8)
