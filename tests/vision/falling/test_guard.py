"""Each way in which the view itself is wrong has its own name, and goes away when it is over."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from gateway.vision.falling.guard import FROZEN_FOR, HIDDEN_FOR, KEEP_FIRST, OVER, PATIENCE, ViewGuard
from gateway.vision.falling.judge import RuleJudge
from gateway.vision.falling.remembered import file_for
from gateway.vision.falling.watch import FallWatch
from gateway.vision.messages import Fall, Fell
from tests.vision.falling.drawn import FACADE, HEIGHT, START, WIDTH, Dropped, camera, frames, wall

STILL = wall()


def noisy(picture: np.ndarray, look: int) -> np.ndarray:
    dice = np.random.default_rng(look)
    return np.clip(picture + dice.normal(0, 1.5, picture.shape), 0, 255).astype(np.uint8)


def looks(guard: ViewGuard, change, count: int, start: float) -> str:
    for look in range(count):
        guard.look(noisy(change(STILL.copy(), look), look), start + look)
    return guard.reason


def shifted(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    return cv2.warpAffine(picture, np.array([[1, 0, x], [0, 1, y]], np.float32), (WIDTH, HEIGHT), borderMode=3)


def crawling(picture: np.ndarray, look: int) -> np.ndarray:
    cv2.circle(picture, (120 + 230 * (look % 2), 200 + 90 * (look % 3)), 80, 20.0, -1)
    return picture


WRONG = {
    "dark": lambda picture, look: picture * 0.06,
    "covered": lambda picture, look: cv2.GaussianBlur(picture, (0, 0), 25),
    "moved": lambda picture, look: shifted(picture, 14, 6),
    "spider": crawling,
}


@pytest.mark.parametrize("reason", WRONG)
def test_every_fault_has_its_name_and_goes_away(reason: str) -> None:
    guard = ViewGuard()
    assert looks(guard, lambda picture, look: picture, 8, 0.0) == ""
    assert looks(guard, WRONG[reason], PATIENCE[reason] - 1, 10.0) == ""
    assert looks(guard, WRONG[reason], 2 * PATIENCE[reason] + 2, 40.0) == reason
    assert guard.sentence
    assert guard.blind == (reason != "spider")
    assert looks(guard, lambda picture, look: picture, OVER + 20, 90.0) == ""


def test_a_picture_that_stands_still_is_frozen() -> None:
    guard = ViewGuard()
    frame = noisy(STILL, 0)
    for look in range(FROZEN_FOR + 1):
        assert guard.reason == ""
        guard.look(frame, float(look))
    assert guard.reason == "frozen"
    for look in range(OVER):
        guard.look(noisy(STILL, look + 1), 100.0 + look)
    assert guard.reason == ""


def test_a_quiet_view_that_only_key_frames_renew_is_not_frozen() -> None:
    guard = ViewGuard()
    for look in range(90):  # a key frame every 8 s, and nothing between them is encoded
        guard.look(noisy(STILL, look // 8), float(look))
        assert guard.reason == ""


def test_a_night_that_shows_nothing_at_all_is_dark_and_not_frozen() -> None:
    guard = ViewGuard()
    for look in range(FROZEN_FOR + 10):
        guard.look(np.full((HEIGHT, WIDTH), 16, np.uint8), float(look))
    assert guard.reason == "dark"


@pytest.mark.parametrize(("lines", "said"), [(HEIGHT, "the masks cover the view"), (50, "give the facade light")])
def test_a_view_that_is_masked_is_not_called_dark(lines: int, said: str) -> None:
    area = ((0.0, 0.0), (WIDTH, 0.0), (WIDTH, lines), (0.0, lines))
    watch = FallWatch(camera().model_copy(update={"masks": (area,)}), RuleJudge())
    for frame in frames([], PATIENCE["dark"] + 3.0, 2.0, change=lambda picture, *_: picture * 0.0):
        watch.feed(frame, START)
    assert watch.trouble[0] == "dark"
    assert said in watch.trouble[1]


@pytest.mark.parametrize("share", [0.45, 0.6])
def test_what_hides_a_good_part_of_the_view_covers_it(share: float) -> None:
    def hidden(picture: np.ndarray, look: int) -> np.ndarray:
        picture[: int(share * HEIGHT)] = 70.0  # a leaf, a bag, a banner
        return picture

    guard = ViewGuard()
    assert looks(guard, lambda picture, look: picture, 8, 0.0) == ""
    assert looks(guard, hidden, HIDDEN_FOR - 1, 10.0) == ""  # a lorry
    assert looks(guard, lambda picture, look: picture, OVER, 60.0) == ""
    assert looks(guard, hidden, HIDDEN_FOR + 4, 90.0) == "covered"
    assert looks(guard, lambda picture, look: picture, OVER + 2, 190.0) == ""


def test_another_view_is_moved_even_without_a_common_edge() -> None:
    guard = ViewGuard()
    assert looks(guard, lambda picture, look: picture, 6, -10.0) == ""
    other = np.ascontiguousarray(np.rot90(STILL, 2)[:, ::-1])
    dice = np.random.default_rng(4)
    for _ in range(40):
        x, y = (int(value) for value in dice.integers(0, 440, 2))
        cv2.rectangle(other, (x, y), (x + 60, y + 9), float(dice.uniform(20, 220)), -1)
    assert looks(guard, lambda picture, look: other.copy(), PATIENCE["moved"] + 2, 0.0) == "moved"


def test_sway_shadow_exposure_and_falls_are_no_fault() -> None:
    guard = ViewGuard()
    dice = np.random.default_rng(2)
    gains = dice.uniform(0.6, 1.25, 60)

    def weather(picture: np.ndarray, look: int) -> np.ndarray:
        picture[:, : 40 + 4 * look] *= 0.7
        return shifted(picture, *dice.uniform(-1, 1, 2)) * gains[look]

    assert looks(guard, weather, 60, 0.0) == ""


def test_frames_between_two_looks_cost_nothing() -> None:
    guard = ViewGuard()
    for frame in frames([], 0.5):
        guard.look(frame.luma, frame.time)
    assert guard.reason == ""


def test_a_camera_that_was_turned_while_nobody_looked_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "views" / "tower.npy"
    assert looks(ViewGuard(file), lambda picture, look: picture, KEEP_FIRST + 2, 0.0) == ""
    assert file.exists()
    assert looks(ViewGuard(file), lambda picture, look: shifted(picture, 1, 0) * 0.7, 20, 0.0) == ""
    guard = ViewGuard(file)
    assert looks(guard, WRONG["moved"], PATIENCE["moved"] + 2, 0.0) == "moved"
    assert looks(guard, lambda picture, look: picture, OVER + 2, 90.0) == ""


def turned(picture: np.ndarray, degrees: float, x: float = 0.0) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), degrees, 1.0)
    matrix[0, 2] += x
    return cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize("fault", ["moved", "covered"])
def test_a_restart_is_no_way_around_a_fault(tmp_path: Path, fault: str) -> None:
    file = tmp_path / "tower.npy"
    assert looks(ViewGuard(file), lambda picture, look: picture, KEEP_FIRST + 2, 0.0) == ""
    change = WRONG["covered"] if fault == "covered" else lambda picture, look: turned(picture, 12, 40)
    assert looks(ViewGuard(file), change, PATIENCE[fault] + 2, 0.0) == fault


def test_a_view_of_another_hour_is_no_measure_of_the_lens(tmp_path: Path) -> None:
    file = tmp_path / "tower.npy"
    assert looks(ViewGuard(file), lambda picture, look: picture, KEEP_FIRST + 2, 0.0) == ""
    os.utime(file, (1e9, 1e9))
    assert looks(ViewGuard(file), WRONG["covered"], PATIENCE["covered"] + 2, 0.0) == ""


@pytest.mark.parametrize("degrees", [1.2, -1.2])
def test_a_camera_that_tilts_about_its_own_axis_is_moved(degrees: float) -> None:
    guard = ViewGuard()
    assert looks(guard, lambda picture, look: picture, 8, 0.0) == ""
    assert looks(guard, lambda picture, look: turned(picture, degrees), PATIENCE["moved"] + 2, 10.0) == "moved"
    assert looks(guard, lambda picture, look: picture, OVER + 2, 90.0) == ""


def test_looking_leaves_the_view_as_it_was_from_edge_to_edge(tmp_path: Path) -> None:
    guard = ViewGuard(tmp_path / "tower.npy")
    wide = cv2.resize(STILL, (960, 540))  # 320 x 180 pixels: a transform needs no padding
    for look in range(KEEP_FIRST + 2):
        guard.look(noisy(wide, look), float(look))
    kept = np.load(tmp_path / "tower.npy").astype(np.float32)
    corners = [
        (rows, columns) for rows in (slice(0, 40), slice(-40, None)) for columns in (slice(0, 40), slice(-40, None))
    ]
    assert all(kept[corner].mean() > 0.2 * kept.mean() for corner in corners)


def test_a_view_that_cannot_be_read_or_written_is_no_view(tmp_path: Path) -> None:
    file = tmp_path / "tower.npy"
    file.write_bytes(b"\x93NUMPY nonsense")
    assert looks(ViewGuard(file), WRONG["moved"], 20, 0.0) == ""
    (tmp_path / "folder").write_text("a file")
    assert looks(ViewGuard(tmp_path / "folder" / "x.npy"), WRONG["moved"], KEEP_FIRST + 2, 0.0) == ""


def test_another_calibration_has_another_file(tmp_path: Path) -> None:
    settings = camera()
    facade = settings.falling.facade.model_copy(update={"floors": 11})
    other = settings.model_copy(update={"falling": settings.falling.model_copy(update={"facade": facade})})
    bare = settings.model_copy(update={"falling": settings.falling.model_copy(update={"facade": None})})
    assert file_for(tmp_path, settings) != file_for(tmp_path, other)
    # At another size edges look otherwise; taller floors change nothing in the view.
    assert file_for(tmp_path, camera(short_side=720)) != file_for(tmp_path, camera())
    assert file_for(tmp_path, camera(short_side=540, facade={**FACADE, "storey": 4.0})) == file_for(tmp_path, camera())
    assert file_for(tmp_path, bare) is file_for(None, settings) is None


def test_a_watch_keeps_its_view_in_the_folder_it_is_given(tmp_path: Path) -> None:
    watch = FallWatch(camera(), RuleJudge(), views=tmp_path / "views")
    for frame in frames([], KEEP_FIRST + 3.0, 1.0):
        watch.feed(frame, START + round(frame.time * 1e9))
    kept = sorted(file.name for file in (tmp_path / "views").iterdir())
    assert kept == [file_for(tmp_path, camera()).name, "tower-facade.json"]


def begun(views: Path, change=lambda picture, time, index: picture) -> tuple[FallWatch, list]:
    """A watch that was started anew beside a kept view, and what it told of a fall in its first seconds, with times."""
    file = file_for(views, camera())
    before = FallWatch(camera(), RuleJudge(), views=views)
    for frame in frames([], KEEP_FIRST + 3.0, 1.0):
        before.feed(frame, START + round(frame.time * 1e9))
    assert file is not None
    assert file.exists()
    watch, told = FallWatch(camera(), RuleJudge(), views=views), []
    for frame in frames([Dropped(1.0, 10)], PATIENCE["moved"] + 2.0, 15.0, change=change):
        told += [(frame.time, message) for message in watch.feed(frame, START + round(frame.time * 1e9))]
    return watch, told + [(99.0, message) for message in watch.finish()]


def test_after_a_restart_a_turned_camera_tells_no_falls_but_that_it_was_moved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch, told = begun(tmp_path, lambda picture, time, index: turned(picture, 5, 25))
    assert told == []
    assert watch.trouble[0] == "moved"
    assert "camera that was moved" in caplog.text


def test_after_a_restart_the_first_fall_is_told_as_ever(tmp_path: Path) -> None:
    watch, told = begun(tmp_path)
    assert [type(message) for _, message in told] == [Fell, Fall]
    assert told[0][0] < 2.5
    assert watch.trouble[0] == ""


def test_a_fall_waits_while_the_view_is_in_doubt_and_is_told_when_it_is_not(tmp_path: Path) -> None:
    # Somebody leans against the mast for five seconds.
    def leant(picture: np.ndarray, time: float, index: int) -> np.ndarray:
        return turned(picture, 5, 25) if time < 5.5 else picture

    watch, told = begun(tmp_path, leant)
    assert [type(message) for _, message in told] == [Fell, Fall]
    assert 5.5 < told[0][0] < 8.0
    assert watch.trouble[0] == ""
