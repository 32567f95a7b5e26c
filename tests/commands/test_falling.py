"""What people say of recorded falls: on record, changeable, never in the fall's own record."""

import json
from typing import Any

import pytest

from gateway.commands.falling import Falls
from gateway.contract import CommandError, Draft, record_id
from gateway.settings import CameraSettings
from tests.schemas import validate
from tests.store.desk import SystemClock, opened, reading
from tests.store.test_erasure import passage

CLOCK = SystemClock()
TOWER = CameraSettings.model_validate(
    {
        "name": "tower",
        "url": "rtsp://c/1",
        "user": "me",
        "password_file": "/etc/secret",
        "purpose": "falls",
        "unblurred": "a wall",
        "masks": [[[0, 0], [9, 0], [9, 9]]],
        "falling": {},
    }
)


def fall(at: int, floor: int = 7, camera: str = "tower") -> Draft:
    """A fall that began at ``at`` and took a second."""
    stamps = [CLOCK.rfc3339(at + step * 100_000_000) for step in range(11)]
    data = {
        "trajectory": [[stamp, 100.0, 10.0 + 40 * place] for place, stamp in enumerate(stamps)],
        "size_px": 5.0,
        "size_cm": 20.0,
        "origin": {"floor": floor, "column": 1, "interval": [floor, floor + 1]},
        "impact_speed": 17.0,
        "confidence": 0.9,
        "first_time": stamps[0],
        "last_time": stamps[-1],
    }
    return Draft("perception", "linli.falling_object.v1", camera, camera, at, data, record_id(at))


def ready(of: Draft, sha256: str = "ab" * 32) -> Draft:
    begin, end = (CLOCK.rfc3339(of.time + seconds * 1_000_000_000) for seconds in (-6, 3))
    data = {"record": of.id, "sha256": sha256, "bytes": 9, "content_type": "video/mp4"}
    data |= {"first_time": begin, "last_time": end}
    return Draft("perception", "linli.media.ready.v1", of.source, of.source, of.time, data, record_id(of.time))


def falls_of(store: Any) -> Falls:
    return Falls(store, CLOCK, [TOWER])


async def filled(store: Any, *drafts: Draft) -> None:
    for draft in drafts:
        await store.put([reading(), draft, reading()])
    await store.committed()


async def test_the_last_label_counts_and_the_record_stays_as_it_is(tmp_path: Any) -> None:
    async with opened(tmp_path) as store:
        now = CLOCK.wall()
        one, other = fall(now - 10**10), fall(now - 10**9, 3)
        await filled(store, one, ready(one), other)
        before = [record.json for record in await store.records("perception", 0, 100)]
        falls = falls_of(store)
        assert [row["label"] for row in (await falls.recent(30, 50))["falls"]] == [None, None]
        assert (await falls.label(one.id, "false", " a  bird ", "uid:7"))["label"] == "false"
        await store.committed()
        row = (await falls.recent(30, 50))["falls"][0]
        assert (row["record"], row["label"], row["why"], row["by"]) == (one.id, "false", "a bird", "uid:7")
        assert (row["floor"], row["interval"], row["clip"]) == (7, [7, 8], "ab" * 32)
        await falls.label(one.id, "true", "it lay there", "uid:8")
        await store.committed()
        assert (await falls.recent(30, 50))["falls"][0]["by"] == "uid:8"
        await falls.label(one.id, "none", "I am not sure", "uid:8")
        await store.committed()
        assert (await falls.recent(30, 50))["falls"][0]["label"] is None
        with pytest.raises(CommandError, match="has no label"):
            await falls.label(one.id, "none", "once more", "uid:8")
        told = [validate(record.json.decode()) for record in await store.records("disposal", 0, 100)]
        assert [(event["data"]["was"], event["data"]["label"]) for event in told] == [
            ("none", "false"),
            ("false", "true"),
            ("true", "none"),
        ]
        assert {event["subject"] for event in told} == {"tower"}
        assert [record.json for record in await store.records("perception", 0, 100)] == before


async def test_what_is_no_fall_is_refused_with_a_hint(tmp_path: Any) -> None:
    async with opened(tmp_path) as store:
        now = CLOCK.wall()
        one, car = fall(now), passage("沪A98K76")
        clip = ready(one)
        await filled(store, one, clip, car)
        falls = falls_of(store)
        typo = one.id[:-1] + ("0" if one.id[-1] != "0" else "1")
        with pytest.raises(CommandError, match=f'did you mean "{one.id}"'):
            await falls.label(typo, "false", "a bird", "uid:7")
        with pytest.raises(CommandError, match=r"is a linli.vehicle.passage.v1"):
            await falls.label(car.id, "false", "a bird", "uid:7")
        with pytest.raises(CommandError, match=r"is a linli.media.ready.v1; only falls are labelled"):
            await falls.label(clip.id, "false", "a bird", "uid:7")
        with pytest.raises(CommandError, match="say why"):
            await falls.label(one.id, "false", " x ", "uid:7")
        with pytest.raises(CommandError, match="no label"):
            await falls.label(one.id, "maybe", "a bird", "uid:7")
        with pytest.raises(CommandError, match=r"no fall .* linli falling list"):
            await falls.label("zzzzzz", "false", "like nothing", "uid:7")
        with pytest.raises(CommandError, match="write more of the id"):
            await falls.label(one.id[-3:], "false", "too short a part", "uid:7")
        assert (await falls.label(one.id[-8:], "false", "its end will do", "uid:7"))["record"] == one.id
        assert len(await store.records("disposal", 0, 9)) <= 1


async def test_a_fall_is_found_among_many_readings(tmp_path: Any) -> None:
    async with opened(tmp_path) as store:
        early = fall(CLOCK.wall())
        await filled(store, early)
        for _ in range(30):
            await store.put([reading() for _ in range(100)])
        await filled(store, fall(CLOCK.wall()))
        falls = falls_of(store)
        assert await falls._place("perception", CLOCK.wall() + 10**12) > 3000 - 1000
        assert await falls._place("perception", 1) == 0
        assert (await falls.label(early.id, "true", "seen by us", "uid:7"))["record"] == early.id
        assert (await falls.recent(1, 1))["total"] == 2


async def test_an_export_has_labelled_falls_and_what_else_their_clips_show(tmp_path: Any) -> None:
    async with opened(tmp_path) as store:
        now = CLOCK.wall()
        labelled, beside, later = fall(now - 10**11), fall(now - 10**11 + 10**9), fall(now)
        elsewhere = fall(now - 10**11, camera="other")
        await filled(store, labelled, ready(labelled), beside, later, elsewhere)
        falls = falls_of(store)
        await falls.label(labelled.id, "true", "found below", "uid:7")
        await store.committed()
        told = await falls.export(30, "for training", "uid:7")
        assert [(row["record"], row["label"]) for row in told["falls"]] == [(labelled.id, "true"), (beside.id, None)]
        assert told["falls"][0]["clip"]["sha256"] == "ab" * 32
        assert told["cameras"] == {
            "tower": {
                "masks": [[[0.0, 0.0], [9.0, 0.0], [9.0, 9.0]]],
                "unblurred": "a wall",
                "falling": {"facade": None, "ignore": [], "short_side": 540},
            }
        }
        await store.committed()
        event = json.loads((await store.records("disposal", 0, 9))[-1].json)
        validate(json.dumps(event))
        assert event["data"]["what"] == "export"
        assert (event["data"]["records"], event["data"]["files"]) == ({"perception": 1}, 1)
