"""Plate characters drawn from strokes of our own, so that no font is needed: digits, letters, a few provinces."""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Stroke = Sequence[tuple[float, float]]

# Boxes of 45 x 90 units, as on a real plate (GA 36-2018: characters of 45 x 90 mm); y grows downwards.
LINES: dict[str, tuple[Stroke, ...]] = {
    "1": (((12, 20), (25, 4), (25, 86)),),
    "4": (((30, 4), (5, 62), (41, 62)), ((31, 36), (31, 86))),
    "7": (((4, 6), (40, 6), (17, 86)),),
    "A": (((4, 86), (22.5, 4), (41, 86)), ((10, 60), (35, 60))),
    "E": (((39, 5), (7, 5), (7, 85), (39, 85)), ((7, 44), (34, 44))),
    "F": (((39, 5), (7, 5), (7, 87)), ((7, 44), (34, 44))),
    "H": (((6, 3), (6, 87)), ((39, 3), (39, 87)), ((6, 44), (39, 44))),
    "K": (((7, 3), (7, 87)), ((39, 3), (7, 52)), ((17, 38), (41, 87))),
    "L": (((8, 3), (8, 85), (40, 85)),),
    "M": (((5, 87), (5, 4), (22.5, 58), (40, 4), (40, 87)),),
    "N": (((6, 87), (6, 4), (39, 86), (39, 3)),),
    "T": (((3, 6), (42, 6)), ((22.5, 6), (22.5, 87))),
    "V": (((4, 3), (22.5, 85), (41, 3)),),
    "W": (((3, 3), (12, 85), (22.5, 28), (33, 85), (42, 3)),),
    "X": (((4, 3), (41, 87)), ((41, 3), (4, 87))),
    "Y": (((4, 3), (22.5, 44), (41, 3)), ((22.5, 44), (22.5, 87))),
    "Z": (((5, 6), (40, 6), (5, 84), (41, 84)),),
    "沪": (
        ((5, 8), (12, 20)),
        ((2, 33), (9, 44)),
        ((3, 84), (13, 54)),
        ((27, 2), (31, 13)),
        ((20, 22), (42, 22), (42, 46), (20, 46)),
        ((20, 22), (20, 50), (18, 68), (13, 87)),
    ),
    "京": (
        ((22, 2), (22, 14)),
        ((3, 16), (42, 16)),
        ((11, 29), (34, 29), (34, 48), (11, 48), (11, 29)),
        ((22, 48), (22, 84), (15, 80)),
        ((11, 58), (4, 78)),
        ((33, 58), (41, 78)),
    ),
    "苏": (
        ((2, 14), (43, 14)),
        ((14, 4), (14, 24)),
        ((31, 4), (31, 24)),
        ((6, 38), (36, 38), (33, 76), (26, 84)),
        ((20, 28), (19, 52), (4, 86)),
        ((7, 52), (3, 66)),
        ((38, 50), (43, 66)),
    ),
}


def _arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> list[tuple[float, float]]:
    """Points of an ellipse's arc; degrees, 0 to the right, growing clockwise on the picture."""
    turns = [math.radians(start + (end - start) * step / 16) for step in range(17)]
    return [(x + rx * math.cos(turn), y + ry * math.sin(turn)) for turn in turns]


ARCS: dict[str, tuple[Stroke, ...]] = {
    "0": ([*_arc(22.5, 22, 17, 18, 180, 360), *_arc(22.5, 68, 17, 18, 0, 180), (5.5, 22)],),
    "2": ([*_arc(22.5, 23, 17, 18, 170, 380), (6, 84), (41, 84)],),
    "3": ([(6, 6), (39, 6), (21, 38), *_arc(22, 62, 18, 23, -90, 150)],),
    "5": ([(38, 6), (10, 6), (8, 42), *_arc(22, 60, 18, 25, -120, 150)],),
    "6": ([(32, 4), *_arc(22.5, 62, 17, 23, 195, 555)],),
    "8": (_arc(22.5, 24, 15, 19, 0, 360), _arc(22.5, 65, 18, 20, 0, 360)),
    "9": ([(13, 86), *_arc(22.5, 28, 17, 23, 15, 375)],),
    "B": ([(7, 5), *_arc(22, 24, 15, 19, -90, 90), (7, 43)], [*_arc(23, 64, 17, 21, -90, 90), (7, 85), (7, 5)]),
    "C": ([*_arc(23, 23, 17, 18, -10, -180), *_arc(23, 67, 17, 18, 180, 10)],),
    "D": ([(7, 5), *_arc(20, 25, 19, 20, -90, 0), *_arc(20, 65, 19, 20, 0, 90), (7, 85), (7, 5)],),
    "G": ([*_arc(23, 23, 17, 18, -10, -180), *_arc(23, 67, 17, 18, 180, 0), (40, 48), (25, 48)],),
    "J": ([(35, 3), *_arc(20, 68, 15, 17, 0, 170)],),
    "P": ([(7, 87), (7, 5), *_arc(22, 26, 17, 21, -90, 90), (7, 47)],),
    "Q": ([*_arc(22, 22, 17, 18, 180, 360), *_arc(22, 66, 17, 18, 0, 180), (5, 22)], [(25, 66), (42, 88)]),
    "R": ([(7, 87), (7, 5), *_arc(22, 25, 17, 20, -90, 90), (7, 45)], [(22, 45), (41, 87)]),
    "S": ([*_arc(22.5, 24, 17, 19, -15, -180), *_arc(22.5, 24, 17, 20, 180, 110), *_arc(22.5, 65, 18, 20, -60, 165)],),
    "U": ([(6, 3), *_arc(22.5, 68, 16.5, 17, 180, 0), (39, 3)],),
}
STROKES: dict[str, tuple[Stroke, ...]] = {**LINES, **ARCS}

SCALE = 2  # pixels of the drawn plate per millimetre
PLATES: dict[str, tuple[int, tuple[int, int, int], tuple[int, int, int]]] = {
    # width in mm, background and characters in BGR
    "blue": (440, (150, 60, 10), (250, 250, 250)),
    "green": (480, (120, 200, 110), (20, 20, 20)),
}


def draw_plate(text: str) -> Picture:
    """Draw a plate (BGR, 2 px per mm): 7 characters on blue, 8 on the green of new energy.

    KeyError names a character that there are no strokes for.
    """
    width, back, ink = PLATES["green" if len(text) == 8 else "blue"]
    plate: Any = np.empty((140 * SCALE, width * SCALE, 3), np.uint8)
    plate[:] = back
    if len(text) == 8:
        fade = np.linspace(0.75, 0.0, plate.shape[0])[:, None, None]
        plate[:] = plate * (1 - fade) + 245 * fade
    edge = 5 * SCALE
    cv2.rectangle(plate, (edge, edge), (plate.shape[1] - edge, plate.shape[0] - edge), ink, 2 * SCALE)
    step = 57 if len(text) == 7 else 52
    box = 45 if len(text) == 7 else 43
    gap = 22
    left = (width - (step * (len(text) - 1) + box + gap)) / 2
    for place, symbol in enumerate(text):
        offset = left + step * place + (gap if place > 1 else 0)
        thick = 7 if symbol > "Z" else 10
        for stroke in STROKES[symbol]:
            points = [((x * box / 45 + offset) * SCALE, (y + 25) * SCALE) for x, y in stroke]
            path = np.array(points, np.float32).round().astype(np.int32)
            cv2.polylines(plate, [path], isClosed=False, color=ink, thickness=thick * SCALE, lineType=cv2.LINE_AA)
    cv2.circle(plate, (int((left + step + box + (gap + step - box) / 2) * SCALE), 70 * SCALE), 5 * SCALE, ink, -1)
    drawn: Picture = plate
    return drawn
