"""Narrow clips: one vehicle with a plate of one kind comes through one lane while its plate can be read."""

import random
from functools import lru_cache

import numpy as np
from bodies import Pixels, body, road
from render import KINDS, STYLES, Drawn, draw, random_text
from scenes import HEIGHT, WIDTH, Clip, Passing, weather, where

from gateway.vision.plates import background_colour
from gateway.vision.reading import TWO_ROWS_LENGTH

ONE_LANE = {"main": (0.0, 1.0)}
ACROSS = 448  # pixels of width: as much as a vehicle takes while its plate is in the picture
ROADS = 24
BEFORE, AFTER = 0.4, 0.4  # seconds of empty road
PLATE_FOOT = 0.16  # of a vehicle's width: how far above its lower edge the plate is at most
TWO_ROWED = frozenset(kind for kind in KINDS if any(style.double for style in STYLES[kind]))


class NarrowClip(Clip):
    """One passage; ``seed`` counts through all kinds, of those with two rows every second one has them."""

    size = (ACROSS, HEIGHT)
    lanes = ONE_LANE

    def __init__(self, seed: int, *, degraded: bool, split: str = "narrow") -> None:
        chance = random.Random(f"{split} {seed} {degraded}")
        turn, place = divmod(seed, len(KINDS))
        kind = KINDS[place]
        double = kind in TWO_ROWED and bool(turn % 2)
        self.seed, self.degraded, self.behaviour = seed, degraded, "pass"
        self.weather = weather(degraded, chance)
        self.night = self.weather.light < 0.45
        self._split = split
        self._chance = chance
        self._post = None
        wide = _road(chance.randrange(ROADS))
        left = chance.randrange(wide.shape[1] - ACROSS)
        self._road = np.ascontiguousarray(wide[:, left : left + ACROSS])
        plate = plate_of(kind, double, chance)
        drawn = body(plate, chance, night=self.night)
        lasts, way = chance.uniform(2.0, 3.2), chance.choice(("in", "out"))
        # As if the picture were as wide as the others: the way and the size go by that.
        x = 0.5 * ACROSS / WIDTH
        scale = self.weather.scale
        one = Passing(
            plate.text, kind, double, drawn.shape, drawn.paint, "pass", way, "main", 0.0, lasts, x, drawn, scale
        )
        begin, end = _seen(one)
        one.start += BEFORE - begin
        one.end += BEFORE - begin
        self.passings = [one]
        self.seconds = BEFORE + end - begin + AFTER

    @property
    def name(self) -> str:
        """What tells this clip from all others."""
        return f"{self._split}-{super().name}"


def plate_of(kind: str, double: bool, chance: random.Random) -> Drawn:
    """Draw a plate of a kind, in fonts of the test, in one row or two."""
    while True:
        text = random_text(kind, chance)
        if double and len(text) != TWO_ROWS_LENGTH:
            continue
        plate = draw(text, kind, chance, "test", double=double)
        # Among ordinary plates only yellow ones come in two rows.
        if not double or kind != "ordinary" or background_colour(plate.picture) == "yellow":
            return plate


def _seen(one: Passing) -> tuple[float, float]:
    """From when to when (s) the plate is in the picture."""
    times = [share * one.end / 200 for share in range(201)]
    seen = []
    for time in times:
        place = where(one, time)
        if place is not None and 0.0 < place[1] - PLATE_FOOT * place[2] < HEIGHT:
            seen.append(time)
    return min(seen), max(seen)


@lru_cache(maxsize=ROADS)
def _road(number: int) -> Pixels:
    return road((WIDTH, HEIGHT), random.Random(f"road {number}"))
