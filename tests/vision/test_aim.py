"""Aiming: what is measured in a picture, what of it may be seen, and pictures only for who looks."""

import asyncio
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from gateway.contract import CommandError
from gateway.vision import checkup
from gateway.vision.aim import Aim, advise, drawn, edges, light, outside
from gateway.vision.capture import Frame
from gateway.vision.checkup import Looks, examine
from gateway.vision.messages import PlateSize, View
from gateway.vision.peek import AT_MOST_EVERY, Peeks
from gateway.vision.plates import rectified
from gateway.vision.sight import ModelSight
from tests.vision.lane import camera_settings

GOOD = PlateSize(130.0, 1.0, 0.6, 0.0)
DAY = (110, 0.0, 0.0)


def frame_of(picture: Any) -> Frame:
    return Frame(av.VideoFrame.from_ndarray(picture, format="bgr24"), 0.0, 0, (), 1_000_000_000)


@pytest.fixture(scope="module")
def scene() -> Any:
    """A drawn car before the line, its plate about 120 pixels wide."""
    from gateway.cli.demo import clip

    car = clip.DrawnCar("沪A12345", 0.0, 4.0, "in")
    canvas: Any = clip._road(np.random.default_rng(7))
    place = clip._place(car, 1.9)
    assert place is not None
    clip._paste(canvas, clip._car(car), *place)
    return canvas


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"brightness": (20, 0.5, 0.0)}, "dark"),
        ({"brightness": (90, 0.7, 0.0)}, "dark"),
        ({"brightness": (180, 0.0, 0.2)}, "burnt"),
        ({"crisp": 0.03}, "soft"),
        ({"plates": ()}, "none"),
        ({"plates": (PlateSize(60.0, 0.0, 0.6, 0.0),)}, "small"),
        ({"plates": (PlateSize(90.0, 0.0, 0.6, 0.0),)}, "narrow"),
        ({"plates": (PlateSize(130.0, -30.0, 0.6, 0.0),)}, "tilted"),
        ({"plates": (PlateSize(130.0, 0.0, 0.6, 0.4),)}, "glare"),
        ({"size": (100, 100)}, "outside"),
    ],
)
def test_each_fault_has_its_word(more: dict[str, Any], word: str) -> None:
    asked = {"size": (1280, 720), "plates": (GOOD,), "brightness": DAY, "crisp": 0.3}
    assert advise(camera_settings(), **asked) == ()
    assert advise(camera_settings(), **{**asked, **more}) == (word,)


def test_a_camera_without_vehicles_needs_no_plate() -> None:
    camera = camera_settings(vehicles=None, falling={})
    assert advise(camera, (1280, 720), (), DAY, 0.3) == ()


def test_light_and_sharpness_are_measured(scene: Any) -> None:
    luma = cv2.cvtColor(scene, cv2.COLOR_BGR2GRAY)
    middle, dark, burnt = light(np.asarray(luma, np.uint8))
    assert 60 < middle < 140
    assert dark < 0.05
    assert burnt < 0.05
    assert light(np.full((40, 40), 255, np.uint8)) == (255, 0.0, 1.0)
    assert light(np.zeros((40, 40), np.uint8)) == (0, 1.0, 0.0)
    blurred = cv2.GaussianBlur(luma, (0, 0), 3)
    assert edges(np.asarray(luma, np.uint8)) > 4 * edges(np.asarray(blurred, np.uint8))
    assert edges(np.full((40, 40), 9, np.uint8)) == 0.0


def test_areas_outside_the_picture_are_named() -> None:
    assert outside(camera_settings(), (1280, 720)) == ""
    assert outside(camera_settings(), (100, 100)) == "lane main"
    assert outside(camera_settings(masks=[[[2000, 0], [2100, 0], [2100, 50]]]), (1280, 720)) == "mask 1"


def read_in(picture: Any, plate: Any, sight: ModelSight) -> str | None:
    read = sight.read(rectified(picture, plate))
    return read.text if read else None


def test_no_plate_can_be_read_in_what_is_shown(scene: Any, models: Path, sight: ModelSight) -> None:
    from gateway.vision.shapes import Box

    (plate,) = sight.find(scene, Box(0, 0, 1280, 720))
    assert read_in(scene, plate, sight) == "沪A12345"
    for more in ({}, {"unblurred": "a drawn lane"}):
        view = Aim(camera_settings(**more), models).look(frame_of(scene))
        assert view.plates[0].width == pytest.approx(plate.width, abs=4)
        assert view.advice == ()
        shown: Any = cv2.imdecode(np.frombuffer(view.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert shown.shape == scene.shape
        assert read_in(shown, plate, sight) != "沪A12345"
    # Also one that nobody found: without the right to it, the picture is too coarse.
    missed: Any = cv2.imdecode(np.frombuffer(drawn(scene, camera_settings(), [], 176), np.uint8), cv2.IMREAD_COLOR)
    assert read_in(missed, plate, sight) != "沪A12345"


def test_without_models_it_says_so_and_shows_less(scene: Any, tmp_path: Path) -> None:
    view = Aim(camera_settings(), tmp_path).look(frame_of(scene))
    assert view.advice == ("no_models",)
    assert view.plates == ()
    open_view = Aim(camera_settings(unblurred="a drawn lane"), tmp_path).look(frame_of(scene))
    assert len(view.jpeg) < 0.6 * len(open_view.jpeg)


def test_a_detector_that_fails_leaves_the_view_coarse(
    scene: Any, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> Any:
        raise RuntimeError("bad tensor")

    aim = Aim(camera_settings(), models)
    assert aim.sees
    monkeypatch.setattr(aim._detector, "find", fails)
    view = aim.look(frame_of(scene))
    assert (view.plates, view.advice) == ((), ("no_models",))
    assert not aim.sees


# ----------------------------------------------------------------------------------------------------- peeking


class Hands:
    """A clock turned by hand."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> int:
        return 0

    def rfc3339(self, wall: int) -> str:
        return str(wall)

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps")


VIEW = View(b"jpeg", 5, 1280, 720, (GOOD,), 100, 0.0, 0.0, 0.3, ())


async def test_all_who_look_share_a_picture_and_the_rate_is_bounded() -> None:
    clock, asked = Hands(), []
    peeks = Peeks("gate", clock)

    def ask() -> bool:
        asked.append(clock.now)
        return True

    looking = [asyncio.create_task(peeks.view(ask)) for _ in range(3)]
    await asyncio.sleep(0)
    peeks.take(VIEW)
    answers = await asyncio.gather(*looking)
    assert [answer["jpeg"] for answer in answers] == [b"jpeg"] * 3
    assert answers[0]["plates"] == [{"width": 130.0, "tilt": 1.0, "sharpness": 0.6, "burnt": 0.0}]
    assert (await peeks.view(ask))["jpeg"] == b"jpeg"
    assert asked == [0.0]
    clock.now = AT_MOST_EVERY
    again = asyncio.create_task(peeks.view(ask))
    await asyncio.sleep(0)
    assert asked == [0.0, AT_MOST_EVERY]
    peeks.lost()
    with pytest.raises(CommandError, match="stopped just now") as failed:
        await again
    assert failed.value.status == 409


async def test_without_a_worker_there_is_no_picture() -> None:
    with pytest.raises(CommandError, match="gives no picture now"):
        await Peeks("gate", Hands()).view(lambda: False)


async def test_who_leaves_takes_nobody_with_him() -> None:
    peeks = Peeks("gate", Hands())
    gone, stays = (asyncio.create_task(peeks.view(lambda: True)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    peeks.take(VIEW)
    assert (await stays)["jpeg"] == b"jpeg"
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_a_picture_that_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.vision.peek.PATIENCE", 0.01)
    peeks = Peeks("gate", Hands())
    with pytest.raises(CommandError, match="within"):
        await peeks.view(lambda: True)
    monkeypatch.setattr("gateway.vision.peek.PATIENCE", 8.0)
    again = asyncio.create_task(peeks.view(lambda: True))
    await asyncio.sleep(0)
    peeks.take(VIEW)
    assert (await again)["camera"] == "gate"


# ----------------------------------------------------------------------------------------------------- the verdict


def levels(path: Path, models: Path, **more: Any) -> dict[str, str]:
    report = examine(camera_settings(path, **more), models, seconds=6.0)
    assert report.picture.startswith(b"\xff\xd8")
    return {check.name: check.level for check in report.checks}


def test_the_drawn_lane_is_fit(demo_clip: Path, models: Path) -> None:
    found = levels(demo_clip, models)
    assert found.pop("CPU") in ("good", "warn", "bad")  # that is the machine's
    assert set(found.values()) == {"good"}
    assert {"plates", "key frames", "areas", "sharpness"} <= set(found)


def write(
    path: Path, rate: int = 25, *, key: int = 25, skip: tuple[int, ...] = (), size: int = 640, value: int = 8
) -> Path:
    """A noisy clip of 6 s without vehicles: ``skip`` leaves frames out, every ``key``-th stands for itself."""
    random = np.random.default_rng(3)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = size, size * 9 // 16, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": str(key), "sc_threshold": "0", "threads": "1", "bf": "0"}
        for index in range(6 * rate):
            if index in skip:
                continue
            picture = random.integers(0, value, (size * 9 // 16, size, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_what_is_wrong_with_a_stream_is_told(tmp_path: Path, models: Path) -> None:
    path = write(tmp_path / "poor.mp4", 6, key=18, skip=(3, 4, 5, 20, 21), size=320)
    found = levels(path, models, vehicles={})
    assert found["frames"] == "bad"
    assert found["key frames"] == "warn"
    assert found["lost frames"] == "bad"
    assert found["size"] == "warn"
    assert found["exposure"] == "warn"
    assert found["plates"] == "warn"
    assert "areas" not in found
    assert (
        levels(path, models, vehicles={"lanes": [{"name": "a", "line": [[900, 5], [999, 5]], "enter": "down"}]})[
            "areas"
        ]
        == "bad"
    )


@pytest.mark.parametrize(
    ("frames", "missing", "repeated", "level"),
    [
        (150, 0, 0, "good"),
        (150, 1, 0, "good"),
        (150, 2, 0, "good"),
        (150, 3, 0, "warn"),
        (750, 3, 0, "good"),
        (750, 5, 0, "warn"),
        (150, 9, 0, "bad"),
        (25, 2, 0, "good"),
        (25, 3, 0, "bad"),
        (25, 0, 1, "good"),
        (150, 0, 3, "good"),
        (150, 0, 4, "warn"),
    ],
)
def test_missing_frames_count_by_their_share_and_a_few_are_no_verdict(
    frames: int, missing: int, repeated: int, level: str
) -> None:
    steps = [0.04] * (frames - 1 - 2 * missing) + [0.08] * missing
    check = checkup._losses(steps, 0.04, Looks(frames=frames, repeated=repeated))
    assert check.level == level
    assert check.value == f"{missing} of {frames} missing, {repeated} repeated"


def test_one_missing_frame_of_six_seconds_is_no_reason_to_change_anything(tmp_path: Path, models: Path) -> None:
    path = write(tmp_path / "one.mp4", skip=(70,), size=640, value=250)
    assert levels(path, models, vehicles={})["lost frames"] == "good"


def test_small_plates_fail_the_test(scene: Any, models: Path, tmp_path: Path) -> None:
    path = tmp_path / "far.mp4"
    small = cv2.resize(scene, (640, 360), interpolation=cv2.INTER_AREA)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for index in range(30):
            frame = av.VideoFrame.from_ndarray(np.roll(small, index, axis=1), format="bgr24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    report = examine(camera_settings(path, vehicles={}), models, seconds=2.0)
    (plates,) = [check for check in report.checks if check.name == "plates"]
    assert plates.level == "bad"
    assert "100 px are needed" in plates.advice
    assert report.level == "bad"
