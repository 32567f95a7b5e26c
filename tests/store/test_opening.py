"""Old, damaged, foreign and newer files in the state directory."""

import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.contract import STREAMS, CommandError, LinliError
from gateway.store import Store, migrate
from tests.store.desk import GATEWAY, alarm, everything, noise, opened, prove_all, reading, settings, state

RELEASED = Path(__file__).parent / "released"


async def written(path, count=300):
    async with opened(path) as store:
        drafts = [reading(f"d{n % 5}", n) for n in range(count)]
        for draft in drafts:
            draft.data["noise"] = noise(300)
        await store.put([*drafts, state(), alarm()])
        await store.committed()
        store.confirm("mqtt", "perception", 10)
        return store.epoch


async def assert_new_epoch(path, epoch):
    async with opened(path) as store:
        assert store.epoch != epoch
        assert store.position("mqtt", "perception") == 0
        await store.committed()
        (told,) = [e for e in await everything(store, "management") if e["data"].get("reason") == "store_damaged"]
        assert told["sequence"].endswith("01")
        assert (path / told["data"]["set_aside"]).exists()
        await store.put([reading()])
        await store.committed()
        await prove_all(store)
    async with opened(path) as store:
        assert store.epoch != epoch
        assert store.bounds("perception") == (1, 1)


@pytest.mark.parametrize("content", [b"", b"not a database at all\n" * 500, bytes(20_000), os.urandom(8192)])
async def test_a_file_that_is_no_database(tmp_path, content):
    (tmp_path / "records.db").write_bytes(content)
    if content:
        await assert_new_epoch(tmp_path, "none")
    else:
        async with opened(tmp_path) as store:
            assert store.bounds("management") == (0, 0)


async def test_somebody_elses_database(tmp_path):
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    await assert_new_epoch(tmp_path, "none")


async def test_a_schema_that_is_no_text(tmp_path):
    """SQLite quotes it in its message, which Python then cannot decode."""
    epoch = await written(tmp_path)
    path = tmp_path / "records.db"
    content = path.read_bytes().replace(b'CREATE TABLE "alarm"', b'CREATE T\xeeBLE \xffalarm"')
    path.write_bytes(content)
    await assert_new_epoch(tmp_path, epoch)


async def test_a_truncated_database(tmp_path):
    epoch = await written(tmp_path)
    path = tmp_path / "records.db"
    os.truncate(path, path.stat().st_size // 2)
    await assert_new_epoch(tmp_path, epoch)


@pytest.mark.parametrize("seed", range(6))
async def test_flipped_bytes_are_found_at_the_latest_when_read(tmp_path, seed):
    """A store never hands out what was not written: it starts, reads right, or says that it is damaged."""
    epoch = await written(tmp_path)
    async with opened(tmp_path) as store:
        sound = {stream: await store.records(stream, 0, 1000) for stream in STREAMS}
    path = tmp_path / "records.db"
    content = bytearray(path.read_bytes())
    choose = random.Random(seed)
    for _ in range(20):
        content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
    path.write_bytes(content)
    async with opened(tmp_path) as store:
        if store.epoch != epoch:
            return
        found = await read_all_or_503(store)
        if found is not None:
            assert found == sound
            return
        with pytest.raises(LinliError, match="damaged"):
            await store.put([reading()])
    await assert_new_epoch(tmp_path, epoch)


async def read_all_or_503(store):
    try:
        return {stream: await store.records(stream, 0, 1000) for stream in STREAMS}
    except CommandError as error:
        return None if error.status == 503 else "another error"


async def records_of(store):
    """Records one by one, up to the one that cannot be read."""
    after = 0
    while after < store.bounds("perception").last:
        try:
            (record,) = await store.records("perception", after, 1)
        except CommandError:
            return
        yield record
        after = record.sequence


async def test_damage_inside_a_large_file_is_found_when_read_and_mended_by_a_restart(tmp_path):
    epoch = await written(tmp_path, 30_000)
    path = tmp_path / "records.db"
    assert path.stat().st_size > 4 << 20
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT payload FROM perception WHERE first > 15000 ORDER BY first LIMIT 1"
        payload = connection.execute(query).fetchone()[0]
    content = bytearray(path.read_bytes())
    middle = content.index(payload[-300:-200])
    content[middle : middle + 100] = os.urandom(100)
    path.write_bytes(content)
    async with opened(tmp_path) as store:
        assert store.epoch == epoch
        after = 0
        async for record in records_of(store):
            after = record.sequence
        assert 0 < after < 30_000
        with pytest.raises(CommandError) as refused:
            await store.records("perception", after, 1000)
        assert refused.value.status == 503
    await assert_new_epoch(tmp_path, epoch)


async def test_a_newer_schema_is_left_alone(tmp_path):
    await written(tmp_path)
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        connection.execute(f"PRAGMA user_version = {migrate.VERSION + 1}")
    with pytest.raises(LinliError, match="newer linli"):
        await Store.open(settings(), tmp_path, GATEWAY, SystemClock(), {})
    assert not list(tmp_path.glob("*damaged*"))


async def test_a_state_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LinliError, match="state directory"):
        await Store.open(settings(), tmp_path / "file" / "state", GATEWAY, SystemClock(), {})


@pytest.mark.parametrize("dump", sorted(RELEASED.glob("*.sql")), ids=lambda dump: dump.stem)
async def test_every_released_schema_is_brought_up_to_date(tmp_path, dump):
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        connection.executescript(dump.read_text(encoding="utf-8"))
        about = dict(connection.execute("SELECT name, value FROM about"))
    async with opened(tmp_path) as store:
        assert store.epoch == about["epoch"]
        assert store.bounds("perception") == (101, 1301)
        assert store.position("mqtt", "perception") == 1200
        assert store.facts("") == {"alarm/sump-high": b'{"phase":"acknowledged"}'}
        events = await everything(store, "perception")
        assert [e["data"]["points"]["level"]["value"] for e in events[:3]] == [1.0, 1.01, 1.02]
        assert events[-1]["data"] == {"stream": "perception", "first": 1, "last": 100, "count": 100, "cause": "quota"}
        assert await everything(store, "perception", from_disk=True) == events
        await store.put([reading()])
        await store.committed()
        await prove_all(store)
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == migrate.VERSION


def test_the_newest_released_schema_is_the_one_that_is_made(tmp_path):
    """A schema that differs from what was released needs a migration and a new file in released/."""
    migrate.migrate(tmp_path / "new.db")
    with closing(sqlite3.connect(":memory:")) as old, closing(sqlite3.connect(tmp_path / "new.db")) as new:
        old.executescript((RELEASED / f"v{migrate.VERSION}.sql").read_text(encoding="utf-8"))
        tables = "SELECT name, sql FROM sqlite_master ORDER BY name"
        assert old.execute(tables).fetchall() == new.execute(tables).fetchall()
        assert new.execute("PRAGMA page_size").fetchone()[0] == migrate.PAGE_SIZE


def test_the_daemon_does_not_load_what_migrations_need():
    heavy = "{'sqlite_utils', 'jsonschema', 'gateway.store.types'}"
    code = f"import sys, gateway.store; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
