"""A disk that is full, read-only or broken: the store goes on, alarms first, and says what was lost."""

import os
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from gateway.contract import LinliError
from gateway.metrics import DROPPED
from gateway.store.opening import mark_suspect
from tests.store.desk import FastClock, alarm, disposal, everything, noise, opened, prove_all, reading, state, until

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 4 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "linli-test", str(path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"CANNOT MOUNT a small file system here: {mounted.stderr.decode().strip()}")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def fill_up(path):
    """Use up the disk to the last byte."""
    with (path / "junk").open("ab") as junk:
        for size in (65536, 4096, 1):
            try:
                while True:
                    os.write(junk.fileno(), bytes(size))
            except OSError:
                continue


def dropped():
    return DROPPED.labels(where="store", cause="disk").value


def noisy(make, length=700):
    draft = make()
    draft.data["noise"] = noise(length)
    return draft


async def test_a_full_disk_keeps_alarms_and_recovers_without_restart(small_disk):
    before = dropped()
    async with opened(small_disk, FastClock(100)) as store:
        store._commits.queue._room = 200_000
        await store.put([reading(), state()])
        await store.committed()
        fill_up(small_disk)
        for _ in range(600):
            await store.put([noisy(reading)])
        await until(lambda: store.failing is not None)
        assert "full" in store.failing
        assert not (small_disk / "reserve").exists()
        for number in range(30):
            await store.put([alarm(f"a{number}"), disposal()], urgent=True, facts={"alarm/last": b"%d" % number})
        await store.committed(["alarm", "disposal"])
        assert store.bounds("alarm").last == 30
        assert store.failing is not None
        assert store.unstored("alarm") == 0
        assert store.unstored("perception") > 0
        assert len(await store.records("alarm", 0, 100)) == 30
        lost = dropped() - before
        assert lost > 0
        (small_disk / "junk").unlink()
        await until(lambda: store.failing is None)
        await store.committed()
        assert (small_disk / "reserve").exists()
        events = await prove_all(store)
        (told,) = [e for e in events["management"] if e["data"].get("reason") == "disk_recovered"]
        assert sum(told["data"]["lost"].values()) == lost
    async with opened(small_disk) as store:
        assert store.facts("alarm/") == {"alarm/last": b"29"}
        assert store.bounds("alarm").last == 30
        await prove_all(store)


async def test_starting_on_a_full_disk(small_disk):
    async with opened(small_disk) as store:
        await store.put([reading()])
    fill_up(small_disk)
    async with opened(small_disk, FastClock(100)) as store:
        await store.put([reading(), alarm()], urgent=True)
        await store.committed(["alarm"])
        await until(lambda: store.failing is not None or store.unstored("perception") == 0)
        assert store.bounds("alarm").last == 1
        (small_disk / "junk").unlink()
        await until(lambda: store.failing is None)
        await store.committed()
        await prove_all(store)


async def test_a_picture_that_does_not_fit_is_an_oserror_and_leaves_nothing(small_disk):
    async with opened(small_disk) as store:
        with pytest.raises(OSError, match=r"(?i)space|quota"):
            await store.put_media(bytes(5 << 20), "image/jpeg", "jpg")
        assert not [path for path in (small_disk / "media").rglob("*") if path.is_file()]
        await store.put([reading()])
        await store.committed()


async def test_a_database_that_becomes_read_only_is_waited_for(tmp_path):
    async with opened(tmp_path, FastClock(100)) as store:
        store._database._connection.execute("PRAGMA query_only = ON")
        await store.put([alarm()], urgent=True)
        await until(lambda: store.failing is not None)
        await store.put([reading()])
        assert store.unstored("alarm") == 1
        store._database._connection.execute("PRAGMA query_only = OFF")
        await until(lambda: store.failing is None)
        await store.committed()
        assert store.bounds("alarm").last == 1
        await prove_all(store)


async def test_closing_on_a_broken_disk_ends(tmp_path):
    before = dropped()
    async with opened(tmp_path, FastClock(100)) as store:
        store._database._connection.execute("PRAGMA query_only = ON")
        await store.put([alarm(), reading()], urgent=True)
        await until(lambda: store.failing is not None)
    assert dropped() == before + 2


async def test_another_program_that_holds_the_database_is_outlasted(tmp_path):
    async with opened(tmp_path, FastClock(100)) as store:
        store._database._connection.execute("PRAGMA busy_timeout = 10")
        other = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await store.put([alarm()], urgent=True)
        await until(lambda: store.failing is not None)
        other.execute("ROLLBACK")
        other.close()
        await store.committed()
        await until(lambda: store.failing is None)
        assert store.bounds("alarm").last == 1


async def limited(path):
    """Runs in a child that may not write beyond a file size: SQLite sees input/output errors."""
    async with opened(Path(path), FastClock(100)) as store:
        await store.put([reading()])
        await store.committed()
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
        while store.failing is None:
            await store.put([noisy(reading, 3000) for _ in range(20)])
            await until(lambda: store.failing is not None or not store.unstored("perception"))
        await store.put([alarm()], urgent=True)
        sys.stdout.write("failing\n")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await until(lambda: store.failing is None)
        await store.committed()
        events = await prove_all(store)
        sys.stdout.write(f"recovered {len(events['alarm'])}\n")


def test_writes_that_fail_are_repeated(tmp_path):
    code = f"import asyncio, tests.store.test_disk as d; asyncio.run(d.limited({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["failing", "recovered", "1"]


def remount(path, mode):
    subprocess.run(["mount", "-o", f"remount,{mode}", str(path)], check=True)


async def test_what_was_stored_is_read_from_a_read_only_disk_and_the_rest_follows(small_disk):
    async with opened(small_disk) as store:
        await store.put([reading(value=n) for n in range(5)], facts={"alarm/x": b"raised"})
        await store.committed()
        store.confirm("mqtt", "perception", 3)
        epoch, before = store.epoch, await store.records("perception", 0, 10)
    remount(small_disk, "ro")
    async with opened(small_disk, FastClock(100)) as store:
        assert "read-only" in store.failing
        assert (store.epoch, store.bounds("perception").last) == (epoch, 5)
        assert store.facts("") == {"alarm/x": b"raised"}
        assert store.position("mqtt", "perception") == 3
        assert await store.records("perception", 0, 10) == before
        store.confirm("mqtt", "perception", 5)
        await store.put([alarm(), reading()], urgent=True)
        assert store.unstored("alarm") == 1
        remount(small_disk, "rw")
        await until(lambda: store.failing is None)
        await store.committed()
        assert (store.bounds("alarm").last, store.bounds("perception").last) == (1, 6)
        await prove_all(store)
    async with opened(small_disk) as store:
        assert (store.epoch, store.position("mqtt", "perception")) == (epoch, 5)


async def test_a_disk_that_comes_back_with_a_store_that_could_not_be_read_gets_the_alarms_and_ends_the_run(small_disk):
    with closing(sqlite3.connect(small_disk / "records.db")) as connection:
        old = Path(__file__).parent / "released" / "v1.sql"
        connection.executescript(old.read_text(encoding="utf-8"))
    remount(small_disk, "ro")
    async with opened(small_disk, FastClock(100)) as store:
        await store.put([alarm("the-new-one")], urgent=True, facts={"alarm/the-new-one": b"raised"})
        assert store.bounds("perception").last == 0
        remount(small_disk, "rw")
        with pytest.raises(LinliError, match="beginning anew"):
            await store.committed()
    async with opened(small_disk) as store:
        assert store.bounds("perception").last == 1301
        assert "the-new-one" in [event["subject"] for event in await everything(store, "alarm")]
        assert set(store.facts("alarm/")) == {"alarm/sump-high", "alarm/the-new-one"}
        await prove_all(store)


async def test_damage_is_no_reason_to_end_while_the_disk_takes_nothing(tmp_path):
    """A restart would forget the alarms in memory, and could set nothing aside."""
    async with opened(tmp_path, FastClock(100)) as store:
        store._database._connection.execute("PRAGMA query_only = ON")
        await store.put([alarm()], urgent=True)
        await until(lambda: store.failing is not None)
        assert store._damaged("a bad row").status == 503
        assert not (tmp_path / "records.suspect").exists()
        store._database._connection.execute("PRAGMA query_only = OFF")
        await until(lambda: store.failing is None)
        await store.committed()
        assert store._damaged("a bad row").status == 503
        assert (tmp_path / "records.suspect").exists()


async def test_whoever_puts_after_damage_hears_of_the_damage(tmp_path):
    async with opened(tmp_path, FastClock(100)) as store:
        await store.put([reading()])
        await store.committed()
        store._damaged("a bad row")
        await until(lambda: store._commits._ended)
        with pytest.raises(LinliError, match="the store is damaged"):
            await store.put([reading()])


def test_the_word_about_damage_finds_room_on_a_full_disk(small_disk):
    (small_disk / "reserve").write_bytes(bytes(65536))
    fill_up(small_disk)
    mark_suspect(small_disk, "a bad row")
    assert (small_disk / "records.suspect").read_text() == "a bad row"
