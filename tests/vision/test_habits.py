"""Marks of passages: the wrong way, and the same way again."""

import json

from gateway.settings import CameraSettings, VehicleSettings
from gateway.vision.camera import portable
from gateway.vision.events import passage_event
from gateway.vision.habits import Habits
from gateway.vision.messages import Passage
from gateway.vision.presence import REMEMBERED, Presence, area_of, leads_in

MINUTE = 60 * 10**9
LANE = {"line": [[0, 10], [100, 10]], "enter": "down"}


def passage(
    direction: str, minute: float, text: str = "沪A12345", status: str = "accepted", lane: str = "exit"
) -> Passage:
    time = round(minute * MINUTE)
    return Passage(lane, direction, text, "ordinary", "blue", status, (0.9,), "", time, time, time, None)


def habits(**keys: object) -> Habits:
    lanes = [{"name": "exit", "one_way": "out", **LANE}, {"name": "both", **LANE}]
    return Habits(VehicleSettings.model_validate({"lanes": lanes, **keys}))


def test_against_the_one_way() -> None:
    one = habits()
    ways = [passage("out", 1), passage("in", 2), passage("none", 3), passage("in", 4, lane="both")]
    assert [one.marks(each) for each in ways] == [(), ("wrong-way",), (), ()]
    assert Habits(None).marks(passage("in", 1)) == ()


def test_the_same_way_again() -> None:
    one = habits(repeat="10m")
    assert one.marks(passage("out", 0)) == ()
    assert one.marks(passage("out", 5)) == ("repeat",)
    assert one.marks(passage("out", 16)) == ()  # long ago
    assert one.marks(passage("in", 17, lane="both")) == ()
    assert one.marks(passage("out", 18)) == ()  # came back meanwhile
    assert one.marks(passage("out", 19, text="京B67890")) == ()
    assert one.marks(passage("out", 19, status="uncertain")) == ()
    assert one.marks(passage("none", 19)) == ()
    assert one.marks(passage("in", 20)) == ("wrong-way",)
    assert one.marks(passage("in", 21)) == ("wrong-way", "repeat")


def test_rules_hear_all_of_it() -> None:
    event = passage_event("gate", passage("in", 1), str, 0.0, marks=("wrong-way", "repeat"))
    assert event.event == "passage wrong-way repeat"
    assert event.data["marks"] == ["wrong-way", "repeat"]
    assert "marks" not in passage_event("gate", passage("in", 1), str, 0.0).data


def test_a_worker_reads_all_that_can_be_said_of_vehicles() -> None:
    vehicles = {
        "lanes": [{"name": "exit", "one_way": "out", **LANE}],
        "open": {"write": "barrier.level", "value": 90.0, "else": 0.0, "for": "1s", "again": "1m", "way": "toward"},
        "zones": [{"name": "fire", "area": [[0, 0], [9, 0], [9, 9]], "after": "90s", "kind": "fire-lane"}],
        **{"repeat": "10m", "area": "yard", "spaces": 3, "charging": 1},
    }
    known = {"name": "gate", "url": "rtsp://x/1", "purpose": "gate", "vehicles": vehicles}
    settings = CameraSettings.model_validate(known)
    assert CameraSettings.model_validate(json.loads(json.dumps(portable(settings)))) == settings


def test_what_is_recalled_does_not_count_more_than_what_has_passed() -> None:
    both = Presence()
    gate = Habits(VehicleSettings.model_validate({"lanes": [{"name": "both", **LANE}], "repeat": "10m"}), "yard", both)
    gate.marks(passage("out", 0))
    both.recall("yard", "沪A12345", "in")
    both.recall("yard", "京B67890", "in")
    both.recall("yard", "京B67890", "out")  # older still
    assert gate.marks(passage("out", 1)) == ("repeat", "already-out")
    assert (both.inside("yard", "京B67890"), both.inside("other", "京B67890")) == (True, False)
    gate.forget("沪A12345")
    assert gate.marks(passage("out", 2)) == ()


def test_in_while_in_and_out_while_out_over_all_gates_of_an_area() -> None:
    both, one, two = Presence(), {"lanes": [{"name": "both", **LANE}]}, VehicleSettings
    north, south = (Habits(two.model_validate(one), "yard", both) for _ in range(2))
    assert north.marks(passage("in", 0)) == ()
    assert south.marks(passage("in", 900)) == ("already-in",)
    assert south.marks(passage("out", 901)) == ()
    assert north.marks(passage("out", 902)) == ("already-out",)
    assert north.marks(passage("out", 903, text="京B67890")) == ()  # nobody knows when it came
    for unsaid in (passage("in", 904, status="uncertain"), passage("none", 905)):
        assert north.marks(unsaid) == ()
    assert south.marks(passage("in", 906)) == ()
    assert Habits(two.model_validate(one), "other", both).marks(passage("in", 907)) == ()
    assert Habits(two.model_validate(one), "", both).marks(passage("in", 908)) == ()
    assert both.inside("yard", "沪A12345")
    assert not both.inside("yard", "京B67890")


def test_where_passages_in_and_out_have_to_alternate() -> None:
    def camera(**keys: object) -> CameraSettings:
        vehicles = {"lanes": [{"name": "both", **LANE}], **keys}
        return CameraSettings.model_validate({"name": "gate", "url": "c.mp4", "purpose": "gate", "vehicles": vehicles})

    assert area_of(camera(spaces=3)) == "gate"
    assert area_of(camera(area="yard")) == "yard"
    assert area_of(camera()) == area_of(camera(area="yard", passback="off")) == ""
    lanes = camera().vehicles
    assert lanes is not None
    assert [leads_in(lanes.lanes, way) for way in ("toward", "away", "left", "none")] == [True, False, False, False]
    assert not leads_in((), "toward")


def test_only_so_many_plates_are_remembered() -> None:
    presence = Presence()
    for number in range(REMEMBERED + 1):
        presence.passes("yard", f"沪A{number}", "in")
    assert not presence.inside("yard", "沪A0")
    assert presence.inside("yard", "沪A1")
