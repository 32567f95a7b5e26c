"""The grammar-constrained CTC beam: against known paths, against counting every path, and against noise."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.vision.beam import character_confidence, grammar_beam, greedy
from gateway.vision.grammar import ALPHABET, SHAPES, kind_of

COLUMN = {symbol: place for place, symbol in enumerate(ALPHABET, 1)}


def steps_of(text: str, sure: float = 0.9, repeat: int = 2) -> np.ndarray:
    """A clean path: every character ``repeat`` steps, a blank between; the rest of the mass is spread."""
    rows = []
    for symbol in text:
        for column in [COLUMN[symbol]] * repeat + [0]:
            row = np.full(len(ALPHABET) + 1, (1 - sure) / len(ALPHABET))
            row[column] = sure
            rows.append(row)
    return np.array(rows)


@st.composite
def plates(draw: st.DrawFn) -> str:
    _, shape = draw(st.sampled_from(SHAPES))
    return "".join(draw(st.sampled_from(symbols)) for symbols in shape)


@given(plates(), st.sampled_from([0.6, 0.9, 0.99]))
@settings(max_examples=60, deadline=None)
def test_a_clean_path_is_read_as_it_is(text: str, sure: float) -> None:
    steps = steps_of(text, sure)
    best = grammar_beam(steps)[0]
    assert best.text == text
    assert best.kind == kind_of(text)
    assert character_confidence(steps, text) == pytest.approx([sure] * len(text))


@given(st.integers(0, 2**32 - 1), st.integers(1, 26))
@settings(max_examples=60, deadline=None)
def test_noise_gives_plates_of_the_grammar_or_nothing(seed: int, count: int) -> None:
    steps = np.random.default_rng(seed).dirichlet(np.full(len(ALPHABET) + 1, 0.05), count)
    guesses = grammar_beam(steps)
    assert all(kind_of(guess.text) == guess.kind for guess in guesses)
    assert len({guess.text for guess in guesses}) == len(guesses)
    assert sum(guess.share for guess in guesses) == pytest.approx(1.0 if guesses else 0.0)
    assert list(guesses) == sorted(guesses, key=lambda guess: -guess.share)


def test_repeated_characters_need_a_blank() -> None:
    assert grammar_beam(steps_of("沪A11111"))[0].text == "沪A11111"


def test_a_letter_that_cannot_stand_there_gives_way_to_the_next_best() -> None:
    steps = steps_of("使123456", 0.9)
    step = 2 * 3  # the first step of the 3rd character
    steps[step : step + 2, COLUMN["2"]] = 0.2
    steps[step : step + 2, COLUMN["Z"]] = 0.75  # no letter stands in an embassy's number
    assert grammar_beam(steps)[0].text == "使123456"
    assert min(character_confidence(steps, "使123456")) == pytest.approx(0.2)


def test_shares_are_those_of_counting_every_path() -> None:
    """Two texts, all else impossible: the beam's shares are the sums over every alignment."""
    options = ([COLUMN["沪"], 0], [COLUMN["A"], 0], *([COLUMN["1"], COLUMN["7"], 0],) * 1)
    rng = np.random.default_rng(5)
    tail = [COLUMN[symbol] for symbol in "2345"]
    rows = []
    for columns in (*options, *([column, 0] for column in tail)):
        for _ in range(2):
            row = np.zeros(len(ALPHABET) + 1)
            row[columns] = rng.dirichlet(np.ones(len(columns)))
            rows.append(row)
    steps = np.array(rows)
    sums: dict[str, float] = {}
    for path in itertools.product(*(np.flatnonzero(row) for row in steps)):
        kept = [label for place, label in enumerate(path) if label and (place == 0 or path[place - 1] != label)]
        text = "".join(ALPHABET[label - 1] for label in kept)
        if kind_of(text):
            sums[text] = sums.get(text, 0.0) + float(np.prod([steps[at, label] for at, label in enumerate(path)]))
    guesses = grammar_beam(steps, width=2000)
    assert {guess.text for guess in guesses} == set(sums)
    for guess in guesses:
        assert guess.share == pytest.approx(sums[guess.text] / sum(sums.values()))


def test_nothing_but_blank_is_no_plate() -> None:
    steps = np.zeros((24, len(ALPHABET) + 1))
    steps[:, 0] = 1.0
    assert grammar_beam(steps) == []


def test_greedy_collapses_over_the_whole_dictionary() -> None:
    probabilities = np.eye(4)[[1, 1, 0, 1, 2, 2, 3]]
    assert greedy(probabilities, ["", "a", "b", "c"]) == "aabc"
