"""Films a scene: draws every frame, adds what a sensor adds, encodes H.264 or H.265, and writes down the truth."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from bodies import Blob, Body, Fall, paint, random_fall
from distractors import CHANGES, CROWDS
from scene import Luma, Scene

TIME_BASE = Fraction(1, 90_000)
HALF = 0.5
# At half size the sensor's noise is averaged by the detector's reduction, and a pixel gets more of the bits: both were
# set so that what is left of the noise after decoding is that of the whole clip, reduced (see README.md).
HALF_NOISE, HALF_BITS = 0.62, 1.4
DENSE = ("rain", "snow")  # of which there is never more than enough
# Seeds of scenes: what trains is never what tunes or tests.
NUMBERS = 10_000_000  # clips that a split may have
SPLITS = {"train": 0, "tune": NUMBERS, "test": 2 * NUMBERS}


@dataclass(frozen=True, slots=True)
class Take:
    """How one clip is filmed."""

    seconds: float
    falls: int
    distractors: tuple[str, ...]
    rate: float
    codec: str
    bit_rate: int
    key_every: int
    noise: float
    shutter: float
    lost: float
    doubled: bool
    crowd: int = 1


def random_take(dice: np.random.Generator, seconds: float, falls: int, distractors: Sequence[str]) -> Take:
    """Choose a camera: 12 to 50 frames a second, 1 to 8 Mbit/s, key frames every 25 to 100, noise, lost frames."""
    return Take(
        seconds,
        falls,
        tuple(distractors),
        float(dice.choice([12.5, 15, 20, 25, 25, 25, 25, 30, 50])),
        "h264" if dice.random() < 0.8 else "hevc",
        int(dice.uniform(1, 8) * 1e6),
        int(dice.integers(25, 101)),
        float(dice.uniform(0.5, 4)),
        1 / float(np.exp(dice.uniform(math.log(25), math.log(500)))),
        0.01 if dice.random() < 0.15 else 0.0,
        bool(dice.random() < 0.07),
    )


class Film:
    """One clip: ``frames`` yields (seconds, grey picture), ``truth`` says what falls where."""

    def __init__(self, scene: Scene, take: Take, seed: int, *, half: bool = False) -> None:
        """``half``: the same scene, filmed with half as many pixels across and down, as the detector reduces it."""
        dice = np.random.default_rng(seed)
        self.scene, self.take = scene, take
        self.part = HALF if half else 1.0
        self.falls: list[Fall] = []
        for place in range(take.falls):
            # Spread over the clip, some close together; the first seconds are for the detector to settle.
            gap = (take.seconds - 7) / max(1, take.falls)
            release = 3 + gap * (place + float(dice.uniform(0, 0.9)))
            self.falls.append(random_fall(scene, dice, release))
        self._bodies: list[Body] = [*self.falls]
        self._changes = []
        for kind in take.distractors:
            if kind in CROWDS:
                for _ in range(1 if kind in DENSE else take.crowd):
                    self._bodies += CROWDS[kind](scene, dice, take.seconds)
            else:
                self._changes.append(CHANGES[kind](scene, dice))
        self._dice = dice
        size = round(scene.height * self.part), round(scene.width * self.part)
        self._empty: Luma = scene.picture
        if half:
            self._empty = np.asarray(cv2.resize(scene.picture, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        bank = dice.normal(0, take.noise * (HALF_NOISE if half else 1.0), (size[0] + 64, size[1] + 64))
        # Two banks of what is added and taken away: saturating sums of bytes cost a tenth of sums of wider numbers.
        rough = np.clip(np.rint(bank), -100, 100).astype(np.int16)
        self._grain = np.maximum(rough, 0).astype(np.uint8), np.maximum(-rough, 0).astype(np.uint8)

    def frames(self) -> Iterator[tuple[float, Luma]]:
        """Draw one picture after the other."""
        take = self.take
        for number in range(int(take.seconds * take.rate)):
            time = number / take.rate
            if take.lost and self._dice.random() < take.lost:
                continue
            shown = (number // 3 * 3 + min(number % 3, 1)) / take.rate if take.doubled else time
            picture = self._empty.copy()
            for body in self._bodies:
                for blob in body.blobs(shown):
                    paint(picture, blob if self.part == 1.0 else _shrunk(blob, self.part), take.shutter)
            for change in self._changes:
                picture = change(picture, shown)
            if not (take.doubled and number % 3 == 2):
                top, left = self._dice.integers(0, 64, 2)
                more, less = (bank[top:, left:][: picture.shape[0], : picture.shape[1]] for bank in self._grain)
                self._last = np.asarray(cv2.subtract(cv2.add(picture, more), less), np.uint8)
            yield time, self._last

    def write(self, path: Path, preset: str = "ultrafast") -> None:
        """Encode the clip to ``path`` and the truth beside it as JSON.

        ``ultrafast`` is quick to film and quicker to decode than what cameras send; ``faster`` is like theirs.
        """
        take = self.take
        with av.open(str(path), "w") as target:
            stream = target.add_stream("libx264" if take.codec == "h264" else "libx265", rate=Fraction(take.rate))
            tall, wide = self._empty.shape
            bits = take.bit_rate * (1.0 if self.part == 1.0 else self.part**2 * HALF_BITS)
            stream.width, stream.height, stream.pix_fmt = wide, tall, "yuv420p"
            stream.bit_rate, stream.gop_size, stream.time_base = round(bits), take.key_every, TIME_BASE
            stream.codec_context.time_base = TIME_BASE
            quiet = {"x265-params": "log-level=error:frame-threads=1:pools=1"} if take.codec == "hevc" else {}
            stream.options = {"preset": preset, "tune": "zerolatency", **quiet}
            stream.codec_context.thread_count = 1
            chroma = np.full((tall // 2, wide), 128, np.uint8)
            for time, picture in self.frames():
                frame = av.VideoFrame.from_ndarray(np.vstack([picture, chroma]), format="yuv420p")
                frame.pts, frame.time_base = round(time / TIME_BASE), TIME_BASE
                target.mux(stream.encode(frame))
            target.mux(stream.encode())
        path.with_suffix(".json").write_text(json.dumps(self.truth(), ensure_ascii=False))

    def truth(self) -> dict[str, Any]:
        """The facade, how it was filmed, and every fall with its way; pixels are those of the full size."""
        return {
            "seed": self.scene.seed,
            "width": self.scene.width,
            "height": self.scene.height,
            "part": self.part,
            "facade": self.scene.facade,
            "take": asdict(self.take),
            "falls": [self._told(fall) for fall in self.falls],
        }

    def _told(self, fall: Fall) -> dict[str, Any]:
        way = []
        for number in range(math.ceil(fall.release * self.take.rate), int(fall.ends * self.take.rate) + 1):
            spot = fall.pixel(number / self.take.rate)
            inside = spot is not None and 0 <= spot[0] < self.scene.width and 0 <= spot[1] < self.scene.height
            if spot is not None and inside:
                way.append(
                    [round(number / self.take.rate, 4), round(spot[0], 1), round(spot[1], 1), not fall.is_hidden(*spot)]
                )
        return {
            "release": fall.release,
            "ends": fall.ends,
            "floor": self.scene.floor_of(fall.start.z),
            "column": self.scene.column_of(fall.start.x),
            "size_px": fall.size_px,
            "size_cm": fall.metres * 100,
            "contrast": abs(fall.contrast),
            "terminal": fall.terminal,
            "impact_speed": fall.impact_speed,
            "way": way,
        }


def _shrunk(blob: Blob, part: float) -> Blob:
    return replace(
        blob,
        x=(blob.x + 0.5) * part - 0.5,
        y=(blob.y + 0.5) * part - 0.5,
        half_long=blob.half_long * part,
        half_short=blob.half_short * part,
        vx=blob.vx * part,
        vy=blob.vy * part,
    )
