"""Putting, numbering, reading, waiting and confirming."""

import asyncio
import json
import shutil
import sqlite3
import stat
import threading

import pytest

from gateway.clock import SystemClock
from gateway.contract import STREAMS, CommandError, Cursor, Draft, LinliError, record_id
from gateway.store import Store
from tests.schemas import validate
from tests.store.desk import (
    GATEWAY,
    FastClock,
    alarm,
    disposal,
    everything,
    opened,
    prove_all,
    reading,
    settings,
    state,
    until,
)


async def test_a_record_is_as_the_interface_says(tmp_path):
    async with opened(tmp_path, FastClock(1)) as store:
        draft = reading(value=1.82)
        await store.put([draft])
        await store.committed()
        (record,) = await store.records("perception", 0, 10)
        event = validate(record.json)
        assert event["id"] == draft.id
        assert event["source"] == f"/gateways/{GATEWAY}/sump-level"
        assert event["subject"] == "sump-level"
        assert event["epoch"] == store.epoch
        assert event["sequence"] == "00000000000000000001"
        assert event["timequality"] == "synced"
        assert event["time"].endswith("+08:00")
        assert event["data"] == {"points": {"p0": {"value": 1.82, "unit": "m", "quality": "good"}}}
        assert b", " not in record.json


async def test_the_gateway_itself_is_a_source_and_extra_attributes_come_before_data(tmp_path):
    async with opened(tmp_path) as store:
        await store.put([alarm()], urgent=True)
        await store.committed()
        event = validate((await store.records("alarm", 0, 1))[0].json)
        assert event["source"] == f"/gateways/{GATEWAY}"
        assert list(event)[-3:] == ["severitytext", "severitynumber", "data"]


async def test_sequences_start_at_one_and_go_on_after_a_restart(tmp_path):
    async with opened(tmp_path) as store:
        epoch = store.epoch
        for stream in STREAMS:
            assert store.bounds(stream) == (0, 0)
        await store.put([reading(value=n) for n in range(300)] + [state(), alarm(), disposal()])
    async with opened(tmp_path) as store:
        assert store.epoch == epoch
        await store.put([reading(value=n) for n in range(300, 600)])
        await store.committed()
        assert store.bounds("perception") == (1, 600)
        assert store.bounds("alarm") == (1, 1)
        events = (await prove_all(store))["perception"]
        assert [event["data"]["points"]["p0"]["value"] for event in events] == list(range(600))


async def test_the_same_bytes_come_from_memory_and_from_disk_and_after_a_restart(tmp_path):
    async with opened(tmp_path) as store:
        await store.put([reading(f"d{n % 7}", n / 8, points=5) for n in range(700)])
        await store.put([alarm('ä, "5" : 7.5,6]')], urgent=True)
        await store.committed()
        memory = {stream: await store.records(stream, 0, 1000) for stream in STREAMS}
        store._tail = type(store._tail)()
        assert {stream: await store.records(stream, 0, 1000) for stream in STREAMS} == memory
    async with opened(tmp_path) as store:
        assert {stream: await store.records(stream, 0, 1000) for stream in STREAMS} == memory


@pytest.mark.parametrize("from_disk", [False, True])
async def test_limits_of_records(tmp_path, from_disk):
    async with opened(tmp_path) as store:
        await store.put([reading(value=n) for n in range(600)])
        await store.committed()
        if from_disk:
            store._tail = type(store._tail)()
        size = len((await store.records("perception", 0, 1))[0].json)
        assert [r.sequence for r in await store.records("perception", 253, 5)] == [254, 255, 256, 257, 258]
        assert len(await store.records("perception", 10, 10_000)) == 590
        assert len(await store.records("perception", 10, 100, max_bytes=size * 7 + 20)) == 7
        assert len(await store.records("perception", 10, 100, max_bytes=1)) == 1
        assert await store.records("perception", 600, 10) == []
        assert await store.records("perception", 5000, 10) == []
        assert await store.records("perception", 0, 0) == []


async def test_nothing_is_visible_before_it_is_committed_and_urgent_takes_the_rest_along(tmp_path):
    async with opened(tmp_path, commit="60s") as store:
        await store.put([reading()])
        await asyncio.sleep(0.05)
        assert await store.records("perception", 0, 10) == []
        assert store.unstored("perception") == 1
        await store.put([alarm()], urgent=True)
        assert await store.wait("alarm", {}, 10)
        assert store.unstored("perception") == 0
        assert len(await store.records("perception", 0, 10)) == 1


async def test_the_window_is_kept_on_the_given_clock(tmp_path, fake_clock):
    async with opened(tmp_path, fake_clock, commit="500ms") as store:
        await store.put([reading(clock=fake_clock)])
        await fake_clock.advance(0.2)
        assert store.unstored("perception") == 1
        await fake_clock.advance(0.4)
        await until(lambda: not store.unstored("perception"))
        assert store.bounds("perception").last == 1


async def test_wait_answers_for_any_of_several_streams_and_gives_up(tmp_path):
    async with opened(tmp_path) as store:
        assert not await store.wait(STREAMS, dict.fromkeys(STREAMS, 0), 0.01)
        waiting = asyncio.ensure_future(store.wait(("alarm", "management"), {"alarm": 0, "management": 0}, 30))
        await asyncio.sleep(0)
        await store.put([reading()])
        await store.committed()
        assert not waiting.done()
        await store.put([state()])
        assert await waiting
        assert not await store.wait("management", {"management": 1}, 0.01)


async def test_who_waits_for_a_store_that_has_ended_lets_the_others_end_too(tmp_path):
    async with opened(tmp_path) as store:
        pass
    others = []
    asyncio.get_running_loop().call_soon(others.append, "the end")
    assert not await store.wait("perception", {}, 10)
    assert others == ["the end"]


async def test_positions_never_go_back_and_survive(tmp_path):
    async with opened(tmp_path) as store:
        await store.put([reading() for _ in range(10)])
        await store.committed()
        store.confirm("mqtt", "perception", 7)
        store.confirm("mqtt", "perception", 3)
        store.confirm("district", "perception", 4)
        assert store.position("mqtt", "perception") == 7
        assert store.position("mqtt", "alarm") == 0
        with pytest.raises(CommandError) as refused:
            store.confirm("mqtt", "perception", 11)
        assert refused.value.status == 400
    async with opened(tmp_path) as store:
        assert store.position("mqtt", "perception") == 7
        assert store.position("district", "perception") == 4


async def test_what_comes_during_a_commit_waits_for_a_window_of_its_own(tmp_path, fake_clock):
    """Each small commit costs the card whole pages: two for one window would cost it nearly twice as much."""
    async with opened(tmp_path, fake_clock, commit="500ms") as store:
        await store.put([reading()])
        await fake_clock.advance(2.0)
        await store.committed()
        commits, commit, going, go = [], store._database.commit, threading.Event(), threading.Event()

        def slow(batch, *arguments):
            commits.append(batch)
            going.set()
            assert go.wait(30)
            return commit(batch, *arguments)

        store._database.commit = slow
        await store.put([reading()])
        await fake_clock.advance(0.6)
        await until(going.is_set)
        await store.put([reading()])
        go.set()
        await until(lambda: store.unstored("perception") == 1)
        await fake_clock.advance(0.2)
        await asyncio.sleep(0.05)
        assert len(commits) == 1
        await fake_clock.advance(0.6)
        await until(lambda: not store.unstored("perception"))
        assert len(commits) == 2


async def test_positions_ride_with_the_next_commit_and_alone_only_when_idle(tmp_path, fake_clock):
    async with opened(tmp_path, fake_clock, commit="500ms") as store:
        await store.put([reading()])
        await fake_clock.advance(2.0)  # past the first look at ages, which commits too
        await store.committed()
        commits = []
        commit = store._database.commit
        store._database.commit = lambda *arguments: commits.append(arguments) or commit(*arguments)
        store.confirm("mqtt", "perception", 1)
        await store.put([reading()])
        await fake_clock.advance(1.0)
        await until(lambda: not store.unstored("perception"))
        assert len(commits) == 1
        assert commits[0][0].cursors == {("mqtt", "perception"): 1}
        store.confirm("mqtt", "perception", 2)
        await fake_clock.advance(4.0)
        assert len([c for c in commits if c[0].cursors]) == 1
        await fake_clock.advance(2.0)
        await asyncio.sleep(0.05)
        assert len([c for c in commits if c[0].cursors]) == 2


async def test_facts_are_of_the_same_commit_and_survive(tmp_path):
    async with opened(tmp_path) as store:
        await store.put([alarm()], urgent=True, facts={"alarm/a": b"1", "alarm/b": b"2", "device/c": b"3"})
        await store.put([], facts={"alarm/b": None, "alarm/a": b"4"})
        assert store.facts("alarm/") == {"alarm/a": b"4"}
        await store.committed()
    async with opened(tmp_path) as store:
        assert store.facts("") == {"alarm/a": b"4", "device/c": b"3"}


async def test_a_foreign_epoch_is_gone(tmp_path):
    async with opened(tmp_path) as store:
        store.check(Cursor(store.epoch, "alarm", 5))
        with pytest.raises(CommandError) as refused:
            store.check(Cursor("k3f9", "alarm", 5))
        assert refused.value.status == 410
        assert Cursor.parse(refused.value.extra["cursor"]) == Cursor(store.epoch, "alarm", 0)


async def test_a_second_daemon_is_kept_out(tmp_path):
    async with opened(tmp_path):
        with pytest.raises(LinliError, match="another linli daemon"):
            await Store.open(settings(), tmp_path, GATEWAY, SystemClock(), {})
    async with opened(tmp_path):
        pass


async def test_after_closing_nothing_is_taken(tmp_path):
    async with opened(tmp_path) as store:
        pass
    with pytest.raises(LinliError, match="clos"):
        await store.put([reading()])
    with pytest.raises(LinliError, match="clos"):
        await store.put([alarm()], urgent=True)


async def test_closing_writes_what_waits(tmp_path):
    async with opened(tmp_path, commit="60s") as store:
        await store.put([reading() for _ in range(20)])
    async with opened(tmp_path) as store:
        assert store.bounds("perception") == (1, 20)


async def test_what_cannot_be_json_is_refused_to_the_one_who_brings_it(tmp_path):
    async with opened(tmp_path) as store:
        now = SystemClock().wall()
        with pytest.raises(LinliError, match="pump-7"):
            await store.put(
                [Draft("perception", "linli.reading.v1", "pump-7", "x", now, {"a": object()}, record_id(now))]
            )
        await store.put([reading()])
        await store.committed()
        assert store.bounds("perception") == (1, 1)


async def test_too_much_that_waits_makes_telemetry_wait_but_never_an_alarm(tmp_path):
    async with opened(tmp_path, commit="60s") as store:
        held = threading.Event()
        commit = store._database.commit
        store._database.commit = lambda *arguments: held.wait(30) and commit(*arguments)
        store._commits.queue._room = 50_000
        await store.put([alarm()], urgent=True)
        await asyncio.sleep(0.02)
        for _ in range(200):
            if store._commits.queue.full():
                break
            await store.put([reading(points=20)])
        waits = asyncio.ensure_future(store.put([reading()]))
        await asyncio.sleep(0.02)
        assert not waits.done()
        await asyncio.wait_for(store.put([alarm()], urgent=True), 1)
        held.set()
        await asyncio.wait_for(waits, 10)
        await store.committed()
        assert store.failing is None
        await prove_all(store)


async def test_only_the_gateway_may_read_the_lock_and_threads_have_names(tmp_path):
    async with opened(tmp_path) as store:
        await store.put([reading()])
        await store.committed()
        await everything(store, "perception", from_disk=True)
        names = {thread.name for thread in threading.enumerate()}
        assert {"linli-store-write_0", "linli-store-read_0"} <= names
        assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) & 0o007 == 0


async def test_the_database_is_plain_sqlite(tmp_path):
    async with opened(tmp_path) as store:
        await store.put([reading() for _ in range(10)])
        await store.committed()
        with sqlite3.connect(f"file:{tmp_path}/records.db?mode=ro", uri=True) as connection:
            assert connection.execute("SELECT first, last FROM perception").fetchall() == [(1, 10)]
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.close()


async def test_view_is_json_and_says_what_status_needs(tmp_path):
    async with opened(tmp_path) as store:
        await store.put([reading()])
        await store.committed()
        view = json.loads(json.dumps(store.view()))
        assert view["streams"]["perception"] == {"first": 1, "last": 1, "unstored": 0}
        assert 0 < view["bytes"] < view["quota"] == 64 << 20
        assert view["failing"] is None


async def test_alarms_carry_the_time_quality_of_when_they_came(tmp_path, fake_clock):
    async with opened(tmp_path, fake_clock) as store:
        fake_clock.trust = "unknown"
        await store.put([alarm(), reading()])
        fake_clock.trust = "synced"
        await store.committed()
        assert validate((await store.records("alarm", 0, 1))[0].json)["timequality"] == "unknown"
        assert validate((await store.records("perception", 0, 1))[0].json)["timequality"] == "synced"


async def test_a_copy_of_the_state_directory_is_a_whole_store(tmp_path):
    async with opened(tmp_path / "a") as store:
        await store.put([reading() for _ in range(100)])
        await store.committed()
        shutil.copytree(tmp_path / "a", tmp_path / "b")
    async with opened(tmp_path / "b") as store:
        assert store.bounds("perception") == (1, 100)
        await prove_all(store)
