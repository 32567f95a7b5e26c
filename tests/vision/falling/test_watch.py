"""What falls is told once, soon, with its floor; what does not fall is not told."""

import math

import cv2
import numpy as np
import pytest

from gateway.settings.camera import FacadeSettings
from gateway.vision.falling.candidate import Measured
from gateway.vision.falling.facade import Facade
from gateway.vision.falling.judge import RuleJudge
from gateway.vision.falling.spots import SpotFinder
from gateway.vision.falling.watch import FallWatch
from gateway.vision.messages import Fall
from tests.vision.falling.drawn import FACADE, START, DrawnFrame, Dropped, Mover, camera, frames, watched

SECONDS = 4.5


@pytest.mark.parametrize("rate", [12.5, 25.0, 50.0])
def test_a_fall_is_told_once_with_its_floor(rate: float) -> None:
    seen = watched(frames([Dropped(1.0, 10)], SECONDS, rate))
    (fall,) = seen.falls
    assert fall.origin is not None
    assert abs(fall.origin.floor - 10) <= 1
    assert fall.origin.interval[0] <= 10 <= fall.origin.interval[1]
    assert fall.origin.column == 2
    assert 0.5 < fall.confidence <= 1
    assert 8.0 < fall.gravity < 14.0
    assert fall.size_px == pytest.approx(5, abs=2.5)
    assert fall.speed is not None
    assert 14 < fall.speed < 24
    times = [row[0] for row in fall.trajectory]
    assert times == sorted(times)
    assert START + 1.0e9 <= times[0] <= START + 1.7e9
    assert fall.trajectory[-1][2] > 560


@pytest.mark.parametrize("side", [360, 720])
def test_a_fall_is_told_alike_at_another_size(side: int) -> None:
    def twice(frame: DrawnFrame) -> DrawnFrame:
        return DrawnFrame(frame.time, frame.index, cv2.resize(frame.luma, None, fx=2, fy=2))

    facade = {**FACADE, **{key: (2 * np.array(FACADE[key])).tolist() for key in ("ground", "roof")}}
    (fall,) = watched(map(twice, frames([Dropped(1.0, 10)], SECONDS)), camera(facade=facade, short_side=side)).falls
    assert fall.origin is not None
    assert abs(fall.origin.floor - 10) <= 1
    # Sizes and places are those of the camera's own picture.
    assert fall.size_px == pytest.approx(10, abs=2.5)
    assert fall.trajectory[-1][2] > 2 * 560
    assert fall.size_cm == pytest.approx(30, abs=8)
    assert 14 < (fall.speed or 0) < 24


@pytest.mark.parametrize(("width", "height"), [(2560, 1440), (1280, 720), (1440, 2560), (2305, 1297), (1920, 1080)])
def test_a_picture_of_any_size_is_reduced_as_by_means(width: int, height: int) -> None:
    down, across = np.mgrid[0:height, 0:width]
    ramp = (40 + 80 * across / width + 60 * down / height).astype(np.uint8)
    finder = SpotFinder(width, height)
    small = finder.reduced(ramp)
    assert min(small.shape) == 540
    wanted = cv2.resize(ramp, finder.size, interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - wanted).max() <= 2


def test_storeys_as_they_are_make_metres_and_gravity() -> None:
    # What falls before storeys of 2.9 m seems to fall a quarter faster where they are taken for 3.6 m.
    things = [Dropped(1.0, 10, terminal=40.0)]
    (fall,) = watched(frames(things, SECONDS), camera(facade={**FACADE, "storey": 3.6})).falls
    (usual,) = watched(frames(things, SECONDS)).falls
    assert fall.size_cm == pytest.approx((usual.size_cm or 0) * 3.6 / 2.9, rel=0.05)
    assert fall.gravity > 1.1 * usual.gravity
    assert fall.origin is not None
    assert abs(fall.origin.floor - 10) <= 1


def test_the_early_word_comes_within_a_second_of_the_eighth_frame() -> None:
    seen = watched(frames([Dropped(1.0, 12, terminal=12.0)], 5.5))
    (fall,) = seen.falls
    word = START + seen.words[fall.number] * 1e9
    assert word - fall.trajectory[7][0] <= 1.0e9
    assert word < fall.trajectory[-1][0]


def test_several_at_once_are_as_many_records() -> None:
    things = [Dropped(1.0, 12, x=130), Dropped(1.1, 9, x=240), Dropped(1.2, 11, x=330)]
    seen = watched(frames(things, SECONDS))
    assert len(seen.falls) == 3
    assert len({round(fall.trajectory[0][1], -1) for fall in seen.falls}) == 3


def test_what_was_hidden_behind_a_balcony_is_one_record() -> None:
    seen = watched(frames([Dropped(1.0, 12, hidden=(1.1, 1.5))], SECONDS))
    assert len(seen.falls) == 1
    assert len(seen.words) == 1


def test_what_was_out_of_sight_for_most_of_its_fall_is_told_once() -> None:
    seen = watched(frames([Dropped(1.0, 12, hidden=(0.95, 2.05))], 5.0))
    assert len(seen.words) == len(seen.falls) == 1


def test_what_bounces_is_one_record() -> None:
    first = Dropped(1.0, 9)
    down = next(step / 100 for step in range(100, 500) if first.at(step / 100) is None)

    def bounce(time: float) -> tuple[float, float] | None:
        age = time - down
        return (255 + 20 * age, 615 - (9 * age - 4.905 * age * age) * 16.7) if 0 < age < 1.8 else None

    assert len(watched(frames([first], 6.0, movers=[(bounce, 5, 40)])).falls) == 1


def test_frames_sent_twice_or_lost_do_not_matter() -> None:
    shown = list(frames([Dropped(1.0, 11)], SECONDS))
    uneven = []
    for place, frame in enumerate(shown):
        if place % 11 == 7:
            continue
        again = shown[place - 1].luma if place % 5 == 4 else frame.luma
        uneven.append(DrawnFrame(frame.time, frame.index, again))
    assert len(watched(iter(uneven)).falls) == 1


@pytest.mark.parametrize("rate", [12.5, 25.0])
def test_a_camera_that_sends_every_third_frame_twice_sees_falls(rate: float) -> None:
    shown = list(frames([Dropped(1.0, 11, size=7)], SECONDS, rate))
    twice = [
        DrawnFrame(frame.time, frame.index, shown[place - (place % 3 == 2)].luma) for place, frame in enumerate(shown)
    ]
    assert len(watched(iter(twice)).falls) == 1


def test_a_shaking_camera_and_a_new_exposure_tell_nothing_but_the_fall() -> None:
    def unrest(picture: np.ndarray, time: float, index: int) -> np.ndarray:
        shift = np.array([[1, 0, math.sin(7 * time)], [0, 1, 1.5 * math.sin(11 * time)]], np.float32)
        moved = cv2.warpAffine(picture, shift, (picture.shape[1], picture.shape[0]), borderMode=cv2.BORDER_REPLICATE)
        return moved * (1.0 if time < 2.2 else 0.8)

    assert watched(frames([], SECONDS, change=unrest)).falls == []
    assert len(watched(frames([Dropped(2.4, 11, size=7)], 6.0, change=unrest)).falls) == 1


@pytest.mark.parametrize(
    ("way", "size"),
    [
        pytest.param(lambda t: (60 + 90 * t, 80 + 60 * t + 8 * math.sin(3 * t)), 8, id="bird"),
        pytest.param(lambda t: (250 + 30 * math.sin(4 * t), 60 + 90 * t), 6, id="leaf"),
        pytest.param(lambda t: (200, 60 + 110 * t), 10, id="lift"),
        pytest.param(lambda t: (200 + 3 * t, 600 - 120 * t), 6, id="rising"),
        pytest.param(lambda t: (240 + 200 * math.sin(2 * t), 300 + 150 * math.cos(3 * t)), 7, id="insect"),
    ],
)
def test_what_only_moves_is_not_told(way, size: int) -> None:
    seen = watched(frames([], 5.0, movers=[(way, size, 30)]))
    assert seen.falls == []
    assert seen.words == {}


def _snow() -> list[tuple[Mover, int, int]]:
    dice = np.random.default_rng(3)
    flakes: list[tuple[Mover, int, int]] = []
    for _ in range(60):
        x, y, sink, swing = dice.uniform(0, 480), dice.uniform(-600, 600), dice.uniform(60, 160), dice.uniform(4, 15)
        flakes.append((lambda t, x=x, y=y, s=sink, w=swing: (x + w * math.sin(3 * t), (y + s * t) % 640), 3, 240))
    return flakes


def test_snow_is_not_told() -> None:
    assert watched(frames([], 5.0, movers=_snow())).falls == []


class _Gravity:
    """Takes everything for a fall that becomes quicker as a fall does, whatever else goes on."""

    def sure(self, measured: Measured) -> float:
        return float(measured.traits["acceleration"] > 6 and measured.traits["misfit_share"] < 0.03)

    def enough(self, age: float) -> float:
        return 0.5


def test_a_fall_in_snow_is_told_about_as_soon_as_without() -> None:
    (alone,) = watched(frames([Dropped(2.0, 12)], 4.5), judge=_Gravity()).words.values()
    seen = watched(frames([Dropped(2.0, 12)], 4.5, movers=_snow()), judge=_Gravity())
    first = min(seen.words[fall.number] for fall in seen.falls if abs(fall.trajectory[0][1] - 240) < 20)
    assert first - alone <= 0.5


def test_nothing_is_looked_for_in_ignored_areas() -> None:
    area = [[0, 0], [480, 0], [480, 640], [0, 640]]
    assert watched(frames([Dropped(1.0, 10)], SECONDS), camera(ignore=[area])).falls == []


def test_a_fall_that_the_end_cuts_off_is_told() -> None:
    assert len(watched(frames([Dropped(1.0, 12)], 2.3)).falls) == 1


def test_before_a_camera_that_was_moved_just_now_no_floor_is_told() -> None:
    def moved(picture: np.ndarray, time: float, index: int) -> np.ndarray:
        return np.roll(picture, 40, axis=0) if time >= 3.0 else picture

    (fall,) = watched(frames([Dropped(5.5, 11)], 9.0, change=moved)).falls
    assert fall.origin is fall.size_cm is fall.speed is None
    (before,) = watched(frames([Dropped(5.5, 11)], 9.0)).falls
    assert before.origin is not None
    assert before.size_cm


def test_without_a_facade_a_fall_is_told_without_floor_or_centimetres() -> None:
    settings = camera()
    bare = settings.model_copy(update={"falling": settings.falling.model_copy(update={"facade": None})})
    (fall,) = watched(frames([Dropped(1.0, 11)], SECONDS), bare).falls
    assert (fall.origin, fall.size_cm, fall.speed) == (None, None, None)
    assert len(fall.trajectory) >= 8


def test_the_picture_shows_the_way_and_names_its_frame() -> None:
    (fall,) = watched(frames([Dropped(1.0, 10)], SECONDS)).falls
    assert fall.picture is not None
    shown = cv2.imdecode(np.frombuffer(fall.picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
    red = (shown[..., 2].astype(int) - shown[..., 1] > 80).sum()
    assert red > 200
    assert len(fall.picture.frame_sha256) == 64
    assert START <= fall.picture.frame_time <= START + SECONDS * 1e9


def test_a_clip_that_is_played_again_tells_its_fall_again() -> None:
    shown = list(frames([Dropped(0.8, 10)], 3.4))
    watch = FallWatch(camera(), RuleJudge())
    told = [
        sum(isinstance(one, Fall) for frame in shown for one in watch.feed(frame, START + round(frame.time * 1e9)))
        + sum(isinstance(one, Fall) for one in watch.finish())
        for _ in range(2)
    ]
    assert told == [1, 1]


def test_the_same_frames_give_the_same_records() -> None:
    one, two = (watched(frames([Dropped(1.0, 10)], SECONDS)).falls for _ in range(2))
    assert one == two


def test_a_camera_that_looks_up_does_not_take_a_near_thing_for_a_tall_one() -> None:
    level = Facade(FacadeSettings(floors=10, ground=((100, 900), (400, 900)), roof=((100, 100), (400, 100))), 1000)
    steep = Facade(FacadeSettings(floors=10, ground=((100, 900), (400, 900)), roof=((175, 100), (325, 100))), 1000)
    assert [level.foreshortened(v) for v in (1, 9)] == [1, 1]
    assert 1 < steep.foreshortened(5) < steep.foreshortened(9)
