"""Quota and age: what goes, in which order, and that every loss is told."""

import asyncio
import random

from gateway.contract import STREAMS
from gateway.store import retention
from gateway.store import store as store_module
from gateway.store.erasure import Erasure
from gateway.store.retention import Budget
from tests.store.desk import FastClock, alarm, disposal, everything, noise, opened, prove_all, reading, state, until
from tests.store.test_erasure import told

MIB = 1 << 20


def on_disk(path):
    """Bytes of all files that the records' quota covers."""
    names = ("records.db", "records.db-wal", "records.db-shm", "reserve")
    return sum((path / name).stat().st_size for name in names if (path / name).exists())


async def fill(store, count, make, length=400, commit_each=40):
    for start in range(0, count, commit_each):
        drafts = [make() for _ in range(min(commit_each, count - start))]
        for draft in drafts:
            draft.data["noise"] = noise(length)
        await store.put(drafts)
        await store.committed()


async def test_a_quota_of_one_mebibyte_holds_and_every_loss_is_told(tmp_path):
    async with opened(tmp_path, records="1MiB") as store:
        for _ in range(60):
            await fill(store, 40, random.choice([reading, reading, state]), 600)
            assert on_disk(tmp_path) <= MIB
        events = await prove_all(store)
        assert store.bounds("perception").first > 1
        causes = {e["data"]["cause"] for each in events.values() for e in each if e["type"] == "linli.gap.v1"}
        assert causes == {"quota"}
    async with opened(tmp_path, records="1MiB") as store:
        assert {stream: len(each) for stream, each in (await prove_all(store)).items()} == {
            stream: len(each) for stream, each in events.items()
        }


async def test_the_lowest_class_goes_first_and_alarms_last(tmp_path):
    async with opened(tmp_path, records="1MiB") as store:
        await fill(store, 80, alarm)
        await fill(store, 80, disposal)
        await fill(store, 80, state)
        await fill(store, 3500, reading)
        assert store.bounds("perception").first > 1
        assert {store.bounds(stream).first for stream in ("alarm", "disposal", "management")} == {1}
        await fill(store, 3500, state)
        assert store.bounds("management").first > 1
        assert {store.bounds(stream).first for stream in ("alarm", "disposal")} == {1}
        await fill(store, 3500, alarm)
        events = await prove_all(store)
        assert store.bounds("alarm").first > 1
        # All that could go before an alarm did: the others hold little more than their gap records.
        assert all(len(events[stream]) < 40 for stream in ("perception", "management", "disposal"))


async def test_nothing_but_gaps_still_fits(tmp_path):
    """Tiny commits of one record each: nearly every eviction makes a gap record, and those are evicted too."""
    async with opened(tmp_path, records="1MiB") as store:
        await fill(store, 600, alarm, 900)
        for round_ in range(150):
            await fill(store, 1, reading, 1500, 1)
            if round_ % 10 == 0:
                await fill(store, 20, state, 900)
                assert on_disk(tmp_path) <= MIB
        await prove_all(store)


async def test_one_commit_far_beyond_the_quota(tmp_path):
    async with opened(tmp_path, records="1MiB", commit="60s") as store:
        drafts = [reading(points=2) for _ in range(3000)]
        for draft in drafts:
            draft.data["noise"] = noise(700)
        for start in range(0, len(drafts), 500):
            await store.put(drafts[start : start + 500])
        await store.committed()
        assert on_disk(tmp_path) <= MIB
        await prove_all(store)


async def test_a_smaller_quota_than_before_shrinks_the_file(tmp_path):
    async with opened(tmp_path, records="16MiB") as store:
        await fill(store, 6000, reading, 700, 500)
        assert on_disk(tmp_path) > 3 * MIB
    async with opened(tmp_path, FastClock(50), records="1MiB") as store:
        await until(lambda: store.view()["bytes"] <= Budget(MIB).pages)
        await prove_all(store)
    async with opened(tmp_path, records="1MiB") as store:
        assert on_disk(tmp_path) <= MIB
        await prove_all(store)


KEEP = {"perception": "100s", "management": "100s", "alarm": "365d", "disposal": "365d", "media": "30d"}


async def test_age_takes_what_is_old_and_tells_it(tmp_path):
    clock = FastClock(100)
    async with opened(tmp_path, clock, keep=KEEP) as store:
        await store.put([reading(), reading(), alarm()])
        await store.committed()
        clock.ahead_ns += 60 * 10**9
        await store.put([reading()])
        await store.committed()
        clock.ahead_ns += 50 * 10**9
        await until(lambda: store.bounds("perception").first == 3)
        events = await prove_all(store)
        (gap,) = [e for e in events["perception"] if e["type"] == "linli.gap.v1"]
        assert gap["data"] == {"stream": "perception", "first": 1, "last": 2, "count": 2, "cause": "age"}
        assert store.bounds("alarm").first == 1
        clock.ahead_ns += 300 * 10**9
        await until(lambda: store.bounds("perception").first > 3)
        before = store.bounds("perception").last
        clock.ahead_ns += 300 * 10**9
        await asyncio.sleep(0.2)
        # A gap record alone is not replaced by another one for ever.
        assert store.bounds("perception").last == before
        await prove_all(store)


async def test_age_keeps_up_with_more_than_it_takes_at_once(tmp_path, monkeypatch):
    """Chores come once an hour, and an hour has more commits than one of them may delete."""
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 4)
    monkeypatch.setattr(store_module, "CHORES", (1e6, 1e6))  # once after the start, and then not in this test
    async with opened(tmp_path, keep=KEEP) as store:
        for _ in range(30):
            await store.put([reading()])
            await store.committed()
    clock = FastClock(100)
    clock.ahead_ns = 150 * 10**9
    async with opened(tmp_path, clock, keep=KEEP) as store:
        await until(lambda: store.bounds("perception").first > 30)
        await prove_all(store)


async def test_a_head_of_nothing_but_gaps_does_not_hold_back_what_follows(tmp_path, monkeypatch):
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 2)
    clock = FastClock(100)
    async with opened(tmp_path, clock, keep=KEEP) as store:
        await store.put([reading(), reading(), reading()])
        await store.committed()
        for sequence in (1, 3, 2):
            await store.erase(Erasure({"perception": [sequence]}, [], told))
        assert store.bounds("perception") == (4, 6)
        await store.put([reading()])
        await store.committed()
        clock.ahead_ns += 150 * 10**9
        await until(lambda: store.bounds("perception").first > 7)
        await prove_all(store)


async def test_age_waits_for_required_consumers_but_not_beyond_twice(tmp_path):
    clock = FastClock(100)
    required = {"district": frozenset(STREAMS), "alarms-only": frozenset({"alarm"})}
    async with opened(tmp_path, clock, required, keep=KEEP) as store:
        for _ in range(4):
            await store.put([reading()])
            await store.committed()
        clock.ahead_ns += 120 * 10**9
        await asyncio.sleep(0.2)
        assert store.bounds("perception").first == 1
        store.confirm("district", "perception", 2)
        await until(lambda: store.bounds("perception").first == 3)
        clock.ahead_ns += 90 * 10**9
        await until(lambda: store.bounds("perception").first > 4)
        await prove_all(store)


async def test_age_is_not_judged_by_a_clock_that_was_never_set(tmp_path):
    clock = FastClock(100, "unknown")
    clock.ahead_ns = -56 * 365 * 86400 * 10**9
    async with opened(tmp_path, clock, keep=KEEP) as store:
        await store.put([reading() for _ in range(3)])
        await store.committed()
        clock.ahead_ns, clock.trust = 0, "synced"
        await store.put([reading()])
        await store.committed()
        await asyncio.sleep(0.3)
        assert store.bounds("perception").first == 1
        clock.ahead_ns += 120 * 10**9
        await until(lambda: store.bounds("perception").first > 4)
        await prove_all(store)


async def test_a_wall_clock_that_steps_far_ahead_and_back_loses_nothing_for_good(tmp_path):
    clock = FastClock(100)
    async with opened(tmp_path, clock, keep=KEEP) as store:
        await store.put([reading()])
        await store.committed()
        clock.ahead_ns = -3600 * 10**9
        await store.put([reading()])
        await store.committed()
        await asyncio.sleep(0.2)
        assert store.bounds("perception").first == 1
        events = await everything(store, "perception")
        assert [int(e["sequence"]) for e in events] == [1, 2]


async def test_reading_on_after_a_position_inside_a_gap(tmp_path):
    async with opened(tmp_path, records="1MiB") as store:
        await fill(store, 3000, reading)
        first = store.bounds("perception").first
        assert first > 100
        (record,) = await store.records("perception", 50, 1)
        assert record.sequence == first


def test_a_budget_never_gives_out_more_than_the_quota():
    for quota in (MIB, 2 * MIB, 10 * MIB, 1 << 30, 1 << 40):
        budget = Budget(quota)
        assert budget.reserve + budget.log + budget.pages < quota
        assert budget.pages >= quota // 2
