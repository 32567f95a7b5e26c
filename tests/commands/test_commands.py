"""Verbs: what they answer, who did it, and how they are refused."""

from typing import Any

import msgspec
import pytest

from gateway.contract import STREAMS, CommandError, Draft, LinkError, PointValue
from tests.desk import EPOCH, Desk, View, uplink_view

ALARM = {"name": "sump-high", "when": "sump.level > 2.5", "severity": "major", "text": {"en": "Sump high"}}
CONSUMER = {"name": "platform", "token_sha256": "0" * 64, "required": True, "streams": ["alarm", "disposal"]}


@pytest.fixture
def desk() -> Desk:
    return Desk(alarm=[ALARM], api={"consumer": [CONSUMER]}, uplink={"mqtt": {"url": "mqtts://broker"}})


async def ask(desk: Desk, verb: str, **arguments: Any) -> Any:
    """The answer as it leaves: through JSON."""
    return msgspec.json.decode(msgspec.json.encode(await desk.commands.execute(verb, arguments, "uid:1000")))


def fill(desk: Desk, count: int, stream: Any = "perception") -> None:
    for number in range(count):
        data = {"points": {"level": {"value": number, "unit": "m", "quality": "good"}}}
        desk.store.add(Draft(stream, "linli.reading.v1", "sump", "sump", 1, data, f"id-{number}"))


async def test_status_has_what_the_interface_names(desk: Desk) -> None:
    desk.clock.now += 12.34
    state = await ask(desk, "status")
    assert (state["gateway"], state["site"], state["contact"]) == ("desk-1", "Garden Lane 12", "Desk 110")
    assert (state["epoch"], state["uptime_s"], state["problems"]) == (EPOCH, 12.3, [])
    assert state["time"].startswith("2026-11-2")
    assert set(state["streams"]) == set(STREAMS)
    assert [device["name"] for device in state["devices"]] == ["sump", "pump"]
    assert {"version", "lines", "cameras", "alarms", "uplinks"} <= set(state)
    assert state["store"]["bytes"] == 4096
    assert state["store"]["quota"] == 1 << 21
    assert state == msgspec.json.decode(msgspec.json.encode(desk.commands.status()))


async def test_status_counts_what_each_consumer_lacks(desk: Desk) -> None:
    fill(desk, 5, "alarm")
    fill(desk, 2)
    desk.store.positions["platform", "alarm"] = 3
    rows = (await ask(desk, "status"))["consumers"]
    assert [(row["consumer"], row["stream"], row["acked"], row["lag"]) for row in rows] == [
        ("platform", "alarm", f"{EPOCH}.alarm.3", 2),
        ("platform", "disposal", f"{EPOCH}.disposal.0", 0),
        ("mqtt", "alarm", f"{EPOCH}.alarm.0", 5),
        ("mqtt", "disposal", f"{EPOCH}.disposal.0", 0),
        ("mqtt", "management", f"{EPOCH}.management.0", 0),
        ("mqtt", "perception", f"{EPOCH}.perception.0", 2),
    ]
    assert [row["required"] for row in rows] == [True, True, False, False, False, False]


async def test_an_alarm_that_the_disk_did_not_take_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.level(3.0)
    assert [alarm["stored"] for alarm in await ask(desk, "alarms")] == [True]
    desk.store.failing = "the disk is gone"
    assert [alarm["stored"] for alarm in await ask(desk, "alarms")] == [True]
    monkeypatch.setattr(desk.store, "unstored", lambda stream: int(stream == "alarm"))
    assert [alarm["stored"] for alarm in await ask(desk, "alarms")] == [False]


async def test_read_all_points_or_one(desk: Desk) -> None:
    whole = await ask(desk, "read", device="pump")
    assert whole["points"]["running"] == {"value": True, "unit": "", "quality": "good"}
    one = await ask(desk, "read", device="sump", point="level")
    assert one["points"] == {"level": {"value": 1.82, "unit": "m", "quality": "good"}}
    assert (one["device"], one["time"][:4]) == ("sump", "2026")


async def test_read_shows_why_a_point_is_bad(desk: Desk) -> None:
    desk.sources["sump"].values = {"level": PointValue(None, "bad", "crc")}
    answer = await ask(desk, "read", device="sump")
    assert answer["points"]["level"] == {"value": None, "unit": "m", "quality": "bad", "reason": "crc"}


async def test_a_line_that_is_down_speaks_for_itself(desk: Desk) -> None:
    desk.sources["sump"].fails = LinkError("/dev/ttyUSB0 is gone; plug it in again", "unplugged")
    with pytest.raises(LinkError, match="plug it in"):
        await ask(desk, "read", device="sump")


async def test_alarms_shows_those_that_need_somebody_or_all(desk: Desk) -> None:
    assert await ask(desk, "alarms") == []
    (row,) = await ask(desk, "alarms", all=True)
    assert (row["name"], row["state"], row["active"]) == ("sump-high", "normal", False)
    assert row["blind"] == {"sump.level": "never_read"}
    desk.level(3.0)
    (row,) = await ask(desk, "alarms")
    assert (row["state"], row["active"], row["blind"]) == ("unacknowledged", True, {})
    assert row["points"]["sump.level"]["value"] == 3.0


async def test_ack_is_stored_with_who_and_why(desk: Desk) -> None:
    desk.level(3.0)
    row = await ask(desk, "ack", alarm="sump-high", note="pump was off")
    assert (row["state"], row["by"], row["note"]) == ("acknowledged", "uid:1000", "pump was off")
    assert [draft.type for draft in desk.steps[-1].drafts] == [
        "linli.disposal.acknowledged.v1",
        "linli.alarm.updated.v1",
    ]


async def test_ack_by_occurrence(desk: Desk) -> None:
    desk.level(3.0)
    (row,) = await ask(desk, "alarms")
    assert (await ask(desk, "ack", alarm=row["occurrence"]))["state"] == "acknowledged"


@pytest.mark.parametrize("verb", ["records", "replay"])
async def test_records_by_cursor_are_the_stored_bytes(desk: Desk, verb: str) -> None:
    fill(desk, 5)
    first = await desk.commands.execute(verb, {"stream": "perception", "limit": 2}, "uid:0")
    assert [bytes(record) for record in first["records"]] == [r.json for r in desk.store.streams["perception"][:2]]
    assert (first["next"], first["more"]) == (f"{EPOCH}.perception.2", True)
    rest = await ask(desk, verb, after=first["next"])
    assert [record["id"] for record in rest["records"]] == ["id-2", "id-3", "id-4"]
    assert (rest["next"], rest["more"]) == (f"{EPOCH}.perception.5", False)
    assert (await ask(desk, verb, after=rest["next"])) == {"records": [], "next": rest["next"], "more": False}


async def test_ping(desk: Desk) -> None:
    assert (await ask(desk, "ping"))["gateway"] == "desk-1"


@pytest.mark.parametrize(
    ("verb", "arguments", "status", "words"),
    [
        ("sttus", {}, 404, 'did you mean "status"'),
        ("write", {"device": "pump", "point": "running"}, 400, "write needs value: a number, true, false or a text"),
        ("write", {"device": "pump", "point": "running", "value": [1]}, 400, "value must be a number, true"),
        ("write", {"device": "pmup", "point": "running", "value": 1}, 404, 'did you mean "pump"'),
        ("reload", {}, 501, "not built yet"),
        ("status", {"x": 1}, 400, "takes no arguments"),
        ("read", {}, 400, "read needs device"),
        ("read", {"device": 3}, 400, "device must be a text"),
        ("read", {"device": "smp"}, 404, 'did you mean "sump"'),
        ("read", {"device": "sump", "point": "x"}, 404, "no point"),
        ("read", {"device": "sump", "points": "x"}, 400, "does not take 'points'; it takes device, point"),
        ("alarms", {"all": "yes"}, 400, "all must be true or false"),
        ("ack", {"alarm": "sump-hihg"}, 404, 'did you mean "sump-high"'),
        ("ack", {"alarm": "sump-high"}, 409, "not raised"),
        ("ack", {"alarm": "sump-high", "note": "x" * 1001}, 400, "longer than 1000"),
        ("records", {}, 400, "say which stream"),
        ("records", {"stream": "alrm"}, 404, 'did you mean "alarm"'),
        ("records", {"stream": "alarm", "limit": 0}, 400, "from 1 to 10000"),
        ("records", {"stream": "alarm", "limit": True}, 400, "whole number"),
        ("records", {"stream": "alarm", "limit": 10_001}, 400, "from 1 to 10000"),
        ("records", {"stream": "alarm", "after": "x"}, 400, "malformed cursor"),
        ("records", {"stream": "alarm", "after": f"{EPOCH}.disposal.0"}, 400, "belongs to stream disposal"),
        ("records", {"after": "old.alarm.7"}, 410, "another epoch"),
        ("replay", {"after": f"{EPOCH}.alarm.9"}, 400, "beyond the end"),
    ],
)
async def test_refused(desk: Desk, verb: str, arguments: dict[str, Any], status: int, words: str) -> None:
    with pytest.raises(CommandError, match=words) as refused:
        await desk.commands.execute(verb, arguments, "uid:1000")
    assert refused.value.status == status


async def test_uplinks_are_shown(desk: Desk) -> None:
    desk.uplinks.append(View(uplink_view()))
    assert (await ask(desk, "status"))["uplinks"][0]["name"] == "mqtt"
