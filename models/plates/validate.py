"""Checks a recogniser before it becomes a pack: its shape and alphabet, the held-out real crops, drawn plates a kind.

Usage: .venv/bin/python models/plates/validate.py FILE.onnx [--real FOLDER] [--drawn N]
Ends with 1 when it may not be used.
"""

import argparse
import hashlib
import random
import sys
from pathlib import Path

import cv2
import numpy as np
from render import ALWAYS_DOUBLE, KINDS, draw, random_text, spoil

from gateway.vision.grammar import ALPHABET
from gateway.vision.packs import READING, Pack, PackError
from gateway.vision.reading import OwnReader

REAL_LEAST, DRAWN_LEAST = 0.9, 0.9  # shares read exactly, below which something went wrong in training


def pack_of(path: Path) -> Pack:
    """A manifest for a file that has none yet."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Pack("plate-reader-linli", READING, "new", "", "", "", digest, path, "")


def held_out(folder: Path) -> list[tuple[str, np.ndarray]]:
    """The crops that train.py leaves out, with their texts."""
    paths = [path for path in sorted(folder.glob("*.jpg")) if hashlib.sha256(path.stem.encode()).digest()[0] & 1]
    return [(path.stem, cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)) for path in paths]  # type: ignore[misc]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--drawn", type=int, default=50)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    try:
        reader = OwnReader(pack_of(options.file))
    except (OSError, PackError) as error:
        print(error, file=sys.stderr)
        return 1
    steps = reader.steps(np.zeros((40, 144, 3), np.uint8))
    if steps.shape[1] != 1 + len(ALPHABET) or not np.allclose(steps.sum(axis=1), 1.0, atol=1e-3):
        print(f"gives {steps.shape}, rows of which do not sum to 1 over the alphabet", file=sys.stderr)
        return 1
    good = True
    if options.real:
        crops = held_out(options.real)
        right = sum(_exact(reader, text, crop) for text, crop in crops)
        print(f"real crops, held out: {right} of {len(crops)} exact ({right / max(1, len(crops)):.1%})")
        good = good and right >= REAL_LEAST * len(crops)
    for kind in KINDS:
        dice = random.Random(f"validate {kind}")
        right = 0
        for _ in range(options.drawn):
            text = random_text(kind, dice)
            plate = draw(text, kind, dice, "test", double=kind in ALWAYS_DOUBLE)
            size = (192, 96 if plate.double else 48)
            right += _exact(reader, text, spoil(plate.picture, size, dice, 0.25))
        print(f"drawn (synthetic), {kind}: {right} of {options.drawn} exact")
        good = good and right >= DRAWN_LEAST * options.drawn
    return 0 if good else 1


def _exact(reader: OwnReader, text: str, crop: np.ndarray) -> bool:
    read = reader.read(np.asarray(crop, np.uint8))
    return read is not None and read.text == text


if __name__ == "__main__":
    sys.exit(main())
