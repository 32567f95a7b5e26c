"""Says when the view itself is wrong: dark, covered, frozen, crawled over, or not where it was."""

from collections import deque
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gateway.vision.evidence import Pixels
from gateway.vision.falling.remembered import is_fresh, keep, recall

EVERY = 1.0  # seconds between two looks
LONG = 320  # pixels to which the longer side of a look is brought
DARK, DARK_TOP = 26.0, 70.0  # mean and brightest grey (99 %) below which nothing that falls can be seen
FLAT = 0.5  # of the root of its usual strong edges: what a covered lens leaves at most
# Mean difference in grey levels of two looks, and for how many in a row. Where little moves an encoder leaves pictures
# as they are until the next key frame, which of a live sensor is never the same again.
FROZEN, FROZEN_FOR = 0.01, 20
PARTS = 10, 6  # of the longer and the shorter side, in which edges are looked for one by one
STRONG, GONE, UNLIKE = 0.35, 0.5, 0.3  # share of the usual spread of a part's edges, of its own, and of being like it
HIDDEN, HIDDEN_FOR = 1 / 3, 20  # of the parts with edges, and for how many looks: a lorry passes sooner
MOVED_SHARE = 0.006  # of the picture's width: more than a mast sways
ALIKE = 0.05  # peak of the phase correlation below which it is another view
CLOSE = 0.05  # share of the picture that something near the lens changes from look to look
TELLING = 0.03  # the same against a view that was kept and is of another hour: below it nothing is said
UNTOLD = 86_400  # looks by daylight in which an old view said nothing at all: then it is another one
ROLLED = 0.006  # of the width: how far the halves of a view part when the camera has tilted by about a degree
SURE = 0.3  # peak of the phase correlation of a half from which it counts
KEEP_FIRST, KEEP_EVERY = 30, 1800  # good looks after which the view is kept
LEARN = 0.02  # share of a look in the reference: shadows and seasons move slowly
# Looks in a row until a state is told, and until it is over.
PATIENCE = {"frozen": 1, "dark": 8, "covered": 4, "moved": 8, "spider": 15}
OVER = 5
DOUBTED = 2  # looks in a row that call the view another one, from which no floor is told
ASKED = 20  # looks after a restart until which it is found out whether the view is the one that was kept
SENTENCES = {
    "frozen": "the picture has not changed at all for some time; restart the camera",
    "dark": "the picture is too dark to see falling objects; give the facade light or the camera infrared",
    "covered": "the lens is covered or out of focus; clean the camera",
    "moved": "the camera was moved or turned, or its picture has another shape: the facade is not where it was, and "
    "falls are not looked for; set it back, or calibrate it anew with linli camera calibrate and restart the gateway",
    "spider": "something moves close to the lens, a spider perhaps; clean the camera",
}
MASKED = 0.9  # share of the picture that masks black out, from which it is they that make it dark
COVERED_BY_MASKS = "the masks cover the view: nothing that falls can be seen; draw them smaller"
BLIND = frozenset({"frozen", "dark", "covered", "moved"})  # nothing is looked for then


class ViewGuard:
    """Looks at the view once a second; ``reason`` is empty while it is as it should be."""

    def __init__(self, file: Path | None = None) -> None:
        """``file`` keeps the view across restarts; without it the first good one is taken."""
        self._file = file
        self._kept: Any = recall(file)
        self._still = 0
        self._hidden = 0
        self._fresh = self._kept is not None and is_fresh(file)
        self._untold = 0
        self._asked = ASKED if self._kept is not None else 0
        self._good = 0
        self.reason = ""
        self.misshapen = False  # the picture has another shape than the one that the facade was found in
        self.masked = 0.0  # share of the picture that masks black out
        self._due = -1e9
        self._before: Any = None
        self._edges: Any = None
        self._usual = 0.0
        self._suspect = ""
        self._count = 0
        self._calm = 0
        self._changes: deque[bool] = deque(maxlen=PATIENCE["spider"])

    @property
    def sentence(self) -> str:
        """What is wrong and what to do; empty when all is well."""
        if self.reason == "dark" and self.masked >= MASKED:
            return COVERED_BY_MASKS
        return SENTENCES.get(self.reason, "")

    @property
    def blind(self) -> bool:
        """Whether what would be seen now means nothing."""
        return self.misshapen or self.reason in BLIND

    @property
    def doubtful(self) -> bool:
        """Whether the camera seems to look elsewhere, though that is not sure enough to be said yet."""
        return self._suspect == "moved" and self._count >= DOUBTED

    @property
    def undecided(self) -> bool:
        """Whether, after a restart, it is not known yet that the camera still looks where it did."""
        return self._asked > 0 and not self.blind

    def look(self, luma: Pixels, time: float) -> None:
        """Take a frame's brightness at ``time`` (s); most frames are passed over."""
        if 0 <= time - self._due < EVERY:
            return
        self._due = time
        small = _small(luma)
        self._asked -= self.undecided
        found = "moved" if self.misshapen else self._examine(small)
        self._before = None if self.misshapen else small
        if found and found == self._suspect:
            self._count += 1
        elif found:
            self._suspect, self._count = found, 1
        if found:
            self._calm = 0
            if self._count >= PATIENCE[found]:
                self.reason = found
                self._asked = 0 if found == "moved" else self._asked
        else:
            self._calm += 1
            if self._calm >= OVER:
                self.reason, self._suspect, self._count = "", "", 0

    def _examine(self, small: Any) -> str:  # noqa: ANN401 - OpenCV
        if self._before is not None and self._before.shape != small.shape:
            self._before, self._edges = None, None
        if self._before is not None:
            difference = cv2.absdiff(small, self._before)
            self._still = self._still + 1 if float(difference.mean()) < FROZEN else 0
            # A new exposure changes all of it, something near the lens a part.
            share = float((difference > 25).mean())
            self._changes.append(CLOSE < share < 0.6)
        if float(small.mean()) < DARK and float(np.percentile(small, 99)) < DARK_TOP:
            return "dark"
        if self._still >= FROZEN_FOR:
            return "frozen"
        edges = _edges(small)
        strength = _strong(edges)
        if self._edges is None and not self._went_on(edges.shape):
            self._learn(edges, strength, 1.0)
            return ""
        if strength < FLAT * self._usual:
            return "covered"
        self._hidden = self._hidden + 1 if _gone(self._edges, edges) > HIDDEN else 0
        if self._hidden:
            return "covered" if self._hidden >= HIDDEN_FOR else ""
        if len(self._changes) == PATIENCE["spider"] and sum(self._changes) > 0.8 * PATIENCE["spider"]:
            return "spider"
        if self._elsewhere(edges):
            return "moved"
        self._learn(edges, strength, LEARN)
        self._keep()
        return ""

    def _elsewhere(self, edges: Any) -> bool:  # noqa: ANN401 - OpenCV
        """Whether the camera looks elsewhere than before, or than the view that was kept."""
        turned = self._turned(edges)
        away, alike = _away(self._edges, edges)
        if turned or alike < ALIKE or away > MOVED_SHARE or _rolled(self._edges, edges):
            return True
        if self._kept is None or self._untold:
            self._asked = 0
        return False

    def _went_on(self, shape: tuple[int, ...]) -> bool:
        """Begin with the view that was kept a moment ago, as if nobody had stopped looking; False without one."""
        if not self._fresh or self._kept.shape != shape:
            return False
        self._learn(self._kept, _strong(self._kept), 1.0)
        self._kept = None
        return True

    def _turned(self, edges: Any) -> bool:  # noqa: ANN401 - OpenCV
        """Whether this is not the view that was kept; by night or in fog it may not be told, and is asked again."""
        if self._kept is None:
            return False
        if self._kept.shape != edges.shape:
            self._kept = None
            return False
        away, alike = _away(self._kept, edges)
        if alike < TELLING:
            self._untold += 1
            return self._untold > UNTOLD
        if away <= MOVED_SHARE:
            self._edges, self._kept = self._kept, None
        return away > MOVED_SHARE

    def _keep(self) -> None:
        if self._file is None or self._kept is not None:
            return
        self._good += 1
        if self._good % KEEP_EVERY == KEEP_FIRST:
            keep(self._file, self._edges)

    def _learn(self, edges: Any, strength: float, weight: float) -> None:  # noqa: ANN401 - OpenCV
        if self._edges is None:
            self._edges = edges.copy()
            self._usual = strength
            return
        cv2.accumulateWeighted(edges, self._edges, weight)
        self._usual += weight * (strength - self._usual)


def _small(luma: Pixels) -> Any:  # noqa: ANN401 - OpenCV
    height, width = luma.shape
    share = LONG / max(height, width)
    return cv2.resize(luma, (max(8, round(width * share)), max(8, round(height * share))), interpolation=cv2.INTER_AREA)


def _edges(small: Any) -> Any:  # noqa: ANN401 - OpenCV
    soft = cv2.GaussianBlur(small, (0, 0), 1.0)
    across, down = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    # The root keeps one bright edge from outweighing all others.
    return cv2.sqrt(cv2.magnitude(across, down))


def _away(reference: Any, edges: Any) -> tuple[float, float]:  # noqa: ANN401 - OpenCV
    """By what share of its width a view is shifted, and how sure that is."""
    (x, y), alike = _shift(reference, edges)
    return float(np.hypot(x, y)) / edges.shape[1], alike


def _rolled(reference: Any, edges: Any) -> bool:  # noqa: ANN401 - OpenCV
    """Whether the two halves of a view were shifted apart: the camera was tilted about its own axis."""
    axis = int(np.argmax(edges.shape))
    halves = zip(np.array_split(reference, 2, axis), np.array_split(edges, 2, axis), strict=True)
    (one, sure), (other, too) = (_shift(before, now) for before, now in halves)
    return min(sure, too) > SURE and float(np.hypot(*(one - other))) / edges.shape[1] > ROLLED


def _gone(reference: Any, edges: Any) -> float:  # noqa: ANN401 - OpenCV
    """Share of the parts with strong edges that have neither theirs nor others now: something hides them."""
    before, now = (_parts(cv2.GaussianBlur(one, (0, 0), 1.5)) for one in (reference, edges))
    spread, left = before.std(axis=1), now.std(axis=1)
    strong = spread > STRONG * reference.std()
    like = (before * now).mean(axis=1) / np.maximum(1e-6, spread * left)
    return float(((left < GONE * spread) & (like < UNLIKE))[strong].mean()) if strong.any() else 0.0


def _parts(edges: Any) -> Any:  # noqa: ANN401 - OpenCV
    """One row for each part of a picture, its pixels without their mean."""
    height, width = edges.shape
    rows, columns = PARTS if height > width else PARTS[::-1]
    tall, wide = max(1, height // rows), max(1, width // columns)
    rows, columns = height // tall, width // wide
    parts = edges[: rows * tall, : columns * wide].reshape(rows, tall, columns, wide)
    pixels = parts.transpose(0, 2, 1, 3).reshape(rows * columns, tall * wide)
    return pixels - pixels.mean(axis=1, keepdims=True)


def _shift(reference: Any, edges: Any) -> tuple[Any, float]:  # noqa: ANN401 - OpenCV
    """The shift in pixels (x, y), and the peak of the phase correlation."""
    window = cv2.createHanningWindow(edges.shape[::-1], cv2.CV_32F)
    # OpenCV multiplies what it is given with the window where its size needs no padding: hence the copies.
    shift, alike = cv2.phaseCorrelate(reference.copy(), edges.copy(), window)
    return np.array(shift), float(alike)


def _strong(edges: Any) -> float:  # noqa: ANN401 - OpenCV
    """Where the edges are: the noise everywhere else says nothing about the lens."""
    return float(np.percentile(edges[::2, ::2], 95))
