"""Pictures and clips: whole or not there, within their quota, and told when they go."""

import hashlib
import os
import sqlite3
from contextlib import closing

import pytest

from gateway.store import media
from gateway.store import store as store_module
from tests.store.desk import FastClock, everything, opened, reading, until


async def test_a_file_is_named_by_its_hash_and_found_again(tmp_path):
    data = os.urandom(5000)
    async with opened(tmp_path) as store:
        told = await store.put_media(data, "image/jpeg", "jpg")
        sha256 = hashlib.sha256(data).hexdigest()
        assert told == {"sha256": sha256, "bytes": 5000, "content_type": "image/jpeg"}
        path, content_type = store.media(sha256)
        assert path == tmp_path / "media" / sha256[:2] / f"{sha256}.jpg"
        assert path.read_bytes() == data
        assert content_type == "image/jpeg"
        await store.committed()
        assert store.view()["media_bytes"] == 5000
    async with opened(tmp_path) as store:
        assert store.media(sha256)[0].read_bytes() == data
        assert store.view()["media_bytes"] == 5000


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 64, "a" * 63 + "/", "0" * 65])
async def test_what_is_no_known_hash_is_not_found(tmp_path, name):
    async with opened(tmp_path) as store:
        assert store.media(name) is None


async def test_the_quota_holds_at_every_moment_and_losses_are_told(tmp_path):
    async with opened(tmp_path, media="1MiB") as store:
        kept = []
        for _ in range(40):
            kept.append((await store.put_media(os.urandom(100_000), "video/mp4", "mp4"))["sha256"])
            files = list((tmp_path / "media").rglob("*.mp4"))
            assert sum(path.stat().st_size for path in files) <= 1 << 20
        await store.committed()
        there = [sha256 for sha256 in kept if store.media(sha256)]
        assert there == kept[-len(there) :]
        told = [e for e in await everything(store, "management") if e["type"] == "linli.media.gap.v1"]
        assert all(e["data"]["cause"] == "quota" and e["data"]["count"] == len(e["data"]["sha256"]) for e in told)
        gone = [sha256 for e in told for sha256 in e["data"]["sha256"]]
        assert gone == kept[: len(gone)]
        assert len(gone) + len(there) == 40


async def test_old_files_go_by_age(tmp_path):
    clock = FastClock(100)
    keep = {"perception": "100s", "media": "100s"}
    async with opened(tmp_path, clock, keep=keep) as store:
        old = await store.put_media(b"old", "image/jpeg", "jpg")
        clock.ahead_ns += 90 * 10**9
        young = await store.put_media(b"young", "image/jpeg", "jpg")
        clock.ahead_ns += 30 * 10**9
        await until(lambda: store.media(old["sha256"]) is None)
        assert store.media(young["sha256"])
        (told,) = [e for e in await everything(store, "management") if e["type"] == "linli.media.gap.v1"]
        assert told["data"] == {"count": 1, "bytes": 3, "cause": "age", "sha256": [old["sha256"]]}


async def test_those_of_ordinary_passages_have_an_age_of_their_own(tmp_path):
    clock = FastClock(100)
    async with opened(tmp_path, clock, keep={"perception": "100s", "media": "100s", "vehicle_media": "20s"}) as store:
        fall = await store.put_media(b"fall", "image/jpeg", "jpg")
        cars = [await store.put_media(kept.encode(), "image/jpeg", "jpg", kept) for kept in ("vehicle", "unlisted")]
        clock.ahead_ns += 30 * 10**9
        await until(lambda: not any(store.media(car["sha256"]) for car in cars))
        assert store.media(fall["sha256"])
        clock.ahead_ns += 90 * 10**9
        await until(lambda: store.media(fall["sha256"]) is None)
        told = [e for e in await everything(store, "management") if e["type"] == "linli.media.gap.v1"]
        gone = [sha256 for e in told for sha256 in e["data"]["sha256"]]
        assert sorted(gone) == sorted(each["sha256"] for each in (fall, *cars))
        assert {e["data"]["cause"] for e in told} == {"age"}


async def test_without_an_age_of_their_own_they_go_with_the_others(tmp_path):
    clock = FastClock(100)
    async with opened(tmp_path, clock, keep={"perception": "100s", "media": "100s"}) as store:
        car = await store.put_media(b"car", "image/jpeg", "jpg", "vehicle")
        clock.ahead_ns += 60 * 10**9
        later = await store.put_media(b"fall", "image/jpeg", "jpg")
        clock.ahead_ns += 60 * 10**9
        await until(lambda: store.media(car["sha256"]) is None)
        assert store.media(later["sha256"])


async def test_by_quota_goes_what_would_go_first_by_its_age(tmp_path):
    async with opened(tmp_path, media="1MiB", keep={"vehicle_media": "7d"}) as store:
        fall = await store.put_media(os.urandom(100_000), "video/mp4", "mp4")
        for _ in range(30):
            await store.put_media(os.urandom(100_000), "image/jpeg", "jpg", "unlisted")
        assert store.media(fall["sha256"])
        assert len(list((tmp_path / "media").rglob("*.jpg"))) == 9
        for _ in range(12):  # alone they are held to the quota, too
            await store.put_media(os.urandom(100_000), "video/mp4", "mp4")
        assert store.media(fall["sha256"]) is None
        assert sum(path.stat().st_size for path in (tmp_path / "media").rglob("*.*")) <= 1 << 20


@pytest.mark.parametrize("wrong", ["unknown", "ahead"])
async def test_a_wrong_clock_gives_no_fall_away_for_passages(tmp_path, wrong):
    clock, year = FastClock(100), 365 * 86400 * 10**9
    async with opened(tmp_path, clock, media="1MiB", keep={"vehicle_media": "7d"}) as store:

        async def put(kept=""):
            clock.ahead_ns += 10**9
            return (await store.put_media(os.urandom(200_000), "image/jpeg", "jpg", kept))["sha256"]

        clock.trust, clock.ahead_ns = ("unknown", 0) if wrong == "unknown" else ("synced", year)
        first = await put("" if wrong == "unknown" else "vehicle")
        clock.trust, clock.ahead_ns = "synced", 0
        fall = first if wrong == "unknown" else await put()
        for _ in range(6):
            await put("vehicle")
        assert store.media(fall)


async def test_age_keeps_up_with_more_files_than_it_takes_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(media, "AGED_AT_ONCE", 4)
    monkeypatch.setattr(media, "NAMED_AT_ONCE", 3)
    monkeypatch.setattr(store_module, "CHORES", (1e6, 1e6))  # once after the start, and then not in this test
    async with opened(tmp_path) as store:
        filed = [(await store.put_media(b"%d" % number, "image/jpeg", "jpg"))["sha256"] for number in range(30)]
    clock = FastClock(100)
    clock.ahead_ns = 31 * 86400 * 10**9
    async with opened(tmp_path, clock) as store:
        await until(lambda: not any(map(store.media, filed)))
        told = [e["data"] for e in await everything(store, "management") if e["type"] == "linli.media.gap.v1"]
        assert [sha256 for data in told for sha256 in data["sha256"]] == filed
        assert all(data["count"] == len(data["sha256"]) <= 3 for data in told)
        assert sum(data["bytes"] for data in told) == 10 + 2 * 20
        assert store.view()["media_bytes"] == 0


async def test_a_file_of_which_nobody_knows_the_time_is_as_old_as_the_next(tmp_path):
    """Files taken over from a damaged database, or stored before the time was known, neither stay nor hold back."""
    clock = FastClock(100)
    async with opened(tmp_path, clock, keep={"perception": "100s", "media": "100s"}) as store:
        clock.trust = "unknown"
        lost = await store.put_media(b"when?", "image/jpeg", "jpg")
        clock.trust = "synced"
        old = await store.put_media(b"old", "image/jpeg", "jpg")
        clock.ahead_ns += 90 * 10**9
        clock.trust = "unknown"
        lately = await store.put_media(b"when then?", "image/jpeg", "jpg")
        clock.trust = "synced"
        young = await store.put_media(b"young", "image/jpeg", "jpg")
        clock.ahead_ns += 30 * 10**9
        await until(lambda: not store.media(old["sha256"]))
        assert not store.media(lost["sha256"])
        assert store.media(lately["sha256"])
        assert store.media(young["sha256"])


async def test_a_picture_that_two_records_name_stays_as_long_as_the_longer_one(tmp_path):
    clock = FastClock(100)
    async with opened(tmp_path, clock, keep={"perception": "100s", "media": "100s", "vehicle_media": "20s"}) as store:
        for kept in ("unlisted", "", "vehicle"):
            both = await store.put_media(b"both", "image/jpeg", "jpg", kept)
            await store.committed()
        other = await store.put_media(b"other", "image/jpeg", "jpg", "vehicle")
        clock.ahead_ns += 30 * 10**9
        await until(lambda: store.media(other["sha256"]) is None)
        assert store.media(both["sha256"])


@pytest.mark.parametrize("flipped", ["'vehiclu'", "'6ehicle'", "CAST(x'f665' AS TEXT)", "'vehicleA'", "char(1)"])
async def test_a_flipped_bit_in_how_long_a_file_is_kept_keeps_it_no_longer_than_others(tmp_path, flipped):
    async with opened(tmp_path) as store:
        car = await store.put_media(b"car", "image/jpeg", "jpg", "vehicle")
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection, connection:
        assert connection.execute(f"UPDATE media SET kept = {flipped}").rowcount == 1
    clock = FastClock(100)
    clock.ahead_ns = 31 * 86400 * 10**9
    async with opened(tmp_path, clock) as store:
        await until(lambda: store.media(car["sha256"]) is None)


async def test_the_same_picture_twice_is_one_file_and_young_again(tmp_path):
    async with opened(tmp_path, media="1MiB") as store:
        twice = await store.put_media(bytes(400_000), "image/jpeg", "jpg")
        other = await store.put_media(os.urandom(400_000), "image/jpeg", "jpg")
        await store.put_media(bytes(400_000), "image/jpeg", "jpg")
        await store.put_media(os.urandom(400_000), "image/jpeg", "jpg")
        await store.committed()
        assert store.media(twice["sha256"])
        await until(lambda: store.media(other["sha256"]) is None)


async def test_what_cannot_be_kept_is_refused(tmp_path):
    async with opened(tmp_path, media="1MiB") as store:
        with pytest.raises(OSError, match="quota"):
            await store.put_media(bytes((1 << 20) + 1), "image/jpeg", "jpg")
        with pytest.raises(ValueError, match="text/html"):
            await store.put_media(b"x", "text/html", "html")
        with pytest.raises(ValueError, match="image/png"):
            await store.put_media(b"x", "image/png", "jpg")
        await store.put([reading()])
        await store.committed()
