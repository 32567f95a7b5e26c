"""CTC decoding under the plate grammar: prefix beam search, alignment and the confidence of each character."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gateway.vision.grammar import ALPHABET, ANY_SHAPE, LONGEST, RARE, STEPS, complete, issued

Matrix = npt.NDArray[np.float64]

WIDTH = 16
TRIED = 12  # symbols tried in one step: beyond that they are noise and only cost time
FLOOR = 1e-6
LIKELY = 0.001
_INDEX = {symbol: column for column, symbol in enumerate(ALPHABET, 1)}


class Guess(NamedTuple):
    """One plate text that the grammar allows, its kind, and its share of what the search kept (0 to 1)."""

    text: str
    kind: str
    share: float


def grammar_beam(steps: Matrix, width: int = WIDTH) -> list[Guess]:
    """Decode ``steps`` (T, 1 + len(ALPHABET); column 0 is blank, rows need not sum to 1) to whole plates, best first.

    The grammar limits every step of the search, so a wrong letter cannot crowd out a right digit. Empty when
    nothing that fits the grammar survives.
    """
    # Every beam entry: prefix -> [alive shapes, P(ends in blank), P(ends in its last symbol)].
    beam: dict[str, tuple[int, float, float]] = {"": (ANY_SHAPE, 1.0, 0.0)}
    for row in steps:
        blank = float(row[0])
        columns = np.argpartition(row[1:], -TRIED)[-TRIED:]
        tried = [(ALPHABET[column], float(row[column + 1])) for column in columns if row[column + 1] > FLOOR]
        grown: dict[str, list[float]] = {}
        shapes: dict[str, int] = {}

        for prefix, (alive, ended, open_) in beam.items():
            total = ended + open_
            entry = grown.setdefault(prefix, [0.0, 0.0])
            shapes[prefix] = alive
            entry[0] += total * blank
            last = prefix[-1:]
            length = len(prefix)
            if last:
                entry[1] += open_ * float(row[_INDEX[last]])
            if length == LONGEST:
                continue
            allowed = STEPS[length]
            for symbol, probability in tried:
                left = alive & allowed.get(symbol, 0)
                mass = ended if symbol == last else total
                if left and mass > 0.0:
                    longer = prefix + symbol
                    shapes[longer] = left
                    grown.setdefault(longer, [0.0, 0.0])[1] += mass * probability

        best = sorted(grown.items(), key=lambda item: item[1][0] + item[1][1], reverse=True)[:width]
        beam = {prefix: (shapes[prefix], entry[0], entry[1]) for prefix, entry in best}

    whole: list[tuple[str, str, float]] = []
    for prefix, (alive, ended, open_) in beam.items():
        kind = complete(alive, len(prefix))
        if kind is not None and issued(prefix):
            whole.append((prefix, kind, (ended + open_) * RARE.get(kind, 1.0)))
    total = sum(score for _, _, score in whole)
    if total <= 0.0:
        return []
    return sorted((Guess(text, kind, score / total) for text, kind, score in whole), key=lambda guess: -guess.share)


def character_spread(steps: Matrix, text: str) -> tuple[tuple[float, ...], tuple[Mapping[str, float], ...]]:
    """Give for each character of ``text`` its confidence, and what else could stand there.

    The confidence is the highest probability in the steps that the best alignment gives it; the symbols of that step
    with at least LIKELY of what is no blank are what could stand there, with their shares.
    """
    labels = [0]
    for symbol in text:
        labels += [_INDEX[symbol], 0]
    with np.errstate(divide="ignore"):
        scores = np.log(np.maximum(steps[:, labels], 1e-300))
    count, states = scores.shape
    best = np.full(states, -np.inf)
    best[:2] = scores[0, :2]
    back = np.zeros((count, states), dtype=np.int64)
    # A symbol may follow the one before without a blank between, unless they are the same.
    skip = np.array([state > 1 and state % 2 == 1 and labels[state] != labels[state - 2] for state in range(states)])
    for step in range(1, count):
        stay = best
        one = np.concatenate(([-np.inf], best[:-1]))
        two = np.where(skip, np.concatenate(([-np.inf, -np.inf], best[:-2])), -np.inf)
        choices = np.stack((stay, one, two))
        back[step] = choices.argmax(axis=0)
        best = choices.max(axis=0) + scores[step]
    state = states - 1 if best[states - 1] >= best[states - 2] else states - 2
    peaks = [0] * len(text)
    confidence = [-1.0] * len(text)
    for step in range(count - 1, -1, -1):
        if state % 2:
            place = state // 2
            sure = float(steps[step, labels[state]])
            if sure > confidence[place]:
                confidence[place], peaks[place] = sure, step
        state -= int(back[step, state])
    return tuple(min(1.0, max(0.0, value)) for value in confidence), tuple(_symbols(steps[peak]) for peak in peaks)


def _symbols(row: Matrix) -> Mapping[str, float]:
    marks = row[1:] / max(1e-9, float(row[1:].sum()))
    return {ALPHABET[place]: float(marks[place]) for place in np.flatnonzero(marks >= LIKELY)}


def character_confidence(steps: Matrix, text: str) -> tuple[float, ...]:
    """Give for each character of ``text`` the highest probability in the steps that the best alignment gives it."""
    return character_spread(steps, text)[0]


def greedy(probabilities: Matrix, symbols: list[str]) -> str:
    """Collapse the best symbol of each step, over the whole dictionary (column 0 is blank): the usual decoding."""
    path = probabilities.argmax(axis=1)
    kept = [int(label) for step, label in enumerate(path) if label and (step == 0 or label != path[step - 1])]
    return "".join(symbols[label] for label in kept)
