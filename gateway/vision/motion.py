"""The luma gate: what moves, found by the difference of three looks, at almost no cost while nothing does."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gateway.vision.shapes import Box

Luma = npt.NDArray[np.uint8]

SMALL = 400  # pixels of width, at least, that the gate looks at: a whole fraction of the frame, which is cheapest
COARSE = 120  # pixels of width in which pieces of one thing are joined
MIN_STEP = 11  # grey levels that count as a change on a noiseless picture
DARK = (3.0, 0.2)  # grey levels, and share of the brightness: what counts where the whole picture is dark
MIN_SHARE = 0.0015  # of the picture that must change before anything is said to move


class MotionGate:
    """Looks at one frame after the other and names the boxes (pixels of the full frame) where something moves."""

    def __init__(self) -> None:
        self._before: list[Luma] = []
        self._shape: tuple[int, ...] = ()

    def look(self, luma: Luma) -> list[Box]:
        """Compare with the two looks before: what differs from both is where something is now, not where it was."""
        height, width = luma.shape
        part = max(1, min(width // SMALL, height))
        whole = luma[: height // part * part, : width // part * part]
        size = (width // part, height // part)
        small: Any = cv2.blur(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), (3, 3))
        if small.shape != self._shape:
            self._before, self._shape = [], small.shape
        before = self._before
        self._before = [*before[-1:], small]
        if len(before) < 2:
            return []
        changed = np.minimum(self._changed(small, before[0]), self._changed(small, before[1]))
        if cv2.countNonZero(changed) < MIN_SHARE * changed.size:
            return []
        return self._boxes(changed, width, height)

    @staticmethod
    def _changed(now: Luma, before: Luma) -> Luma:
        """Mark what changed beyond the noise and beyond a change of the light of the whole picture."""
        # A sample of every 4th pixel both ways gives the shift of the light and the noise.
        sample = now[::4, ::4].astype(np.int16) - before[::4, ::4]
        shift = int(np.median(sample))
        noise = float(np.median(np.abs(sample - shift)))
        least = min(float(MIN_STEP), DARK[0] + DARK[1] * float(np.median(now[::4, ::4])))
        step = least + 4.0 * noise + 0.5 * abs(shift)
        moved: Any = cv2.absdiff(now, before)
        if shift:
            moved = np.abs(now.astype(np.int16) - before - shift).astype(np.uint8)
        changed: Luma = cv2.threshold(moved, step, 255, cv2.THRESH_BINARY)[1].astype(np.uint8, copy=False)
        return changed

    @staticmethod
    def _boxes(changed: Luma, width: int, height: int) -> list[Box]:
        scale = COARSE / width
        size = (COARSE, max(1, round(height * scale)))
        coarse: Any = cv2.resize(changed, size, interpolation=cv2.INTER_AREA)
        coarse = (coarse > 40).astype(np.uint8)
        # A smooth bonnet does not change between two looks; its edges do, and belong together.
        joined = cv2.morphologyEx(coarse, cv2.MORPH_CLOSE, np.ones((11, 11), np.uint8))
        contours, _ = cv2.findContours(joined, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        boxes = []
        for contour in contours:
            x, y, wide, tall = cv2.boundingRect(contour)
            if wide * tall >= 6:
                boxes.append(Box(x / scale, y / scale, min(width, (x + wide) / scale), min(height, (y + tall) / scale)))
        return sorted(boxes, key=lambda box: -box.area)
