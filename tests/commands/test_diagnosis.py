"""Problems: every one with its part, since when and what to do; causes hide their consequences."""

from typing import Any

import pytest

from gateway.commands.diagnosis import diagnose
from tests.desk import device_view, line_view, uplink_view

STARTED = "2026-11-21T19:00:00.000+00:00"
SINCE = "2026-11-21T20:16:40.000+00:00"


def found(clock: str = "synced", **parts: Any) -> list[dict[str, Any]]:
    state = {
        "devices": [device_view("sump")],
        "lines": [line_view()],
        "cameras": [],
        "uplinks": [uplink_view()],
        "alarms": [],
        "consumers": [],
        "streams": {"alarm": {"first": 1, "last": 9}, "disposal": {"first": 0, "last": 0}},
        "store": {"bytes": 10, "quota": 100, "failing": None},
    } | parts
    return [dict(problem) for problem in diagnose(state, clock, STARTED)]


def camera_view(state: str, reason: str = "") -> dict[str, Any]:
    return {"name": "gate", "url": "rtsp://camera", "state": state, "reason": reason, "since": SINCE}


def alarm_view(**blind: str) -> dict[str, Any]:
    return {"name": "high", "state": "normal", "blind": {name.replace("_", "."): why for name, why in blind.items()}}


@pytest.mark.parametrize(("count", "what"), [(1, "a clip could not be made and is lost"),
                                             (23, "23 clips could not be made and are lost")])  # fmt: skip
def test_clips_that_are_lost_are_told_though_the_camera_is_well(count: int, what: str) -> None:
    why = "16 others were owed already; have fewer, or shorter ones; or a faster machine"
    unmade = {"count": count, "since": SINCE, "last": SINCE, "text": why}
    (problem,) = found(cameras=[{**camera_view("online"), "unmade_clips": unmade}])
    assert problem["text"] == f"camera gate: {what}: 16 others were owed already"
    assert problem["fix"] == "have fewer, or shorter ones; or a faster machine"
    assert (problem["part"], problem["severity"], problem["since"]) == ("camera gate", "warning", SINCE)


def test_all_that_lessens_a_camera_is_told_with_its_own_fix_and_since() -> None:
    slow = {"reason": "overload", "sentence": "too slow; lower the rate", "since": SINCE}
    missing = {
        "reason": "models_missing",
        "sentence": "no pack; run: linli model pull; until then none",
        "since": STARTED,
    }
    view = {**camera_view("degraded", "overload"), "text": "too slow; lower the rate", "troubles": [slow, missing]}
    told = [(problem["text"], problem["fix"], problem["since"]) for problem in found(cameras=[view])]
    assert told == [
        ("camera gate is degraded: too slow", "lower the rate", SINCE),
        ("camera gate is degraded: no pack", "run: linli model pull; until then none", STARTED),
    ]


def test_a_lost_clip_without_advice_says_where_it_is_on_record() -> None:
    unmade = {"count": 1, "since": SINCE, "last": SINCE, "text": "no picture of that time is kept"}
    (problem,) = found(cameras=[{**camera_view("online"), "unmade_clips": unmade}])
    assert "linli records perception" in problem["fix"]


@pytest.mark.parametrize(("count", "what"), [(1, "a picture or clip was not stored and is lost"),
                                             (3, "3 pictures or clips were not stored and are lost")])  # fmt: skip
def test_media_that_the_disk_did_not_take_are_a_problem(count: int, what: str) -> None:
    unstored = {"count": count, "since": SINCE, "last": STARTED, "text": "No space left on device"}
    (problem,) = found(cameras=[{**camera_view("online"), "unstored_media": unstored}])
    assert problem["text"] == f"camera gate: {what}, the last at {STARTED[11:19]}: No space left on device"
    assert "free space" in problem["fix"]
    assert problem["since"] == SINCE


def test_nothing_wrong_is_an_empty_list() -> None:
    assert found() == []


@pytest.mark.parametrize("state", ["starting", "opening"])
def test_what_only_begins_is_no_problem(state: str) -> None:
    assert found(devices=[device_view("sump", "starting")], lines=[line_view(state)]) == []


def test_what_a_line_suffers_from_is_told_once_and_not_for_each_device() -> None:
    troubles = [{"reason": "noise", "sentence": "noise on line rs485-1; check its termination"}]
    noisy = device_view("sump", "degraded", "noise", "noise on line rs485-1; check its termination")
    own = device_view("pump", "degraded", "crc", "")
    assert [one["part"] for one in found(devices=[noisy, own], lines=[line_view() | {"troubles": troubles}])] == [
        "line rs485-1", "device pump",
    ]  # fmt: skip
    assert [one["part"] for one in found(devices=[noisy])] == ["device sump"]
    silent = [{"reason": "silent", "sentence": "nobody answers on line rs485-1; check its wires", "since": SINCE}]
    gone = [device_view(name, "offline", "timeout", "no answer") | {"with_line": True} for name in ("sump", "pump")]
    (problem,) = found(devices=gone, lines=[line_view() | {"troubles": silent}])
    assert (problem["part"], problem["severity"], problem["since"]) == ("line rs485-1", "major", SINCE)
    assert problem["fix"] == "check its wires"


def test_a_line_without_time_for_all_polls_is_told_with_who_comes_short() -> None:
    late = [device_view(name) | {"overloaded": True} for name in ("house-1", "house-2")]
    (problem,) = found(devices=[*late, device_view("sump") | {"overloaded": False}], lines=[line_view()])
    assert (problem["part"], problem["severity"]) == ("line rs485-1", "warning")
    assert problem["text"] == "line rs485-1 is too slow for every poll of house-1, house-2 (busy 25%)"
    assert "raise every" in problem["fix"]
    assert "too slow" not in str(found(devices=late, lines=[line_view("down", "unplugged", "it is gone")]))


@pytest.mark.parametrize(
    ("parts", "part", "severity", "text", "since", "fix"),
    [
        (
            {"devices": [device_view("sump", "offline", "timeout", "no answer for 1 s; check its power, wiring")]},
            "device sump", "minor", "device sump is offline: no answer for 1 s", SINCE, "linli read sump",
        ),
        (
            {"devices": [device_view("sump", "degraded", "crc", "")]},
            "device sump", "minor", "device sump is degraded: crc", SINCE, "linli read sump",
        ),
        (
            {"lines": [line_view("down", "unplugged", "it is gone; plug the adapter in again")]},
            "line rs485-1", "major", "line rs485-1 is down: it is gone; its device sump is not read", None, "plug the",
        ),
        (
            {"lines": [line_view("down", "refused", "", "tcp")], "devices": [device_view("sump", "offline")] * 3},
            "line rs485-1", "major", "down: refused; its 3 devices are not read", SINCE, "check cable, power",
        ),
        (
            {"uplinks": [uplink_view("offline", "connection refused")]},
            "uplink mqtt", "major", "uplink mqtt is offline: connection refused", SINCE, "records wait here",
        ),
        (
            {"uplinks": [uplink_view(problems=("alarm is held: 0x87 not authorized",))]},
            "uplink mqtt", "minor", "0x87", SINCE, "rights of this client",
        ),
        (
            {"cameras": [camera_view("offline", "no route")]},
            "camera gate", "minor", "camera gate is offline: no route", SINCE, "rtsp://camera",
        ),
        (
            {"cameras": [camera_view("ended")]},
            "camera gate", "warning", "camera gate has ended", SINCE, "repeat = true",
        ),
        (
            {"store": {"bytes": 1, "quota": 9, "failing": "disk full"}},
            "store", "major", "records cannot be written: disk full", None, "free space",
        ),
        ({"clock": "unknown"}, "clock", "minor", "timequality=unknown", STARTED, "timedatectl"),
        (
            {"alarms": [alarm_view(sump_level="na")]},
            "alarm high", "minor", "sump.level (na)", None, "holds its state",
        ),
    ],
)  # fmt: skip
def test_problem(parts: dict[str, Any], part: str, severity: str, text: str, since: str | None, fix: str) -> None:
    (problem,) = found(**parts)
    assert (problem["part"], problem["severity"]) == (part, severity)
    assert text in problem["text"]
    assert fix in problem["fix"]
    # A line does not know since when it is down; the first device that went with it does.
    assert problem["since"] == since or part.startswith("line")


def test_a_line_is_down_since_its_first_device_is_gone() -> None:
    early = device_view("pump", "offline") | {"since": "2026-11-21T20:00:00.000+00:00"}
    (problem,) = found(lines=[line_view("down")], devices=[device_view("sump", "offline"), early])
    assert problem["since"] == early["since"]


def test_a_broken_line_hides_its_devices_and_a_dead_device_its_alarms() -> None:
    dead = device_view("sump", "offline", "timeout", "silent; check its power")
    assert [
        p["part"] for p in found(lines=[line_view("down")], devices=[dead], alarms=[alarm_view(sump_level="x")])
    ] == ["line rs485-1"]
    assert [p["part"] for p in found(devices=[dead], alarms=[alarm_view(sump_level="timeout")])] == ["device sump"]


def test_a_full_store_names_the_required_consumer_it_waits_for() -> None:
    rows = [
        {"consumer": "platform", "stream": "alarm", "acked": "k3f9.alarm.2", "lag": 7, "required": True},
        {"consumer": "other", "stream": "alarm", "acked": "k3f9.alarm.2", "lag": 7, "required": False},
        {"consumer": "platform", "stream": "disposal", "acked": "k3f9.disposal.0", "lag": 0, "required": True},
    ]
    (problem,) = found(consumers=rows, store={"bytes": 95, "quota": 100, "failing": None})
    assert "95% full and 7 records of alarm wait for platform" in problem["text"]
    assert found(consumers=rows) == []


def test_what_was_given_up_before_a_required_consumer_confirmed_it_is_told() -> None:
    rows = [
        {"consumer": "platform", "stream": "alarm", "acked": "k3f9.alarm.2", "lag": 7, "required": True},
        {"consumer": "other", "stream": "alarm", "acked": "k3f9.alarm.0", "lag": 9, "required": False},
    ]
    assert found(consumers=rows, streams={"alarm": {"first": 3, "last": 9}}) == []
    (problem,) = found(consumers=rows, streams={"alarm": {"first": 6, "last": 9}})
    assert problem["text"].startswith("given up before platform confirmed: 3 records of alarm")
    assert problem["severity"] == "major"


def test_the_worst_comes_first() -> None:
    weights = [problem["severity"] for problem in found(
        clock="unknown", cameras=[camera_view("ended")], uplinks=[uplink_view("offline")]
    )]  # fmt: skip
    assert weights == ["major", "minor", "warning"]


def test_damage_is_shown_while_it_lasts() -> None:
    damage = {"set_aside": "records.db.damaged-1", "state": "salvaging", "trouble": "a bad row", "raised_at": SINCE}
    (problem,) = found(store={"bytes": 10, "quota": 100, "failing": None, "damage": damage})
    assert (problem["part"], problem["since"]) == ("store", SINCE)
    assert "damaged (a bad row): what can be read of records.db.damaged-1 comes back" in problem["text"]
    assert found(store={"bytes": 10, "quota": 100, "failing": None, "damage": damage | {"state": "done"}}) == []


def test_records_that_wait_for_the_time_are_counted() -> None:
    (problem,) = found("unknown", store={"bytes": 10, "quota": 100, "failing": None, "held": 214})
    assert "214 records may wait up to 10 minutes for it, alarms go at once" in problem["text"]
    assert found(store={"bytes": 10, "quota": 100, "failing": None, "held": 214}) == []


def test_who_guesses_tokens_is_named() -> None:
    stranger = {"address": "203.0.113.9", "count": 11, "since": SINCE, "until": STARTED}
    (problem,) = found(strangers=[stranger])
    assert problem["severity"] == "warning"
    assert f"203.0.113.9 guesses tokens (11 times) and is slowed down until {STARTED}" in problem["text"]
