"""Records that are erased one by one: from rows, pages, the log, memory and media, with a gap that says so."""

import random

from gateway.contract import Draft, record_id
from gateway.store import Store
from gateway.store.erasure import Erased, Erasure
from gateway.store.inspection import inspect
from tests.store.desk import SystemClock, noise, opened, prove_all, reading

PLATE = "沪A98K76"


def passage(plate, picture=None):
    now = SystemClock().wall()
    stamp = SystemClock().rfc3339(now)
    data = {
        "lane": "main",
        "direction": "in",
        "plate": {"text": plate, "kind": "ordinary", "color": "blue", "status": "accepted", "confidence": 0.9},
        "first_time": stamp,
        "last_time": stamp,
    }
    if picture:
        data["picture"] = {**picture, "frame_time": stamp, "frame_sha256": "0" * 64}
    return Draft("perception", "linli.vehicle.passage.v1", "gate", "main", now, data, record_id(now))


def told(erased: Erased) -> Draft:
    now = SystemClock().wall()
    data = {"by": "uid:0", "reason": "asked", "records": dict(erased.records), "files": erased.files}
    return Draft("disposal", "linli.disposal.erased.v1", "", "vehicles", now, data, record_id(now))


async def sequences(store: Store, plate: str) -> list[int]:
    return [record.sequence for record in await store.records("perception", 0, 10_000) if plate.encode() in record.json]


def holds(state, text: str) -> list[str]:
    return [path.name for path in state.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


async def test_erased_records_are_nowhere_and_the_rest_is_complete(tmp_path):
    async with opened(tmp_path) as store:
        picture = await store.put_media(b"jpeg of one", "image/jpeg", "jpg")
        other = await store.put_media(b"jpeg of another", "image/jpeg", "jpg")
        for number in range(120):
            await store.put([passage(PLATE, picture if number == 7 else None) if number % 9 == 7 else reading()])
            if number % 10 == 0:
                await store.put([passage("京B11111", other)])
            if number % 25 == 0:
                await store.committed()
        await store.committed()
        wanted = await sequences(store, PLATE)
        assert len(wanted) == 13
        before = {event["id"] for event in (await prove_all(store))["perception"]}

        done = await store.erase(Erasure({"perception": wanted}, [picture["sha256"]], told))
        assert done == Erased({"perception": 13}, 1, len(b"jpeg of one"))
        assert store.erasures == 1  # who has read ahead forgets it
        assert store.media(picture["sha256"]) is None
        assert store.media(other["sha256"]) is not None

        events = await prove_all(store)
        assert await sequences(store, PLATE) == []
        gaps = [event["data"] for event in events["perception"] if event["type"] == "linli.gap.v1"]
        assert {gap["cause"] for gap in gaps} == {"erased"}
        assert sum(gap["count"] for gap in gaps) == 13
        kept = {event["id"] for event in events["perception"] if event["type"] != "linli.gap.v1"}
        assert kept < before
        assert len(before - kept) == 13
        assert events["disposal"][-1]["data"]["records"] == {"perception": 13}
        assert [e["data"]["cause"] for e in events["management"]] == ["erased"]
        assert holds(tmp_path, PLATE) == []  # though the daemon runs
        # What is not there any more is no mistake.
        assert (await store.erase(Erasure({"perception": wanted}, [picture["sha256"]], told))).records == {
            "perception": 0
        }
    assert holds(tmp_path, PLATE) == []
    assert inspect(tmp_path, media=True, progress=lambda *_: None).findings == []
    async with opened(tmp_path) as store:
        await prove_all(store)
        assert await sequences(store, "京B11111") != []


async def test_what_eviction_left_in_free_pages_goes_too(tmp_path):
    async with opened(tmp_path, records="1MiB") as store:
        while store.bounds("perception").first <= 1:
            await store.put([passage(PLATE) for _ in range(3)])
            await store.put([reading(value=noise(2000)) for _ in range(60)])
            await store.committed()
        await store.erase(Erasure({"perception": await sequences(store, PLATE)}, [], told))
        assert holds(tmp_path, PLATE) == []
        await prove_all(store)
    assert inspect(tmp_path, media=True, progress=lambda *_: None).findings == []


async def test_erased_gaps_and_later_evictions_agree(tmp_path):
    """Whatever is erased and evicted in whatever order, every number stays explained and no ranges cross."""
    dice = random.Random(5)
    async with opened(tmp_path, records="1MiB") as store:
        for _ in range(9):
            for _ in range(3):
                await store.put([reading(value=noise(3000)) for _ in range(dice.randrange(1, 60))])
                await store.put([passage(PLATE) for _ in range(dice.randrange(0, 4))])
                await store.committed()
            wanted = await sequences(store, PLATE)
            await store.erase(Erasure({"perception": dice.sample(wanted, len(wanted) // 2)}, [], told))
        assert store.bounds("perception").first > 1
        await prove_all(store)
    assert inspect(tmp_path, media=True, progress=lambda *_: None).findings == []


async def test_the_dictionary_that_rows_share_learns_no_plate(tmp_path):
    async with opened(tmp_path) as store:
        for _ in range(6):
            await store.put([passage(PLATE) if number % 3 else reading(points=4) for number in range(240)])
            await store.committed()
        await store.erase(Erasure({"perception": await sequences(store, PLATE)}, [], told))
        assert holds(tmp_path, PLATE) == []
        await prove_all(store)
