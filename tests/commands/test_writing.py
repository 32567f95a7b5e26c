"""The command `write`: who may what, what is put on record before the answer, and how it fails; on a real slave."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from gateway.commands import Commands
from gateway.commands.writing import understood
from gateway.contract import CommandError, Draft
from gateway.store.envelope import Envelope, Stamp, waiting
from tests.desk import Desk, MemoryStore
from tests.modbus_farm import Slave
from tests.schemas import validate
from tests.sources.test_writing import farmed, slave, until


class AuditStore(MemoryStore):
    """A store in memory whose disk the test can stop."""

    def __init__(self) -> None:
        super().__init__()
        self.drafts: list[Draft] = []
        self.disk = asyncio.Event()
        self.disk.set()

    async def put(self, drafts: Sequence[Draft], *, urgent: bool = False, facts: Any = ()) -> None:
        assert urgent
        self.drafts += drafts

    async def committed(self, streams: Sequence[str]) -> None:
        assert tuple(streams) == ("disposal",)
        await self.disk.wait()
        for draft in self.drafts[len(self.streams["disposal"]) :]:
            self.add(draft)

    def unstored(self, stream: str) -> int:
        return len(self.drafts) - len(self.streams["disposal"])


class Room:
    """Commands over a real device."""

    def __init__(self, one: Slave, source: Any) -> None:
        desk = Desk()
        self.slave, self.store, self.clock = one, AuditStore(), desk.clock
        parts = (desk.settings, self.store, desk.rules, {"siren": source}, [], [], [], desk.clock, desk.apply)
        self.commands = Commands(*parts)  # type: ignore[arg-type]

    async def write(self, point: str, value: object, by: str = "uid:1000", **more: Any) -> Any:
        arguments = {"device": "siren", "point": point, "value": value, **more}
        return msgspec.json.decode(msgspec.json.encode(await self.commands.execute("write", arguments, by)))

    def told(self) -> list[dict[str, Any]]:
        """Data of all records, each valid after its schema."""
        for draft in self.store.drafts:
            stamp = Stamp(draft.time, self.clock.rfc3339(draft.time).replace("+00:00", "Z"), "synced")
            text = self.clock.rfc3339(draft.time).replace("+00:00", "Z")
            validate(json.dumps(json.loads(Envelope("gw-1", "k3f9").json(waiting(draft, "synced"), text, 1, stamp))))
        return [dict(draft.data) for draft in self.store.drafts]


@asynccontextmanager
async def room(one: Slave | None = None) -> AsyncIterator[Room]:
    one = one or slave()
    async with farmed(one) as source:
        yield Room(one, source)


async def test_the_answer_says_before_and_after_and_the_record_who() -> None:
    async with room() as site:
        done = await site.write("level", 85.5, "mqtt:duty desk")
        assert done["before"] == {"value": None, "unit": "dB", "quality": "bad", "reason": "out_of_range"}
        assert done["after"] == {"value": 85.5, "unit": "dB", "quality": "good"}
        assert (done["outcome"], done["stored"], done["text"]) == ("done", True, None)
        (record,) = site.told()
        assert (record["by"], record["device"], record["point"]) == ("mqtt:duty desk", "siren", "level")
        assert record["asked_at"] <= record["done_at"]


async def test_the_log_names_neither_a_text_nor_who_a_platform_says_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with room() as site:
        await site.write("level", 85.5, "mqtt:duty desk")
        with pytest.raises(CommandError):
            await site.write("level", "沪A12345", "mqtt:duty desk")
        await site.write("level", 86, "uid:1000")
    lines = [record.getMessage() for record in caplog.records if record.name == "linli.commands"]
    assert lines == [
        "mqtt sets siren.level to 85.5",
        "mqtt may not set siren.level: invalid",
        "uid:1000 sets siren.level to 86",
    ]


async def test_what_was_begun_is_on_record_although_nobody_waits_for_it_any_more() -> None:
    """The broker hangs up, the connection's tasks end: the device was set all the same."""
    async with room() as site:
        site.slave.mute.add(5)  # its answer never comes: the write takes its whole timeout
        asking = asyncio.create_task(site.write("output", True, "mqtt:duty desk"))
        await until(lambda: site.slave.written)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert asking.cancelled()
        await until(lambda: site.store.drafts)
        (record,) = site.told()
        assert (record["by"], record["outcome"], record["after"]["value"]) == ("mqtt:duty desk", "done", True)


async def test_nobody_gets_an_answer_before_the_record_is_on_disk() -> None:
    async with room() as site:
        site.store.disk.clear()
        asking = asyncio.create_task(site.write("output", True))
        await until(lambda: site.store.drafts)
        await asyncio.sleep(0.05)
        assert not asking.done()
        site.store.disk.set()
        assert (await asking)["stored"] is True


async def test_with_a_dead_disk_the_answer_says_that_it_is_not_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.commands.writing.AUDIT_PATIENCE", 0.05)
    async with room() as site:
        site.store.disk.clear()
        assert (await site.write("output", True))["stored"] is False
        assert site.slave.bits[0]


@pytest.mark.parametrize(
    ("point", "value", "status", "reason", "words"),
    [
        ("other", 1, 403, "not_allowed", "add write = true"),
        ("level", 100.1, 400, "invalid", "0 to 100 dB"),
        ("output", 1, 400, "invalid", "true or false"),
    ],
)
async def test_what_is_not_allowed_is_on_record_too(
    point: str, value: object, status: int, reason: str, words: str
) -> None:
    async with room() as site:
        with pytest.raises(CommandError, match=words) as refused:
            await site.write(point, value)
        assert refused.value.status == status
        (record,) = site.told()
        assert (record["outcome"], record["reason"], record["value"]) == ("refused", reason, value)
        assert (record["before"], record["after"]) == (None, None)
        assert site.slave.written == []


async def test_what_does_not_exist_is_not() -> None:
    async with room() as site:
        for device, point in (("nothing", "output"), ("siren", "nothing")):
            with pytest.raises(CommandError) as refused:
                await site.commands.execute("write", {"device": device, "point": point, "value": 1}, "uid:0")
            assert refused.value.status == 404
        assert site.told() == []


async def test_the_devices_refusal_is_on_record() -> None:
    one = slave()
    one.refused = {5: 4}
    async with room(one) as site:
        with pytest.raises(CommandError, match="server device failure") as failed:
            await site.write("output", True)
        assert (failed.value.status, failed.value.extra["outcome"]) == (503, "failed")
        (record,) = site.told()
        assert (record["outcome"], record["reason"], record["before"]["value"]) == ("failed", "device_failure", False)


async def test_a_silent_device_is_on_record_without_values() -> None:
    one = slave()
    one.silent = True
    async with room(one) as site:
        with pytest.raises(CommandError, match="no answer") as failed:
            await site.write("output", True)
        assert failed.value.status == 503
        (record,) = site.told()
        assert (record["outcome"], record["reason"], record["before"]) == ("failed", "timeout", None)


async def test_an_answer_that_never_comes_leaves_the_outcome_open() -> None:
    one = slave()
    one.mute = {5}
    answer = one.answer
    async with room(one) as site:

        def dies(pdu: bytes) -> bytes | None:
            one.silent = one.silent or bool(one.written)
            return answer(pdu)

        one.answer = dies  # type: ignore[method-assign]
        with pytest.raises(CommandError, match="may have been set"):
            await site.write("output", True)
        (record,) = site.told()
        assert (record["outcome"], record["after"]["reason"]) == ("unverified", "timeout")


async def test_a_mismatch_says_both_values() -> None:
    one = slave()
    one.stuck = True
    async with room(one) as site:
        with pytest.raises(CommandError, match="set to true, but the device now says false") as failed:
            await site.write("output", True)
        assert failed.value.status == 409
        assert site.told()[0]["outcome"] == "mismatch"


async def test_a_flood_of_refused_attempts_does_not_flood_the_records() -> None:
    async with room() as site:
        for _ in range(100):
            with pytest.raises(CommandError):
                await site.write("other", 1)
        assert len(site.told()) == 60
        site.clock.now += 61
        with pytest.raises(CommandError):
            await site.write("other", 1)
        assert len(site.told()) == 61


async def test_refused_before_it_came_here() -> None:
    async with room() as site:
        late = CommandError("time is 90 s off", 403)
        await site.commands.refused("write", {"device": "siren", "point": "output", "value": True}, "mqtt:x", late)
        for nonsense in ({}, {"device": "no", "point": "x", "value": 1}, {"device": "siren", "point": 3, "value": 1},
                         {"device": "siren", "point": "x", "value": []}):  # fmt: skip
            await site.commands.refused("write", nonsense, "mqtt:x", late)
        assert [(record["by"], record["text"]) for record in site.told()] == [("mqtt:x", "time is 90 s off")]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("on", "bool", True), ("False", "bool", False), ("0", "bool", False), ("21.5", "number", 21.5),
        ("-5", "number", -5), ("1e2", "number", 100), (" 7 ", "number", 7), ("7", "text", "7"), ("on", "text", "on"),
    ],
)  # fmt: skip
def test_values_as_people_type_them(text: str, kind: Any, value: object) -> None:
    found = understood(text, kind)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "kind"), [("maybe", "bool"), ("21,5", "number"), ("nan", "number"), ("inf", "number"), ("1e999", "number")]
)
def test_values_that_nobody_can_mean(text: str, kind: Any) -> None:
    with pytest.raises(CommandError):
        understood(text, kind)
