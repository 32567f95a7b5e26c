"""Plates of a wanted kind for the simulations, in fonts that no training saw."""

import random

from render import KINDS, STYLES, Drawn, draw, random_text

from gateway.vision.plates import background_colour
from gateway.vision.reading import TWO_ROWS_LENGTH

TWO_ROWED = frozenset(kind for kind in KINDS if any(style.double for style in STYLES[kind]))


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
