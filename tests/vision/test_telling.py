"""What is remembered between a camera's early words and its records."""

import msgspec

from gateway.settings import CameraSettings
from gateway.vision.messages import Passage, Sure
from gateway.vision.telling import Teller


def test_a_passage_says_what_its_early_word_has_said_once() -> None:
    camera = CameraSettings.model_validate({"name": "north", "url": "rtsp://camera/1", "purpose": "who comes in"})
    teller = Teller(camera, str)
    one = Passage("main", "in", "沪A12345", "ordinary", "blue", "accepted", (0.9,), "deny", 2, 1, 2, None)
    other = msgspec.structs.replace(one, text="沪A54321")
    early = teller.event(Sure(one.text, "deny", "toward", 1), 1.0)
    assert (early.type, early.event, early.told) == ("", "deny", "")
    assert [teller.event(passage, 2.0).told for passage in (other, one, one)] == ["", "deny", ""]
    for forget in (teller.begin, lambda: teller.forget(one.text)):
        teller.event(Sure(one.text, "deny", "toward", 3), 3.0)
        forget()
        assert teller.event(one, 4.0).told == ""
