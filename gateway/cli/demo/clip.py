"""The demo's gate clip: a drawn scene with cars that drive through, encoded as H.264; everything made here."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import cv2
import numpy as np

from gateway.cli.demo.glyphs import Picture, draw_plate

WIDTH, HEIGHT = 1280, 720
# The lane line of this scene and the side on which a car enters, for a configuration that watches the clip.
LANE_LINE = ((140, 400), (1140, 400))
LANE_ENTER = "down"
PLATE = "沪A12345"
LEAVING = "沪AD68090"
SPRITE = (640, 560)  # width and height of a drawn car
PLATE_BOX = (242, 428, 156)  # left, top, width of the plate on it
CAR_SHARE = 540 / 640  # the body's share of the sprite's width; the rest is shadow

Motion = Literal["in", "out", "reverse", "stop", "parked"]


@dataclass(frozen=True, slots=True)
class DrawnCar:
    """A car of the scene: when it starts (s), how long it takes (s), how it moves, and its body colour (BGR).

    ``in`` drives towards the camera, ``out`` away from it, ``reverse`` comes over the line and goes back,
    ``stop`` waits in the middle for a third of its time, ``parked`` stands at the side all the time.
    """

    plate: str | None
    start: float = 0.5
    duration: float = 4.0
    motion: Motion = "in"
    paint: tuple[int, int, int] = (60, 60, 150)
    x: float = 600.0


def demo_cars(plate: str = PLATE, leaving: str | None = LEAVING) -> list[DrawnCar]:
    """One car that comes in, and one of new energy that leaves."""
    cars = [DrawnCar(plate, 0.6, 4.2, "in")]
    if leaving is not None:
        cars.append(DrawnCar(leaving, 5.2, 4.2, "out", (190, 180, 170), 680.0))
    return cars


def write_gate_clip(
    path: Path,
    plate: str = PLATE,
    seconds: float = 10.0,
    *,
    cars: Sequence[DrawnCar] | None = None,
    rate: int = 25,
    seed: int = 7,
) -> None:
    """Write ``seconds`` of the scene (1280 x 720, ``rate`` frames/s, H.264) to ``path``.

    Without ``cars``: one with ``plate`` drives in, a second one leaves. It starts and ends with an empty lane, so it
    can be played again and again.
    """
    random = np.random.default_rng(seed)
    scene = [(car, _car(car)) for car in (demo_cars(plate) if cars is None else cars)]
    road = _road(random)
    noise = random.normal(0.0, 2.0, (HEIGHT + 64, WIDTH + 64, 1)).round().astype(np.int16).repeat(3, axis=2)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, rate)
        stream.options = {"preset": "veryfast", "crf": "22", "g": str(rate), "threads": "1"}
        for index in range(round(seconds * rate)):
            now = index / rate
            canvas: Any = road.copy()
            for car, sprite in scene:
                place = _place(car, now)
                if place is not None:
                    _paste(canvas, sprite, *place)
            down, right = random.integers(0, 64, 2)
            grain = noise[down : down + HEIGHT, right : right + WIDTH] + np.int16(_light(now))
            canvas = cv2.add(canvas, grain, dtype=cv2.CV_8U)
            picture = av.VideoFrame.from_ndarray(canvas, format="bgr24")
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def _light(now: float) -> int:
    """A thin cloud before the sun: the whole picture swings by a few grey levels."""
    return round(5.0 * float(np.sin(now * 0.9)))


def _place(car: DrawnCar, now: float) -> tuple[float, float, float] | None:
    """Where the car is at ``now``: x of its middle, y of its lower edge, its width; None while it is not there."""
    if car.motion == "parked":
        return car.x, 330.0, 250.0
    done = (now - car.start) / car.duration
    if not 0.0 <= done <= 1.0:
        return None
    if car.motion == "out":
        done = 1.0 - done
    elif car.motion == "reverse":
        done = 0.62 * (1.0 - abs(2.0 * done - 1.0))
    elif car.motion == "stop":
        done = done * 1.5 if done < 1 / 3 else 0.5 if done < 2 / 3 else 0.5 + (done - 2 / 3) * 1.5
    bottom = 1480.0 * done**1.25 - 4.0
    return car.x + 0.02 * (bottom - 360.0), bottom, 280.0 + 0.3 * bottom


def _road(random: np.random.Generator) -> Picture:
    """Asphalt with grain and patches, kerbs, a wall above, the dashes of the lane and the post of the barrier."""
    grain = random.normal(0.0, 9.0, (HEIGHT // 2, WIDTH // 2)).astype(np.float32)
    patches = random.normal(0.0, 10.0, (HEIGHT // 60, WIDTH // 60)).astype(np.float32)
    grey = 104.0 + cv2.resize(grain, (WIDTH, HEIGHT)) + cv2.resize(patches, (WIDTH, HEIGHT))
    grey += np.linspace(-12.0, 14.0, HEIGHT, dtype=np.float32)[:, None]
    road: Any = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    green = np.clip(grey * 0.7, 0, 255).astype(np.uint8)
    for side in (
        ((0, 0), (190, 0), (60, HEIGHT), (0, HEIGHT)),
        ((WIDTH, 0), (1090, 0), (1230, HEIGHT), (WIDTH, HEIGHT)),
    ):
        verge = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.fillPoly(verge, [np.array(side, np.int32)], 1)
        road[verge > 0] = np.stack((green // 2, green, green // 2), axis=-1)[verge > 0]
        cv2.line(road, side[1], side[2], (190, 190, 190), 9, cv2.LINE_AA)
    for top in range(20, HEIGHT, 150):
        cv2.line(road, (640, top), (640, top + 70), (205, 205, 205), 8, cv2.LINE_AA)
    cv2.rectangle(road, (1150, 250), (1205, 420), (40, 120, 215), -1)
    cv2.rectangle(road, (1150, 250), (1205, 420), (20, 60, 110), 3)
    return road  # type: ignore[no-any-return]


def _car(car: DrawnCar) -> Picture:
    """Draw one car from the front (or the back, when it leaves) as BGRA with its shadow."""
    width, height = SPRITE
    sprite: Any = np.zeros((height, width, 4), np.uint8)
    cv2.ellipse(sprite, (320, 505), (312, 40), 0, 0, 360, (15, 15, 15, 150), -1, cv2.LINE_AA)
    paint = (*car.paint, 255)
    dark = (*(value // 2 for value in car.paint), 255)
    for left in (75, 475):
        cv2.rectangle(sprite, (left, 430), (left + 90, 530), (25, 25, 25, 255), -1)
    body = ((52, 470), (45, 290), (95, 235), (150, 95), (490, 95), (545, 235), (595, 290), (588, 470))
    cv2.fillPoly(sprite, [np.array(body, np.int32)], paint, cv2.LINE_AA)
    glass = ((118, 238), (168, 118), (472, 118), (522, 238))
    cv2.fillPoly(sprite, [np.array(glass, np.int32)], (88, 74, 62, 255), cv2.LINE_AA)
    cv2.line(sprite, (210, 225), (280, 130), (150, 140, 130, 255), 12, cv2.LINE_AA)
    cv2.line(sprite, (60, 300), (580, 300), dark, 5, cv2.LINE_AA)
    lamp = (60, 60, 205, 255) if car.motion == "out" else (235, 245, 250, 255)
    for middle in (112, 528):
        cv2.ellipse(sprite, (middle, 345), (48, 24), 0, 0, 360, lamp, -1, cv2.LINE_AA)
    cv2.rectangle(sprite, (190, 330), (450, 392), dark, -1)
    cv2.rectangle(sprite, (52, 415), (588, 490), dark, -1)
    if car.plate is not None:
        left, top, across = PLATE_BOX
        plate = draw_plate(car.plate)
        tall = round(plate.shape[0] * across / plate.shape[1])
        sprite[top : top + tall, left : left + across, :3] = cv2.resize(
            plate, (across, tall), interpolation=cv2.INTER_AREA
        )
    return sprite  # type: ignore[no-any-return]


def _paste(canvas: Picture, sprite: Picture, x: float, bottom: float, across: float) -> None:
    """Blend the sprite into the canvas, scaled to ``across`` pixels of body width, sub-pixel placed."""
    scale = across / (SPRITE[0] * CAR_SHARE)
    wide, tall = SPRITE[0] * scale, SPRITE[1] * scale
    left, top = x - wide / 2, bottom - tall
    x0, y0 = max(0, int(left)), max(0, int(top))
    x1, y1 = min(WIDTH, int(left + wide) + 1), min(HEIGHT, int(bottom) + 1)
    if x1 <= x0 or y1 <= y0:
        return
    matrix = np.array([[scale, 0, left - x0], [0, scale, top - y0]], np.float32)
    # Shrinking by more than half without averaging first would turn the characters into moiré.
    smooth = cv2.GaussianBlur(sprite, (0, 0), 0.35 / scale) if scale < 0.8 else sprite
    drawn = cv2.warpAffine(smooth, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
    opaque = cv2.cvtColor(drawn[..., 3], cv2.COLOR_GRAY2BGR).astype(np.float32) * np.float32(1 / 255)
    part = canvas[y0:y1, x0:x1]
    part[:] = cv2.add(part * (1 - opaque), drawn[..., :3] * opaque, dtype=cv2.CV_8U)
