"""Whether a clip hides what its camera has to hide: looks at every picture of it, and says when each is shown."""

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import av
import av.error
import cv2
import numpy as np

from gateway.vision.evidence import Polygons

# Black as our encoder leaves it (luma 16 of BT.601), give or take what compression does to it.
BLACK = 26
BRIGHTER = 0.005  # of a mask's pixels may be, beside its edge
EDGE = 9  # pixels beside a mask's edge into which compression smears what lies next to it


class Shown(NamedTuple):
    """Seconds of the clip at which its pictures are shown, how many show what a mask should hide, and their size."""

    times: tuple[float, ...]
    bare: int
    size: tuple[int, int]

    @property
    def rate(self) -> float:
        """Pictures a second, as they usually follow each other."""
        steps = np.diff(self.times)
        return round(1 / max(1e-3, float(np.median(steps))), 3) if len(steps) else 25.0


def shown_in(mp4: bytes, masks: Polygons) -> Shown:
    """Look at every picture of a clip; ValueError when it cannot be decoded to its end."""
    times: list[float] = []
    bare, size = 0, (0, 0)
    try:
        opened: Any = av.open(io.BytesIO(mp4))
        with opened as container:
            stream: Any = container.streams.video[0]
            inside: Any = None
            for picture in container.decode(stream):
                times.append(float(picture.time or 0.0))
                size = (picture.width, picture.height)
                if not masks:
                    continue
                luma: Any = picture.to_ndarray(format="yuv420p")[: picture.height]
                if inside is None or inside.shape != luma.shape:
                    inside = _inside(masks, picture.width, picture.height)
                bare += any(bool((luma[part] > BLACK).mean() > BRIGHTER) for part in _parts(inside))
    except (av.error.FFmpegError, IndexError) as error:
        raise ValueError(f"it cannot be decoded: {getattr(error, 'strerror', None) or error}") from error
    if not times:
        raise ValueError("there is no picture in it")
    first = times[0]
    return Shown(tuple(time - first for time in times), bare, size)


def _inside(masks: Polygons, width: int, height: int) -> Any:  # noqa: ANN401 - OpenCV
    """The number of the mask that each pixel lies in, away from its edge; a mask that is all edge counts whole."""
    numbers = np.zeros((height, width), np.uint16)
    for number, mask in enumerate(masks, 1):
        area = np.zeros((height, width), np.uint8)
        cv2.fillPoly(area, [np.array(mask, np.float64).round().astype(np.int32)], (1,))
        kernel = np.ones((2 * EDGE + 1, 2 * EDGE + 1), np.uint8)
        inner: Any = cv2.erode(area, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1)
        numbers[(inner if inner.any() else area) > 0] = number
    return numbers


def _parts(numbers: Any) -> Sequence[Any]:  # noqa: ANN401 - numpy
    return [numbers == number for number in np.unique(numbers) if number]
