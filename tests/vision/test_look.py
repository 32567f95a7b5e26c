"""One look: the quick reader alone where it is sure, two rows or the second reader where it is not."""

import numpy as np
import pytest

from gateway.vision.beam import Guess
from gateway.vision.evidence import Pixels
from gateway.vision.look import ASKED, SIZES, darkly, look_again, look_at, read_plate
from gateway.vision.plates import FoundPlate, PlateRead, rectified
from gateway.vision.shapes import Box
from gateway.vision.track import LOOKS_KEPT, PlateTrack

YELLOW, BLUE = (20, 180, 230), (150, 60, 10)
PLATE = FoundPlate(Box(100, 100, 220, 138), np.array([[100, 100], [220, 100], [220, 138], [100, 138]], np.float32), 1.0)


def said(text: str, sure: float, *, double: bool = False) -> PlateRead:
    return PlateRead((Guess(text, "ordinary", 1.0),), (sure,) * len(text), double)


class Told:
    """Readers that say what the test wants: one row, two rows, the second reader."""

    def __init__(self, one: PlateRead | None, two: PlateRead | None, second: PlateRead | None) -> None:
        self.answers = {"one": one, "two": two, "second": second}
        self.asked: list[str] = []

    def find(self, picture: Pixels, region: Box, expected: float = 0.0, *, dark: bool = False) -> list[FoundPlate]:
        raise AssertionError("a look finds nothing")

    def read(self, crop: Pixels) -> PlateRead | None:
        self.asked.append("one" if crop.shape[0] < 60 else "two")
        return self.answers[self.asked[-1]]

    def second(self, crop: Pixels) -> PlateRead | None:
        self.asked.append("second")
        return self.answers["second"]


def look(sight: Told, ground: tuple[int, int, int], *, ask: bool = True) -> PlateRead | None:
    picture = np.full((240, 320, 3), ground, np.uint8)
    picture[108:130, 106:214:12] = 255 - np.array(ground)
    return read_plate(sight, picture, PLATE, rectified(picture, PLATE), ask=ask)


def test_a_sure_read_stands_alone() -> None:
    sight = Told(said("沪A12345", 0.97), None, None)
    assert look(sight, BLUE) == said("沪A12345", 0.97)
    assert sight.asked == ["one"]


def test_an_unsure_yellow_plate_is_read_in_two_rows() -> None:
    double = said("沪A12345", 0.96, double=True)
    sight = Told(said("沪A1234", 0.4), double, None)
    assert look(sight, YELLOW) == double
    assert sight.asked == ["one", "two"]


def test_a_blue_plate_has_one_row() -> None:
    sight = Told(said("沪A12345", 0.4), said("沪A99999", 0.99, double=True), said("沪A12845", 0.8))
    assert look(sight, BLUE) == said("沪A12845", 0.8)
    assert sight.asked == ["one", "second"]


def test_the_second_reader_is_asked_only_while_it_may_be() -> None:
    sight = Told(said("沪A12345", 0.4), None, said("沪A12845", 0.8))
    assert look(sight, BLUE, ask=False) == said("沪A12345", 0.4)
    assert sight.asked == ["one"]


def test_nothing_read_by_anybody_is_nothing() -> None:
    sight = Told(None, None, None)
    assert look(sight, YELLOW) is None
    assert sight.asked == ["one", "two", "second"]


class Passing(Told):
    """Reads ``texts`` in turn, and keeps how bright and how dark each crop was."""

    def __init__(self, texts: list[str], second: PlateRead | None = None) -> None:
        super().__init__(None, None, second)
        self.texts, self.levels = texts, []  # type: ignore[var-annotated]

    def read(self, crop: Pixels) -> PlateRead | None:
        self.levels.append((int(crop.min()), int(crop.max())))
        self.asked.append("one" if crop.shape[0] < 60 else "two")
        text = self.texts.pop(0)
        return said(text, 0.85) if text else None


def passed(sight: Passing, count: int, ground: tuple[int, int, int] = BLUE) -> PlateTrack:
    """A track after ``count`` looks at a dim plate that comes nearer."""
    track = PlateTrack(1)
    for step in range(count):
        picture = np.full((240, 320, 3), ground, np.uint8) // 4
        picture[108:130, 106:214:12] = 80
        grown = PLATE.corners + np.array([[0, 0], [24 * step, 0], [24 * step, 7 * step], [0, 7 * step]], np.float32)
        plate = FoundPlate(PLATE.box, grown, 1.0)
        track.add(step / 10, step, plate)
        look_at(sight, track, picture, (step / 10, step), plate)
    return track


def test_an_uncertain_passage_reads_its_best_looks_once_more_with_more_contrast() -> None:
    sight = Passing(
        ["沪A12345"] * 3 + ["沪A12845"] * 5 + ["京A12845"] * (LOOKS_KEPT + len(SIZES)), said("京A12845", 0.8)
    )
    track = passed(sight, 8)
    before = track.verdict
    sight.levels.clear()
    look_again(sight, track)
    assert len(sight.levels) == LOOKS_KEPT + len(SIZES)
    assert [high > 180 for _, high in sight.levels] == [True] * LOOKS_KEPT + [False] * len(SIZES)
    assert sight.asked[-1] == "one"
    assert sight.asked.count("second") == 1
    assert track.looks == []
    assert before is not None
    assert track.verdict is not None
    assert (before.text, track.verdict.text, track.verdict.status) == ("沪A12845", "京A12845", "uncertain")
    assert [read.read.text for read in track.reads].count("京A12845") == 0


def test_the_second_reader_is_heard_while_the_plate_passes_where_that_decides() -> None:
    sight = Passing(["沪A12345"] * 8, said("沪A12345", 0.7))
    track = passed(sight, 4)
    assert sight.asked == ["one"] * 4 + ["second"]
    assert track.verdict is not None
    assert (track.verdict.text, track.verdict.status) == ("沪A12345", "accepted")
    assert track.witnesses == ["沪A12345"]


def test_who_guesses_bears_no_witness() -> None:
    track = passed(Passing(["沪A12345"] * 4, said("沪A12345", 0.4)), 4)
    assert track.witnesses == [""]
    assert track.verdict is not None
    assert track.verdict.status == "uncertain"


def test_the_second_reader_is_asked_twice_at_most_while_the_plate_passes() -> None:
    sight = Passing(["沪A12345"] * 8 + [""] * (LOOKS_KEPT + len(SIZES)), said("京A12345", 0.9))
    track = passed(sight, 8)
    assert sight.asked.count("second") == ASKED
    assert track.verdict is not None
    assert (track.verdict.status, track.verdict.wanting) == ("uncertain", True)
    sight.answers["second"] = None
    look_again(sight, track)
    assert track.witnesses == ["京A12345", "京A12345", ""]
    assert track.verdict.status == "uncertain"


def test_the_second_reader_is_heard_once_more_when_the_passage_is_over() -> None:
    sight = Passing(["沪A12345"] * 6, None)
    track = passed(sight, 6)
    sight.answers["second"] = said("沪A12345", 0.7)
    sight.asked.clear()
    look_again(sight, track)
    assert sight.asked == ["second"]
    assert track.verdict is not None
    assert (track.verdict.text, track.verdict.status) == ("沪A12345", "accepted")


def test_reads_of_the_same_looks_accept_nothing() -> None:
    sight = Passing(["沪A12345"] * 3)
    track = passed(sight, 3)
    sight.read = lambda crop: said("沪A12345", 0.99)  # type: ignore[method-assign]
    look_again(sight, track)
    assert track.verdict is not None
    assert (track.verdict.text, track.verdict.status) == ("沪A12345", "uncertain")
    assert not track.settled


def test_what_is_accepted_is_left_alone() -> None:
    sight = Passing([])
    sight.read = lambda crop: said("沪A12345", 0.99)  # type: ignore[method-assign]
    track = passed(sight, 6)
    sight.read = sight.second = lambda crop: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    look_again(sight, track)
    assert track.verdict is not None
    assert track.verdict.status == "accepted"
    assert track.looks == []


def test_a_plate_that_was_never_read_may_be_read_at_last() -> None:
    sight = Passing([""] * 4 + ["", "沪A12345", "", "", *[""] * len(SIZES)])
    track = passed(sight, 4)
    assert track.verdict is None
    look_again(sight, track)
    assert track.verdict is not None
    assert (track.verdict.text, track.verdict.status) == ("沪A12345", "uncertain")


def test_a_kept_look_is_read_as_its_frame_was() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8)
    track = PlateTrack(1)
    track.add(0.0, 0, PLATE)
    look_at(Passing([""] * 2), track, picture, (0.0, 0), PLATE)
    assert track.looks[0].patch.size < picture.size / 3
    for rows in (1, 2):
        kept = rectified(track.looks[0].patch, track.looks[0].plate, rows=rows)
        assert np.abs(kept.astype(int) - rectified(picture, PLATE, rows=rows)).max() <= 1


def test_what_is_taken_over_keeps_the_best_looks_of_both() -> None:
    one, other = passed(Passing(["沪A12345"] * 4), 4), passed(Passing(["沪A12345"] * 4), 4)
    one.take_over(other)
    assert len(one.looks) == LOOKS_KEPT
    assert min(look.weight for look in one.looks) >= sorted(look.weight for look in other.looks)[1]


def test_a_plate_is_searched_for_as_it_was_found_then_by_turns() -> None:
    track = PlateTrack(1, dark=True)
    track.add(0.0, 0, PLATE)
    assert darkly(track)
    track.misses = 1
    assert not darkly(track)
    track.misses = 2
    assert darkly(track)


@pytest.mark.parametrize(("ground", "dark"), [((26, 22, 18), True), (BLUE, False)])
def test_the_colour_of_its_ground_tells_how_to_look_for_it(ground: tuple[int, int, int], dark: bool) -> None:
    track = PlateTrack(1, dark=not dark)
    track.add(0.0, 0, PLATE)
    picture = np.full((240, 320, 3), ground, np.uint8)
    picture[108:130, 106:214:12] = 230
    look_at(Passing([""] * 2), track, picture, (0.0, 0), PLATE)
    assert darkly(track) is dark
