"""What is remembered between a camera's early words and its records."""

import msgspec
import pytest

from gateway.clock import SystemClock
from gateway.settings import CameraSettings
from gateway.vision.events import dwell_event
from gateway.vision.messages import Clip, Dwell, Passage, Sure
from gateway.vision.promises import Promises
from gateway.vision.telling import Teller


def test_a_passage_says_what_its_own_early_word_has_said() -> None:
    camera = CameraSettings.model_validate({"name": "north", "url": "rtsp://camera/1", "purpose": "who comes in"})
    teller = Teller(camera, str)
    one = Passage("main", "in", "沪A12345", "ordinary", "blue", "accepted", (0.9,), "deny", 2, 1, 2, None)
    read_on = msgspec.structs.replace(one, text="沪A54321", listed="", told="deny")
    early = teller.event(Sure(one.text, "deny", "toward", 1), 1.0)
    assert (early.type, early.event, early.told) == ("", "deny", "")
    assert [teller.event(passage, 2.0).told for passage in (one, read_on)] == ["", "deny"]


@pytest.mark.parametrize(
    ("listed", "lane", "kept"),
    [("allow", "in", "vehicle"), ("", "in", "unlisted"), ("deny", "in", ""), ("", "out", ""), ("allow", "out", "")],
)
def test_what_is_out_of_the_ordinary_is_kept_like_what_alarms_show(listed: str, lane: str, kept: str) -> None:
    """Also its clip, which comes later."""
    vehicles = {"lanes": [{"name": "main", "line": [[0, 0], [9, 0]], "enter": "down", "one_way": "in"}]}
    told = {"name": "north", "url": "rtsp://camera/1", "purpose": "who comes in", "vehicles": vehicles}
    camera, clock = CameraSettings.model_validate(told), SystemClock("UTC")
    found = Passage("main", lane, "沪A12345", "ordinary", "blue", "accepted", (0.9,), listed, 2, 1, 2, None, clip="w1")
    event = Teller(camera, clock.rfc3339).event(found, 1.0)
    assert event.data.get("marks") == (["wrong-way"] if lane == "out" else None)
    assert event.kept == kept
    promises = Promises(camera, clock)
    promises.clip_of(found, event, None)
    ready = promises.made(Clip("w1", b"mp4", 1, 2))
    assert ready is not None
    assert ready.kept == kept


def test_what_stands_where_it_must_not_and_what_alarms_ask_for_is_no_ordinary_passage() -> None:
    told = {"name": "north", "url": "rtsp://camera/1", "purpose": "who comes in"}
    camera, clock = CameraSettings.model_validate(told), SystemClock("UTC")
    dwell = Dwell("fire", "fire-lane", "standing", 1, 200.0, 180.0, 2, (0, 0, 1, 1), None)
    assert dwell_event("north", dwell, clock.rfc3339, 1.0, "").kept == ""
    promises = Promises(camera, clock)
    promises.asked("g1", "0" * 36, None)
    ready = promises.made(Clip("g1", b"mp4", 1, 2))
    assert ready is not None
    assert ready.kept == ""
