"""Patience with wrong tokens: slowdowns, their records, and what strangers must not be able to fill."""

import logging
from datetime import datetime

import jsonschema
import pytest
from starlette.requests import Request

from gateway.api.access import Access
from gateway.api.patience import LONGEST, SOURCES, TOLD_PER_HOUR, WRONG_PER_MINUTE, Patience
from gateway.api.problem import RefusalError
from gateway.store.types import schema
from tests.api.api_standins import TOKEN, settings

GUESS = "a-guess-of-a-token"


class Door:
    """Access with a clock that tests move; ``told`` are the data of its records."""

    def __init__(self, clock):
        self.told = []
        consumers = settings("/nowhere").api.consumer
        self.access = Access(consumers, Patience("gw-1", clock, self._tell))

    async def _tell(self, draft):
        jsonschema.validate(draft.data, schema(draft.type)["properties"]["data"])
        self.told.append(draft.data)

    def request(self, host, token):
        headers = [(b"authorization", f"Bearer {token}".encode())]
        return Request({"type": "http", "headers": headers, "client": (host, 1), "state": {}})

    async def knock(self, host):
        with pytest.raises(RefusalError) as refused:
            await self.access.caller(self.request(host, GUESS))
        return refused.value

    async def slow_down(self, host):
        return [(await self.knock(host)).status for _ in range(WRONG_PER_MINUTE + 1)]


@pytest.fixture
def door(fake_clock):
    return Door(fake_clock)


def seconds(data):
    return (datetime.fromisoformat(data["until"]) - datetime.fromisoformat(data["since"])).total_seconds()


async def test_one_slowdown_is_one_record_and_a_valid_token_still_works(door, fake_clock):
    for _ in range(5):
        await door.knock("192.0.2.7")
        await fake_clock.advance(2, step=2)
    statuses = [(await door.knock("192.0.2.7")).status for _ in range(500)]
    assert statuses == [401] * 5 + [429] * 495
    (told,) = door.told
    assert (told["address"], told["count"], told["others"]) == ("192.0.2.7", 11, 0)
    assert seconds(told) == 10 + 60
    for _ in range(100):
        assert (await door.access.caller(door.request("192.0.2.7", TOKEN))).consumer == "district-platform"


async def test_who_goes_on_waits_longer_and_every_guess_is_counted(door, fake_clock):
    asked = 0
    waits = []
    for _ in range(9):
        for _ in range(30):
            refused = await door.knock("192.0.2.7")
            asked += 1
        waits.append(int(refused.headers["retry-after"]))
        await fake_clock.advance(waits[-1], step=waits[-1])
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert len(door.told) == 9
    assert sum(told["count"] for told in door.told) == asked - (30 - 11)


async def test_who_stops_is_forgiven(door, fake_clock):
    for _ in range(3):
        assert await door.slow_down("192.0.2.7") == [401] * 10 + [429]
        assert (await door.knock("192.0.2.7")).headers["retry-after"] == "60"
        await fake_clock.advance(60, step=60)
        assert (await door.knock("192.0.2.7")).status == 401
        await fake_clock.advance(60, step=60)


async def test_ten_in_every_minute_are_never_slowed_down(door, fake_clock):
    for _ in range(20):
        assert [(await door.knock("192.0.2.7")).status for _ in range(10)] == [401] * 10
        await fake_clock.advance(60, step=60)
    assert door.told == []


async def test_many_sources_fill_neither_memory_nor_disk_nor_log(door, fake_clock, caplog):
    caplog.set_level(logging.INFO, "linli.api")
    for number in range(2 * SOURCES):
        assert (await door.slow_down(f"10.0.{number >> 8}.{number & 255}"))[-1] == 429
    assert len(door.access.patience._sources) == SOURCES
    assert len(door.told) == TOLD_PER_HOUR
    assert len(caplog.records) == 2 * TOLD_PER_HOUR
    assert GUESS not in caplog.text
    await fake_clock.advance(LONGEST, step=LONGEST)
    await door.slow_down("192.0.2.7")
    assert door.told[-1]["others"] == 2 * SOURCES - TOLD_PER_HOUR


async def test_a_source_is_an_ipv4_address_or_a_network_of_ipv6(door):
    statuses = [(await door.knock(f"2001:db8::{number}")).status for number in range(11)]
    assert statuses == [401] * 10 + [429]
    assert door.told[0]["address"] == "2001:db8::/64"
    assert (await door.knock("::ffff:192.0.2.1")).status == 401
    assert [(await door.knock("192.0.2.1")).status for _ in range(10)][-1] == 429
    assert (await door.knock("192.0.2.2")).status == 401


async def test_the_record_is_stored(begin):
    served, _ = await begin()
    statuses = [(await served.get("/v1/status", token=GUESS)).status for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    records = (await served.get("/v1/streams/management/records?wait=10")).json["records"]
    told = [record for record in records if record["type"] == "linli.api.refused.v1"]
    assert [record["data"]["address"] for record in told] == ["127.0.0.1"]
    jsonschema.validate(told[0], schema("linli.api.refused.v1"))
    assert GUESS not in str(records)


async def test_a_status_can_name_who_is_slowed_down_while_it_lasts(door, fake_clock):
    patience = door.access.patience
    await door.knock("192.0.2.7")
    assert patience.strangers() == []
    await door.slow_down("192.0.2.7")
    (stranger,) = patience.strangers()
    assert (stranger["address"], stranger["count"]) == ("192.0.2.7", 12)
    assert stranger["until"] == door.told[0]["until"]
    await fake_clock.advance(61, step=61)
    assert patience.strangers() == []
