"""Lanes: crossings, ways, reversing, and directions without lines."""

import pytest

from gateway.settings import LaneSettings
from gateway.vision.lanes import Place, course, crossings, lengthened, movement


def lane(
    enter: str = "down", line: tuple[tuple[float, float], tuple[float, float]] = ((0, 100), (200, 100))
) -> LaneSettings:
    return LaneSettings.model_validate({"name": "main", "line": line, "enter": enter})


def path(*spots: tuple[float, float], size: float = 10.0) -> list[Place]:
    return [Place(index * 0.1, x, y, size) for index, (x, y) in enumerate(spots)]


DOWN = path((100, 60), (100, 90), (100, 120), (100, 150))


@pytest.mark.parametrize(("enter", "direction"), [("down", "in"), ("up", "out")])
def test_down_over_a_level_line(enter: str, direction: str) -> None:
    found = course(DOWN, [lane(enter)], "gate")
    assert (found.lane, found.direction) == ("main", direction)
    assert found.crossed == pytest.approx(0.1 + 0.1 / 3)


@pytest.mark.parametrize(("enter", "direction"), [("right", "in"), ("left", "out")])
@pytest.mark.parametrize("line", [((100, 0), (100, 200)), ((100, 200), (100, 0))])
def test_the_order_of_a_lines_ends_means_nothing(enter: str, direction: str, line: object) -> None:
    right = path((60, 100), (90, 100), (120, 100), (150, 100))
    assert course(right, [lane(enter, line)], "gate").direction == direction  # type: ignore[arg-type]


def test_over_and_back_is_none() -> None:
    there_and_back = path((100, 60), (100, 140), (100, 60))
    found = course(there_and_back, [lane()], "gate")
    assert (found.direction, found.crossings) == ("none", 2)


def test_over_back_and_over_again_counts_once() -> None:
    found = course(path((100, 60), (100, 140), (100, 60), (100, 140)), [lane()], "gate")
    assert (found.direction, found.crossings) == ("in", 3)


def test_trembling_on_the_line_is_no_crossing() -> None:
    trembling = path((100, 99.5), (100, 100.5), (100, 99.2), (100, 100.9))
    assert crossings(trembling, lane()) == []


def test_far_beside_the_line_is_no_crossing() -> None:
    assert course(path((400, 60), (400, 140)), [lane()], "gate").direction == "none"


def test_each_lane_has_its_own() -> None:
    left, right = (
        lane(),
        LaneSettings.model_validate({"name": "exit", "line": ((300, 100), (500, 100)), "enter": "down"}),
    )
    found = course(path((400, 140), (400, 60)), [left, right], "gate")
    assert (found.lane, found.direction) == ("exit", "out")


@pytest.mark.parametrize(
    ("places", "direction"),
    [
        (path((100, 50), (100, 150)), "toward"),
        (path((100, 150), (100, 50)), "away"),
        (path((0, 100), (200, 110)), "right"),
        (path((200, 100), (0, 110)), "left"),
        (path((100, 100), (102, 101)), "none"),
        ([Place(0, 100, 100, 10), Place(1, 104, 101, 30)], "toward"),
        ([Place(0, 100, 100, 30), Place(1, 104, 101, 10)], "away"),
    ],
)
def test_without_lanes_the_movement_says(places: list[Place], direction: str) -> None:
    found = course(places, [], "gate")
    assert (found.lane, found.direction) == ("gate", direction)
    assert movement(places) == direction


def test_a_path_goes_on_only_if_it_moved() -> None:
    assert len(lengthened(DOWN, 0.4)) == len(DOWN) + 2
    standing = path((100, 90), (100, 90.1), (100, 90), (100, 90.1))
    assert lengthened(standing, 0.4) == standing


LEFT = lane(line=((0, 100), (200, 100)))
RIGHT = LaneSettings.model_validate({"name": "right", "line": ((205, 100), (405, 100)), "enter": "down"})


def test_over_the_seam_of_two_lanes_is_one_crossing_of_the_nearer() -> None:
    found = course(path((190, 60), (190, 90), (190, 120), (190, 150)), [RIGHT, LEFT], "gate")
    assert (found.lane, found.direction, found.crossings) == ("main", "in", 1)


def test_a_turn_from_one_lane_into_the_other_is_none() -> None:
    turn = path((100, 60), (100, 140), (200, 200), (300, 200), (300, 140), (300, 60))
    found = course(turn, [LEFT, RIGHT], "gate")
    assert (found.direction, found.crossings) == ("none", 2)
