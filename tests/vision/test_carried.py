"""A vehicle goes on where its plate is out of sight: its way, and where its plate should be."""

from itertools import pairwise

import pytest

from gateway.settings import LaneSettings
from gateway.vision.lists import PlateLists
from gateway.vision.lost import HELD, RIDES, LostPlates
from gateway.vision.messages import Passage
from gateway.vision.passages import PassageBook
from gateway.vision.shapes import Box
from gateway.vision.track import MotionTrack, PlateTrack
from tests.vision.test_lost import SIZE, plate, sighting

LANE = LaneSettings(name="main", line=((0.0, 300.0), (960.0, 300.0)), enter="down")
DOWN, BACK = range(0, 300, 20), range(280, 0, -20)


def vehicle(tops: list[int], *, begin: float = 0.0, step: float = 0.1, number: int = 1) -> MotionTrack:
    """A region 300 wide and 240 high whose upper edge goes through ``tops``."""
    motion = MotionTrack(number)
    for place, top in enumerate(tops):
        now = begin + step * place
        motion.add(now, round(now * 1e9), Box(250, max(0, top), 550, min(540, top + 240)))
    return motion


def seen_on(motion: MotionTrack, text: str, way: tuple[float, float], begin: float) -> PlateTrack:
    track = plate(text, begin, way, lasts=0.4)
    track.motions, track.boarded = {motion.number}, motion.number
    motion.plates.add(track.number)
    track.ride(motion, SIZE)
    return track


def told(track: PlateTrack, *motions: MotionTrack) -> list[Passage]:
    book = PassageBook("gate", [LANE], PlateLists({}))
    for motion in motions:
        book.motion_ended(motion, SIZE)
    book.plate_ended(track, {})
    return book.take(20.0, [])


def test_a_vehicle_that_goes_back_with_its_plate_unread_went_nowhere() -> None:
    motion = vehicle([*DOWN, *BACK])
    track = seen_on(motion, "沪A12345", (200, 360), 0.6)
    assert [each.direction for each in told(track, motion)] == ["none"]
    assert [each.direction for each in told(seen_on(vehicle([*DOWN]), "沪A12345", (200, 360), 0.6))] == ["in"]


def test_the_way_before_its_plate_was_seen_counts_too() -> None:
    motion = vehicle([*DOWN, *BACK])
    track = seen_on(motion, "沪A12345", (360, 200), 2.0)
    assert [each.direction for each in told(track, motion)] == ["none"]


@pytest.mark.parametrize("why", ["another plate", "a break", "a jump", "hardly"])
def test_what_may_be_another_vehicle_adds_nothing(why: str) -> None:
    tops = [*DOWN, *BACK]
    if why == "a jump":
        tops = [*DOWN, *range(60, -200, -20)]
    if why == "hardly":
        tops = [*DOWN, *range(280, 160, -20)]
    motion = vehicle(tops)
    if why == "a break":
        motion = vehicle([*DOWN])
        for place, top in enumerate(BACK):
            motion.add(9.0 + 0.1 * place, 0, Box(250, top, 550, min(540, top + 240)))
    track = seen_on(motion, "沪A12345", (200, 360), 0.6)
    if why == "another plate":
        motion.plates.add(9)
    assert [each.direction for each in told(track, motion)] == ["in"]


def riding(tops: list[int], offset: float = 180.0) -> tuple[PlateTrack, MotionTrack]:
    """A plate that was sighted on a region all its way so far."""
    motion, track = MotionTrack(1), PlateTrack(1)
    for place, top in enumerate(tops):
        now = 0.1 * place
        motion.add(now, round(now * 1e9), Box(250, top, 550, top + 240))
        track.add(now, round(now * 1e9), sighting(400, top + offset))
        track.motions.add(1)
        track.ride(motion, SIZE)
    return track, motion


def test_a_plate_is_where_its_vehicle_has_carried_it() -> None:
    track, motion = riding([20, 40, 60])
    assert track.seat is not None
    assert track.seat.firm
    motion.add(0.9, 0, Box(350, 200, 500, 440))
    assert track.seat.carried(motion, SIZE) == pytest.approx((425, 380))
    motion.add(1.0, 0, Box(350, 380, 650, 540))  # its lower end is beyond the picture now
    assert track.seat.carried(motion, SIZE) == pytest.approx((500, 560))
    for unsure in (Box(350, 0, 650, 540), Box(150, 200, 650, 440)):
        motion.add(1.1, 0, unsure)
        assert track.seat.carried(motion, SIZE) is None


def test_a_plate_that_something_passes_is_not_carried_by_it() -> None:
    motion, track = MotionTrack(1), PlateTrack(1)
    for place, top in enumerate((100, 140, 180)):
        motion.add(0.1 * place, 0, Box(250, top, 550, top + 240))
        track.add(0.1 * place, 0, sighting(400, 260))
        track.ride(motion, SIZE)
    assert track.seat is not None
    assert not track.seat.firm


def turned(text: str, at: tuple[float, float], reads: int = 2) -> bool:
    """Whether a plate that is found at a spot a second after another one was missed on the same vehicle joins it."""
    lost = LostPlates()
    lost.resize(SIZE)
    missed, motion = riding([20, 40, 60])
    for read in plate("沪A12345", 0.0, (200, 240)).reads[:reads]:
        missed.add_read(read)
    motion.add(1.2, 0, Box(450, 100, 650, 340))
    found = PlateTrack(2, motions={1}, reads=plate(text, 1.2, (0, 1)).reads[:2])
    found.add(1.2, 0, sighting(*at))
    motion.plates |= {1, 2}
    joined = lost.rejoin(found, [missed], {1: motion})
    assert (motion.plates == {2}) == (joined is missed) == (found.path[0].time == 0.0)
    return joined is missed


def test_a_plate_found_where_another_one_rode_is_the_same_though_read_otherwise() -> None:
    assert turned("京C67890", (550, 280))
    assert not turned("京C67890", (550, 150))


def test_what_was_read_surely_is_no_other_plate() -> None:
    assert not turned("京C67890", (550, 280), reads=8)
    assert turned("京A12348", (550, 280), reads=8)


@pytest.mark.parametrize(("rides", "wait"), [(True, RIDES), (False, HELD)])
def test_what_is_lost_on_a_vehicle_that_still_moves_is_waited_for_longer(rides: bool, wait: float) -> None:
    lost = LostPlates()
    lost.resize(SIZE)
    track, _ = riding([20, 60, 100, 140, 120])
    track.reads = plate("沪A12345", 0.0, (200, 240)).reads
    lost.held.append(track)
    moving = {1} if rides else set()
    assert lost.over(track.last.time + wait - 0.1, moving, lambda _: True) == []
    assert lost.over(track.last.time + wait, moving, lambda _: True) == [track]


def test_a_path_and_its_boxes_are_thinned_alike() -> None:
    motion = vehicle([*range(0, 200), *range(200, 0, -1)] * 3)
    assert len(motion.path) == len(motion.boxes)
    assert all((place.x, place.y) == box.middle for place, box in zip(motion.path, motion.boxes, strict=True))
    assert all(one.time < other.time for one, other in pairwise(motion.path))


def test_a_corner_of_a_smooth_lorry_that_is_seen_first_is_no_way_back() -> None:
    """It fills the picture from below; its upper left corner, beyond the line already, is all that moves at first."""
    corner = [Box(0, 232, 240, 288), Box(0, 216, 248, 360), Box(0, 200, 264, 424), Box(0, 168, 280, 540)]
    motion = MotionTrack(1)
    for place, box in enumerate([*corner, *(Box(40, max(0, 160 - 40 * step), 440, 540) for step in range(8))]):
        motion.add(0.1 * place, 0, box)
    track = seen_on(motion, "沪A12345", (460, 240), 0.7)
    assert [each.direction for each in told(track, motion)] == ["out"]


@pytest.mark.parametrize(("steps", "moved"), [(20, True), (4, False)])
def test_a_plate_that_rides_has_moved_with_its_vehicle_though_it_was_seen_for_less_than_its_width(
    steps: int, moved: bool
) -> None:
    motion, track = MotionTrack(1), PlateTrack(1)
    for place in range(10):
        top = 40 + steps * place
        motion.add(0.1 * place, 0, Box(250, top, 550, top + 240))
        if place > 5:
            track.add(0.1 * place, 0, sighting(400, top + 180))
            track.ride(motion, SIZE)
    assert track.moved == moved
