"""Gates: what opens them, and what never does."""

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.contract import VisionEvent
from gateway.daemon.gates import Gates
from gateway.daemon.parts import _is_in_already
from gateway.settings import CameraSettings
from gateway.settings.parking import GateAction
from gateway.vision.events import sure_event
from gateway.vision.messages import Sure
from gateway.vision.presence import Presence
from tests.conftest import FakeClock


class Site:
    """One gate, and how often it was opened."""

    def __init__(self, clock: FakeClock, **keys: Any) -> None:
        self.clock, self.opened, self.why = clock, 0, ""
        gate = GateAction.model_validate({"write": "barrier.open", "value": True, "for": "1s", **keys})
        actions: Any = SimpleNamespace(open=self.open)
        self.gates = Gates({"north": gate}, actions, clock)

    def open(self, camera: str) -> str:
        assert camera == "north"
        self.opened += not self.why
        return self.why

    def hear(self, event: str = "allow", *, kind: str = "", plate: str = "沪A12345", **keys: Any) -> int:
        camera, late = keys.get("camera", "north"), keys.get("late", 0.0)
        data = {"plate": plate, "way": keys.get("way", "toward"), "limited": keys.get("limited", False)}
        now = self.clock.monotonic() - late
        self.gates.take(VisionEvent(camera, self.clock.wall(), now, kind, camera, data, event))
        return self.opened


def test_once_for_a_plate(fake_clock: FakeClock) -> None:
    site = Site(fake_clock, again="30s")
    assert site.hear() == 1
    fake_clock.now += 29
    assert site.hear() == 1
    assert site.hear(plate="京B67890") == 2
    fake_clock.now += 2
    assert site.hear() == 3


def test_a_plate_that_is_in_already_opens_nothing_where_that_is_refused(
    fake_clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(fake_clock, again="1s")
    refused = {"沪A12345"}
    site.gates = Gates(site.gates._gates, site.gates._actions, fake_clock, lambda event: event.data["plate"] in refused)
    with caplog.at_level("WARNING"):
        assert site.hear() == site.hear() == 0
    assert len(caplog.records) == 1
    assert "in already" in caplog.text
    assert "12345" not in caplog.text
    assert site.hear(plate="京B67890") == 1
    refused.clear()
    assert site.hear() == 2


def test_what_opens_nothing(fake_clock: FakeClock) -> None:
    site = Site(fake_clock)
    site.hear("deny")
    site.hear("passage")
    site.hear("allow", kind="linli.vehicle.passage.v1")  # it has gone through already
    site.hear(camera="south")
    site.hear(late=4.0)
    assert site.opened == 0


@pytest.mark.parametrize(("lag", "late", "opened"), [(0.5, 0.0, 1), (2.0, 0.9, 1), (2.0, 1.1, 0), (20.0, 0.0, 0)])
def test_a_word_is_as_old_as_the_frame_that_it_is_about(
    fake_clock: FakeClock, lag: float, late: float, opened: int
) -> None:
    """A worker that cannot keep up sends its word at once, of a car that was there long ago."""
    site = Site(fake_clock)
    told = fake_clock.monotonic() - late
    word = Sure("沪A12345", "allow", "toward", fake_clock.wall(), arrived=told - lag)
    site.gates.take(sure_event("north", word, told))
    assert site.opened == opened


def test_a_plate_that_may_pass_at_times_waits_until_the_time_is_known(
    fake_clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(fake_clock)
    fake_clock.trust = "unknown"
    assert site.hear(limited=True) == site.hear(limited=True) == 0
    assert len(caplog.records) == 1
    assert "set the clock" in caplog.text
    assert "12345" not in caplog.text
    assert site.hear(plate="京B67890") == 1
    fake_clock.trust = "holdover"
    assert site.hear(limited=True) == 2


def test_only_one_way(fake_clock: FakeClock) -> None:
    site = Site(fake_clock, way="toward")
    assert site.hear(way="away") == site.hear(way="none") == 0
    assert site.hear(way="toward") == 1


def test_a_refusal_is_said_once_and_does_not_count(fake_clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    site = Site(fake_clock)
    site.why = "alarm fire holds barrier.open"
    site.hear()
    site.hear(plate="京B67890")
    site.why = ""
    assert site.hear() == 1
    assert [record.message for record in caplog.records] == [
        "gate of camera north: alarm fire holds barrier.open",
        "gate of camera north: opens again",
    ]
    assert "沪" not in caplog.text


def test_only_who_goes_in_while_in_is_refused() -> None:
    lane = {"name": "main", "line": [[0, 10], [100, 10]], "enter": "down"}
    vehicles = {"lanes": [lane], "spaces": 9, "passback": "refuse"}
    known = {"name": "north", "url": "c.mp4", "purpose": "gate", "vehicles": vehicles}
    strict = {"north": CameraSettings.model_validate(known)}
    presence = Presence()

    def refused(way: str, camera: str = "north", plate: str = "沪A12345") -> bool:
        return _is_in_already(strict, presence, VisionEvent(camera, 0, 0.0, "", camera, {"plate": plate, "way": way}))

    assert not refused("toward")
    presence.passes("north", "沪A12345", "in")
    assert refused("toward")
    assert not refused("away")
    assert not refused("toward", camera="south")
    assert not refused("toward", plate="京B67890")
    presence.passes("north", "沪A12345", "out")
    assert not refused("toward")
