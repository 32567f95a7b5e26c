"""Who is inside is read back after a start, from the records."""

from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.contract import CommandError, Draft, record_id
from gateway.daemon import recall
from gateway.daemon.recall import Recall
from gateway.store import Store
from gateway.vision.presence import REMEMBERED, Presence
from tests.store.desk import opened, reading

AREAS = {"north": "yard", "south": "yard"}
CAR, OTHER = "沪A12345", "京B67890"


async def passage(store: Store, plate: str, direction: str, camera: str = "north", status: str = "accepted") -> None:
    now = SystemClock().wall()
    told: dict[str, Any] = {"direction": direction, "plate": {"text": plate or None, "status": status}}
    draft = Draft("perception", "linli.vehicle.passage.v1", camera, "main", now, told, record_id(now))
    await store.put([reading(), draft, reading()])


async def recalled(store: Store, presence: Presence) -> Presence:
    await Recall(AREAS, presence, store, SystemClock()).run()
    return presence


async def test_what_passed_last_before_the_start_counts(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(recall, "WINDOW", 3)
    monkeypatch.setattr(recall, "REST", 0.0)
    async with opened(tmp_path) as store:
        for plate, direction, camera in ((CAR, "in", "north"), (OTHER, "in", "north"), (CAR, "out", "south")):
            await passage(store, plate, direction, camera)
        await passage(store, "苏E05C88", "in", "elsewhere")
        await passage(store, "粤B12345", "in", status="uncertain")
        await passage(store, "粤B12346", "none")
        await passage(store, "", "in", status="none")
        await store.committed()
        found = await recalled(store, Presence())
        assert [found.inside("yard", plate) for plate in (CAR, OTHER)] == [False, True]
        assert found.passes("yard", CAR, "out") == "already-out"
        assert not any(found.inside("yard", plate) for plate in ("苏E05C88", "粤B12345", "粤B12346"))
        since = Presence()
        since.passes("yard", OTHER, "out")  # while it was being read back
        assert not (await recalled(store, since)).inside("yard", OTHER)


async def test_what_cannot_be_read_is_said_and_ends_nothing(
    tmp_path: Path, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def unreadable(*_: object) -> None:
        raise CommandError("records cannot be read now", 503)

    async with opened(tmp_path) as store:
        await passage(store, CAR, "in")
        await store.committed()
        monkeypatch.setattr(store, "runs", unreadable)
        assert not (await recalled(store, Presence())).inside("yard", CAR)
    assert "records cannot be read now" in caplog.text


async def test_no_older_plate_takes_the_place_of_a_newer_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await passage(store, CAR, "in")
        await store.committed()
        full = Presence()
        for number in range(REMEMBERED):
            full.passes("yard", str(number), "in")
        assert not (await recalled(store, full)).inside("yard", CAR)
