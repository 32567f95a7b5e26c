"""Says when the view itself is wrong: dark, covered, frozen, crawled over, or not where it was."""

from collections import deque
from typing import Any

import cv2
import numpy as np

from gateway.vision.evidence import Pixels

EVERY = 1.0  # seconds between two looks
WIDE = 320  # pixels to which a look is brought
DARK, DARK_TOP = 26.0, 70.0  # mean and brightest grey (99 %) below which nothing that falls can be seen
FLAT = 0.5  # of the root of its usual strong edges: what a covered lens leaves at most
FROZEN = 0.05  # mean difference in grey levels of two looks; a live sensor never repeats itself
MOVED_SHARE = 0.006  # of the picture's width: more than a mast sways
ALIKE = 0.05  # peak of the phase correlation below which it is another view
CLOSE = 0.05  # share of the picture that something near the lens changes from look to look
LEARN = 0.02  # share of a look in the reference: shadows and seasons move slowly
# Looks in a row until a state is told, and until it is over.
PATIENCE = {"frozen": 12, "dark": 8, "covered": 4, "moved": 8, "spider": 15}
OVER = 5
SENTENCES = {
    "frozen": "the picture has not changed at all for some time; restart the camera",
    "dark": "the picture is too dark to see falling objects; give the facade light or the camera infrared",
    "covered": "the lens is covered or out of focus; clean the camera",
    "moved": "the camera was moved or turned: the facade is not where it was, and falls are not looked for; "
    "turn it back, or calibrate it anew with linli camera calibrate and restart the gateway",
    "spider": "something moves close to the lens, a spider perhaps; clean the camera",
}
BLIND = frozenset({"frozen", "dark", "covered", "moved"})  # nothing is looked for then


class ViewGuard:
    """Looks at the view once a second; ``reason`` is empty while it is as it should be."""

    def __init__(self, reference: Pixels | None = None) -> None:
        """``reference``: the brightness of the view that was calibrated; without it the first good view is taken."""
        self.reason = ""
        self._due = -1e9
        self._before: Any = None
        self._window: Any = None
        self._edges: Any = None
        self._usual = 0.0
        self._suspect = ""
        self._count = 0
        self._calm = 0
        self._changes: deque[bool] = deque(maxlen=PATIENCE["spider"])
        if reference is not None:
            edges = _edges(_small(reference))
            self._learn(edges, _strong(edges), 1.0)

    @property
    def sentence(self) -> str:
        """What is wrong and what to do; empty when all is well."""
        return SENTENCES.get(self.reason, "")

    @property
    def blind(self) -> bool:
        """Whether what would be seen now means nothing."""
        return self.reason in BLIND

    def look(self, luma: Pixels, time: float) -> None:
        """Take a frame's brightness at ``time`` (s); most frames are passed over."""
        if 0 <= time - self._due < EVERY:
            return
        self._due = time
        small = _small(luma)
        found = self._examine(small)
        self._before = small
        if found and found == self._suspect:
            self._count += 1
        elif found:
            self._suspect, self._count = found, 1
        if found:
            self._calm = 0
            if self._count >= PATIENCE[found]:
                self.reason = found
        else:
            self._calm += 1
            if self._calm >= OVER:
                self.reason, self._suspect, self._count = "", "", 0

    def _examine(self, small: Any) -> str:  # noqa: ANN401 - OpenCV
        if self._before is not None and self._before.shape != small.shape:
            self._before, self._edges = None, None
        if self._before is not None:
            difference = cv2.absdiff(small, self._before)
            if float(difference.mean()) < FROZEN:
                return "frozen"
            # A new exposure changes all of it, something near the lens a part.
            share = float((difference > 25).mean())
            self._changes.append(CLOSE < share < 0.6)
        if float(small.mean()) < DARK and float(np.percentile(small, 99)) < DARK_TOP:
            return "dark"
        edges = _edges(small)
        strength = _strong(edges)
        if self._edges is None:
            self._learn(edges, strength, 1.0)
            return ""
        if strength < FLAT * self._usual:
            return "covered"
        if len(self._changes) == PATIENCE["spider"] and sum(self._changes) > 0.8 * PATIENCE["spider"]:
            return "spider"
        (x, y), alike = cv2.phaseCorrelate(self._edges, edges, self._window)
        if alike < ALIKE or float(np.hypot(x, y)) > MOVED_SHARE * small.shape[1]:
            return "moved"
        self._learn(edges, strength, LEARN)
        return ""

    def _learn(self, edges: Any, strength: float, weight: float) -> None:  # noqa: ANN401 - OpenCV
        if self._edges is None:
            self._edges = edges.copy()
            self._usual = strength
            self._window = cv2.createHanningWindow(edges.shape[::-1], cv2.CV_32F)
            return
        cv2.accumulateWeighted(edges, self._edges, weight)
        self._usual += weight * (strength - self._usual)


def _small(luma: Pixels) -> Any:  # noqa: ANN401 - OpenCV
    height, width = luma.shape
    return cv2.resize(luma, (WIDE, max(8, round(height * WIDE / width))), interpolation=cv2.INTER_AREA)


def _edges(small: Any) -> Any:  # noqa: ANN401 - OpenCV
    soft = cv2.GaussianBlur(small, (0, 0), 1.0)
    across, down = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    # The root keeps one bright edge from outweighing all others.
    return cv2.sqrt(cv2.magnitude(across, down))


def _strong(edges: Any) -> float:  # noqa: ANN401 - OpenCV
    """Where the edges are: the noise everywhere else says nothing about the lens."""
    return float(np.percentile(edges[::2, ::2], 95))
