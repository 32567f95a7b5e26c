"""After damage: what can be read comes back with its old ids, once, and what cannot is told."""

import bisect
import json
import os
import shutil
import sqlite3
from contextlib import closing

import pytest

from gateway.clock import SystemClock
from gateway.contract import STREAMS, LinliError
from gateway.store.inspection import inspect
from gateway.store.wreck import ROWS, Wreck
from tests.store.desk import alarm, disposal, everything, noise, opened, prove_all, reading, state, until

REQUIRED = {"mqtt": frozenset(STREAMS)}


async def written(path, count=2000, confirmed=0):
    async with opened(path, required=REQUIRED) as store:
        for start in range(0, count, 100):
            drafts = [reading(f"d{n % 5}", n) for n in range(start, start + 100)]
            for draft in drafts:
                draft.data["noise"] = noise(100)
            await store.put([*drafts, state(), alarm(), disposal()], facts={"alarm/x": b'{"phase":"acknowledged"}'})
            await store.committed()
        await store.put_media(b"a picture", "image/jpeg", "jpg")
        if confirmed:
            store.confirm("mqtt", "perception", confirmed)
        await store.put([alarm()])
        await store.committed()
        return store.epoch, {stream: await everything(store, stream) for stream in STREAMS}


def payload_of(path, stream, after):
    with closing(sqlite3.connect(path / "records.db")) as connection:
        query = f"SELECT payload FROM {stream} WHERE first > ? ORDER BY first LIMIT 1"
        return connection.execute(query, (after,)).fetchone()[0]


def spoil_row(path, stream, after):
    """Change some bytes in the middle of a row's payload, which SQLite itself cannot notice."""
    payload = payload_of(path, stream, after)
    file = path / "records.db"
    content = bytearray(file.read_bytes())
    at = content.index(payload[-200:-150])
    content[at : at + 20] = os.urandom(20)
    file.write_bytes(content)


def suspect(path):
    (path / "records.suspect").write_text("a test says so")


async def salvaged(store):
    await until(lambda: store.view()["damage"] and store.view()["damage"]["state"] == "done")
    await store.committed()


def plain(events):
    """What has to survive of records: all but their place and when they were written."""
    own = ("epoch", "sequence", "recordedtime", "formerepoch", "formersequence")
    return [{name: value for name, value in event.items() if name not in own} for event in events]


def is_sound(path):
    report = inspect(path, media=True, progress=lambda *_: None)
    assert report.sound, report.findings


async def test_everything_readable_comes_back_with_its_ids(tmp_path):
    epoch, before = await written(tmp_path)
    suspect(tmp_path)
    async with opened(tmp_path, required=REQUIRED) as store:
        assert store.epoch != epoch
        assert store.facts("alarm/") == {"alarm/x": b'{"phase":"acknowledged"}'}
        await salvaged(store)
        events = await prove_all(store)
        for stream in STREAMS:
            again = [event for event in events[stream] if "formerepoch" in event]
            assert plain(again) == plain(before[stream])
            assert {event["formerepoch"] for event in again} == {epoch}
            assert [event["formersequence"] for event in again] == [event["sequence"] for event in before[stream]]
        (told,) = [e for e in events["management"] if e["data"].get("reason") == "store_salvaged"]
        assert told["data"]["salvaged"] == {stream: len(before[stream]) for stream in STREAMS}
        assert told["data"]["lost"] == dict.fromkeys(STREAMS, 0)
        assert told["data"]["former_epoch"] == epoch
        ours = [event for event in events["alarm"] if event["subject"] == "store-damaged"]
        assert [event["type"] for event in ours] == ["linli.alarm.raised.v1", "linli.alarm.cleared.v1"]
        assert ours[0]["id"] == ours[0]["data"]["occurrence"] == ours[1]["data"]["occurrence"]
        assert store.view()["damage"]["salvaged"]["perception"] == 2000
    is_sound(tmp_path)
    async with opened(tmp_path, required=REQUIRED) as store:  # and not once more
        await store.put([reading()])
        await store.committed()
        assert len(await everything(store, "alarm")) == len(events["alarm"])
    is_sound(tmp_path)


@pytest.mark.parametrize("places", [(0, 30), (3,), (17,), (21, 22), (45, 58), (60, 80), tuple(range(100))])
async def test_a_damaged_head_costs_no_record(tmp_path, places):
    epoch, before = await written(tmp_path, count=300)
    file = tmp_path / "records.db"
    content = bytearray(file.read_bytes())
    for place in places:
        content[place] ^= 0xFF
    file.write_bytes(content)
    suspect(tmp_path)
    async with opened(tmp_path, required=REQUIRED) as store:
        assert store.epoch != epoch
        await salvaged(store)
        events = await prove_all(store)
        for stream in STREAMS:
            again = [event for event in events[stream] if "formerepoch" in event]
            assert plain(again) == plain(before[stream])
    is_sound(tmp_path)


async def test_what_all_have_confirmed_stays_behind(tmp_path):
    _, before = await written(tmp_path, confirmed=1234)
    suspect(tmp_path)
    async with opened(tmp_path, required=REQUIRED) as store:
        await salvaged(store)
        events = await everything(store, "perception")
        assert plain(events) == plain(before["perception"][1234:])


@pytest.mark.parametrize("place", [300, 1000, 1700])
async def test_a_damaged_row_is_passed_and_counted(tmp_path, place):
    _, before = await written(tmp_path)
    spoil_row(tmp_path, "perception", place)
    suspect(tmp_path)
    async with opened(tmp_path, required=REQUIRED) as store:
        await salvaged(store)
        events = await prove_all(store)
        (told,) = [e for e in events["management"] if e["data"].get("reason") == "store_salvaged"]
        ((stream, first, last),) = told["data"]["lost_ranges"]
        assert stream == "perception"
        assert told["data"]["lost"]["perception"] == last - first + 1 == 100
        kept = before["perception"][: first - 1] + before["perception"][last:]
        assert plain(events["perception"]) == plain(kept)
    is_sound(tmp_path)


async def test_pages_of_the_tree_that_are_gone_are_leapt_over(tmp_path):
    _, before = await written(tmp_path)
    file = tmp_path / "records.db"
    with closing(sqlite3.connect(file)) as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    content = bytearray(file.read_bytes())
    for page in range(60, pages, 97):
        content[512 * page : 512 * page + 512] = bytes(512)
    file.write_bytes(content)
    async with opened(tmp_path, required=REQUIRED) as store:
        await salvaged(store)
        events = await prove_all(store)
    all_before = {event["id"]: event for event in plain(before["perception"])}
    again = plain([event for event in events["perception"] if "formerepoch" in event])
    assert all(all_before[event["id"]] == event for event in again)
    (told,) = [e for e in events["management"] if e["data"].get("reason") == "store_salvaged"]
    last = told["data"]["last_read"]["perception"]
    assert len(again) + told["data"]["lost"]["perception"] == last
    assert len(again) > 500
    is_sound(tmp_path)


class Shuffled(Wreck):
    """A wreck whose rows have these numbers, in the order of the file, as a flipped bit leaves them."""

    def __init__(self, path, numbers, wrong):
        super().__init__(path)
        self.numbers, self.wrong = numbers, wrong

    def _ascending(self, _stream, above, limit):
        start = bisect.bisect_right(self.numbers, above)  # as SQLite seeks; what follows it does not compare
        return self.numbers[start : start + limit]

    def _row(self, _stream, first):
        return [] if first == self.wrong else [b"{}"]


@pytest.mark.parametrize("wrong", [0, 3, 40, 1 << 40])
@pytest.mark.parametrize("place", [0, 1, 14, 15, 16, 17, 32, 60])
def test_rows_whose_numbers_are_not_in_order_are_passed(tmp_path, wrong, place):
    numbers = list(range(1, 62))
    numbers[place] = wrong
    wreck, at, seen, more = Shuffled(tmp_path / "none.db", numbers, wrong), 0, [], True
    for _ in range(100):
        firsts, more = wreck._firsts("alarm", at)
        seen += firsts
        at = firsts[-1] if firsts else at
        if not more:
            break
    assert not more, "it never ends"
    assert seen == sorted(set(seen))
    # Rows beside it may be out of reach, as a search by halves goes astray; the hole in the numbers tells of them, too.
    assert len(set(range(1, 62)) - {place + 1, wrong} - set(seen)) <= ROWS
    wreck.close()


async def test_media_stay_in_the_index(tmp_path):
    await written(tmp_path, 100)
    suspect(tmp_path)
    async with opened(tmp_path) as store:
        await salvaged(store)
        await store.put_media(b"next", "image/jpeg", "jpg")  # in the same thread, so after the sweep
        await store.committed()
    is_sound(tmp_path)
    assert {path.read_bytes() for path in (tmp_path / "media").rglob("*.jpg")} == {b"a picture", b"next"}


def total(store):
    return sum(store.bounds(stream).last for stream in STREAMS)


@pytest.mark.parametrize("steps", [1, 3, 7])
async def test_a_salvage_that_is_interrupted_goes_on_without_doubles(tmp_path, steps):
    _, before = await written(tmp_path)
    suspect(tmp_path)
    rounds = 0
    while True:
        rounds += 1
        async with opened(tmp_path, required=REQUIRED) as store:
            goal = total(store) + 60 * steps
            await until(lambda: total(store) >= goal or store.view()["damage"]["state"] == "done")  # noqa: B023
            if store.view()["damage"]["state"] == "done":
                await store.committed()
                events = await prove_all(store)
                break
    for stream in STREAMS:
        assert plain([e for e in events[stream] if "formerepoch" in e]) == plain(before[stream])
    (told,) = [e for e in events["management"] if e["data"].get("reason") == "store_salvaged"]
    assert told["data"]["salvaged"] == {stream: len(before[stream]) for stream in STREAMS}
    is_sound(tmp_path)


async def test_a_kill_between_setting_aside_and_the_new_epoch(tmp_path):
    epoch, before = await written(tmp_path, 300)
    (tmp_path / "records.db").rename(tmp_path / "records.db.damaged-20261122")
    async with opened(tmp_path) as store:
        assert store.epoch != epoch
        await salvaged(store)
        assert len(await everything(store, "perception")) == len(before["perception"])
        assert store.facts("alarm/")


async def test_only_the_newest_are_kept(tmp_path):
    for _ in range(5):
        await written(tmp_path, 100)
        suspect(tmp_path)
        async with opened(tmp_path) as store:
            await salvaged(store)
            await until(lambda: store._salvaging.done())
    assert len(list(tmp_path.glob("records.db.damaged-*[0-9]"))) == 3
    is_sound(tmp_path)
    ids = [json.loads(r.json)["id"] for r in await all_records(tmp_path)]
    assert len(ids) == len(set(ids))


async def all_records(path):
    async with opened(path) as store:
        return [record for stream in STREAMS for record in await store.records(stream, 0, 10_000)]


@pytest.mark.parametrize("damage", ["DELETE FROM about", "UPDATE cursors SET sequence = 1 << 40"])
async def test_what_cannot_be_is_damage(tmp_path, damage):
    epoch, _ = await written(tmp_path, 200, confirmed=5)
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection, connection:
        connection.execute(damage)
    async with opened(tmp_path) as store:
        assert store.epoch != epoch
        await salvaged(store)
        assert store.bounds("perception").last == 200


@pytest.mark.parametrize(("steps", "forgets"), [(1, False), (2, True), (3, False), (3, True)])
async def test_a_second_damage_during_the_salvage_doubles_and_loses_nothing(tmp_path, steps, forgets):
    _, before = await written(tmp_path)
    suspect(tmp_path)
    epochs = set()
    while True:
        async with opened(tmp_path, required=REQUIRED) as store:
            epochs.add(store.epoch)
            goal = total(store) + 300 * steps
            note = store.view()["damage"]
            await until(lambda: total(store) >= goal or store.view()["damage"]["state"] == "done")  # noqa: B023
            if len(epochs) > 2 or store.view()["damage"]["state"] == "done":
                await until(lambda: store._salvaging.done())
                await store.committed()
                events = await prove_all(store)
                break
        assert note["state"] != "done"
        if forgets:  # the damage is in what the store remembers of the first one
            with closing(sqlite3.connect(tmp_path / "records.db")) as connection, connection:
                connection.execute("UPDATE facts SET checksum = 0 WHERE name LIKE 'aside/%'")
        else:
            suspect(tmp_path)
        os.utime(tmp_path / "records.db", (5, 5))  # written by a clock that did not know the time
    for stream in STREAMS:
        ids = {event["id"] for event in before[stream]}
        assert plain(sorted_by_id(e for e in events[stream] if e["id"] in ids)) == plain(sorted_by_id(before[stream]))
    is_sound(tmp_path)


class Standing(SystemClock):
    """A clock that starts at the same time whenever the power comes back."""

    def wall(self):
        return 1_795_301_300_000_000_000


async def test_two_that_were_set_aside_in_the_same_second_are_two(tmp_path):
    _, before = await written(tmp_path, 200)
    for _ in range(2):
        suspect(tmp_path)
        async with opened(tmp_path, Standing(), required=REQUIRED) as store:
            await salvaged(store)
            events = await prove_all(store)
        (aside,) = tmp_path.glob("records.db.damaged-*[0-9]")
        assert {event["id"] for event in before["perception"]} <= {event["id"] for event in events["perception"]}
        aside.unlink()


async def test_the_power_goes_between_the_log_and_its_database(tmp_path):
    async with opened(tmp_path / "state", required=REQUIRED) as store:
        await store.put([reading(value=n) for n in range(300)])
        await store.committed()
        before = {event["id"] for event in await everything(store, "perception")}
        shutil.copytree(tmp_path / "state", tmp_path / "cut")
    (tmp_path / "cut" / "records.db-wal").rename(tmp_path / "cut" / "records.db.damaged-20261122T080000-1-wal")
    suspect(tmp_path / "cut")
    async with opened(tmp_path / "cut", required=REQUIRED) as store:
        await salvaged(store)
        assert before == {event["id"] for event in await everything(store, "perception")}


def sorted_by_id(events):
    return sorted(events, key=lambda event: event["id"])


async def test_what_waited_when_damage_was_met_is_stored_by_the_next_start_once(tmp_path, monkeypatch):
    await written(tmp_path, 100)
    last = alarm("the-last")
    async with opened(tmp_path) as store:

        def damaged(*_):
            raise corrupt("database disk image is malformed")

        monkeypatch.setattr(store._database, "commit", damaged)
        await store.put([reading(), last], urgent=True, facts={"alarm/the-last": b"raised"})
        with pytest.raises(LinliError, match="damaged"):
            await store.committed()
    left = (tmp_path / "records.left").read_bytes()
    for _ in range(2):
        async with opened(tmp_path) as store:
            assert [e["id"] for e in await everything(store, "alarm")].count(last.id) == 1
            assert store.facts("alarm/")["alarm/the-last"] == b"raised"
            assert len(await everything(store, "perception")) == 101
        assert not (tmp_path / "records.left").exists()
        (tmp_path / "records.left").write_bytes(left)  # as if the power had gone before it was deleted


def corrupt(text):
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


@pytest.mark.parametrize(
    "flip",
    [
        "UPDATE cursors SET sequence = sequence + 1",
        "UPDATE facts SET value = CAST('{\"phase\":\"normal\"}' AS BLOB) WHERE name = 'alarm/x'",
        "UPDATE facts SET name = 'alarm/y' WHERE name = 'alarm/x'",
    ],
)
async def test_a_plausible_flip_in_a_position_or_fact_is_damage(tmp_path, flip):
    epoch, before = await written(tmp_path, 200, confirmed=120)
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection, connection:
        connection.execute(flip)
    async with opened(tmp_path, required=REQUIRED) as store:
        assert store.epoch != epoch
        assert store.facts("alarm/") == ({} if "facts" in flip else {"alarm/x": b'{"phase":"acknowledged"}'})
        await salvaged(store)
        # A position that cannot be believed holds nothing back.
        expected = before["perception"][120:] if "facts" in flip else before["perception"]
        assert plain(await everything(store, "perception")) == plain(expected)
