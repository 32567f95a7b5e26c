"""The whole lane on drawn clips, encoded and decoded for real: one passage each, the right way, none for the parked."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gateway.cli.demo.clip import LEAVING, PLATE, DrawnCar
from gateway.vision.capture import Capture
from gateway.vision.gate import VehicleGate
from gateway.vision.lists import PlateLists
from gateway.vision.messages import Passage
from gateway.vision.sight import ModelSight
from tests.vision.lane import camera_settings, passages

Clip = Callable[[Sequence[DrawnCar], float], Path]


def told(found: Sequence[Passage]) -> list[tuple[str, str, str, str]]:
    return [(passage.text, passage.status, passage.lane, passage.direction) for passage in found]


def test_the_demo_clip_is_two_passages(demo_clip: Path, sight: ModelSight) -> None:
    found = passages(demo_clip, sight)
    assert told(found) == [(PLATE, "accepted", "main", "in"), (LEAVING, "accepted", "main", "out")]
    assert [(passage.kind, passage.color) for passage in found] == [("ordinary", "blue"), ("nev_small", "green")]
    for passage in found:
        assert len(passage.characters) == len(passage.text)
        assert passage.first_time < passage.time < passage.last_time
        assert len(passage.reads) >= 4
        assert {read.text for read in passage.reads} == {passage.text}


def test_the_picture_is_of_the_frame_that_was_read(demo_clip: Path, sight: ModelSight) -> None:
    passage = passages(demo_clip, sight)[0]
    assert passage.picture is not None
    assert passage.picture.frame_time in {read.time for read in passage.reads}
    capture = Capture(str(demo_clip))
    frame = next(frame for frame in capture.frames() if round(frame.time * 1e9) == passage.picture.frame_time)
    assert passage.picture.frame_sha256 == hashlib.sha256(frame.bgr.tobytes()).hexdigest()
    capture.close()
    picture = cv2.imdecode(np.frombuffer(passage.picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape[0] * picture.shape[1] < 0.6 * 1280 * 720  # the vehicle, not the scene


def test_the_same_clip_gives_the_same_passages(demo_clip: Path, sight: ModelSight) -> None:
    assert passages(demo_clip, sight) == passages(demo_clip, sight)


def test_without_lanes_the_camera_is_the_lane(demo_clip: Path, sight: ModelSight) -> None:
    found = passages(demo_clip, sight, vehicles={})
    assert told(found) == [(PLATE, "accepted", "gate", "toward"), (LEAVING, "accepted", "gate", "away")]


def test_without_models_motion_speaks(demo_clip: Path) -> None:
    assert told(passages(demo_clip, None)) == [("", "none", "main", "in"), ("", "none", "main", "out")]


PARKED = DrawnCar("京B67890", motion="parked", x=960)
SCENES: dict[str, tuple[list[DrawnCar], float, list[tuple[str, str, str, str]]]] = {
    "empty": ([], 2, []),
    "parked": ([PARKED], 3, []),
    "parked, another passes": (
        [PARKED, DrawnCar("苏E05C88", 0.5, 4, "in", x=400)],
        6,
        [("苏E05C88", "accepted", "main", "in")],
    ),
    "reverses over the line": (
        [DrawnCar("沪CFGHJK", 0.5, 6, "reverse")],
        8,
        [("沪CFGHJK", "accepted", "main", "none")],
    ),
    "stops and goes": ([DrawnCar("沪LMNPQR", 0.5, 9, "stop")], 11, [("沪LMNPQR", "accepted", "main", "in")]),
    "fast": ([DrawnCar(PLATE, 0.5, 1.6, "in")], 4, [(PLATE, "accepted", "main", "in")]),
    "tailgating": (
        [DrawnCar(PLATE, 0.5, 4, "in"), DrawnCar("京B67890", 2.2, 4, "in", (40, 120, 40))],
        8,
        [(PLATE, "accepted", "main", "in"), ("京B67890", "accepted", "main", "in")],
    ),
    "meeting": (
        [DrawnCar(PLATE, 0.5, 4, "in", x=380), DrawnCar("京B67890", 1.2, 4, "out", (40, 120, 40), x=930)],
        7,
        [(PLATE, "accepted", "main", "in"), ("京B67890", "accepted", "main", "out")],
    ),
    "no plate": ([DrawnCar(None, 0.5, 4, "in")], 6, [("", "none", "main", "in")]),
}


@pytest.mark.parametrize("scene", SCENES)
def test_scenes(scene: str, clip: Clip, sight: ModelSight) -> None:
    cars, seconds, expected = SCENES[scene]
    assert told(passages(clip(cars, seconds), sight)) == expected


def test_an_idle_lane_costs_no_model(clip: Clip) -> None:
    class NoSight:
        def find(self, *_: Any, **__: Any) -> Any:
            raise AssertionError("nothing moves: there is nothing to look for")

        read = second = find

    assert passages(clip([PARKED], 3), NoSight()) == []


def test_what_moves_is_searched_for_black_plates_by_turns(demo_clip: Path) -> None:
    class Blind:
        def __init__(self) -> None:
            self.dark: list[bool] = []

        def find(self, *_: Any, dark: bool = False) -> list[Any]:
            self.dark.append(dark)
            return []

        read = second = find

    blind = Blind()
    passages(demo_clip, blind)
    searched = blind.dark[:20]
    assert searched == [False, True] * 10


def test_what_is_masked_is_not_seen(demo_clip: Path, sight: ModelSight) -> None:
    whole = [[(0, 0), (1280, 0), (1280, 720), (0, 720)]]
    assert passages(demo_clip, sight, masks=whole) == []
    lower = [[(0, 300), (1280, 300), (1280, 720), (0, 720)]]
    capture = Capture(str(demo_clip), masks=lower)
    frame = next(capture.frames())
    assert not frame.luma[301:].any()
    assert not frame.bgr[301:].any()
    assert frame.bgr[:299].any()
    capture.close()


def test_lists_are_matched_by_accepted_plates(demo_clip: Path, sight: ModelSight, tmp_path: Path) -> None:
    (tmp_path / "allow.csv").write_text(f"{PLATE}\n")
    (tmp_path / "deny.csv").write_text(f"{LEAVING}\n")
    lists = {"allow": tmp_path / "allow.csv", "deny": tmp_path / "deny.csv"}
    found = passages(demo_clip, sight, vehicles={"lists": lists})
    assert [passage.listed for passage in found] == ["allow", "deny"]


def test_a_listed_plate_is_told_once_before_its_car_has_gone_through(
    demo_clip: Path, sight: ModelSight, tmp_path: Path
) -> None:
    (tmp_path / "allow.csv").write_text(f"plate,hours\n{PLATE},00:00-24:00\n")
    (tmp_path / "deny.csv").write_text("plate\n")
    lists = PlateLists({"allow": tmp_path / "allow.csv", "deny": tmp_path / "deny.csv"})
    watcher = VehicleGate(camera_settings(demo_clip), sight, lists)
    told = []
    for frame in Capture(str(demo_clip)).frames():
        passed = watcher.offer(frame, round(frame.time * 1e9)) or []
        sure = watcher.sure()
        assert {each.arrived for each in sure} <= {frame.arrived}
        told += [*sure, *passed]
    told += watcher.finish()
    kinds = [(type(each).__name__, each.text, each.listed) for each in told]
    assert kinds[0] == ("Sure", PLATE, "allow")
    assert told[0].limited
    assert [kind for kind, _, _ in kinds].count("Sure") == 1
    assert [each.told for each in told if isinstance(each, Passage)] == ["allow", ""]
    assert told[0].time < next(each.last_time for each in told[1:] if each.text == PLATE)


def test_a_real_car_park_without_readable_plates(shared: Path, sight: ModelSight) -> None:
    """Four cars cross the picture (counted by eye): white away, blue toward, red away, white toward."""
    found = passages(shared / "media" / "car-detection.mp4", sight, vehicles={})
    assert [(passage.status, passage.direction) for passage in found] == [
        ("none", "away"),
        ("none", "toward"),
        ("none", "away"),
        ("none", "toward"),
    ]
