"""Alarms from raised to cleared: hysteresis, delay, bad input, acknowledgement, restart; time is moved by hand."""

import itertools
import json
import re
from pathlib import Path

import jsonschema
import pytest

from gateway.contract import CommandError, SourceState, StateChange, VisionEvent
from gateway.rules import Rules, compile_rules
from gateway.rules.engine import utc
from gateway.settings import AlarmSettings
from tests.rules.alarm_site import CAMERAS, POINTS, Site, wall

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"
HIGH = {"when": "sump.level > 2.5"}


def test_raised_and_cleared_without_clear() -> None:
    site = Site(HIGH)
    assert [site.read(at, level) for at, level in enumerate([2.5, 2.6, 2.7, 2.5, 2.4, 2.6], 1)] == [
        [], ["raised"], [], ["cleared"], [], ["raised"],
    ]  # fmt: skip


def test_hysteresis_holds_between_the_two_levels() -> None:
    site = Site(HIGH | {"clear": "sump.level < 2.2"})
    assert [site.read(at, level) for at, level in enumerate([2.6, 2.4, 2.2, 2.3, 2.1, 2.4, 2.6], 1)] == [
        ["raised"], [], [], [], ["cleared"], [], ["raised"],
    ]  # fmt: skip


def test_clear_that_overlaps_when_does_not_flap() -> None:
    site = Site(HIGH | {"clear": "sump.level < 9"})
    assert [site.read(at, level) for at, level in enumerate([3, 4, 3, 2], 1)] == [["raised"], [], [], ["cleared"]]


def test_clear_is_judged_on_its_own_inputs() -> None:
    site = Site(HIGH | {"clear": "not pump.running"})
    assert site.read(1, 3) == ["raised"]
    assert site.read(2, True, "pump.running") == []
    assert site.read(3, None) == []
    assert site.read(4, False, "pump.running") == ["cleared"]


def test_delay_counts_from_the_first_true_judgement() -> None:
    site = Site(HIGH | {"for": "10s"})
    assert site.read(1, 3) == []
    assert site.rules.next_tick() == 11
    assert site.tick(10.9) == []
    assert site.read(10.9, 3) == []
    assert site.tick(11) == ["raised"]
    assert site.rules.next_tick() is None


def test_delay_starts_anew_after_false() -> None:
    site = Site(HIGH | {"for": "10s"})
    site.read(1, 3)
    assert site.read(6, 2) == []
    assert site.tick(20) == []
    assert site.read(21, 3) == []
    assert site.tick(30.9) == []
    assert site.tick(31) == ["raised"]


def test_delay_that_ended_before_a_reading_came_goes_first() -> None:
    site = Site(HIGH | {"for": "10s"})
    site.read(1, 3)
    assert site.read(12, 2) == ["raised", "cleared"]


@pytest.mark.parametrize("bad", [None, float("nan")])
def test_bad_input_stops_the_delay(bad: object) -> None:
    site = Site(HIGH | {"for": "10s"})
    site.read(1, 3)
    assert site.read(5, bad) == []
    assert site.tick(12) == []
    assert site.read(13, 3) == []
    assert site.tick(22.9) == []
    assert site.tick(23) == ["raised"]


def test_bad_input_holds_the_state() -> None:
    site = Site(HIGH)
    assert site.read(1, None) == []
    assert site.read(2, 3) == ["raised"]
    assert site.read(3, None) == []
    assert site.phase == "unacknowledged"
    assert site.rules.states()[0].blind == {"sump.level": "timeout"}
    assert site.read(4, 2) == ["cleared"]
    assert site.read(5, None) == []
    assert site.phase == "returned-unacknowledged"


def test_uncertain_value_is_used() -> None:
    assert Site(HIGH).read(1, 3, quality="uncertain") == ["raised"]


def test_reading_without_the_point_changes_nothing() -> None:
    site = Site(HIGH)
    site.read(1, 3)
    assert site.read(2, 20, "sump.temp") == []
    assert site.read(3, 1, "other.level") == []
    assert site.rules.feed(StateChange("device", "sump", SourceState.OFFLINE, "timeout", "gone", 1, 4.0)) == []
    assert site.phase == "unacknowledged"


# ---- the four states


def test_acknowledged_then_cleared_is_normal() -> None:
    site = Site(HIGH)
    site.read(1, 3)
    step = site.ack(2, note="on my way")
    assert step.kind == "acknowledged"
    assert site.phase == "acknowledged"
    assert site.read(3, 2) == ["cleared"]
    assert site.phase == "normal"


def test_cleared_then_acknowledged_is_normal() -> None:
    site = Site(HIGH)
    site.read(1, 3)
    site.read(2, 2)
    assert site.phase == "returned-unacknowledged"
    updated = site.ack(3).drafts[1]
    assert (updated.type, updated.data["state"]) == ("linli.alarm.updated.v1", "normal")
    assert site.phase == "normal"


def test_raised_again_before_acknowledgement_is_a_new_occurrence() -> None:
    site = Site(HIGH)
    first = site.steps(1, 3)[0].state.occurrence
    site.read(2, 2)
    again = site.steps(3, 3)[0]
    assert again.state.occurrence != first
    assert first in again.drafts[0].data["note"]
    with pytest.raises(CommandError, match="raised again") as refused:
        site.ack(4, name=first)
    assert refused.value.status == 409
    assert site.ack(4, name=again.state.occurrence).state.phase == "acknowledged"


@pytest.mark.parametrize("part", [slice(-8, None), slice(0, 20), slice(-6, None)])
def test_an_end_of_an_occurrence_is_enough_to_acknowledge_it(part: slice) -> None:
    site = Site(HIGH)
    occurrence = site.steps(1, 3)[0].state.occurrence
    assert site.ack(2, name=occurrence[part]).state.phase == "acknowledged"


def test_an_end_that_is_too_short_or_has_two_is_refused() -> None:
    site = Site(HIGH, {**HIGH, "name": "higher"})
    low, high = (step.state.occurrence for step in site.steps(1, 3))
    assert low[:8] == high[:8]
    for name, status, words in ((low[-5:], 404, "no alarm"), (low[:8], 409, "an end of 2 occurrences")):
        with pytest.raises(CommandError, match=words) as refused:
            site.ack(2, name=name)
        assert refused.value.status == status
    site.read(2, 2)
    site.steps(3, 3)
    with pytest.raises(CommandError, match="raised again"):
        site.ack(4, name=low[-8:])


@pytest.mark.parametrize(
    ("levels", "acks", "name", "status", "words"),
    [
        ([], 0, "high", 409, "not raised"),
        ([3], 1, "high", 409, "already acknowledged by uid:1000 at t9"),
        ([3, 2], 1, "high", 409, "not raised"),
        ([3], 0, "hihg", 404, 'did you mean "high"'),
    ],
)
def test_acknowledgement_refused(levels: list[float], acks: int, name: str, status: int, words: str) -> None:
    site = Site(HIGH)
    for at, level in enumerate(levels, 1):
        site.read(at, level)
    for _ in range(acks):
        site.ack(9)
    with pytest.raises(CommandError, match=words) as refused:
        site.ack(10, name)
    assert refused.value.status == status


def test_every_path_of_conditions_and_acknowledgements_keeps_the_books() -> None:
    """All sequences of five inputs: raised and cleared alternate, and states follow ISA-18.2's table."""
    table = {
        ("normal", "high"): "unacknowledged",
        ("unacknowledged", "ack"): "acknowledged",
        ("unacknowledged", "low"): "returned-unacknowledged",
        ("acknowledged", "low"): "normal",
        ("returned-unacknowledged", "ack"): "normal",
        ("returned-unacknowledged", "high"): "unacknowledged",
    }
    for path in itertools.product(["high", "low", "ack", "bad", "restart"], repeat=5):
        site, kinds = Site(HIGH), []
        for at, move in enumerate(path, 1):
            before = site.phase
            if move == "ack":
                if (before, move) in table:
                    site.ack(at)
                else:
                    with pytest.raises(CommandError):
                        site.ack(at)
            elif move == "restart":
                site = Site(HIGH, saved=site.rules.dump(), start=at)
                assert site.started == []
            else:
                kinds += site.read(at, {"high": 3, "low": 1, "bad": None}[move])
            assert site.phase == table.get((before, move), before), path
        assert kinds == ["raised", "cleared"] * (len(kinds) // 2) + ["raised"] * (len(kinds) % 2), path


def test_a_new_occurrence_knows_nothing_of_the_last_acknowledgement() -> None:
    site = Site(HIGH)
    site.read(1, 3)
    site.ack(2, note="seen")
    site.read(3, 1)
    data = site.steps(4, 3)[0].drafts[0].data
    assert [data[key] for key in ("acknowledged_at", "cleared_at", "by", "note")] == [None] * 4


def test_the_next_tick_is_for_the_first_timer_of_all() -> None:
    waits = [{"name": f"w{seconds}", "when": "sump.level > 2", "for": f"{seconds}s"} for seconds in (20, 5, 60)]
    site = Site(*waits)
    site.read(1, 3)
    assert site.rules.next_tick() == 6
    assert site.tick(6) == ["raised"]
    assert site.rules.next_tick() == 21


def test_an_item_that_comes_late_does_not_turn_time_back() -> None:
    site = Site(HIGH | {"for": "10s"})
    site.read(100, 1, "pump.running")
    site.rules.tick(100, wall(100))
    assert site.read(95, 3) == []
    assert site.tick(109) == []
    assert site.tick(110) == ["raised"]


# ---- records


def test_records_of_one_occurrence() -> None:
    do = [{"write": "siren.output", "value": True}]
    text = {"zh": "集水井水位高", "en": "Sump level high"}
    site = Site(HIGH | {"severity": "major", "text": text, "do": do})
    raised = site.steps(1, 3.0)[0]
    (draft,) = raised.drafts
    assert (draft.stream, draft.type, draft.subject, draft.source) == ("alarm", "linli.alarm.raised.v1", "high", "")
    assert draft.extra == {"severitytext": "major", "severitynumber": 17}
    assert draft.time == wall(1)
    assert draft.data == {
        "occurrence": draft.id,
        "state": "unacknowledged",
        "severity": "major",
        "text": text,
        "when": "sump.level > 2.5",
        "points": {"sump.level": {"value": 3.0, "unit": "m", "quality": "good", "time": "t1"}},
        "raised_at": "t1",
        "acknowledged_at": None,
        "cleared_at": None,
        "by": None,
        "note": None,
    }
    assert [action.write for action in raised.actions] == ["siren.output"]

    disposal, updated = site.ack(2, note="called the plumber").drafts
    assert (disposal.stream, disposal.type) == ("disposal", "linli.disposal.acknowledged.v1")
    assert disposal.data["occurrence"] == draft.id
    assert (disposal.data["by"], disposal.data["note"]) == ("uid:1000", "called the plumber")
    assert updated.type == "linli.alarm.updated.v1"
    assert updated.data == draft.data | {
        "state": "acknowledged", "acknowledged_at": "t2", "by": "uid:1000", "note": "called the plumber",
    }  # fmt: skip

    cleared = site.steps(3, 1.0)[0]
    assert cleared.actions == ()
    (end,) = cleared.drafts
    assert end.type == "linli.alarm.cleared.v1"
    assert (end.data["occurrence"], end.data["state"], end.data["cleared_at"]) == (draft.id, "normal", "t3")
    assert end.data["points"]["sump.level"]["value"] == 1.0
    assert len({draft.id, disposal.id, updated.id, end.id}) == 4


def test_a_bad_point_in_a_record_has_a_reason_and_no_value() -> None:
    site = Site({"when": "stale(sump.level, 5s)", "clear": "sump.level > 0"})
    site.read(1, None)
    (step,) = site.rules.tick(6, wall(6))
    point = step.drafts[0].data["points"]["sump.level"]
    assert point == {"value": None, "unit": "m", "quality": "bad", "reason": "timeout", "time": "t1"}


# ---- restart


def test_active_alarm_goes_on_after_a_restart_with_its_occurrence() -> None:
    site = Site(HIGH)
    occurrence = site.steps(1, 3)[0].state.occurrence
    site = Site(HIGH, saved=site.rules.dump(), start=50)
    assert site.started == []
    assert site.read(51, 3) == []
    assert site.rules.states()[0].raised_at == wall(1)
    assert site.steps(52, 2)[0].drafts[0].data["occurrence"] == occurrence


def test_the_facts_of_the_last_step_are_enough_for_a_restart() -> None:
    site, kept = Site(HIGH), {}
    for step in [*site.steps(1, 3), site.ack(2)]:
        kept |= step.facts
    assert Site(HIGH, saved=kept).phase == "acknowledged"
    (cleared,) = site.steps(3, 1)
    assert cleared.facts == {"alarm/high": None}


def test_delay_starts_anew_after_a_restart() -> None:
    site = Site(HIGH | {"for": "10s"})
    site.read(1, 3)
    site = Site(HIGH | {"for": "10s"}, saved=site.rules.dump(), start=8)
    assert site.tick(12) == []
    site.read(12, 3)
    assert site.tick(21.9) == []
    assert site.tick(22) == ["raised"]


def test_alarm_removed_from_the_configuration_is_cleared_at_start() -> None:
    site = Site(HIGH)
    occurrence = site.steps(1, 3)[0].state.occurrence
    site = Site({"name": "other", "when": "pump.running"}, saved=site.rules.dump(), start=50)
    (step,) = site.started
    data = step.drafts[0].data
    assert (step.kind, data["occurrence"], data["state"]) == ("cleared", occurrence, "normal")
    assert (data["note"], data["cleared_at"]) == ("removed from configuration", "t50")
    assert step.facts == {"alarm/high": None}


def test_removed_alarm_that_waits_for_acknowledgement_is_closed() -> None:
    site = Site(HIGH)
    site.read(1, 3)
    site.read(2, 2)
    (step,) = Site({"name": "other", "when": "pump.running"}, saved=site.rules.dump(), start=50).started
    data = step.drafts[0].data
    assert (step.kind, data["state"], data["cleared_at"]) == ("updated", "normal", "t2")


def test_changed_alarm_keeps_its_occurrence_under_the_new_words() -> None:
    site = Site(HIGH)
    site.read(1, 3)
    site = Site({"when": "sump.level > 4", "severity": "critical"}, saved=site.rules.dump(), start=50)
    (step,) = site.steps(51, 3)
    assert step.kind == "cleared"
    assert (step.drafts[0].data["severity"], step.drafts[0].data["when"]) == ("critical", "sump.level > 4")


@pytest.mark.parametrize(
    "saved", [b"", b"{", b"[]", b"{}", json.dumps({"phase": "odd"}).encode(), b'{"phase":"normal"}']
)
def test_damaged_state_starts_as_normal_and_says_so(saved: bytes, caplog: pytest.LogCaptureFixture) -> None:
    site = Site(HIGH, saved={"alarm/high": saved, "device/sump": b"x"})
    assert site.phase == "normal"
    assert "alarm/high" in caplog.text
    assert site.read(1, 3) == ["raised"]


def test_rules_that_were_never_loaded_start_with_the_first_input() -> None:
    rules, problems = compile_rules(
        [AlarmSettings.model_validate({"name": "x", "when": "stale(sump.temp, 5s)"})], POINTS, CAMERAS
    )
    assert not problems
    assert rules.next_tick() == 0
    assert rules.tick(100, wall(100)) == []
    assert rules.next_tick() == 105
    assert isinstance(rules, Rules)


def test_every_record_fits_its_published_schema() -> None:
    site = Site(HIGH | {"text": {"en": "High"}})
    site.rules.stamp = utc
    site.read(1, 1)
    steps = [*site.steps(2, 3), site.ack(3), *site.steps(4, 1), *site.steps(5, 3), *site.steps(6, 2), site.ack(7)]
    drafts = [draft for step in steps for draft in step.drafts]
    assert len(drafts) == 8
    for draft in drafts:
        schema = json.loads((SCHEMAS / f"{draft.type}.json").read_text(encoding="utf-8"))
        jsonschema.validate(draft.data, schema["properties"]["data"])
        assert draft.stream in schema["properties"]["stream"]["enum"]
        assert re.fullmatch(schema["properties"]["id"]["pattern"], draft.id)


EVENT = {"when": "event(north-gate, fall)", "severity": "critical", "text": {"zh": "高空抛物", "en": "Something fell"}}


def test_a_drop_test_is_told_as_one_and_raises_nothing() -> None:
    site = Site(EVENT)
    assert site.event(1, "fall test") == ["tested"]
    assert site.phase == "normal"
    assert site.event(2, "fall test") == ["tested"]
    assert site.tick(3) == []
    # A real fall during the hold of a test is raised as ever, and then a test says nothing new.
    assert site.event(4, "fall") == ["raised"]
    assert site.event(5, "fall test") == []
    assert site.phase == "unacknowledged"


def test_a_drop_test_is_told_where_a_fall_would_be_another_occurrence() -> None:
    site = Site(EVENT)
    assert site.event(1, "fall") == ["raised"]
    site.ack(2)
    before = site.rules.dump()
    assert site.event(3, "fall test") == ["tested"]
    assert site.rules.dump() == before
    assert site.event(4, "fall") == ["cleared", "raised"]
    assert site.event(5, "fall test") == []


def test_a_drop_test_is_not_told_where_a_fall_would_raise_nothing_new() -> None:
    site = Site(EVENT | {"clear": "sump.level < 1"})
    assert site.read(1, 2) == []
    assert site.event(2, "fall") == ["raised"]
    assert site.tick(200) == []  # the fall is long over, the alarm is not
    assert site.event(201, "fall test") == []


def test_both_ends_of_a_test_say_that_nobody_needs_to_come() -> None:
    site = Site(EVENT)
    before = site.rules.dump()
    found = VisionEvent("north-gate", wall(1), 1, "", "north-gate", {}, event="fall test")
    (step,) = site.rules.feed(found)
    raised, cleared = step.drafts
    assert (raised.type, cleared.type) == ("linli.alarm.raised.v1", "linli.alarm.cleared.v1")
    assert raised.data["test"] is cleared.data["test"] is True
    assert raised.data["occurrence"] == cleared.data["occurrence"] == raised.id
    assert raised.data["text"] == {"zh": "【测试】高空抛物", "en": "TEST: Something fell"}
    assert (raised.data["severity"], raised.extra["severitytext"]) == ("warning", "warning")
    assert (cleared.data["state"], cleared.data["cleared_at"]) == ("normal", "t1")
    assert not step.actions
    assert site.rules.dump() == before


def test_a_test_does_not_mark_what_something_else_raises() -> None:
    site = Site({"when": "event(north-gate, fall) or sump.level > 2.5"})
    assert site.event(1, "fall test") == ["tested"]
    assert site.read(2, 3) == ["raised"]
    (state,) = site.rules.states()
    assert "test" not in state.data(site.rules.stamp)


def test_what_happens_after_an_acknowledgement_is_another_occurrence() -> None:
    site = Site(EVENT)
    assert site.event(1, "fall") == ["raised"]
    assert site.event(2, "fall") == []
    (first,) = site.rules.states()
    site.ack(3)
    assert site.event(4, "deny") == []
    assert site.event(5, "fall") == ["cleared", "raised"]
    (again,) = site.rules.states()
    assert again.phase.value == "unacknowledged"
    assert again.occurrence != first.occurrence
    assert again.note == f"happened again after occurrence {first.occurrence} was acknowledged"
    assert site.event(6, "fall") == []
    assert site.tick(67) == ["cleared"]


def test_an_event_beside_an_acknowledged_alarm_that_no_longer_holds_raises_nothing() -> None:
    site = Site({"when": "event(north-gate, fall) and sump.level > 2.5", "clear": "sump.level < 1"})
    site.read(1, 3)
    assert site.event(2, "fall") == ["raised"]
    site.ack(3)
    assert site.read(4, 2) == []
    assert site.event(5, "fall") == []
    assert site.read(6, 3) == []
    assert site.event(7, "fall") == ["cleared", "raised"]


def test_a_fault_that_goes_on_is_no_news() -> None:
    site = Site({"when": "event(north-gate, covered)"})
    assert site.camera(1, "degraded", "covered") == ["raised"]
    site.ack(2)
    assert site.camera(3, "degraded", "covered") == []
    assert site.event(4, "fall") == []


def test_a_passage_whose_early_word_was_acknowledged_is_no_news_but_what_it_adds_is() -> None:
    def passed(at: float, words: str) -> list[str]:
        kind = "linli.vehicle.passage.v1"
        found = VisionEvent("north-gate", wall(at), at, kind, "main", {}, event=words, told="deny")
        return [step.kind for step in site.rules.feed(found)]

    for when, words, steps in (
        ("event(north-gate, deny)", "deny", []),
        ("event(north-gate, deny)", "deny already-in", []),
        ("event(north-gate, deny) or event(north-gate, already-in)", "deny already-in", ["cleared", "raised"]),
    ):
        site = Site({"when": when})
        early = VisionEvent("north-gate", wall(1), 1, "", "north-gate", {}, event="deny")
        assert [step.kind for step in site.rules.feed(early)] == ["raised"]
        site.ack(2)
        assert passed(20, words) == steps
        assert site.tick(62) == []  # it goes on from the passage
        assert site.tick(81) == ["cleared"]


def test_what_leaves_a_zone_is_not_what_came_to_stand_there() -> None:
    site = Site({"when": "event(north-gate, dwell)"})

    def dwell(at: float, word: str) -> list[str]:
        found = VisionEvent("north-gate", wall(at), at, "linli.vehicle.dwell.v1", "zone", {}, event=word)
        return [step.kind for step in site.rules.feed(found)]

    assert dwell(1, "dwell") == ["raised"]
    site.ack(2)
    assert dwell(30, "") == []
    assert site.tick(61) == ["cleared"]
    assert dwell(100, "") == []


def test_what_stands_on_keeps_its_alarm_and_is_no_news() -> None:
    site = Site({"when": "event(north-gate, dwell)"})
    for at in (1, 21, 41, 61, 81):
        kind = "linli.vehicle.dwell.v1" if at == 1 else ""
        told = "" if at == 1 else "dwell"
        found = VisionEvent("north-gate", wall(at), at, kind, "zone", {}, event="dwell", told=told)
        assert [step.kind for step in site.rules.feed(found)] == (["raised"] if at == 1 else [])
        if at == 21:
            site.ack(22)
    assert site.tick(140) == []
    assert site.tick(141) == ["cleared"]


def test_one_alarm_of_two_cameras_is_raised_once_for_what_both_see() -> None:
    settings = AlarmSettings.model_validate({"name": "fell", "when": "event(east, fall) or event(west, fall)"})
    rules, problems = compile_rules([settings], POINTS, frozenset({"east", "west"}))
    assert not problems

    def fell(camera: str, at: float) -> list[str]:
        return [step.kind for step in rules.feed(VisionEvent(camera, wall(at), at, "", camera, {}, event="fall"))]

    assert [fell("east", 1), fell("west", 2.5), fell("west", 40), fell("east", 70)] == [["raised"], [], [], []]
    rules.acknowledge("fell", "uid:1000", None, wall(71), 71)
    assert fell("west", 80) == ["cleared", "raised"]  # what falls after that is news
