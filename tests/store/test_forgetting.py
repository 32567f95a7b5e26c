"""Passages of vehicles on no list go before the rest of their stream, and every loss is told."""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.contract import STREAMS, Draft, record_id
from gateway.store import Store, forgetting
from gateway.store import store as store_module
from gateway.store.inspection import inspect
from tests.store.desk import FastClock, SystemClock, opened, prove_all, reading, until

KEEP = {"perception": "1000s", "unlisted_vehicles": "100s"}
SECOND = 10**9


def passage(listed: str | None = None, marks: tuple[str, ...] = (), plate: str = "沪A98K76", **more: bool) -> Draft:
    now = SystemClock().wall()
    stamp = SystemClock().rfc3339(now)
    data: dict[str, Any] = {
        "lane": "main",
        "direction": "in",
        "plate": {"text": plate, "kind": "ordinary", "color": "blue", "status": "accepted", "confidence": 0.9},
        "list": listed,
        "first_time": stamp,
        "last_time": stamp,
        **more,
    }
    if marks:
        data["marks"] = list(marks)
    return Draft("perception", "linli.vehicle.passage.v1", "gate", "main", now, data, record_id(now))


async def passages(store: Store) -> list[tuple[str | None, bool]]:
    """List and whether marked, of all passages that are there."""
    events = (await prove_all(store))["perception"]
    found = [event["data"] for event in events if event["type"] == "linli.vehicle.passage.v1"]
    return [(data["list"], "marks" in data) for data in found]


def ends_at(store: Store, last: int) -> Callable[[], bool]:
    """Whether the stream has grown so far by gap records; a condition to wait for."""
    return lambda: store.bounds("perception").last == last


async def test_those_on_no_list_go_and_all_others_stay(tmp_path) -> None:
    clock = FastClock(100)
    async with opened(tmp_path, clock, keep=KEEP) as store:
        await store.put([reading(), passage(), passage("allow"), reading(), passage(), passage(), reading()])
        await store.put([passage("deny"), passage(None, ("wrong-way",)), passage("allow", ("repeat",))])
        await store.committed()
        clock.ahead_ns += 50 * SECOND
        await store.put([passage(), reading()])
        await store.committed()
        clock.ahead_ns += 60 * SECOND
        await until(ends_at(store, 14))
        assert await passages(store) == [
            ("allow", False),
            ("deny", False),
            (None, True),
            ("allow", True),
            (None, False),
        ]
        events = (await prove_all(store))["perception"]
        gaps = [event["data"] for event in events if event["type"] == "linli.gap.v1"]
        assert [(gap["first"], gap["last"], gap["cause"]) for gap in gaps] == [(2, 2, "age"), (5, 6, "age")]
        assert sum(event["type"] == "linli.reading.v1" for event in events) == 4
        clock.ahead_ns += 60 * SECOND
        await until(ends_at(store, 15))
        assert (None, False) not in await passages(store)
        last = store.bounds("perception").last
        clock.ahead_ns += 60 * SECOND
        await asyncio.sleep(0.2)
        assert store.bounds("perception").last == last  # what was looked at is not looked at again
    async with opened(tmp_path, FastClock(100), keep=KEEP) as store:
        assert len(await passages(store)) == 4
    assert inspect(tmp_path).findings == []


async def test_while_a_list_cannot_be_read_nobody_is_forgotten_early(tmp_path) -> None:
    clock = FastClock(100)
    async with opened(tmp_path, clock, keep=KEEP) as store:
        await store.put([passage(unread=True), passage()])
        await store.committed()
        clock.ahead_ns += 150 * SECOND
        await until(ends_at(store, 3))
        assert await passages(store) == [(None, False)]
        clock.ahead_ns += 1000 * SECOND
        await until(lambda: store.bounds("perception").first > 2)


async def test_without_the_key_they_stay_as_long_as_their_stream(tmp_path) -> None:
    clock = FastClock(100)
    async with opened(tmp_path, clock, keep={"perception": "1000s"}) as store:
        await store.put([passage()])
        await store.committed()
        clock.ahead_ns += 500 * SECOND
        await asyncio.sleep(0.3)
        assert await passages(store) == [(None, False)]


async def test_a_required_consumer_is_waited_for_up_to_twice_the_age(tmp_path) -> None:
    clock = FastClock(100)
    async with opened(tmp_path, clock, {"district": frozenset(STREAMS)}, keep=KEEP) as store:
        for _ in range(2):
            await store.put([passage()])
            await store.committed()
        clock.ahead_ns += 150 * SECOND
        await asyncio.sleep(0.2)
        assert len(await passages(store)) == 2
        store.confirm("district", "perception", 1)
        await until(ends_at(store, 3))
        assert len(await passages(store)) == 1
        clock.ahead_ns += 60 * SECOND
        await until(ends_at(store, 4))
        assert await passages(store) == []


async def test_many_go_a_few_at_a_time_and_their_gaps_go_with_the_stream(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(forgetting, "LOOKED_AT", 7)
    monkeypatch.setattr(forgetting, "CHANGED", 3)
    clock = FastClock(100)
    drafts = [random.choice([passage, lambda: passage("allow"), reading])() for _ in range(300)]
    async with opened(tmp_path, clock, keep=KEEP) as store:
        for at in range(0, 300, 5):
            await store.put(drafts[at : at + 5])
            await store.committed()
        clock.ahead_ns += 150 * SECOND
        listed = sum(draft.data.get("list") == "allow" for draft in drafts)
        async with asyncio.timeout(20):
            while await passages(store) != [("allow", False)] * listed:  # noqa: ASYNC110 - a thread does it
                await asyncio.sleep(0.05)
    monkeypatch.undo()
    async with opened(tmp_path, clock, keep=KEEP) as store:
        clock.ahead_ns += 1000 * SECOND
        await until(lambda: store.bounds("perception").first > 300)
        await prove_all(store)
    assert inspect(tmp_path).findings == []


async def test_their_pictures_go_at_the_same_age(tmp_path) -> None:
    clock = FastClock(100)
    keep = {**KEEP, "vehicle_media": "500s", "media": "1000s"}
    async with opened(tmp_path, clock, keep=keep) as store:
        unlisted = await store.put_media(b"stranger", "image/jpeg", "jpg", "unlisted")
        others = [await store.put_media(kept.encode() + b".", "image/jpeg", "jpg", kept) for kept in ("", "vehicle")]
        clock.ahead_ns += 150 * SECOND
        await until(lambda: store.media(unlisted["sha256"]) is None)
        assert all(store.media(other["sha256"]) for other in others)


async def test_their_pictures_wait_for_a_required_consumer_as_their_records_do(tmp_path) -> None:
    clock = FastClock(100)
    keep = {**KEEP, "vehicle_media": "500s"}
    async with opened(tmp_path, clock, {"district": frozenset(STREAMS)}, keep=keep) as store:
        files = []
        for number in range(2):
            files.append((await store.put_media(b"%d" % number, "image/jpeg", "jpg", "unlisted"))["sha256"])
            await store.put([passage()])
            await store.committed()
            clock.ahead_ns += (80 - 60 * number) * SECOND
        clock.ahead_ns += 30 * SECOND  # 130 and 50 s old
        await asyncio.sleep(0.2)
        assert all(map(store.media, files))
        store.confirm("district", "perception", 1)
        await until(lambda: store.media(files[0]) is None)
        assert len(await passages(store)) == 1
        clock.ahead_ns += 100 * SECOND  # 150 s old, and nobody has had it
        await asyncio.sleep(0.2)
        assert store.media(files[1])
        clock.ahead_ns += 60 * SECOND
        await until(lambda: store.media(files[1]) is None)
        await until(ends_at(store, 4))
        assert await passages(store) == []


async def test_a_damaged_row_does_not_keep_the_store_from_writing(tmp_path) -> None:
    clock = FastClock(100)
    async with opened(tmp_path, clock, keep=KEEP) as store:
        for _ in range(3):
            await store.put([passage()])
            await store.committed()
        query = "UPDATE perception SET payload = zeroblob(length(payload)) WHERE first = 2"
        await asyncio.get_running_loop().run_in_executor(
            store._threads.writer, store._database._connection.execute, query
        )
        clock.ahead_ns += 150 * SECOND
        await until(ends_at(store, 5))
        await store.put([reading()])
        await store.committed()


async def test_a_passage_that_nobody_understands_stays_and_the_store_goes_on_writing(tmp_path) -> None:
    clock = FastClock(100)
    strange = [replace(passage(), data={"list": None, "marks": "some"}), replace(passage(), data={"list": 7})]
    async with opened(tmp_path, clock, keep=KEEP) as store:
        await store.put([strange[0], passage(), strange[1]])
        await store.committed()
        clock.ahead_ns += 150 * SECOND
        await until(ends_at(store, 4))
        found = [json.loads(record.json) for record in await store.records("perception", 0, 9)]
        assert [event["data"] for event in found if event["type"] == strange[0].type] == [one.data for one in strange]
        await store.put([reading()])
        await store.committed()


@pytest.mark.parametrize("trust", ["unknown", "synced"])
async def test_a_clock_that_was_never_set_judges_no_age(tmp_path, trust: Any) -> None:
    clock = FastClock(100, trust)
    async with opened(tmp_path, clock, keep=KEEP) as store:
        clock.trust = "synced"
        await store.put([passage()])
        await store.committed()
        clock.trust = trust
        clock.ahead_ns += 150 * SECOND
        if trust == "synced":
            await until(ends_at(store, 2))
            return
        await asyncio.sleep(0.3)
        clock.trust, clock.ahead_ns = "synced", 0
        assert len(await passages(store)) == 1


async def test_chores_are_done_as_often_as_the_shortest_age_asks_for(tmp_path) -> None:
    assert store_module.CHORES_PER_KEEP >= 10
    async with opened(tmp_path, keep={"unlisted_vehicles": "1h"}) as store:
        assert store._commits._chores_every == 3600 / store_module.CHORES_PER_KEEP
