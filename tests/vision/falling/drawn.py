"""A drawn wall and what falls before it: frames without a camera or a codec, quick and the same every time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gateway.settings import CameraSettings
from gateway.vision.falling.judge import Judge, RuleJudge
from gateway.vision.falling.watch import FallWatch
from gateway.vision.messages import Fall, Fell

WIDTH, HEIGHT, FLOORS = 480, 640, 12
LEFT, RIGHT, TOP, GROUND = 90, 390, 40, 620
PER_FLOOR = (GROUND - TOP) / FLOORS
PER_METRE = PER_FLOOR / 2.9
START = 1_790_000_000_000_000_000
FACADE = {
    "floors": FLOORS,
    "columns": 3,
    "ground": [[LEFT, GROUND], [RIGHT, GROUND]],
    "roof": [[LEFT, TOP], [RIGHT, TOP]],
}


@dataclass
class DrawnFrame:
    """What the watch needs of a frame."""

    time: float
    index: int
    luma: np.ndarray

    @property
    def width(self) -> int:
        return self.luma.shape[1]

    @property
    def height(self) -> int:
        return self.luma.shape[0]

    @property
    def bgr(self) -> np.ndarray:
        return np.repeat(self.luma[..., None], 3, axis=2)


@dataclass
class Dropped:
    """A thing let go of at a time, from the sill of a floor, slowed by drag to its terminal speed (m/s)."""

    release: float
    floor: int
    x: float = 240.0
    size: int = 5
    grey: int = 40
    terminal: float = 25.0
    sideways: float = 10.0
    hidden: tuple[float, float] = (0.0, 0.0)

    def at(self, time: float) -> tuple[float, float] | None:
        age = time - self.release
        if age < 0 or self.hidden[0] <= age < self.hidden[1]:
            return None
        metres = self.terminal**2 / 9.81 * np.log(np.cosh(9.81 * age / self.terminal))
        y = GROUND - ((self.floor - 1) * 2.9 + 1.3 - metres) * PER_METRE
        return (self.x + self.sideways * age, y) if y < GROUND else None


Mover = Callable[[float], tuple[float, float] | None]


def wall() -> np.ndarray:
    dice = np.random.default_rng(5)
    picture = np.full((HEIGHT, WIDTH), 190.0)
    picture[TOP:GROUND, LEFT:RIGHT] = 130
    for floor in range(FLOORS):
        y = int(GROUND - (floor + 0.75) * PER_FLOOR)
        for x in range(LEFT + 10, RIGHT - 20, 40):
            picture[y : y + 16, x : x + 18] = 90
    return picture + dice.normal(0, 2, picture.shape)


def frames(
    things: Sequence[Dropped],
    seconds: float,
    rate: float = 25.0,
    movers: Sequence[tuple[Mover, int, int]] = (),
    change: Callable[[np.ndarray, float, int], np.ndarray] | None = None,
) -> Iterator[DrawnFrame]:
    """``movers``: ways, sizes and grey levels of what else moves. ``change`` is done to every finished picture."""
    dice = np.random.default_rng(1)
    still = wall()
    for index in range(int(seconds * rate)):
        time = index / rate
        picture = still.copy()
        paths: list[tuple[Mover, int, int]] = [(thing.at, thing.size, thing.grey) for thing in things]
        for way, size, grey in [*paths, *movers]:
            place = way(time)
            if place is not None:
                x, y = (round(value - size / 2) for value in place)
                picture[max(0, y) : max(0, y + size), max(0, x) : max(0, x + size)] = grey
        picture += dice.normal(0, 1.2, (HEIGHT, WIDTH))
        if change is not None:
            picture = change(picture, time, index)
        yield DrawnFrame(time, index, np.clip(picture, 0, 255).astype(np.uint8))


def camera(**falling: object) -> CameraSettings:
    return CameraSettings.model_validate(
        {"name": "tower", "url": "clip.mp4", "purpose": "falls", "falling": {"facade": FACADE, **falling}}
    )


@dataclass
class Seen:
    """What a watch told, and the clip's time at which each early word came."""

    falls: list[Fall]
    words: dict[int, float]


def watched(shown: Iterator[DrawnFrame], settings: CameraSettings | None = None, judge: Judge | None = None) -> Seen:
    watch = FallWatch(settings or camera(), judge or RuleJudge())
    seen = Seen([], {})

    def take(found: Sequence[Fell | Fall], time: float) -> None:
        for message in found:
            if isinstance(message, Fell):
                seen.words[message.number] = time
            else:
                assert message.number in seen.words
                seen.falls.append(message)

    time = 0.0
    for frame in shown:
        time = frame.time
        take(watch.feed(frame, START + round(frame.time * 1e9)), time)
    take(watch.finish(), time)
    return seen
