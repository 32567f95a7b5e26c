"""Plates out of sight: what left is over at once, what is hidden is waited for, what was told is known again."""

import math

import numpy as np
import pytest

from gateway.settings import LaneSettings
from gateway.vision.beam import Guess
from gateway.vision.fuse import WeighedRead
from gateway.vision.lists import PlateLists
from gateway.vision.lost import HELD, HIDDEN, LostPlates
from gateway.vision.passages import PassageBook
from gateway.vision.plates import FoundPlate, PlateRead
from gateway.vision.shapes import Box
from gateway.vision.track import MotionTrack, PlateTrack

SIZE = (960, 540)
LANE = LaneSettings(name="main", line=((0.0, 300.0), (960.0, 300.0)), enter="down")
WIDTH = 80.0


def sighting(x: float, y: float) -> FoundPlate:
    half, high = WIDTH / 2, WIDTH / 6
    corners = [[x - half, y - high], [x + half, y - high], [x + half, y + high], [x - half, y + high]]
    return FoundPlate(Box(x - half, y - high, x + half, y + high), np.array(corners, np.float32), 0.9)


def plate(
    text: str, begin: float, way: tuple[float, float], *, lasts: float = 1.0, number: int = 1, stands: bool = False
) -> PlateTrack:
    """A plate going down (or up) the picture from y to y, read all the way."""
    track = PlateTrack(number)
    for step in range(11):
        now, y = begin + lasts * step / 10, way[0] + (way[1] - way[0]) * step / 10
        track.add(now, round(now * 1e9), sighting(400, y))
        read = PlateRead((Guess(text, "ordinary", 1.0),), (0.99,) * len(text))
        track.add_read(WeighedRead(now, round(now * 1e9), read, "blue", 0.8))
    if stands:
        for step in range(4):
            now = begin + lasts + 0.1 + step * 0.1
            track.add(now, round(now * 1e9), sighting(400, way[1]))
    return track


def reads_again(lost: LostPlates, text: str, at: float, y: float, *, number: int = 2) -> PlateTrack:
    track = plate(text, at, (y, y + 4), lasts=0.2, number=number)
    track.reads = track.reads[:2]
    lost.rejoin(track, [], {})
    return track


@pytest.fixture
def lost() -> LostPlates:
    plates = LostPlates()
    plates.resize(SIZE)
    return plates


def test_what_was_on_its_way_out_is_over_at_once(lost: LostPlates) -> None:
    track = plate("沪A12345", 0.0, (200, 520))
    lost.held.append(track)
    assert lost.over(1.4, set(), lambda _: True) == [track]
    assert lost.held == []


@pytest.mark.parametrize(("crossed", "wait"), [(True, HELD), (False, HIDDEN)])
def test_what_is_hidden_is_waited_for_longer_before_the_line(lost: LostPlates, crossed: bool, wait: float) -> None:
    track = plate("沪A12345", 0.0, (60, 200), stands=True)
    lost.held.append(track)
    last = track.last.time
    assert lost.over(last + wait - 0.1, set(), lambda _: crossed) == []
    assert lost.over(last + wait, set(), lambda _: crossed) == [track]


def test_what_did_not_move_is_not_waited_for(lost: LostPlates) -> None:
    lost.held.append(plate("沪A12345", 0.0, (200, 201)))
    assert len(lost.over(1.5, set(), lambda _: False)) == 1


def test_a_hidden_plate_goes_on_where_it_was_even_poorly_read(lost: LostPlates) -> None:
    hidden = plate("沪A12345", 0.0, (60, 200), stands=True)
    hidden.motions = {7}
    lost.held.append(hidden)
    track = reads_again(lost, "京A12348", 30.0, 205)
    assert lost.held == []
    assert track.path[0].time == 0.0
    assert track.motions == {7}
    assert len(track.reads) == 13


def test_another_plate_at_the_same_place_is_another(lost: LostPlates) -> None:
    lost.held.append(plate("沪A12345", 0.0, (60, 200), stands=True))
    track = reads_again(lost, "沪B67890", 30.0, 205)
    assert len(lost.held) == 1
    assert track.path[0].time == 30.0


@pytest.mark.parametrize(("text", "joined"), [("沪A12346", False), ("沪A12345", True)])
def test_a_plate_in_a_row_with_one_that_was_read_surely_is_another(lost: LostPlates, text: str, joined: bool) -> None:
    lost.held.append(plate("沪A12345", 0.0, (60, 300)))
    assert (reads_again(lost, text, 3.0, 60).path[0].time == 0.0) == joined


def test_a_plate_lost_on_its_way_is_the_same_though_read_wrongly_by_one(lost: LostPlates) -> None:
    lost.held.append(plate("沪A12345", 0.0, (200, 260)))
    assert reads_again(lost, "沪A12346", 2.0, 320).path[0].time == 0.0


@pytest.mark.parametrize(
    ("at", "y", "text", "again"),
    [
        (31.0, 405.0, "沪A12345", "in"),
        (31.0, 405.0, "沪B67890", ""),
        (31.0, 60.0, "沪A12345", ""),
        (90.0, 405.0, "沪A12345", ""),
    ],
)
def test_what_was_told_is_known_again_at_its_place_for_a_minute(
    lost: LostPlates, at: float, y: float, text: str, again: str
) -> None:
    lost.remember(plate("沪A12345", 0.0, (200, 400), stands=True), "in", 4.0)
    assert reads_again(lost, text, at, y).again == again


def test_what_left_may_come_back_only_for_a_moment(lost: LostPlates) -> None:
    lost.remember(plate("沪A12345", 0.0, (200, 520)), "in", 1.4)
    assert reads_again(lost, "沪A12345", 3.0, 515.0).again == "in"
    assert reads_again(lost, "沪A12345", 9.0, 515.0).again == ""


def book() -> PassageBook:
    return PassageBook("gate", [LANE], PlateLists({}))


def test_what_comes_out_from_behind_something_is_not_told_again_unless_it_goes_back() -> None:
    for way, directions in (((400, 520), []), ((400, 200), ["out"])):
        passages = book()
        track = plate("沪A12345", 30.0, way)
        track.again = "in"
        assert passages.plate_ended(track, {})
        assert [each.direction for each in passages.take(math.inf, [])] == directions


def region(number: int, begin: float, boxes: list[Box]) -> MotionTrack:
    motion = MotionTrack(number)
    for step, box in enumerate(boxes):
        now = begin + 0.1 * step
        motion.add(now, round(now * 1e9), box)
    return motion


def going_down(number: int, begin: float, tops: range) -> MotionTrack:
    return region(number, begin, [Box(250, top, 550, top + 260) for top in tops])


def test_a_told_vehicle_that_stood_without_its_plate_in_sight_is_no_second_one() -> None:
    for begins, count in ((60, 0), (900, 1)):
        passages = book()
        first = going_down(1, 0.0, range(0, 220, 20))
        track = plate("沪A12345", 0.0, (200, 500))
        track.motions = {1}
        passages.plate_ended(track, {1: first})
        assert len(passages.take(5.0, [])) == 1
        passages.motion_ended(first, SIZE)
        passages.motion_ended(going_down(2, begins, range(120, 320, 20)), SIZE)
        assert len(passages.take(begins + 30.0, [])) == count


def test_a_region_that_became_the_told_one_is_no_vehicle_of_its_own() -> None:
    """A roof is seen alone for half a second, then the whole vehicle from its corner on, and its plate last of all."""
    passages = book()
    roof = region(
        1, 0.0, [Box(48, 264, 504, 540), *(Box(104, 260 - 30 * step, 490, 310 - 30 * step) for step in range(5))]
    )
    told = region(
        2, 0.2, [Box(480, 248, 488, 304), *(Box(150, 380 - 20 * step, 360, 470 - 20 * step) for step in range(15))]
    )
    track = plate("沪A12345", 1.0, (441, 45))
    track.motions = {2}
    passages.plate_ended(track, {2: told})
    passages.motion_ended(roof, SIZE)
    assert [each.text for each in passages.take(math.inf, [])] == ["沪A12345"]


def dark_van(number: int, seen: str, *, behind: float = 0.0) -> MotionTrack:
    """What is seen of a dark van that goes up the picture: its foot, its roof and at last all of it, or all always."""
    boxes = []
    for step in range(20 if seen == "foot" else 26):
        top = 300 + behind - 24 * step
        part = "all" if seen == "roof" and step >= 20 else seen
        begins, ends = {"roof": (0, 40), "foot": (130, 270), "all": (0, 270)}[part]
        boxes.append(Box(140, top + begins, 390, top + ends))
    return region(number, 1.0, boxes)


def test_the_roof_and_the_foot_of_a_dark_vehicle_are_one() -> None:
    passages = book()
    for part in (dark_van(1, "roof"), dark_van(2, "foot")):
        passages.motion_ended(part, SIZE)
    assert [each.direction for each in passages.take(math.inf, [])] == ["out"]


@pytest.mark.parametrize(
    ("first", "second", "behind"),
    [("all", "all", 300.0), ("roof", "foot", 120.0), ("roof", "all", 220.0)],
)
def test_two_without_plates_right_behind_each_other_are_two(first: str, second: str, behind: float) -> None:
    passages = book()
    for part in (dark_van(1, first), dark_van(2, second, behind=behind)):
        passages.motion_ended(part, SIZE)
    assert len(passages.take(math.inf, [])) == 2


@pytest.mark.parametrize(("x", "count"), [(690, 2), (560, 1)])
def test_what_goes_beside_a_told_plate_all_the_way_is_another_vehicle(x: int, count: int) -> None:
    passages = book()
    passages.plate_ended(plate("沪A12345", 1.0, (200, 480)), {})
    passages.motion_ended(
        region(2, 1.0, [Box(x - 140, 40 + 28 * step, x + 140, 320 + 28 * step) for step in range(11)]), SIZE
    )
    assert len(passages.take(math.inf, [])) == count
