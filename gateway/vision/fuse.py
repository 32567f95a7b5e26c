"""Many reads of one plate become one verdict: fused under the grammar, judged by its weakest character."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.vision.grammar import colour_agrees, kind_of
from gateway.vision.plates import PlateRead

# Measured on small, blurred, dark passages: at least 4 identical reads and 0.7 agreement let nothing wrong through.
IDENTICAL = 4
AGREEMENT = 0.7
WEAKEST = 0.75
UNSEEN = 0.002  # share that a read gives to a text which its search did not keep


@dataclass(frozen=True, slots=True)
class WeighedRead:
    """One read with its frame's time (s and ns since 1970), the plate's colour in it, and how good the look was."""

    time: float
    wall: int
    read: PlateRead
    colour: str
    weight: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a plate is taken to be. ``status`` accepted or uncertain; ``characters`` one confidence each."""

    text: str
    kind: str
    colour: str
    status: str
    characters: tuple[float, ...]


def fuse(reads: Sequence[WeighedRead]) -> Verdict | None:
    """Fuse all reads of one passage; None when there are none.

    Every read votes for every text it kept, by its share; small, blurred and slanted looks count less, but none is
    thrown away. What does not agree well enough is ``uncertain``; nothing is repaired.
    """
    if not reads:
        return None
    weights = [max(1e-3, read.weight) ** 2 for read in reads]
    whole = sum(weights)
    texts = {guess.text for read in reads for guess in read.read.guesses}
    shares = [{guess.text: guess.share for guess in read.read.guesses} for read in reads]
    best = max(
        sorted(texts),
        key=lambda text: sum(
            weight * math.log(share.get(text, 0.0) + UNSEEN) for weight, share in zip(weights, shares, strict=True)
        ),
    )
    characters = [0.0] * len(best)
    for weight, read in zip(weights, reads, strict=True):
        if len(read.read.text) == len(best):
            for place, (symbol, sure) in enumerate(zip(read.read.text, read.read.characters, strict=True)):
                if symbol == best[place]:
                    characters[place] += weight / whole * sure
    same = [read.read.text == best for read in reads]
    agreement = sum(weight for weight, agrees in zip(weights, same, strict=True) if agrees) / whole
    kind = kind_of(best) or "other"
    colour = vote([(read.colour, weight) for read, weight in zip(reads, weights, strict=True)])
    sure = (
        sum(same) >= IDENTICAL and agreement >= AGREEMENT and min(characters) >= WEAKEST and colour_agrees(colour, kind)
    )
    status = "accepted" if sure else "uncertain"
    return Verdict(best, kind, colour, status, tuple(round(min(1.0, value), 4) for value in characters))


def settled(reads: Sequence[WeighedRead]) -> bool:
    """Whether more reads can hardly change the verdict: it is accepted with one read to spare."""
    verdict = fuse(reads) if len(reads) > IDENTICAL else None
    if verdict is None or verdict.status != "accepted":
        return False
    return sum(read.read.text == verdict.text for read in reads) > IDENTICAL


def vote(colours: Sequence[tuple[str, float]]) -> str:
    """The colour with the most weight behind it; ``unknown`` only counts when nothing else was seen."""
    sums: dict[str, float] = defaultdict(float)
    for colour, weight in colours:
        if colour != "unknown":
            sums[colour] += weight
    return max(sorted(sums), key=lambda colour: sums[colour]) if sums else "unknown"


def alike(one: str, other: str) -> bool:
    """Whether two reads may be of the same plate: the same but for one wrong or one lost character."""
    if len(one) == len(other):
        return sum(a != b for a, b in zip(one, other, strict=True)) <= 1
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) != 1:
        return False
    return any(long[:cut] + long[cut + 1 :] == short for cut in range(len(long)))
