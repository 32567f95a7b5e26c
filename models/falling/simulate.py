"""Casts and films numbered clips of a split: what falls, what disturbs, which camera; a number is always one clip."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from distractors import KINDS
from film import NUMBERS, SPLITS, Film, random_take
from scene import Scene

SHORTEST = 8.0  # seconds of a clip
CROWDS = (1, 1, 2, 4)  # how many times over what disturbs is there, in clips to train with


def cast(
    split: str,
    number: int,
    *,
    seconds: float = 14.0,
    falls: int | None = None,
    kinds: Sequence[str] | None = None,
    half: bool = False,
) -> Film:
    """Clip ``number`` of a split. Without ``kinds`` a quarter is calm, half has one distractor, a quarter has two.

    ``falls`` None: three to six. ``half``: the same clip with half as many pixels across and down, some three times as
    quick to film and to play. What trains has up to four times as many birds, leaves and so on as what tunes and tests.
    """
    seed = SPLITS[split] + number
    dice = np.random.default_rng([seed, 7])
    if kinds is None:
        kinds = [str(kind) for kind in dice.choice(KINDS, int(dice.choice([0, 1, 1, 2])), replace=False)]
    count = int(dice.integers(3, 7)) if falls is None else falls
    take = random_take(dice, seconds, count, kinds)
    if split == "train":
        take = replace(take, crowd=int(dice.choice(CROWDS)))
    return Film(Scene(seed), take, seed, half=half)


def main() -> int:
    """Film the clips of a range of numbers that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", choices=sorted(SPLITS), default="train")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=14.0)
    parser.add_argument("--falls", type=int, help="of each clip; default: three to six")
    parser.add_argument(
        "--kinds", help=f"of what disturbs, with commas between, of: {', '.join(KINDS)}; '' for nothing"
    )
    parser.add_argument("--half", action="store_true", help="film 960 x 540: quicker")
    given = parser.parse_args()
    kinds = None if given.kinds is None else [kind for kind in given.kinds.split(",") if kind]
    unknown = sorted(set(kinds or ()) - set(KINDS))
    if unknown:
        parser.error(f"--kinds: there is no {', '.join(unknown)}; there are {', '.join(KINDS)}")
    if given.count < 1:
        parser.error("--count: at least 1")
    if not 0 <= given.first <= NUMBERS - given.count:
        parser.error(f"a split has the numbers 0 to {NUMBERS - 1}: others would be clips of another split")
    if not given.seconds >= SHORTEST:
        parser.error(f"--seconds: at least {SHORTEST:g}, for one thing to fall")
    try:
        given.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"{given.folder}: {error.strerror}; name a folder that can be written")
    for number in range(given.first, given.first + given.count):
        path = given.folder / f"{given.split}-{number:05d}.mp4"
        if path.with_suffix(".json").exists():
            continue
        began = time.monotonic()
        film = cast(given.split, number, seconds=given.seconds, falls=given.falls, kinds=kinds, half=given.half)
        film.write(path)
        print(
            f"{path.name}: {film.take.falls} falls, {', '.join(film.take.distractors) or 'calm'}, "
            f"{time.monotonic() - began:.1f} s",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
