"""Makes up clips of a gate with several passages each, knows what is true of them, and encodes them."""

import math
import random
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from bodies import Body, Pixels, body, road
from render import KINDS, draw, random_text

WIDTH, HEIGHT, RATE = 960, 540, 15
LINE_Y = 300
LANES = {"left": (0.08, 0.49), "right": (0.51, 0.92)}
BEHAVIOURS = ("pass", "pass", "pass", "lanes", "tailgate", "stop", "reverse", "uturn", "occlusion", "parked")
GAP = 0.8  # seconds between one passage's end and the next one's start


@dataclass
class Passing:
    """One vehicle's way and the truth about it; times in seconds, ``x`` in shares of the picture's width."""

    text: str
    kind: str
    double: bool
    shape: str
    paint: str
    behaviour: str
    direction: str
    lane: str
    start: float
    end: float
    x: float
    body: Body = field(repr=False)
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the picture is: blur of movement (s of shutter), darkness (share of light), grain, CRF of the encoder."""

    shutter: float
    light: float
    grain: float
    crf: int
    scale: float
    blur: float


def weather(degraded: bool, chance: random.Random) -> Weather:
    """A clean day, or a night and a camera too far away."""
    if not degraded:
        return Weather(1 / chance.uniform(250, 800), chance.uniform(0.75, 1.1), chance.uniform(1, 3), 23, 1.0, 0.0)
    return Weather(
        1 / chance.uniform(90, 300),
        chance.uniform(0.3, 0.9),
        chance.uniform(3, 7),
        chance.randint(25, 30),
        chance.uniform(0.68, 0.9),
        chance.uniform(0.2, 0.6),
    )


class Clip:
    """A drawn clip: its passings and how to encode it; the same ``seed`` gives the same clip."""

    size = (WIDTH, HEIGHT)
    lanes = LANES

    def __init__(self, seed: int, *, degraded: bool) -> None:
        chance = random.Random(f"{seed} {degraded}")
        self.behaviour = BEHAVIOURS[seed % len(BEHAVIOURS)]
        self.seed, self.degraded = seed, degraded
        self.weather = weather(degraded, chance)
        self.night = self.weather.light < 0.45
        self.passings: list[Passing] = []
        self._chance = chance
        self._road = road((WIDTH, HEIGHT), chance)
        self._kind = seed
        self._post = None if self.behaviour != "occlusion" else chance.uniform(0.3, 0.6)
        now = 0.6
        for _ in range(3):
            now = self._scene(now)
        if self.behaviour == "parked":
            self._add("parked", "right", "none", 0.0, now, 0.8)
        self.seconds = now + 0.8

    @property
    def name(self) -> str:
        """What tells this clip from all others."""
        return f"{self.seed}-{'degraded' if self.degraded else 'clean'}"

    def _scene(self, now: float) -> float:
        chance, what = self._chance, self.behaviour
        way = chance.choice(("in", "out"))
        lane = chance.choice(tuple(LANES)) if what != "parked" else "left"
        lasts = chance.uniform(2.0, 3.2)
        if what == "lanes":
            self._add("pass", "left", chance.choice(("in", "out")), now, lasts, 0.28)
            later = chance.uniform(0.0, 0.8)
            self._add("pass", "right", chance.choice(("in", "out")), now + later, chance.uniform(2.0, 3.2), 0.72)
        elif what == "tailgate":
            # Right behind the first one, a car's length and a half in the picture.
            self._add("pass", lane, way, now, lasts, 0.28 if lane == "left" else 0.72)
            self._add("pass", lane, way, now + 0.62 * lasts, lasts, 0.28 if lane == "left" else 0.72)
        else:
            x = (0.28 if lane == "left" else 0.72) + chance.uniform(-0.04, 0.04)
            slow = {"stop": 2.2, "reverse": 1.7, "uturn": 1.9, "occlusion": 1.3}.get(what, 1.0)
            direction = "none" if what in ("reverse", "uturn") else way
            behaviour = "pass" if what == "parked" else what
            self._add(behaviour, lane, direction, now, lasts * slow, x)
        return max(passing.end for passing in self.passings) + GAP

    def _add(self, behaviour: str, lane: str, direction: str, start: float, lasts: float, x: float) -> None:
        chance = self._chance
        kind = KINDS[self._kind % len(KINDS)]
        self._kind += 1
        plate = draw(random_text(kind, chance), kind, chance, "test")
        drawn = body(plate, chance, night=self.night)
        self.passings.append(
            Passing(
                plate.text,
                kind,
                plate.double,
                drawn.shape,
                drawn.paint,
                behaviour,
                direction,
                lane,
                start,
                start + lasts,
                x,
                drawn,
                self.weather.scale,
            )
        )

    def write(self, path: Path) -> None:
        """Encode as H.264."""
        wide, tall = self.size
        noise = np.random.default_rng(self.seed)
        grain = noise.normal(0, self.weather.grain, (tall + 64, wide + 64)).astype(np.float32)
        grain = np.clip(grain, -60, 60).astype(np.int16)[..., None].repeat(3, axis=2)
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream("libx264", rate=RATE)
            stream.width, stream.height, stream.pix_fmt = wide, tall, "yuv420p"
            stream.time_base = Fraction(1, RATE)
            stream.options = {"preset": "veryfast", "crf": str(self.weather.crf), "g": str(RATE), "threads": "1"}
            for index in range(round(self.seconds * RATE)):
                down, right = noise.integers(0, 64, 2)
                canvas = self.frame(index / RATE)
                shifted = cv2.add(canvas, grain[down : down + tall, right : right + wide], dtype=cv2.CV_8U)
                picture = av.VideoFrame.from_ndarray(shifted, format="bgr24")
                picture.pts = index
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))

    def frame(self, now: float) -> Any:  # noqa: ANN401 - OpenCV's arrays
        """Draw the scene at ``now`` without the grain."""
        canvas: Any = self._road.copy()
        places = [(place, one) for one in self.passings if (place := where(one, now)) is not None]
        for (x, bottom, width, squeeze), passing in sorted(places, key=lambda pair: pair[0][1]):
            ahead = where(passing, now + self.weather.shutter)
            moved = abs(ahead[1] - bottom) if ahead else 0.0
            paste(canvas, passing.body.sprite, (x, bottom, width, squeeze), moved, self.weather.blur)
        if self._post is not None:
            across = int(self._post * WIDTH)
            walk = int(60 * math.sin(now * 1.3))
            cv2.rectangle(canvas, (across + walk - 32, 130), (across + walk + 32, 330), (50, 60, 80), -1)
        if self.weather.light != 1.0:
            canvas = cv2.convertScaleAbs(canvas, alpha=self.weather.light, beta=3 * math.sin(now))
        return canvas


def where(passing: Passing, now: float) -> tuple[float, float, float, float] | None:
    """Pixels of the middle, the lower edge and the width at ``now``, and how far it is turned; None while away."""
    if passing.behaviour == "parked":
        return passing.x * WIDTH, 0.42 * HEIGHT, 230.0 * passing.scale, 1.0
    done = (now - passing.start) / (passing.end - passing.start)
    if not 0.0 <= done <= 1.0:
        return None
    squeeze, aside = 1.0, 0.0
    if passing.behaviour == "reverse":
        done = 0.66 * (1.0 - abs(2.0 * done - 1.0))
    elif passing.behaviour == "uturn":
        turn = float(np.clip((done - 0.35) / 0.3, 0.0, 1.0))
        squeeze = max(0.12, abs(math.cos(math.pi * turn)))
        aside = 0.18 * WIDTH * (1 if passing.x < 0.5 else -1) * turn
        done = 0.62 * (1.0 - abs(2.0 * done - 1.0))
    elif passing.behaviour == "stop":
        done = done * 1.6 if done < 0.3 else 0.48 if done < 0.65 else 0.48 + (done - 0.65) / 0.35 * 0.52
    if passing.direction == "out":
        done = 1.0 - done
    bottom = (1.95 * done**1.2) * HEIGHT
    width = (0.22 + 0.24 * bottom / HEIGHT) * WIDTH * passing.scale
    return passing.x * WIDTH + aside, bottom, width, squeeze


def paste(
    canvas: Any,  # noqa: ANN401
    sprite: Pixels,
    place: tuple[float, float, float, float],
    moved: float,
    blur: float,
) -> None:
    """Lay a vehicle over the road: ``place`` as of ``where``, ``moved`` pixels while the shutter is open."""
    high_end, wide_end = canvas.shape[:2]
    x, bottom, width, squeeze = place
    share = width / sprite.shape[1]
    size = (max(2, round(width * squeeze)), max(2, round(sprite.shape[0] * share)))
    left, top = round(x - size[0] / 2), round(bottom - size[1])
    if top >= high_end or top + size[1] <= 0 or left >= wide_end or left + size[0] <= 0:
        return
    small: Any = cv2.resize(sprite, size, interpolation=cv2.INTER_AREA)
    if moved >= 1.5:
        small = cv2.blur(small, (1, max(2, round(moved))))
    if blur > 0.0:
        small = cv2.GaussianBlur(small, (0, 0), blur)
    low, high = max(0, top), min(high_end, top + size[1])
    begin, end = max(0, left), min(wide_end, left + size[0])
    part = small[low - top : high - top, begin - left : end - left]
    alpha = part[..., 3:].astype(np.float32) / 255
    under = canvas[low:high, begin:end]
    under[:] = (under * (1 - alpha) + part[..., :3] * alpha).astype(np.uint8)
