"""The platform's books: nothing missing goes unnoticed, and what a person reads is what the records say."""

from typing import Any

import pytest

from gateway.cli.demo.story import Ledger, Story, alarm_text, passage_text, point_text, state_text


def record(sequence: int, kind: str = "linli.reading.v1", stream: str = "perception", **data: Any) -> dict[str, Any]:
    return {
        "id": f"{stream}-{sequence}",
        "type": kind,
        "stream": stream,
        "sequence": f"{sequence:020d}",
        "subject": data.pop("subject", "sump-level"),
        "source": f"/gateways/demo/{data.pop('name', 'sump-level')}",
        "time": "2026-11-21T08:25:30.120+08:00",
        "data": data or {"points": {}},
    }


def test_a_whole_stream_is_complete() -> None:
    ledger = Ledger()
    assert all(ledger.take(record(number)) for number in range(1, 50))
    assert (ledger.pulled, ledger.missing, ledger.faults) == (49, 0, [])


def test_a_hole_is_missing_until_a_gap_record_explains_it() -> None:
    ledger = Ledger()
    for number in (1, 2, 6):
        ledger.take(record(number))
    assert ledger.missing == 3
    ledger.take(record(7, "linli.gap.v1", stream="perception", first=3, last=4, count=2, cause="quota"))
    assert ledger.missing == 1
    ledger.take(record(8, "linli.gap.v1", stream="perception", first=3, last=5, count=3, cause="quota"))
    assert ledger.missing == 0


def test_the_start_counts_too() -> None:
    ledger = Ledger()
    ledger.take(record(3))
    assert ledger.missing == 2


def test_twice_is_a_fault_by_sequence_and_by_id() -> None:
    ledger = Ledger()
    assert ledger.take(record(1))
    assert not ledger.take(record(1))
    assert not ledger.take({**record(2), "id": "perception-1"})
    assert len(ledger.faults) == 2
    story = Story()
    list(story.take(record(1)))
    list(story.take(record(1)))
    list(story.take(record(4)))
    assert story.readings == 2
    assert len(story.faults) == 2


def test_readings_are_counted_and_stay_quiet() -> None:
    story = Story()
    points = {
        "level": {"value": 1.82, "unit": "m", "quality": "good"},
        "zero": {"value": None, "unit": "", "quality": "bad", "reason": "timeout"},
    }
    assert list(story.take(record(1, points=points))) == []
    assert (story.readings, story.values, story.bad_values) == (1, 2, 1)


def test_an_alarm_is_told_and_kept_until_it_clears() -> None:
    story = Story()
    raised = record(
        1,
        "linli.alarm.raised.v1",
        "alarm",
        subject="sump-high",
        severity="major",
        text={"zh": "集水井水位高", "en": "Sump level high"},
        points={"sump-level.level": {"value": 2.51, "unit": "m", "quality": "good"}},
    )
    assert list(story.take(raised)) == [
        "08:25:30  ALARM    sump-high raised (major): 集水井水位高 / Sump level high [sump-level.level 2.51 m]"
    ]
    assert list(story.alarms) == ["sump-high"]
    cleared = record(2, "linli.alarm.cleared.v1", "alarm", subject="sump-high", severity="major")
    assert list(story.take(cleared)) == ["08:25:30  alarm    sump-high cleared"]
    assert (story.raised, story.cleared, list(story.alarms)) == (1, 1, [])


def test_a_device_that_falls_silent_and_comes_back_is_told_once_each() -> None:
    story = Story()
    lines = []
    for number, state in enumerate(("starting", "online", "offline", "offline", "online"), 1):
        change = record(
            number,
            "linli.device.state.v1",
            "management",
            name="garage-co",
            state=state,
            reason="timeout",
            text="silent",
        )
        lines += list(story.take(change))
    assert [line[10:] for line in lines] == [
        "state    garage-co is online",
        "state    garage-co is offline: silent",
        "state    garage-co is online",
    ]
    assert (story.silent, story.back) == (1, 1)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            {
                "lane": "main",
                "direction": "in",
                "plate": {"text": "沪A12345", "color": "blue", "confidence": 0.987},
                "picture": {"sha256": "00"},
            },
            "沪A12345 (blue) drives in by lane main (confidence 0.99) with picture",
        ),
        ({"lane": "main", "direction": "out", "plate": None}, "no plate read drives out by lane main"),
        ({"lane": "gate", "direction": "toward", "plate": {"text": ""}}, "no plate read toward by lane gate"),
    ],
)
def test_passage_text(data: dict[str, Any], text: str) -> None:
    assert passage_text(data) == text


def test_texts_of_odd_shapes() -> None:
    assert point_text({"value": True}) == "yes"
    assert point_text({"value": 12345.678, "unit": "W"}) == "12,345.68 W"
    assert point_text({"value": None, "reason": "timeout"}) == "bad (timeout)"
    assert point_text({"value": "ok"}) == "ok"
    assert alarm_text({"text": "plain"}) == "plain"
    assert alarm_text({}) == ""
    assert state_text({"reason": "timeout"}) == "timeout"
    assert state_text({"reason": {"code": "timeout", "text": "no answer"}}) == "no answer"
