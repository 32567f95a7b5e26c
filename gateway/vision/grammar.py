"""The grammar of Chinese licence plates (GA 36-2018 as far as public validators agree): kinds, shapes, spellings."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

PROVINCES: Final = "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新"
DIGITS: Final = "0123456789"
LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# I is no issuing letter; O is one on older official plates. Serials have neither I nor O.
ISSUERS: Final = LETTERS.replace("I", "")
SERIAL: Final = DIGITS + ISSUERS.replace("O", "")
ENERGY: Final = "DABCEFGHJK"

Shape = tuple[str, ...]

_P, _A, _N, _D = PROVINCES, ISSUERS, SERIAL, DIGITS

# In the order in which a text is tried; one text may fit two shapes, and the first names its kind.
SHAPES: Final[tuple[tuple[str, Shape], ...]] = (
    ("nev_small", (_P, _A, ENERGY, _N, _D, _D, _D, _D)),
    ("nev_large", (_P, _A, _D, _D, _D, _D, _D, ENERGY)),
    ("hk_macau", ("粤", "Z", _N, _N, _N, _N, "港澳")),
    ("trailer", (_P, _A, _N, _N, _N, _N, "挂")),
    ("coach", (_P, _A, _N, _N, _N, _N, "学")),
    ("police", (_P, _A, _N, _N, _N, _N, "警")),
    ("embassy", ("使", _D, _D, _D, _D, _D, _D)),
    ("embassy", (_D, _D, _D, _D, _D, _D, "使")),
    ("consulate", (_P, _A, _N, _N, _N, _N, "领")),
    ("armed_police", ("W", "J", _P, _D, _D, _D, _D, _N)),
    ("armed_police", ("W", "J", _D, _D, _D, _D, _N)),
    ("military", (LETTERS, LETTERS, _D, _D, _D, _D, _D)),
    ("civil_aviation", ("民", "航", _N, _D, _D, _D, _D)),
    ("ordinary", (_P, _A, _N, _N, _N, _N, _N)),
)
ALPHABET: Final = "".join(sorted({symbol for _, shape in SHAPES for symbols in shape for symbol in symbols}))
LONGEST: Final = max(len(shape) for _, shape in SHAPES)

# Kinds that hardly ever drive into a community: without this a blurred province turns into a military letter.
RARE: Final[Mapping[str, float]] = {"military": 0.01, "armed_police": 0.05, "civil_aviation": 0.05, "embassy": 0.2}

# What a colour may carry. White and black say nothing certain: in infrared light every plate is one of them.
COLOUR_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "blue": frozenset({"ordinary"}),
    "green": frozenset({"nev_small", "nev_large", "civil_aviation", "embassy"}),
    "yellow": frozenset({"ordinary", "nev_large", "trailer", "coach"}),
}
# What comes in two rows: rear plates of coaches and lorries (yellow), of trailers, of the armed forces.
TWO_ROWS: Final = frozenset({"ordinary", "trailer", "armed_police", "military"})
NEV_KINDS: Final = frozenset({"nev_small", "nev_large"})


# What may be a plate in a sentence of somebody else; a character of our own may have been escaped.
_OWN = rf"(?:[{PROVINCES}挂学警港澳使领民航]|\\u[0-9a-f]{{4}})"
_MENTION: Final = re.compile(
    rf"(?:WJ)?{_OWN}+[·0-9A-Z]{{4,8}}{_OWN}?|[·0-9A-Z]{{5,8}}{_OWN}|\b[A-Z]{{2}}·?[0-9]{{4}}[0-9A-Z]\b"
)


def _steps() -> tuple[dict[str, int], ...]:
    table: list[dict[str, int]] = [{} for _ in range(LONGEST)]
    for index, (_, shape) in enumerate(SHAPES):
        for position, symbols in enumerate(shape):
            for symbol in symbols:
                table[position][symbol] = table[position].get(symbol, 0) | 1 << index
    return tuple(table)


# STEPS[position][symbol]: bit set of the shapes that allow this symbol there. A prefix is the set still alive.
STEPS: Final = _steps()
ANY_SHAPE: Final = (1 << len(SHAPES)) - 1
_ENDS: Final = tuple(
    sum(1 << index for index, (_, shape) in enumerate(SHAPES) if len(shape) == length) for length in range(LONGEST + 1)
)


def complete(alive: int, length: int) -> str | None:
    """Name the kind of a prefix of ``length`` symbols with the shapes ``alive`` left, or None if it is no plate yet."""
    ended = alive & _ENDS[length]
    return SHAPES[(ended & -ended).bit_length() - 1][0] if ended else None


def issued(text: str) -> bool:
    """Whether what has a shape is also issued: 粤Z is for vehicles from Hong Kong and Macau alone."""
    return not text.startswith("粤Z") or text[-1] in "港澳"


def kind_of(text: str) -> str | None:
    """Name the kind of a normalised plate text, or None when no shape fits or none is issued."""
    if not 0 < len(text) <= LONGEST or not issued(text):
        return None
    alive = ANY_SHAPE
    for position, symbol in enumerate(text):
        alive &= STEPS[position].get(symbol, 0)
    return complete(alive, len(text))


def normalise(text: str) -> str:
    """Bring a plate as people write it into the form that is read: no spaces or dots, upper case, half width."""
    plain = unicodedata.normalize("NFKC", text).upper()
    return "".join(symbol for symbol in plain if not symbol.isspace() and symbol not in "·•・.-")


def colour_agrees(colour: str, kind: str) -> bool:
    """Say whether a plate of this background colour can be of this kind; an unknown colour contradicts nothing."""
    if kind in NEV_KINDS and colour == "blue":
        return False
    return kind in COLOUR_KINDS.get(colour, (kind,))


def discreet(text: str) -> str:
    """A sentence without whatever in it may be a plate: what a library or a crash says goes into the log."""
    return _MENTION.sub("(plate)", text)


def masked(text: str) -> str:
    """Shorten a plate for eyes outside the private area: ``沪A1***5``."""
    return text if len(text) < 5 else text[:3] + "*" * (len(text) - 4) + text[-1]
