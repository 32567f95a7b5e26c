"""Many reads of one plate become one verdict: fused under the grammar, judged by its weakest character."""

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.vision.grammar import colour_agrees, kind_of
from gateway.vision.plates import PlateRead

UNSEEN = 0.002  # share that a read gives to a text which its search did not keep
STRANGE = 0.005  # share of a symbol in a place where a read does not hold it possible
RESEMBLES = 0.7


@dataclass(frozen=True, slots=True)
class Rule:
    """How reads become a verdict; the defaults are what ``scripts/eval_vehicles --fusion`` found best.

    ``identical`` reads at least, ``agreement`` of the weight behind the text, ``weakest`` character (with ``mean``,
    all of them together; ``witnessed`` is enough where another reader said the same text), at most ``other_length``
    of the votes for a plate with one character more or less, and no read of another text whose weakest character is
    as sure as ``dissent``.
    A look's weight counts to the ``power``, its read's likelihood to the power ``certain``: who doubts says little.
    ``damped``: a share counts as much as its read explains its crop;
    ``spread``: a text that a read did not keep counts by what could stand in its places. A look in whose colour the
    text's kind does not come speaks against it with ``other_colour`` (natural logarithm), less than its characters
    can: a green plate that lost its province reads like a military one, but all looks may be in the same wrong light.
    """

    identical: int = 4
    agreement: float = 0.7
    weakest: float = 0.92
    witnessed: float = 0.8
    other_length: float = 0.02
    dissent: float = 0.9
    power: float = 2.0
    certain: float = 8.0
    other_colour: float = 4.0
    damped: bool = True
    spread: bool = True
    mean: bool = False


RULE = Rule()


@dataclass(frozen=True, slots=True)
class WeighedRead:
    """One read with its frame's time (s and ns since 1970), the colours of plate and vehicle, and how good it was."""

    time: float
    wall: int
    read: PlateRead
    colour: str
    weight: float
    paint: str = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a plate is taken to be. ``status`` accepted or uncertain; ``characters`` one confidence each.

    ``wanting``: it is uncertain, and would be accepted if another reader said the same text.
    """

    text: str
    kind: str
    colour: str
    status: str
    characters: tuple[float, ...]
    wanting: bool = False


def fuse(reads: Sequence[WeighedRead], rule: Rule = RULE, witnesses: Collection[str] = ()) -> Verdict | None:
    """Fuse all reads of one passage; None when there are none. ``witnesses``: texts that another reader said.

    Every read votes for every text it kept, by its share; small, blurred and slanted looks count less, but none is
    thrown away. What does not agree well enough is ``uncertain``; nothing is repaired.
    """
    if not reads:
        return None
    weights = [_weight(read, rule) for read in reads]
    whole = sum(weights)
    shares = [_shares(read.read, damped=rule.damped) for read in reads]
    spreads = [read.read.spread if rule.spread else () for read in reads]
    texts = {text for share in shares for text in share} | _by_places(spreads, weights)
    colour = vote([(read.colour, weight) for read, weight in zip(reads, weights, strict=True)])

    def merit(text: str) -> float:
        votes: float = sum(
            weight * math.log(max(share.get(text, 0.0), _explains(spread, text)) + UNSEEN)
            for weight, share, spread in zip(weights, shares, spreads, strict=True)
        )
        kind = kind_of(text) or "other"
        odd = sum(weights[place] for place, read in enumerate(reads) if not colour_agrees(read.colour, kind))
        return votes - rule.other_colour * odd

    best = max(sorted(texts), key=merit)
    characters = [0.0] * len(best)
    for weight, read in zip(weights, reads, strict=True):
        if len(read.read.text) == len(best):
            for place, (symbol, sure) in enumerate(zip(read.read.text, read.read.characters, strict=True)):
                if symbol == best[place]:
                    characters[place] += weight / whole * sure
    same = [read.read.text == best for read in reads]
    agreement = sum(weight for weight, agrees in zip(weights, same, strict=True) if agrees) / whole
    other_length = (
        sum(
            weight * value
            for weight, share in zip(weights, shares, strict=True)
            for text, value in share.items()
            if len(text) != len(best)
        )
        / whole
    )
    kind = kind_of(best) or "other"
    enough = sum(characters) / len(characters) if rule.mean else min(characters)
    dissent = max((read.read.weakest for read in reads if read.read.text != best), default=0.0)
    fair = (
        sum(same) >= rule.identical
        and agreement >= rule.agreement
        and enough >= min(rule.weakest, rule.witnessed)
        and other_length <= rule.other_length
        and dissent < rule.dissent
        and colour_agrees(colour, kind)
    )
    sure = fair and (enough >= rule.weakest or best in witnesses)
    confidences = tuple(round(min(1.0, value), 4) for value in characters)
    return Verdict(best, kind, colour, "accepted" if sure else "uncertain", confidences, fair and not sure)


def reconsidered(reads: Sequence[WeighedRead], again: Sequence[WeighedRead], rule: Rule = RULE) -> Verdict | None:
    """Fuse ``reads`` with reads ``again`` of looks that are among them: they may change the text, but accept none.

    The same pixels read twice are no second witness.
    """
    verdict = fuse([*reads, *again], rule)
    return verdict and replace(verdict, status="uncertain", wanting=False)


def _weight(read: WeighedRead, rule: Rule) -> float:
    return float(max(1e-3, read.weight) ** rule.power * max(1e-2, read.read.likelihood) ** rule.certain)


def _shares(read: PlateRead, *, damped: bool) -> dict[str, float]:
    factor = read.likelihood if damped else 1.0
    return {guess.text: guess.share * factor for guess in read.guesses}


def _explains(spread: Sequence[Mapping[str, float]], text: str) -> float:
    """How likely a read holds this text possible, place by place; 0 for another length."""
    if len(spread) != len(text):
        return 0.0
    return math.prod(place.get(symbol, STRANGE) for place, symbol in zip(spread, text, strict=True))


def _by_places(spreads: Sequence[Sequence[Mapping[str, float]]], weights: Sequence[float]) -> set[str]:
    """For each length the text that is likeliest place by place over all reads, if it is a plate at all."""
    found = set()
    for length in {len(spread) for spread in spreads if spread}:
        same = [(spread, weight) for spread, weight in zip(spreads, weights, strict=True) if len(spread) == length]
        text = ""
        for place in range(length):
            symbols = sorted({symbol for spread, _ in same for symbol in spread[place]})
            text += max(
                symbols,
                key=lambda symbol, at=place: sum(  # type: ignore[misc]
                    weight * math.log(spread[at].get(symbol, STRANGE)) for spread, weight in same
                ),
                default="",
            )
        if kind_of(text) is not None:
            found.add(text)
    return found


def settled(reads: Sequence[WeighedRead], verdict: Verdict | None) -> bool:
    """Whether more reads can hardly change their ``verdict``: it is accepted with one read to spare."""
    if verdict is None or verdict.status != "accepted":
        return False
    return sum(read.read.text == verdict.text for read in reads) > RULE.identical


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


def resembles(one: str, other: str) -> bool:
    """Whether two poor reads may be of the same plate: five of seven characters from the end are the same."""
    same = sum(a == b for a, b in zip(reversed(one), reversed(other), strict=False))
    return same >= RESEMBLES * max(len(one), len(other))
