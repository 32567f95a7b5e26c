"""Media: after their records, by SHA-256, resumed where they broke, and told of when they came too late."""

import asyncio
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gateway.clock import SystemClock
from gateway.contract import STREAMS, Draft, Record, Stream, record_id
from gateway.settings.core import MEDIA_CONSUMER, HttpSettings, StoreSettings
from gateway.store import Store
from gateway.store.types import schema
from gateway.uplink.http import media as media_module
from gateway.uplink.http import push as push_module
from gateway.uplink.http import transfer as transfer_module
from gateway.uplink.http.pictures import named
from gateway.uplink.http.push import HttpUplink
from tests.uplink.http_platform import Asked, HttpPlatform, Reply
from tests.uplink.stand_in import MemoryStore
from tests.uplink.test_http_push import make, platform, running, until

__all__ = ["platform"]


class ShelfStore(MemoryStore):
    """The fake store with files beside it."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def media(self, sha256: str) -> tuple[Path, str] | None:
        path = self.folder / f"{sha256}.jpg"
        return (path, "image/jpeg") if path.is_file() else None

    async def see(self, size: int = 2000, stream: Stream = "perception") -> str:
        """Commit a record with a picture; returns the picture's SHA-256."""
        data = os.urandom(size)
        sha256 = hashlib.sha256(data).hexdigest()
        (self.folder / f"{sha256}.jpg").write_bytes(data)
        picture = {"sha256": sha256, "bytes": size, "content_type": "image/jpeg", "frame_sha256": "0" * 64}
        await self.put(
            [Draft(stream, "linli.vehicle.passage.v1", "gate", "gate", 0, {"picture": picture}, record_id(0))]
        )
        return sha256

    def passed(self, stream: Stream = "perception") -> int:
        return self.position(MEDIA_CONSUMER, stream)


@pytest.fixture
def store(tmp_path: Path) -> ShelfStore:
    return ShelfStore(tmp_path)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_module, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(media_module, "FIRST_RETRY", 0.02)
    monkeypatch.setattr(media_module, "LAST_RETRY", 0.1)


def whole(platform: HttpPlatform, *hashes: str) -> bool:
    return all(hashlib.sha256(platform.files.get(name, b"")).hexdigest() == name for name in hashes)


def puts(platform: HttpPlatform) -> list[Asked]:
    return [asked for asked in platform.asked if asked.method == "PUT"]


async def test_a_picture_goes_after_its_record_with_what_it_is(
    platform: HttpPlatform, store: ShelfStore, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("s3cr3t")
    sha256 = await store.see()
    options = {"media": True, "url": f"http://127.0.0.1:{platform.port}/in/", "token_file": tmp_path / "token"}
    async with running(make(store, 0, **options)) as uplink:
        await until(lambda: whole(platform, sha256) and store.passed() == 1)
        view = uplink.view()["media"]
    assert [asked.method for asked in platform.asked] == ["POST", "HEAD", "PUT"]
    put = platform.asked[-1]
    assert put.target == f"/in/media/{sha256}"
    assert put.headers["content-type"] == "image/jpeg"
    assert put.headers["authorization"] == "Bearer s3cr3t"
    assert put.headers["repr-digest"].startswith("sha-256=:")
    assert "content-range" not in put.headers
    assert (view["uploaded"], view["gone"], view["parked"], view["bytes"]) == (1, 0, 0, 2000)


async def test_without_media_nothing_is_uploaded(platform: HttpPlatform, store: ShelfStore) -> None:
    await store.see()
    async with running(make(store, platform.port)) as uplink:
        await until(lambda: store.position("http", "perception") == 1)
        await asyncio.sleep(0.1)
        assert "media" not in uplink.view()
    assert {asked.method for asked in platform.asked} == {"POST"}


def media_uplink(store: ShelfStore, platform: HttpPlatform, **options: Any) -> HttpUplink:
    url = f"http://127.0.0.1:{platform.port}/in"
    return make(store, 0, url=url, media=True, **options)


async def test_what_is_there_is_not_sent_again(platform: HttpPlatform, store: ShelfStore) -> None:
    sha256 = await store.see()
    platform.files[sha256] = bytearray((store.folder / f"{sha256}.jpg").read_bytes())
    async with running(media_uplink(store, platform)) as uplink:
        await until(lambda: store.passed() == 1)
        assert uplink.view()["media"]["uploaded"] == 0
    assert puts(platform) == []


async def test_a_file_cut_off_at_a_plain_server_goes_again(platform: HttpPlatform, store: ShelfStore) -> None:
    sha256 = await store.see()
    platform.partial = False
    platform.files[sha256] = bytearray(b"abc")
    platform.judge = lambda asked: Reply(200, {"Content-Length": "3"}) if asked.method == "HEAD" else None
    async with running(media_uplink(store, platform)):
        await until(lambda: whole(platform, sha256))


async def test_a_broken_upload_goes_on_where_it_broke(platform: HttpPlatform, store: ShelfStore) -> None:
    sha256 = await store.see(900_000)
    platform.cut_after = 300_000
    async with running(media_uplink(store, platform)):
        await until(lambda: whole(platform, sha256) and store.passed() == 1)
    ranges = [asked.headers["content-range"] for asked in puts(platform)]
    assert int(ranges[0].removeprefix("bytes ").partition("-")[0]) >= 300_000, "what had come was not sent again"
    assert sum(len(asked.body) for asked in puts(platform)) <= 600_000


async def test_a_large_file_goes_in_pieces(platform: HttpPlatform, store: ShelfStore) -> None:
    sha256 = await store.see(3_500_000)
    async with running(media_uplink(store, platform)):
        await until(lambda: whole(platform, sha256))
    assert [len(asked.body) for asked in puts(platform)] == [1 << 20] * 3 + [3_500_000 - 3 * (1 << 20)]


async def test_a_limit_on_bodies_is_met(platform: HttpPlatform, store: ShelfStore) -> None:
    sha256 = await store.see(900_000)
    platform.judge = lambda asked: Reply(413) if len(asked.body) > 100_000 else None
    async with running(media_uplink(store, platform)):
        await until(lambda: whole(platform, sha256))


async def test_a_platform_without_partial_puts_gets_the_whole(platform: HttpPlatform, store: ShelfStore) -> None:
    sha256 = await store.see(3_000_000)
    platform.partial = False
    async with running(media_uplink(store, platform)):
        await until(lambda: whole(platform, sha256))
    assert "content-range" not in puts(platform)[-1].headers


async def test_a_platform_that_lost_its_part_is_asked_again(platform: HttpPlatform, store: ShelfStore) -> None:
    sha256 = await store.see(3_000_000)
    forgot = False

    def judge(asked: Asked) -> Reply | None:
        nonlocal forgot
        if asked.method == "PUT" and not forgot and "bytes 2097152" in asked.headers.get("content-range", ""):
            forgot = True
            del platform.files[sha256]
        return None

    platform.judge = judge
    async with running(media_uplink(store, platform)):
        await until(lambda: whole(platform, sha256))
    assert forgot


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_trouble_that_passes_is_waited_out(platform: HttpPlatform, store: ShelfStore, status: int) -> None:
    sha256 = await store.see()
    times = 0

    def judge(asked: Asked) -> Reply | None:
        nonlocal times
        times += asked.method == "PUT"
        return Reply(status) if asked.method == "PUT" and times <= 2 else None

    platform.judge = judge
    async with running(media_uplink(store, platform)) as uplink:
        await until(lambda: whole(platform, sha256) and store.passed() == 1)
        assert uplink.view()["media"]["problem"] == ""
    assert store.told("linli.uplink.refused.v1") == []


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405, 507 - 100])
async def test_a_refusal_holds_media_and_is_told_once(platform: HttpPlatform, store: ShelfStore, status: int) -> None:
    sha256 = await store.see()
    refusing = True
    platform.judge = lambda asked: Reply(status) if asked.method == "PUT" and refusing else None
    async with running(media_uplink(store, platform)) as uplink:
        await until(lambda: len(puts(platform)) > 3)
        await store.fill("alarm", 1)
        await until(lambda: store.position("http", "alarm") == 1)
        assert str(status) in uplink.view()["media"]["problem"]
        assert any(str(status) in problem for problem in uplink.view()["problems"])
        assert store.passed() == 0
        (told,) = store.told("linli.uplink.refused.v1")
        assert (told["code"], told["what"], told["effect"]) == (str(status), "media", "held")
        refusing = False
        await until(lambda: whole(platform, sha256) and len(store.told("linli.uplink.accepted.v1")) == 1)


@pytest.mark.parametrize("status", [400, 413, 415, 422])
async def test_a_file_that_is_refused_is_parked_and_named(
    platform: HttpPlatform, store: ShelfStore, status: int
) -> None:
    bad, good = await store.see(), await store.see()
    platform.judge = lambda asked: Reply(status) if asked.method == "PUT" and bad in asked.target else None
    async with running(media_uplink(store, platform)) as uplink:
        await until(lambda: whole(platform, good) and store.passed() == 2)
        assert uplink.view()["media"]["parked"] == 1
    (told,) = store.told("linli.uplink.refused.v1")
    jsonschema.validate(told, schema("linli.uplink.refused.v1")["properties"]["data"])
    assert told["sha256"] == bad
    assert told["records"][0]["sequence"].endswith("01")


async def test_a_platform_that_refuses_every_file_is_held(platform: HttpPlatform, store: ShelfStore) -> None:
    for _ in range(30):
        await store.see(100)
    platform.judge = lambda asked: Reply(400) if asked.method == "PUT" else None
    async with running(media_uplink(store, platform)) as uplink:
        await until(lambda: bool(uplink.view()["media"]["problem"]))
        assert store.passed() == media_module.MOST_PARKED_IN_A_ROW


async def test_records_whose_pictures_were_evicted_say_so(platform: HttpPlatform, store: ShelfStore) -> None:
    hashes = [await store.see() for _ in range(150)]
    for sha256 in hashes[:100]:
        (store.folder / f"{sha256}.jpg").unlink()
    async with running(media_uplink(store, platform)) as uplink:
        await until(lambda: store.passed() == 150 and whole(platform, *hashes[100:]))
        assert uplink.view()["media"]["gone"] == 100
        gaps = store.told("linli.media.gap.v1")
        await until(lambda: store.position("http", "management") == store.bounds("management")[1])
    assert [sha256 for gap in gaps for sha256 in gap["sha256"]] == hashes[:100]
    for gap in gaps:
        jsonschema.validate(gap, schema("linli.media.gap.v1")["properties"]["data"])
        assert gap["count"] == len(gap["sha256"]) == len(gap["records"])
        assert (gap["cause"], gap["uplink"]) == ("unsent", "http")


async def test_a_file_evicted_while_it_is_uploaded_is_a_gap_too(platform: HttpPlatform, store: ShelfStore) -> None:
    sha256 = await store.see(3_000_000)

    def judge(asked: Asked) -> None:
        if asked.method == "PUT":
            (store.folder / f"{sha256}.jpg").unlink(missing_ok=True)

    platform.judge = judge
    async with running(media_uplink(store, platform)):
        await until(lambda: store.passed() == 1)
    assert store.told("linli.media.gap.v1")[0]["sha256"] == [sha256]


async def test_media_wait_for_a_backlog_of_records(
    platform: HttpPlatform, store: ShelfStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_module, "CAUGHT_UP", 10)
    await store.see(stream="alarm")
    await store.fill("perception", 3000, size=200)
    async with running(media_uplink(store, platform, window=1)):
        await until(lambda: store.passed("alarm") == 1)
    first = next(index for index, asked in enumerate(platform.asked) if asked.method != "POST")
    sent = [number for asked in platform.asked[:first] if asked.stream == "perception" for number in asked.sequences()]
    assert max(sent) >= 2990


async def test_a_held_stream_does_not_keep_the_others_media(platform: HttpPlatform, store: ShelfStore) -> None:
    await store.fill("perception", 3000)
    sha256 = await store.see(stream="alarm")
    platform.judge = lambda asked: Reply(403) if asked.stream == "perception" else None
    async with running(media_uplink(store, platform)):
        await until(lambda: whole(platform, sha256))


async def test_a_restart_goes_on_behind_what_was_uploaded(platform: HttpPlatform, store: ShelfStore) -> None:
    first = await store.see()
    async with running(media_uplink(store, platform)):
        await until(lambda: store.passed() == 1)
    platform.files.clear()
    second = await store.see()
    async with running(media_uplink(store, platform)):
        await until(lambda: whole(platform, second))
    assert first not in platform.files


async def test_one_file_that_many_records_name_is_asked_for_once(platform: HttpPlatform, store: ShelfStore) -> None:
    await store.see()
    again = store.streams["perception"][0].json
    for sequence in range(2, 20):
        event = {**json.loads(again), "sequence": f"{sequence:020d}", "id": record_id(0)}
        store.streams["perception"].append(Record(sequence, json.dumps(event).encode()))
    async with running(media_uplink(store, platform)):
        await until(lambda: store.passed() == 19)
    assert len([asked for asked in platform.asked if asked.method == "HEAD"]) == 1


async def test_the_rate_of_media_is_kept(platform: HttpPlatform, store: ShelfStore) -> None:
    for _ in range(3):
        await store.see(20_000)
    began = asyncio.get_running_loop().time()
    async with running(media_uplink(store, platform, media_rate="100KiB")):
        await until(lambda: store.passed() == 3)
    assert asyncio.get_running_loop().time() - began >= 0.5


async def test_with_the_real_store(platform: HttpPlatform, tmp_path: Path) -> None:
    settings = StoreSettings(commit="20ms", media="1MiB")
    store = await Store.open(settings, tmp_path, "gw", SystemClock(), {})
    try:
        pictures = []
        for _ in range(8):  # the quota holds five
            picture = await store.put_media(os.urandom(200_000), "image/jpeg", "jpg")
            now = SystemClock().wall()
            data = {"lane": "main", "picture": picture}
            await store.put(
                [Draft("perception", "linli.vehicle.passage.v1", "gate", "gate", now, data, record_id(now))]
            )
            await store.committed()
            pictures.append(picture["sha256"])
        url = f"http://127.0.0.1:{platform.port}/in"
        uplink = HttpUplink(HttpSettings(url=url, media=True), "gw", store, SystemClock())
        async with running(uplink):
            await until(lambda: store.position(MEDIA_CONSUMER, "perception") == 8)
            await store.committed()
            await until(lambda: store.position("http", "management") == store.bounds("management").last)
        assert whole(platform, *pictures[3:])
        told = [event["data"] for event in platform.events["management"].values()]
        unsent = [sha256 for gap in told if gap.get("cause") == "unsent" for sha256 in gap["sha256"]]
        assert unsent == pictures[:3], "each record without its picture is named"
        assert all(platform.delivered(stream) == list(range(1, store.bounds(stream).last + 1)) for stream in STREAMS)
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("data", "count"),
    [
        ({"picture": {"sha256": "a" * 64, "bytes": 3, "content_type": "image/jpeg"}}, 1),
        ({"a": [{"b": {"sha256": "a" * 64, "bytes": 3, "content_type": "x"}}] * 2}, 1),
        ({"sha256": "a" * 64, "file": "linli.toml"}, 0),
        ({"sha256": ["a" * 64], "content_type": "x", "bytes": 3}, 0),
        ({"sha256": "a" * 63, "content_type": "x", "bytes": 3}, 0),
        ({"picture": None}, 0),
    ],
)
def test_only_files_are_named(data: Any, count: int) -> None:
    event = {"id": "1", "sequence": "1", "type": "t", "data": data}
    assert len(named(json.dumps(event).encode())) == count


def test_a_refusal_can_be_raised_and_printed() -> None:
    from gateway.uplink.answers import Verdict

    refusal = transfer_module.RefusedError(415, Verdict.AT_FAULT, "", 0.0)
    assert "415" in str(refusal)
    assert hash(refusal) is not None
