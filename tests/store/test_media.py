"""Pictures and clips: whole or not there, within their quota, and told when they go."""

import hashlib
import os

import pytest

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
