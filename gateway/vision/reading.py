"""The readers of rectified plates: each turns a crop into steps over the plate alphabet, read by the grammar's beam."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gateway.vision.beam import Matrix, character_spread, grammar_beam, greedy
from gateway.vision.evidence import Pixels
from gateway.vision.grammar import ALPHABET, LETTERS, TWO_ROWS
from gateway.vision.packs import READING, Pack, PackError, readable_packs
from gateway.vision.plates import PlateRead
from gateway.vision.rows import one_row
from gateway.vision.runtime import open_session

DOTS = "·•・. -"
# I and O never occur in a serial; what looks like one is a 1 or a 0, seen with less certainty.
LOOKALIKE = 0.6
TWO_ROWS_LENGTH = 7
TWO_ROWS_SHAPE = 2.75  # width over height: 440 x 140 mm with one row, 440 x 220 with two


class Reader(ABC):
    """Reads crops with one model; ``size`` is the width and height (pixels) of one row as the model takes it."""

    size: tuple[int, int]

    @abstractmethod
    def steps(self, crop: Pixels) -> Matrix:
        """Run the model on one row of ``size``, BGR: (steps, 1 + len(ALPHABET)), column 0 is CTC's blank."""

    @abstractmethod
    def read_greedy(self, crop: Pixels) -> str:
        """Read one row without the grammar, as most systems do; only for comparison."""

    def read(self, crop: Pixels) -> PlateRead | None:
        """Read a rectified plate (BGR) under the grammar; None when nothing that could be a plate is there.

        A crop less than TWO_ROWS_SHAPE times as wide as high is taken for two rows.
        """
        double = crop.shape[1] < TWO_ROWS_SHAPE * crop.shape[0]
        row: Any = one_row(crop, *self.size) if double else cv2.resize(crop, self.size, interpolation=cv2.INTER_LINEAR)
        steps = self.steps(row)
        guesses = grammar_beam(steps)
        if double:
            guesses = [guess for guess in guesses if guess.kind in TWO_ROWS and len(guess.text) == TWO_ROWS_LENGTH]
        if not guesses:
            return None
        characters, spread = character_spread(steps, guesses[0].text)
        return PlateRead(tuple(guesses[:5]), characters, double, spread)


class OwnReader(Reader):
    """Our own recogniser; ``scripts/eval_plates`` prints its CPU."""

    size = (144, 40)

    def __init__(self, pack: Pack) -> None:
        """PackError when the pack is missing, not what its manifest says, or of another alphabet."""
        self._session = open_session(pack)
        if self._session.get_modelmeta().custom_metadata_map.get("alphabet") != ALPHABET:
            raise PackError(f"model pack {pack.name} was trained for another alphabet", "models_refused")
        self._input = self._session.get_inputs()[0].name

    def steps(self, crop: Pixels) -> Matrix:
        """Probabilities of blank and of every symbol of the alphabet."""
        pixels = crop.astype(np.float32) / np.float32(127.5) - np.float32(1.0)
        output: Any = self._session.run(None, {self._input: np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])})[0]
        return np.asarray(output[0], np.float64)

    def read_greedy(self, crop: Pixels) -> str:
        """Collapse the best symbol of each step."""
        return greedy(self.steps(np.asarray(cv2.resize(crop, self.size), np.uint8)), ["", *ALPHABET])


class OcrReader(Reader):
    """A recogniser of Chinese text in general (PP-OCRv4), which takes several times the CPU of our own."""

    size = (192, 48)

    def __init__(self, pack: Pack) -> None:
        """PackError when the pack is missing or not what its manifest says."""
        self._session = open_session(pack)
        words = self._session.get_modelmeta().custom_metadata_map.get("character", "")
        self._symbols = ["", *words.removesuffix("\n").split("\n"), " "]
        self._input = self._session.get_inputs()[0].name
        columns: dict[str, list[int]] = {}
        for column, symbol in enumerate(self._symbols):
            if column:
                columns.setdefault(symbol, []).append(column)
        missing = [symbol for symbol in ALPHABET if symbol not in columns]
        if missing:
            raise PackError(f"the plate reader's dictionary lacks {''.join(missing)}", "models_refused")
        # Which dictionary columns make up each column of the plate alphabet; dots between parts are blanks.
        self._fold = [[0, *(column for dot in DOTS for column in columns.get(dot, ()))]]
        for symbol in ALPHABET:
            small = columns.get(symbol.lower(), []) if symbol in LETTERS else []
            self._fold.append(columns[symbol] + small)

    def steps(self, crop: Pixels) -> Matrix:
        """Bring the dictionary's columns together to blank and the plate alphabet."""
        probabilities = self._probabilities(crop)
        steps = np.stack([probabilities[:, columns].sum(axis=1) for columns in self._fold], axis=1)
        zero, one = 1 + ALPHABET.index("0"), 1 + ALPHABET.index("1")
        steps[:, zero] += LOOKALIKE * steps[:, 1 + ALPHABET.index("O")]
        steps[:, one] += LOOKALIKE * steps[:, 1 + ALPHABET.index("I")]
        return steps

    def read_greedy(self, crop: Pixels) -> str:
        """Collapse the best word of each step over the whole dictionary, without dots."""
        row: Any = cv2.resize(crop, self.size)
        text = greedy(self._probabilities(row), self._symbols)
        return "".join(symbol for symbol in text if symbol not in DOTS)

    def _probabilities(self, crop: Pixels) -> npt.NDArray[np.float64]:
        pixels = (crop.astype(np.float32) / 255.0 - 0.5) / 0.5
        output: Any = self._session.run(None, {self._input: np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])})[0]
        return np.asarray(output[0], np.float64)


READERS: dict[str, type[OwnReader | OcrReader]] = {"plate-reader-linli": OwnReader, "plate-reader": OcrReader}


def open_readers(folder: Path, names: tuple[str, ...] = ()) -> list[OwnReader | OcrReader]:
    """Load the named packs that read plates, or all that are here, our own first; PackError when there is none.

    A named pack must load; of the others a missing one is left out, and a broken one is an error.
    """
    known = {pack.name: pack for pack in readable_packs(folder) if pack.task == READING and pack.name in READERS}
    chosen = [known[name] for name in names if name in known]
    if len(chosen) != len(names):
        missing = ", ".join(name for name in names if name not in known)
        raise PackError(f"there is no model pack {missing} in {folder}", "models_missing")
    if not names:
        chosen = [known[name] for name in READERS if name in known and known[name].present]
        chosen = chosen or list(known.values())[:1]
    if not chosen:
        raise PackError(
            f"no model pack for {READING} in {folder}; install the gateway's models folder", "models_missing"
        )
    return [READERS[pack.name](pack) for pack in chosen]
