"""Everything that moves before a facade and is no fall: each kind has its stress clip, and none may raise an event."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from bodies import Blob, Body
from scene import FLOOR_HEIGHT, Scene, Spot3
from weather import Change, clouds, exposure, lights, shake

TWO_PI = 2 * math.pi


@dataclass
class Bird:
    """Flies across in a wide curve, flapping; some dive."""

    start: float
    seconds: float
    x: float
    y: float
    vx: float
    vy: float
    curl: float
    size: float
    beat: float
    level: float

    def blobs(self, time: float) -> Iterator[Blob]:
        age = time - self.start
        if 0 <= age <= self.seconds:
            turn = self.curl * age
            vx, vy = (
                self.vx * math.cos(turn) - self.vy * math.sin(turn),
                self.vx * math.sin(turn) + self.vy * math.cos(turn),
            )
            x = self.x + self.vx * age - self.curl * self.vy * age * age / 2
            y = self.y + self.vy * age + self.curl * self.vx * age * age / 2
            wing = 0.35 + 0.65 * abs(math.sin(TWO_PI * self.beat * age))
            yield Blob(x, y, self.size / 2, self.size / 6, math.degrees(math.atan2(vy, vx)), self.level, 1, vx, vy)
            yield Blob(
                x, y, self.size / 6, self.size * wing / 2, math.degrees(math.atan2(vy, vx)), self.level, 0.9, vx, vy
            )


@dataclass
class Wanderer:
    """Goes by fits and starts: an insect near the lens (large, soft, fast) or a spider on its thread."""

    dice: np.random.Generator
    start: float
    seconds: float
    x: float
    y: float
    speed: float
    size: float
    level: float
    opacity: float

    def __post_init__(self) -> None:
        count = int(self.seconds * 50) + 2
        kicks = self.dice.normal(0, 1, (count, 2))
        pace = np.zeros((count, 2))
        for step in range(1, count):
            pace[step] = 0.93 * pace[step - 1] + 0.37 * kicks[step]
        drift = self.dice.normal(0, 0.7, 2)
        self._way = np.cumsum((pace + drift) * self.speed / 50, axis=0)

    def blobs(self, time: float) -> Iterator[Blob]:
        age = (time - self.start) * 50
        if 0 <= age < len(self._way) - 1:
            at = int(age)
            dx, dy = self._way[at] + (self._way[at + 1] - self._way[at]) * (age - at)
            vx, vy = (self._way[at + 1] - self._way[at]) * 50
            yield Blob(self.x + dx, self.y + dy, self.size / 2, self.size / 2.6, 0, self.level, self.opacity, vx, vy)


@dataclass
class Flutter:
    """Sinks slowly and swings: a leaf, a sheet of paper, a plastic bag, a snow flake."""

    start: float
    seconds: float
    x: float
    y: float
    sink: float
    swing: float
    rate: float
    phase: float
    drift: float
    size: float
    level: float
    opacity: float = 1.0

    def blobs(self, time: float) -> Iterator[Blob]:
        age = time - self.start
        if 0 <= age <= self.seconds:
            turn = TWO_PI * self.rate * age + self.phase
            x = self.x + self.drift * age + self.swing * math.sin(turn)
            y = self.y + self.sink * age + 0.35 * self.swing * math.cos(2 * turn)
            vx = self.drift + self.swing * TWO_PI * self.rate * math.cos(turn)
            vy = self.sink - 0.7 * self.swing * TWO_PI * self.rate * math.sin(2 * turn)
            thin = 0.25 + 0.75 * abs(math.cos(turn / 2))
            yield Blob(x, y, self.size / 2, self.size * thin / 2, math.degrees(turn), self.level, self.opacity, vx, vy)


@dataclass
class Drops:
    """Rain: many fast streaks, near and far; the near ones are long and faint."""

    dice: np.random.Generator
    width: int
    height: int
    count: int
    wind: float

    def __post_init__(self) -> None:
        self._near = self.dice.uniform(0.15, 1, self.count)
        self._x = self.dice.uniform(-200, self.width + 200, self.count)
        self._y = self.dice.uniform(0, 1, self.count)
        self._level = self.dice.uniform(150, 235, self.count)

    def blobs(self, time: float) -> Iterator[Blob]:
        speed = 1500 + 4500 * self._near
        round_trip = (self.height + 400) / speed
        laps = time / round_trip + self._y
        y = (laps % 1) * (self.height + 400) - 200
        x = self._x + self.wind * self._near * (laps % 1) * 300 + (np.floor(laps) * 397.3) % self.width
        for place in range(self.count):
            near = self._near[place]
            yield Blob(
                float(x[place] % (self.width + 200)) - 100,
                float(y[place]),
                0.5 + near,
                0.5 + near,
                0,
                float(self._level[place]),
                0.12 + 0.3 * float(near),
                self.wind * 300 * near,
                float(speed[place]),
            )


@dataclass
class Steady:
    """Moves along a straight line at an even pace: a drone, a lift's cabin, a gondola, a rope that is let down."""

    start: float
    seconds: float
    x: float
    y: float
    vx: float
    vy: float
    half_long: float
    half_short: float
    level: float
    hover: float = 0.0

    def blobs(self, time: float) -> Iterator[Blob]:
        age = time - self.start
        if 0 <= age <= self.seconds:
            sway = self.hover * math.sin(TWO_PI * 0.3 * age)
            x, y = self.x + self.vx * age + sway, self.y + self.vy * age + sway / 2
            yield Blob(x, y, self.half_long, self.half_short, 0, self.level, 1, self.vx, self.vy)


@dataclass
class Cloth:
    """Laundry or a curtain: hangs and swings in the wind, its lower edge most."""

    x: float
    y: float
    width: float
    tall: float
    rate: float
    swing: float
    level: float
    phase: float

    def blobs(self, time: float) -> Iterator[Blob]:
        gust = 0.5 + 0.5 * math.sin(TWO_PI * 0.11 * time + self.phase)
        for part in range(4):
            along = (part + 0.5) / 4
            turn = TWO_PI * self.rate * time + self.phase - along
            dx = self.swing * gust * along**1.5 * math.sin(turn)
            yield Blob(self.x + dx, self.y + along * self.tall, self.width / 2, self.tall / 7, 0, self.level + 6 * part)


Crowd = Callable[[Scene, np.random.Generator, float], list[Body]]


def _birds(scene: Scene, dice: np.random.Generator, seconds: float) -> list[Body]:
    found: list[Body] = []
    for _ in range(max(1, round(seconds * 0.5))):
        size = float(np.exp(dice.uniform(math.log(3), math.log(45))))
        speed = float(dice.uniform(60, 160)) + 9 * size
        way = float(dice.uniform(0, TWO_PI)) if dice.random() < 0.6 else math.pi / 2 + float(dice.normal(0, 0.5))
        found.append(
            Bird(
                float(dice.uniform(-2, seconds)),
                float(dice.uniform(1, 8)),
                float(dice.uniform(0, scene.width)),
                float(dice.uniform(0, 0.9 * scene.height)),
                speed * math.cos(way),
                speed * math.sin(way),
                float(dice.normal(0, 0.35)),
                size,
                float(dice.uniform(2, 9)),
                float(dice.uniform(10, 90) if dice.random() < 0.8 else dice.uniform(180, 245)),
            )
        )
    return found


def _insects(scene: Scene, dice: np.random.Generator, seconds: float) -> list[Body]:
    return [
        Wanderer(
            dice,
            float(dice.uniform(-1, seconds)),
            float(dice.uniform(0.3, 4)),
            float(dice.uniform(0, scene.width)),
            float(dice.uniform(0, scene.height)),
            float(np.exp(dice.uniform(math.log(120), math.log(2500)))),
            float(np.exp(dice.uniform(math.log(4), math.log(90)))),
            float(dice.uniform(20, 245)),
            float(dice.uniform(0.2, 0.9)),
        )
        for _ in range(max(1, round(seconds * 0.6)))
    ]


def _flutter(
    scene: Scene, dice: np.random.Generator, seconds: float, count: int, snow: bool, paper: bool
) -> list[Body]:
    found: list[Body] = []
    for _ in range(count):
        if snow:
            size, sink = float(dice.uniform(1.5, 9)), float(dice.uniform(40, 160))
        elif paper:
            size, sink = float(dice.uniform(5, 26)), float(dice.uniform(20, 90))
        else:
            size, sink = float(dice.uniform(3, 14)), float(dice.uniform(25, 130))
        lasting = (scene.height + 60) / sink
        found.append(
            Flutter(
                float(dice.uniform(-lasting, seconds)) if snow else float(dice.uniform(-3, seconds)),
                lasting,
                float(dice.uniform(-0.1, 1.1)) * scene.width,
                -20.0 if snow else float(dice.uniform(-0.02, 0.7)) * scene.height,
                sink * (1 + size / 9 if snow else 1),
                float(dice.uniform(3, 20 if snow else 50)),
                float(dice.uniform(0.15, 1.4)),
                float(dice.uniform(0, TWO_PI)),
                float(dice.normal(0, 35)),
                size,
                float(dice.uniform(200, 250) if snow or paper else dice.uniform(20, 140)),
                float(dice.uniform(0.4, 1)) if snow else 1.0,
            )
        )
    return found


def _steady(scene: Scene, dice: np.random.Generator, seconds: float, kind: str) -> list[Body]:
    metre = scene.scale(Spot3(0, 0, scene.top / 2))
    if kind == "drone":
        return [
            Steady(
                float(dice.uniform(-2, seconds)),
                float(dice.uniform(3, 15)),
                float(dice.uniform(0, scene.width)),
                float(dice.uniform(0, scene.height)),
                float(dice.normal(0, 6)) * metre * 0.5,
                float(dice.normal(0, 4)) * metre * 0.5,
                float(dice.uniform(2, 9)),
                float(dice.uniform(1.5, 3)),
                float(dice.uniform(15, 70)),
                float(dice.uniform(0, 4)),
            )
            for _ in range(max(1, round(seconds / 8)))
        ]
    if kind == "lift":
        found: list[Body] = []
        shaft = float(dice.uniform(-0.45, 0.45)) * scene.breadth
        time = float(dice.uniform(-5, 2))
        while time < seconds:
            low, high = sorted(dice.uniform(0, scene.top, 2))
            speed = float(dice.uniform(1, 3.5))
            ways = (high, low) if dice.random() < 0.6 else (low, high)
            (x, y), (_, end) = scene.pixel(Spot3(shaft, 0, ways[0])), scene.pixel(Spot3(shaft, 0, ways[1]))
            lasting = max(0.5, abs(ways[1] - ways[0]) / speed)
            found.append(
                Steady(
                    time, lasting, x, y, 0, (end - y) / lasting, 0.5 * metre, 0.9 * metre, float(dice.uniform(20, 230))
                )
            )
            time += lasting + float(dice.uniform(1, 6))
        return found
    rope = float(dice.uniform(-0.4, 0.4)) * scene.breadth
    x, y = scene.pixel(Spot3(rope, 0.5, scene.top * float(dice.uniform(0.4, 0.95))))
    person = Steady(0, seconds, x, y, 0, float(dice.uniform(2, 25)), 0.3 * metre, 0.8 * metre, 60, 3)
    line = [
        Cloth(
            x,
            y - 12 * part * FLOOR_HEIGHT,
            1.4,
            12 * FLOOR_HEIGHT,
            float(dice.uniform(0.2, 0.6)),
            4 + 3 * part,
            210,
            part,
        )
        for part in range(1, 9)
    ]
    water = [
        Flutter(float(dice.uniform(0, seconds)), 1.2, x, y + 20, 260, 3, 1, 0, float(dice.normal(0, 20)), 2, 220, 0.5)
        for _ in range(round(seconds / 2))
    ]
    return [person, *line, *water]


def _cloths(scene: Scene, dice: np.random.Generator, seconds: float) -> list[Body]:
    found: list[Body] = []
    windows = scene.windows()
    for place in dice.choice(len(windows), min(12, len(windows)), replace=False):
        left, top, right, bottom = windows[place]
        wide = max(2, right - left)
        found.append(
            Cloth(
                float(dice.uniform(left, right)),
                float(top if dice.random() < 0.5 else bottom),
                wide * float(dice.uniform(0.2, 0.7)),
                max(3.0, (bottom - top) * float(dice.uniform(0.5, 1.3))),
                float(dice.uniform(0.3, 2.2)),
                wide * float(dice.uniform(0.1, 0.6)),
                float(dice.uniform(30, 230)),
                float(dice.uniform(0, TWO_PI)),
            )
        )
    return found


CROWDS: Mapping[str, Crowd] = {
    "birds": _birds,
    "insects": _insects,
    "rain": lambda scene, dice, _: [
        Drops(dice, scene.width, scene.height, int(dice.integers(25, 130)), float(dice.normal(0, 0.7)))
    ],
    "snow": lambda scene, dice, seconds: _flutter(
        scene, dice, seconds, int(dice.integers(50, 200) * (0.6 + seconds / 15)), True, False
    ),
    "leaves": lambda scene, dice, seconds: _flutter(scene, dice, seconds, max(2, round(seconds * 1.2)), False, False),
    "paper": lambda scene, dice, seconds: _flutter(scene, dice, seconds, max(1, round(seconds / 3)), False, True),
    "laundry": _cloths,
    "lift": lambda scene, dice, seconds: _steady(scene, dice, seconds, "lift"),
    "drone": lambda scene, dice, seconds: _steady(scene, dice, seconds, "drone"),
    "ropes": lambda scene, dice, seconds: _steady(scene, dice, seconds, "ropes"),
}
CHANGES: Mapping[str, Callable[[Scene, np.random.Generator], Change]] = {
    "lights": lights,
    "clouds": clouds,
    "exposure": exposure,
    "shake": shake,
}
KINDS = (*CROWDS, *CHANGES)
