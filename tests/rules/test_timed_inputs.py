"""Conditions that change with time alone: stale, rate and camera events."""

import pytest

from gateway.contract import PointValue
from gateway.rules import compile_rules
from gateway.rules.inputs import SAMPLES, PointCell
from gateway.rules.nodes import rate
from gateway.settings import AlarmSettings
from tests.rules.alarm_site import CAMERAS, POINTS, Site

SILENT = {"when": "stale(sump.level, 5m)"}
DENIED = {"when": "event(north-gate, deny)"}


def test_stale_counts_from_the_last_good_read() -> None:
    site = Site(SILENT)
    site.read(10, 1)
    assert site.read(100, None) == []
    assert site.read(200, 1, quality="uncertain") == []
    assert site.tick(309.9) == []
    assert site.tick(310) == ["raised"]
    assert site.read(311, None) == []
    assert site.read(312, 1) == ["cleared"]


def test_stale_counts_from_the_start_when_never_read() -> None:
    site = Site(SILENT, start=1000)
    assert site.rules.next_tick() == 1300
    assert site.tick(1299) == []
    assert site.tick(1300) == ["raised"]


def test_restart_does_not_clear_the_alarm_on_a_device_that_is_still_silent() -> None:
    site = Site(SILENT)
    assert site.tick(300) == ["raised"]
    site = Site(SILENT, saved=site.rules.dump(), start=1000)
    assert site.started == []
    assert site.read(1001, None) == []
    assert site.tick(1300) == []
    assert site.phase == "unacknowledged"
    assert site.read(1301, 1) == ["cleared"]


def test_stale_needs_no_more_ticks_than_its_duration() -> None:
    site, ticks = Site(SILENT), 0
    for at in range(1, 3001, 5):
        site.read(at, 1)
        if site.rules.next_tick() <= at:
            ticks += 1
            site.tick(at)
    assert site.phase == "normal"
    assert ticks <= 10


def test_stale_or_level_raises_while_the_level_is_bad() -> None:
    site = Site({"when": "stale(sump.level, 5m) or sump.level > 2"})
    site.read(1, 1)
    site.read(2, None)
    assert site.tick(301) == ["raised"]


def test_stale_before_a_late_reading_is_noticed() -> None:
    site = Site(SILENT)
    site.read(1, 1)
    assert site.read(400, 1) == ["raised", "cleared"]


def test_stale_with_a_delay() -> None:
    site = Site(SILENT | {"for": "10s"})
    site.read(0, 1)
    assert site.tick(300) == []
    assert site.rules.next_tick() == 310
    assert site.tick(310) == ["raised"]


def test_rate_over_its_window() -> None:
    site = Site({"when": "rate(sump.level, 60s) > 0.01"})
    assert [site.read(at, 1.0) for at in range(0, 61, 10)] == [[]] * 7
    assert site.read(70, 1.59) == []
    assert site.read(80, 1.61) == ["raised"]
    assert site.read(90, 1.61) == []
    assert site.read(130, 1.61) == ["cleared"]


def test_rate_is_unknown_until_its_window_is_covered() -> None:
    site = Site({"when": "rate(sump.level, 60s) > 0"})
    assert [site.read(at, at) for at in (0, 20, 40, 59)] == [[]] * 4
    assert site.read(60, 60) == ["raised"]


def test_rate_holds_while_the_point_is_bad_and_forgets_across_a_long_gap() -> None:
    site = Site({"when": "rate(sump.level, 60s) > 0"})
    site.read(0, 0)
    assert site.read(60, 60) == ["raised"]
    assert site.read(70, None) == []
    assert site.read(1000, 0) == []
    assert site.phase == "unacknowledged"
    assert site.read(1060, 0) == ["cleared"]


def test_rate_of_a_bad_point_stops_the_delay() -> None:
    site = Site({"when": "rate(sump.level, 60s) > 0", "for": "10s"})
    site.read(0, 0)
    assert site.read(60, 60) == []
    assert site.read(65, None) == []
    assert site.tick(75) == []
    assert site.read(76, 76) == []
    assert site.tick(86) == ["raised"]


def test_rate_keeps_few_samples_and_stays_exact() -> None:
    cell = PointCell("sump.level")
    measured = rate(cell, 3600.0)
    for tenth in range(200_000):
        at = tenth / 10
        cell.take(PointValue(3 * at), "", 1, at)
    assert measured() == pytest.approx(3, rel=1e-9)
    assert len(cell.histories[0]._samples) <= 2 * SAMPLES
    assert rate(cell, 3600.0)() == measured()
    assert len(cell.histories) == 1


def test_event_raises_at_once_and_clears_a_minute_after_the_last() -> None:
    site = Site(DENIED)
    assert site.event(5) == ["raised"]
    assert site.event(40) == []
    assert site.tick(65) == []
    assert site.rules.next_tick() == 100
    assert site.tick(99.9) == []
    assert site.tick(100) == ["cleared"]


def test_other_events_and_cameras_are_nothing() -> None:
    site = Site(DENIED)
    assert site.event(5, "passage") == []
    assert site.event(5, "") == []
    assert site.event(5, "deny", "south-gate") == []


def test_a_passage_of_a_listed_car_is_a_passage_too() -> None:
    site = Site({"when": "event(north-gate, passage)"})
    assert site.event(5, "deny") == ["raised"]


def test_event_joined_with_a_reading() -> None:
    site = Site({"when": "event(north-gate, deny) and pump.running"})
    assert site.event(70) == []
    assert site.read(80, True, "pump.running") == ["raised"]
    assert site.tick(130) == ["cleared"]


def test_event_stands_in_the_points_of_the_record() -> None:
    site = Site(DENIED)
    site.event(5)
    assert site.rules.states()[0].points == {
        "north-gate.deny": {"value": True, "unit": "", "quality": "good", "time": 1_795_300_005_000_000_000}
    }


MOVED = {"when": "event(north-gate, moved)"}


def test_a_fault_of_a_camera_raises_for_as_long_as_it_lasts_and_a_minute() -> None:
    site = Site(MOVED)
    assert site.camera(5, "online", "open") == []
    assert site.camera(70, "degraded", "moved") == ["raised"]
    assert site.tick(4000) == []
    assert site.camera(4001, "degraded", "spider") == []
    assert site.tick(4060) == []
    assert site.tick(4061) == ["cleared"]


def test_a_fault_holds_while_a_more_serious_one_does() -> None:
    site = Site({"when": "event(north-gate, spider)"})
    assert site.camera(5, "degraded", "overload", "models_missing", "spider") == ["raised"]
    assert site.camera(10, "degraded", "masks", "spider") == site.tick(900) == []
    assert site.camera(901, "degraded", "masks", "list") == []
    assert site.tick(961) == ["cleared"]


def test_a_camera_that_sees_nothing_or_is_tried_out_has_its_fault_still() -> None:
    site = Site(MOVED)
    assert site.camera(5, "degraded", "moved") == ["raised"]
    assert site.camera(10, "offline", "timeout") == site.camera(20, "degraded", "droptest") == []
    assert site.tick(900) == []
    assert site.camera(901, "online", "open", name="south-gate") == site.tick(2000) == []
    assert site.camera(2001, "online", "open") == []
    assert site.tick(2061) == ["cleared"]


def test_a_camera_that_is_lost_for_long_raises_an_alarm() -> None:
    site = Site({"when": "event(north-gate, offline)", "for": "5m"})
    assert site.camera(5, "offline", "timeout") == []
    assert site.tick(304) == []
    assert site.tick(305) == ["raised"]


def test_restart_keeps_the_alarm_of_a_camera_that_is_still_moved() -> None:
    site = Site(MOVED)
    assert site.camera(5, "degraded", "moved") == ["raised"]
    site = Site(MOVED, saved=site.rules.dump(), start=1000)
    assert site.camera(1002, "online", "open") == site.camera(1011, "degraded", "moved") == []
    assert site.tick(1500) == []
    assert site.phase == "unacknowledged"


def test_restart_does_not_end_an_event_alarm_early() -> None:
    site = Site(DENIED)
    site.event(5)
    site = Site(DENIED, saved=site.rules.dump(), start=20)
    assert site.started == []
    assert site.tick(79) == []
    assert site.tick(80) == ["cleared"]


@pytest.mark.parametrize(("delay", "refused"), [("10s", False), ("60s", True), ("5m", True)])
def test_a_delay_longer_than_an_event_is_refused(delay: str, refused: bool) -> None:
    alarm = AlarmSettings.model_validate({"name": "x", "for": delay} | DENIED)
    _, problems = compile_rules([alarm], POINTS, CAMERAS)
    assert [(problem.alarm, problem.key) for problem in problems] == ([(0, "for")] if refused else [])


def test_problems_name_the_alarm_and_the_key_and_the_rest_still_works() -> None:
    alarms = [
        {"name": "good", "when": "pump.running"},
        {"name": "two", "when": "sump.levl > 1", "clear": "sump.level <"},
        {"name": "three", "when": "sump.level > 1", "clear": "sump.lvl < 1"},
    ]
    rules, problems = compile_rules([AlarmSettings.model_validate(alarm) for alarm in alarms], POINTS, CAMERAS)
    assert [(problem.alarm, problem.key) for problem in problems] == [(1, "when"), (1, "clear"), (2, "clear")]
    assert [state.name for state in rules.states()] == ["good"]
