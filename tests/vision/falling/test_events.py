"""The early word reaches the rules and is no record; the record says all that the fall's schema asks for."""

import json
from pathlib import Path

import jsonschema
import msgspec

from gateway.contract import Reading, VisionEvent
from gateway.daemon.drafts import vision_draft
from gateway.vision.events import fall_event, fell_event
from gateway.vision.messages import Fall, Fell, Origin, Picture, pack, unpack
from gateway.vision.telling import Teller
from tests.vision.falling.drawn import camera

SCHEMA = Path(__file__).resolve().parents[3] / "docs" / "schemas" / "linli.falling_object.v1.json"
TIME = 1_790_000_000_000_000_000
FALL = Fall(
    number=3,
    time=TIME,
    trajectory=((TIME, 400.0, 100.5), (TIME + 40_000_000, 401.0, 110.0)),
    size_px=6.5,
    size_cm=21.0,
    origin=Origin(17, 2, (16, 18)),
    speed=21.5,
    gravity=10.1,
    terminal=30.0,
    confidence=0.97,
    picture=Picture(b"\xff\xd8jpeg", TIME + 5, "ab" * 32),
)


def stamp(_time: int) -> str:
    return "2026-11-22T08:25:30.120+08:00"


def test_the_early_word_is_for_the_rules_alone() -> None:
    event = fell_event("tower", Fell(3, FALL), 5.0)
    assert (event.camera, event.time, event.event, event.type) == ("tower", TIME, "fall", "")
    assert not isinstance(event, Reading)


def test_the_record_has_what_the_schema_asks_for() -> None:
    event = fall_event("tower", FALL, stamp, 5.0)
    assert isinstance(event, VisionEvent)
    assert event.event == ""
    reference = {"sha256": "0" * 64, "bytes": 6, "content_type": "image/jpeg"}
    data = vision_draft(event, {"picture": reference}).data
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.validate(data, schema["properties"]["data"])
    assert data["trajectory"][0] == [stamp(0), 400.0, 100.5]
    assert data["origin"] == {"floor": 17, "column": 2, "interval": [16, 18]}
    assert (data["size_cm"], data["impact_speed"], data["confidence"]) == (21.0, 21.5, 0.97)
    assert data["picture"]["frame_sha256"] == "ab" * 32


def test_both_go_through_the_pipe() -> None:
    for message in (Fell(3, FALL), FALL):
        assert unpack(pack(message)[4:]) == message


def teller(url: str = "clip.mp4") -> Teller:
    return Teller(camera().model_copy(update={"url": url}), stamp)


def test_the_record_says_why_its_camera_looks() -> None:
    draft = vision_draft(teller().event(FALL, 5.0), {})
    assert draft.extra == {"purpose": camera().purpose}


def told(by: Teller, number: int, early: float, late: float) -> tuple[str, bool]:
    """The words of an early word, and whether its record says that it is a test."""
    word = by.event(Fell(number, FALL), early)
    record = by.event(msgspec.structs.replace(FALL, number=number), late)
    return word.event, record.data.get("test", False)


def test_a_drop_test_marks_what_begins_within_its_time_and_ends_by_itself() -> None:
    by = teller()
    assert told(by, 1, 5.0, 6.0) == ("fall", False)
    by.test(6.0, 14.0)
    assert told(by, 2, 19.0, 23.0) == ("fall test", True)
    assert told(by, 3, 20.1, 23.0) == ("fall", False)
    by.test(18.0, 42.0)
    assert told(by, 4, 19.0, 30.0) == ("fall test", True)
    by.event(Fell(5, FALL), 50.0)
    by.begin()  # another worker counts anew
    assert told(by, 4, 61.0, 62.0) == ("fall", False)
    assert by.event(msgspec.structs.replace(FALL, number=5), 63.0).data.get("test") is None


def test_what_fell_before_a_drop_test_is_real_and_what_was_thrown_at_its_end_is_not() -> None:
    by = teller("rtsp://tower/1")
    by.test(100.0, 60.0)
    word = Fell(1, FALL)
    assert by.event(word, 101.0, TIME + 1_500_000_000).event == "fall"  # it fell half a second before the test began
    assert by.event(word, 101.0, TIME + 900_000_000).event == "fall test"
    assert by.event(word, 100.02, TIME - 10**12).event == "fall"  # a clock that was set: its way is 40 ms long
    by.test(120.0, 0.0)
    assert by.event(word, 121.0, TIME + 1_500_000_000).event == "fall test"  # thrown half a second before the end
    assert by.event(word, 121.0, TIME + 900_000_000).event == "fall"


def test_a_file_that_is_played_too_slowly_has_its_drop_test_all_the_same() -> None:
    by = teller()
    by.test(100.0, 60.0)
    assert by.event(Fell(1, FALL), 101.0, TIME + 30_000_000_000).event == "fall test"
