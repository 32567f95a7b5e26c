"""Which regions are parts of one vehicle, and which are the next one."""

import pytest

from gateway.vision.pieces import became, broke_off, pieces, swallowed, trails
from gateway.vision.shapes import Box
from gateway.vision.track import MotionTrack

SIZE = (960, 540)
STEP = 0.125  # seconds between two looks


def region(number: int, begin: float, boxes: list[Box]) -> MotionTrack:
    motion = MotionTrack(number)
    for place, box in enumerate(boxes):
        motion.add(begin + STEP * place, 0, box)
    return motion


def moving(number: int, begin: float, tops: range, high: float = 260.0, left: float = 250.0) -> MotionTrack:
    """A region 300 wide whose upper edge goes through ``tops``, cut off by the picture's edges."""
    boxes = [Box(left, top, left + 300, top + high).within(*SIZE) for top in tops]
    return region(number, begin, boxes)


GONE = moving(1, 0.0, range(0, 500, 40))  # its last look is at 1.5 s, low in the picture


@pytest.mark.parametrize(("tops", "part"), [(range(420, 600, 20), True), (range(420, 200, -20), False)])
def test_what_begins_where_another_left_is_its_end_unless_it_goes_the_other_way(tops: range, part: bool) -> None:
    assert broke_off(moving(2, 2.125, tops), GONE) == part


def test_what_begins_inside_while_the_other_is_there_is_a_part_whichever_way() -> None:
    assert broke_off(moving(2, 1.0, range(380, 100, -20)), GONE)


@pytest.mark.parametrize(
    ("begin", "tops", "left", "part"),
    [
        (1.75, range(180, 500, 40), 250.0, True),
        (1.75, range(180, 500, 40), 620.0, False),
        (1.75, range(0, 500, 40), 250.0, False),
        (2.125, range(180, 500, 40), 250.0, False),
        (1.75, range(180, 0, -40), 250.0, False),
    ],
)
def test_the_end_of_a_lorry_follows_at_once_and_begins_within_the_picture(
    begin: float, tops: range, left: float, part: bool
) -> None:
    assert trails(moving(2, begin, tops, 90.0, left), GONE, SIZE) == part


def test_the_end_of_a_lorry_across_the_picture() -> None:
    gone = region(1, 0.0, [Box(step * 80, 200, step * 80 + 300, 400).within(*SIZE) for step in range(12)])
    end = [Box(300 + step * 80, 220, 360 + step * 80, 390) for step in range(6)]
    assert trails(region(2, 1.625, end), gone, SIZE)
    assert not trails(region(2, 1.625, [box._replace(top=420, bottom=500) for box in end]), gone, SIZE)


@pytest.mark.parametrize(
    ("after", "one"),
    [
        (Box(240, 100, 560, 400), True),  # the roof and what is below it
        (Box(240, 100, 700, 400), False),  # side by side
        (Box(240, -60, 560, 400), False),  # one behind the other
    ],
)
def test_a_region_over_which_a_told_one_grows_was_a_part_of_it(after: Box, one: bool) -> None:
    foot = region(1, 0.0, [Box(250, 500 - 20 * step, 550, 560 - 20 * step) for step in range(10)])
    roof = region(2, 0.0, [*(Box(260, 280 - 20 * step, 540, 310 - 20 * step) for step in range(10)), after])
    assert swallowed(foot, roof) == one
    assert not swallowed(roof, foot)


@pytest.mark.parametrize(("looks", "one"), [(12, True), (6, False)])
def test_who_follows_closely_is_no_piece_though_both_show_only_an_edge(looks: int, one: bool) -> None:
    roof = moving(1, 0.0, range(300, 0, -10), 40.0)
    foot = moving(2, (30 - looks) * STEP, range(260, -40, -10), 160.0)
    assert pieces(roof, foot) == one
    assert not became(roof, foot)
