"""What models/plates draws: plates that may exist, of which every character is there, and crops as a gate has them."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL", reason="the extra `train` is not installed")
cv2 = pytest.importorskip("cv2", reason="the extra `vision` is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models" / "plates"))
render = pytest.importorskip("render")

from gateway.vision.grammar import kind_of  # noqa: E402 - the folder of the drawing comes first

FONTS = [render.FONTS / font for fonts in render.CHINESE_FONTS.values() for font in fonts]
drawn = pytest.mark.skipif(not all(font.exists() for font in FONTS), reason="the fonts are not installed")


@pytest.mark.parametrize("kind", render.KINDS)
def test_texts_are_plates_of_their_kind(kind: str) -> None:
    dice = random.Random(kind)
    texts = [render.random_text(kind, dice) for _ in range(1500)]
    assert [text for text in texts if kind_of(text) != kind] == []
    assert [text for text in texts if text.startswith("粤Z") and text[-1] not in "港澳"] == []


def test_all_provinces_are_drawn_of_every_kind_that_has_one() -> None:
    dice = random.Random(1)
    for kind in ("ordinary", "nev_small", "nev_large", "trailer", "coach", "police", "consulate"):
        assert {render.random_text(kind, dice)[0] for _ in range(1500)} == set(render.PROVINCES)


def test_o_issues_for_old_official_plates_alone_and_the_army_has_neither_i_nor_o() -> None:
    dice = random.Random(2)
    issuers = {kind: {render.random_text(kind, dice)[1] for _ in range(1500)} for kind in render.KINDS}
    assert {kind for kind, letters in issuers.items() if "O" in letters} == {"ordinary", "police"}
    army = {symbol for _ in range(1500) for symbol in render.random_text("military", dice)}
    assert not army & set("IO")


def test_trailers_have_two_rows_alone() -> None:
    dice = random.Random(3)
    assert {"trailer"} == render.ALWAYS_DOUBLE
    if all(font.exists() for font in FONTS):
        assert all(render.draw("沪A1234挂", "trailer", dice, "test").double for _ in range(20))


class ThinStrokes(random.Random):
    """Dice that always choose the thinnest strokes."""

    def choice(self, options):  # type: ignore[no-untyped-def]
        return min(options) if isinstance(options, tuple) and 0 in options else super().choice(options)


@drawn
@pytest.mark.parametrize("split", ["train", "test"])
def test_no_province_is_thinned_away(split: str) -> None:
    for seed, province in enumerate(render.PROVINCES):
        plate = render.draw(f"{province}B12345", "ordinary", ThinStrokes(seed), split, double=False).picture
        cell = cv2.cvtColor(plate[14:56, 9:29], cv2.COLOR_BGR2GRAY).astype(float)
        assert np.ptp(cell) > 80, province
        ground = np.median(cell)
        assert (np.abs(cell - ground) > 40).mean() > 0.08, province


@drawn
def test_crops_of_passages_are_of_the_recognisers_size_and_mostly_say_something() -> None:
    passages = pytest.importorskip("passages")
    looks = list(passages.reads(random.Random(4), (144, 40)))
    assert len(looks) == passages.FILMS * passages.FRAMES * passages.COLUMNS * passages.ROWS
    assert {crop.shape for crop, _ in looks} == {(40, 144, 3)}
    texts = [text for _, text in looks if text]
    assert 0.9 < len(texts) / len(looks) < 1.0
    assert all(kind_of(text) for text in texts)


@drawn
def test_a_plate_is_found_where_it_is() -> None:
    passages = pytest.importorskip("passages")
    dice = random.Random(5)
    passing = [passages.Passage(plate, dice) for plate in passages.plates(dice)]
    for one in passing:
        true, found = one.corners(1), one.found(1).corners
        assert np.abs(found - true).max() < 0.35 * np.linalg.norm(true[1] - true[0])
    assert not np.array_equal(passing[0].found(1).corners, passing[0].found(1).corners)
