"""What an installer has to know of one picture: light, sharpness, plates and their size, drawn into it and told."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gateway.settings import CameraSettings
from gateway.vision.capture import Frame
from gateway.vision.evidence import Pixels
from gateway.vision.messages import PlateSize, View
from gateway.vision.packs import DETECTION, PackError
from gateway.vision.plates import FoundPlate, PlateDetector, rectified, sharpness
from gateway.vision.selftest import MISFITS, open_tested, ranked
from gateway.vision.shapes import Box

# Widths in pixels; scripts/eval_plate_size prints what is read right at which width.
ENOUGH, LEAST = 100.0, 80.0
DARK, BURNT = 24, 250  # grey levels below and above which nothing is to be seen
MUCH_DARK, MUCH_BURNT = 0.6, 0.08  # shares of the picture
PLATE_BURNT = 0.25  # the same of a plate: headlights or infrared light burn it out
DIM = 45  # grey level of the middle pixel below which the picture is too dark
SOFT = 0.06  # of ``edges``: photographs of gates have 0.12 and more, the same ones blurred by 2 pixels 0.05 and less
TILTED = 20.0  # degrees
# What is shown is so coarse that a plate which was not found (16 pixels of an eighth of the width) cannot be read, and
# with a tenth of the 250 pixels a metre that identify a person (IEC 62676-4), unless nothing needs hiding.
# BLIND: where nothing finds the plates that have to be covered.
CLEAR, COARSE, BLIND = 1280, 176, 96
LETTERS = 0.7
QUALITY = 80
LINE, GOOD, POOR, SHADE = (255, 220, 60), (110, 220, 90), (60, 120, 255), (20, 20, 20)


class Aim:
    """Looks at single frames of one camera for whoever turns it; plates are measured, never shown."""

    def __init__(self, camera: CameraSettings, models: Path, providers: Sequence[str] = ()) -> None:
        """Without a plate detector that works there are no plate sizes, and the advice says so."""
        self._camera = camera
        self._detector: PlateDetector | None = None
        if camera.vehicles is not None:
            try:
                self._detector = open_tested(replace(ranked(models, DETECTION)[0], providers=tuple(providers))).model
            except (PackError, IndexError):
                self._detector = None

    def look(self, frame: Frame) -> View:
        """Measure and draw one frame; its CPU is that of one detection and one JPEG."""
        found = self.plates(frame)
        sizes = tuple(plate_size(frame.bgr, plate) for plate in found)
        luma = frame.luma
        middle, dark, burnt = light(luma)
        crisp = edges(luma)
        advice = advise(self._camera, (frame.width, frame.height), sizes, (middle, dark, burnt), crisp)
        if self._camera.vehicles is not None and self._detector is None:
            advice = (*(word for word in advice if word != "none"), "no_models")
        wide = COARSE if self._detector is not None or self._camera.vehicles is None else BLIND
        picture = drawn(frame.bgr, self._camera, found, CLEAR if self._camera.unblurred is not None else wide)
        return View(picture, frame.wall, frame.width, frame.height, sizes, middle, dark, burnt, crisp, advice)

    @property
    def sees(self) -> bool:
        """Whether there is a plate detector that works."""
        return self._detector is not None

    def plates(self, frame: Frame) -> list[FoundPlate]:
        """The plates of a frame; empty without a detector, and from when it fails."""
        if self._detector is None:
            return []
        try:
            return self._detector.find(frame.bgr, Box(0, 0, frame.width, frame.height))
        except MISFITS:
            self._detector = None
            return []


def light(luma: Pixels) -> tuple[int, float, float]:
    """The middle grey level, and the shares of the picture that are black or burnt out."""
    counts = np.bincount(luma[::2, ::2].ravel(), minlength=256).astype(np.float64)
    shares = counts / counts.sum()
    middle = int(np.searchsorted(np.cumsum(shares), 0.5))
    return middle, float(shares[:DARK].sum()), float(shares[BURNT + 1 :].sum())


def edges(luma: Pixels) -> float:
    """How sharp a picture is: the energy of its edges against its contrast, 0 for an even one."""
    spread = float(luma.std())
    return float(cv2.Laplacian(luma, cv2.CV_32F, ksize=1).std()) / spread if spread > 1.0 else 0.0


def plate_size(picture: Pixels, plate: FoundPlate) -> PlateSize:
    """Measure a plate: width (pixels), tilt of its upper edge (degrees), sharpness, and the share burnt out."""
    crop = rectified(picture, plate)
    (left, top), (right, high) = plate.corners[0], plate.corners[1]
    tilt = math.degrees(math.atan2(float(high - top), float(right - left)))
    burnt = float((crop.max(axis=2) > BURNT).mean())
    return PlateSize(round(plate.width, 1), round(tilt, 1), round(sharpness(crop), 2), round(burnt, 2))


def advise(
    camera: CameraSettings,
    size: tuple[int, int],
    plates: Sequence[PlateSize],
    brightness: tuple[int, float, float],
    crisp: float,
) -> tuple[str, ...]:
    """What to change, as words of the page and of the command line; empty when nothing is."""
    middle, dark, burnt = brightness
    found = {
        "outside": bool(outside(camera, size)),
        "dark": middle < DIM or dark > MUCH_DARK,
        "burnt": burnt > MUCH_BURNT,
        "soft": crisp < SOFT,
    }
    if camera.vehicles is not None:
        found.update(_of_plates(plates))
    return tuple(word for word, so in found.items() if so)


def _of_plates(plates: Sequence[PlateSize]) -> dict[str, bool]:
    if not plates:
        return {"none": True}
    widest = max(plates, key=lambda plate: plate.width)
    return {
        "small": widest.width < LEAST,
        "narrow": LEAST <= widest.width < ENOUGH,
        "tilted": abs(widest.tilt) > TILTED,
        "glare": widest.burnt > PLATE_BURNT,
    }


def outside(camera: CameraSettings, size: tuple[int, int]) -> str:
    """Name the first lane or mask of which no corner lies in a picture of this size; empty when all do."""
    areas = [(f"mask {number}", mask) for number, mask in enumerate(camera.masks, 1)]
    areas += [(f"lane {lane.name}", lane.line) for lane in (camera.vehicles.lanes if camera.vehicles else ())]
    for name, corners in areas:
        if not any(0 <= x <= size[0] and 0 <= y <= size[1] for x, y in corners):
            return name
    return ""


def drawn(picture: Pixels, camera: CameraSettings, plates: Sequence[FoundPlate], wide: int) -> bytes:
    """The picture as JPEG with lanes and plate sizes drawn; nothing in it is finer than ``wide`` pixels across."""
    canvas: Any = picture.copy()
    for plate in plates:
        _cover(canvas, plate)
    tall, across = canvas.shape[:2]
    if across > wide:
        canvas = cv2.resize(canvas, (wide, round(tall * wide / across)), interpolation=cv2.INTER_AREA)
    shown = min(CLEAR, max(across, COARSE))
    if canvas.shape[1] != shown:  # lines and figures are drawn crisply over what is coarse
        canvas = cv2.resize(canvas, (shown, round(tall * shown / across)), interpolation=cv2.INTER_CUBIC)
    scale = shown / across
    for lane in camera.vehicles.lanes if camera.vehicles else ():
        _lane(canvas, lane.name, lane.line, lane.enter, scale)
    for plate in plates:
        _frame_plate(canvas, plate, scale)
    done, data = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError("cannot encode")
    return data.tobytes()


def _cover(canvas: Pixels, plate: FoundPlate) -> None:
    """Make a plate one even patch: nothing of its text stays."""
    corners = plate.corners.mean(axis=0) + (plate.corners - plate.corners.mean(axis=0)) * (1.12, 1.35)
    spot = corners.round().astype(np.int32)
    left, top, wide, tall = cv2.boundingRect(spot)
    part = canvas[max(0, top) : top + tall, max(0, left) : left + wide]
    if part.size:
        colour = tuple(float(value) for value in np.median(part.reshape(-1, 3), axis=0))
        cv2.fillPoly(canvas, [spot], colour)


def _lane(
    canvas: Pixels, name: str, line: tuple[tuple[float, float], tuple[float, float]], enter: str, scale: float
) -> None:
    (x1, y1), (x2, y2) = ((round(x * scale), round(y * scale)) for x, y in line)
    cv2.line(canvas, (x1, y1), (x2, y2), SHADE, 5, cv2.LINE_AA)
    cv2.line(canvas, (x1, y1), (x2, y2), LINE, 2, cv2.LINE_AA)
    middle_x, middle_y = (x1 + x2) // 2, (y1 + y2) // 2
    dx, dy = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}[enter]
    tip = (middle_x + 44 * dx, middle_y + 44 * dy)
    cv2.arrowedLine(canvas, (middle_x, middle_y), tip, SHADE, 5, cv2.LINE_AA, tipLength=0.35)
    cv2.arrowedLine(canvas, (middle_x, middle_y), tip, LINE, 2, cv2.LINE_AA, tipLength=0.35)
    _write(canvas, name, (x1 + 6, y1 - 8), LINE)


def _frame_plate(canvas: Pixels, plate: FoundPlate, scale: float) -> None:
    colour = GOOD if plate.width >= ENOUGH else POOR
    spot = (plate.corners * scale).round().astype(np.int32)
    cv2.polylines(canvas, [spot], True, SHADE, 4, cv2.LINE_AA)
    cv2.polylines(canvas, [spot], True, colour, 2, cv2.LINE_AA)
    left, top = spot.min(axis=0)
    _write(canvas, f"{plate.width:.0f} px", (int(left), int(top) - 8), colour)


def _write(canvas: Pixels, text: str, place: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """Letters on a dark ground, kept inside the picture; OpenCV's own font has no Chinese."""
    (wide, tall), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, LETTERS, 2)
    x = max(4, min(place[0], canvas.shape[1] - wide - 6))
    y = max(tall + 6, min(place[1], canvas.shape[0] - below - 4))
    cv2.rectangle(canvas, (x - 4, y - tall - 5), (x + wide + 4, y + below), SHADE, cv2.FILLED)
    cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, LETTERS, colour, 2, cv2.LINE_AA)
