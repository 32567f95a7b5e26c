"""What a camera saw is on disk at once; what devices say waits for the commit's window."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.contract import BusItem, Draft, PointValue, Reading, VisionEvent
from gateway.daemon.core import PICTURES, Core
from gateway.daemon.drafts import executed, vision_draft


class Puts:
    """A store that notes how urgently it is given what."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], bool]] = []
        self.drafts: list[Draft] = []
        self.facts: dict[str, bytes] = {}
        self.kept: list[str] = []

    async def put(
        self, drafts: Sequence[Draft], *, urgent: bool = False, facts: Mapping[str, bytes | None] | None = None
    ) -> None:
        self.calls.append(([draft.type for draft in drafts], urgent))
        self.drafts += drafts
        for name, value in (facts or {}).items():
            self.facts.pop(name, None)
            if value is not None:
                self.facts[name] = value

    async def put_media(self, data: bytes, content_type: str, suffix: str, kept: str = "") -> dict[str, Any]:
        self.kept.append(kept)
        return {"sha256": "0" * 64, "bytes": len(data), "content_type": content_type}


class NoRules:
    """Rules that have nothing to say."""

    def feed(self, item: BusItem) -> list[Any]:
        return []


PASSAGE = "linli.vehicle.passage.v1"
PICTURE = {"picture": (b"jpeg", "image/jpeg", "jpg")}


def passage(media: Mapping[str, tuple[bytes, str, str]]) -> VisionEvent:
    return VisionEvent("gate", 1, 1.0, PASSAGE, "main", {"lane": "main"}, "passage", media)


@pytest.mark.parametrize("media", [PICTURE, {}])
async def test_a_passage_is_committed_at_once(media: Mapping[str, tuple[bytes, str, str]]) -> None:
    store: Any = Puts()
    rules: Any = NoRules()
    core = Core(rules, store, SystemClock("UTC"), lambda _: None)
    tasks = [asyncio.create_task(core.run()), asyncio.create_task(core.file())]
    await core.put(passage(media))
    await core.drained()
    for task in tasks:
        task.cancel()
    assert store.calls == [([PASSAGE], False), ([], True)]


async def test_a_picture_is_stored_with_how_long_it_is_kept() -> None:
    store: Any = Puts()
    rules: Any = NoRules()
    core = Core(rules, store, SystemClock("UTC"), lambda _: None)
    tasks = [asyncio.create_task(core.run()), asyncio.create_task(core.file())]
    await core.put(passage(PICTURE))
    await core.put(replace(passage(PICTURE), kept="unlisted"))
    await core.drained()
    for task in tasks:
        task.cancel()
    assert store.kept == ["", "unlisted"]


async def test_a_reading_waits_for_the_window() -> None:
    store: Any = Puts()
    rules: Any = NoRules()
    core = Core(rules, store, SystemClock("UTC"), lambda _: None)
    task = asyncio.create_task(core.run())
    await core.put(Reading("meter", 1, 1.0, {"voltage": PointValue(230.0)}, frozenset({"voltage"})))
    await core.drained()
    task.cancel()
    assert [urgent for _, urgent in store.calls] == [False]


READY = "linli.media.ready.v1"
CLIP = {"": (b"mp4", "video/mp4", "mp4")}


def fall() -> VisionEvent:
    data = {"size_px": 5.0, "picture": {"frame_sha256": "1" * 64}}
    return VisionEvent("tower", 1, 1.0, "linli.falling_object.v1", "tower", data, "", PICTURE)


class FullDisk(Puts):
    """A store whose disk takes no files."""

    async def put_media(self, data: bytes, content_type: str, suffix: str, kept: str = "") -> dict[str, Any]:
        raise OSError(28, "No space left on device")


async def test_what_a_full_disk_does_not_take_is_not_spoken_of_but_that_there_is_no_clip_is_said() -> None:
    store: Any = FullDisk()
    rules: Any = NoRules()
    core = Core(rules, store, SystemClock("UTC"), lambda _: None)
    counted: list[tuple[str, str]] = []
    core.lost = lambda camera, why: counted.append((camera, why))
    tasks = [asyncio.create_task(core.run()), asyncio.create_task(core.file())]
    await core.put(fall())
    await core.put(VisionEvent("tower", 1, 1.0, READY, "tower", {"record": "one"}, "", CLIP))
    await core.drained()
    for task in tasks:
        task.cancel()
    fallen, lost = store.drafts
    assert fallen.data == {"size_px": 5.0}
    assert (lost.type, lost.data["record"], lost.data["reason"]) == ("linli.media.lost.v1", "one", "disk")
    assert counted == [("tower", "No space left on device")] * 2


class HangingDisk(Puts):
    """A store whose disk never answers for a file."""

    def __init__(self) -> None:
        super().__init__()
        self.read = asyncio.Event()

    async def put(
        self, drafts: Sequence[Draft], *, urgent: bool = False, facts: Mapping[str, bytes | None] | None = None
    ) -> None:
        await super().put(drafts, urgent=urgent, facts=facts)
        if any(draft.type == "linli.reading.v1" for draft in drafts):
            self.read.set()

    async def put_media(self, data: bytes, content_type: str, suffix: str, kept: str = "") -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}


async def test_a_disk_that_hangs_does_not_keep_alarms_waiting_for_pictures() -> None:
    store: Any = HangingDisk()
    rules: Any = NoRules()
    core = Core(rules, store, SystemClock("UTC"), lambda _: None)
    tasks = [asyncio.create_task(core.run()), asyncio.create_task(core.file())]
    counted: list[tuple[str, str]] = []
    core.lost = lambda camera, why: counted.append((camera, why))
    for _ in range(PICTURES + 2):  # one is being filed, and the queue is full
        await core.put(fall())
    await core.put(VisionEvent("tower", 1, 1.0, READY, "tower", {"record": "one"}, "", CLIP))
    await core.put(Reading("meter", 1, 1.0, {"voltage": PointValue(230.0)}, frozenset({"voltage"})))
    async with asyncio.timeout(5):
        await store.read.wait()
    for task in tasks:
        task.cancel()
    kinds = [draft.type for draft in store.drafts]
    assert kinds == ["linli.falling_object.v1", "linli.media.lost.v1", "linli.reading.v1"]
    assert "picture" not in store.drafts[0].data
    assert counted == [("tower", "the disk is too slow")] * 2


async def test_what_a_camera_owes_outlives_a_power_cut_until_it_is_settled() -> None:
    store: Any = Puts()
    rules: Any = NoRules()
    core = Core(rules, store, SystemClock("UTC"), lambda _: None)
    tasks = [asyncio.create_task(core.run()), asyncio.create_task(core.file())]
    lost = VisionEvent("tower", 5, 1.0, "linli.media.lost.v1", "tower", {"record": "f"}, id="l", purpose="falls")
    known = VisionEvent("tower", 5, 1.0, "linli.falling_object.v1", "tower", {"complete": False}, id="f")
    await core.put(VisionEvent("tower", 5, 1.0, "", "tower", {}, "fall", owes=known))
    await core.drained()
    assert (executed(store.facts)[0], store.calls) == (
        [replace(vision_draft(known, {}), monotonic=None, quality=core._clock.quality())],
        [([], False), ([], True)],
    )
    store.facts["will/x"] = b"of a plate that was erased"
    await core.put(replace(fall(), id="f", settles="f", owes=lost))
    await core.drained()
    drafts, settled = executed(store.facts)
    assert [(draft.id, draft.type, draft.extra) for draft in drafts] == [("l", lost.type, {"purpose": "falls"})]
    await core.put(VisionEvent("tower", 5, 1.0, "", "tower", {}, settles="x"))
    await core.put(VisionEvent("tower", 1, 1.0, READY, "tower", {"record": "f"}, "", CLIP, settles="l"))
    await core.put(replace(lost, id="k", settles="k"))
    await core.drained()
    for task in tasks:
        task.cancel()
    assert not executed(store.facts)[0]
    assert sorted(settled) == ["will/l", "will/x"]
    assert not store.facts
    assert executed({"will/x": b"torn"}) == ([], {"will/x": None})


async def test_that_a_clip_is_lost_is_told_behind_the_record_that_owes_it_and_once() -> None:
    class SlowDisk(Puts):
        async def put_media(self, data: bytes, content_type: str, suffix: str, kept: str = "") -> dict[str, Any]:
            await asyncio.sleep(0.05)
            return await super().put_media(data, content_type, suffix, kept)

    store: Any = SlowDisk()
    rules: Any = NoRules()
    core = Core(rules, store, SystemClock("UTC"), lambda _: None)
    tasks = [asyncio.create_task(core.run()), asyncio.create_task(core.file())]
    lost = VisionEvent("tower", 5, 1.0, "linli.media.lost.v1", "tower", {"record": "f"}, id="l", settles="l")
    await core.put(replace(fall(), id="f", owes=replace(lost, settles="")))
    await core.put(lost)
    await core.drained()
    for task in tasks:
        task.cancel()
    assert [draft.id for draft in store.drafts] == ["f", "l"]
    assert executed(store.facts) == ([], {})


class RecoveringDisk(Puts):
    """A store whose disk answers for no file until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.recovered = asyncio.Event()

    async def put_media(self, data: bytes, content_type: str, suffix: str, kept: str = "") -> dict[str, Any]:
        await self.recovered.wait()
        return await super().put_media(data, content_type, suffix, kept)


LOST = VisionEvent("tower", 5, 1.0, "linli.media.lost.v1", "tower", {"record": "f"}, id="l", settles="l")


@pytest.mark.parametrize(
    ("settling", "told"),
    [
        (LOST, ["l"]),
        (VisionEvent("tower", 5, 1.0, READY, "tower", {"record": "f"}, "", CLIP, id="r", settles="l"), ["r"]),
        (VisionEvent("tower", 5, 1.0, "", "tower", {}, settles="l"), []),  # of a plate that was erased
    ],
)
async def test_what_overtakes_what_a_hung_disk_holds_settles_it_all_the_same(
    settling: VisionEvent, told: list[str]
) -> None:
    store: Any = RecoveringDisk()
    rules: Any = NoRules()
    core = Core(rules, store, SystemClock("UTC"), lambda _: None)
    tasks = [asyncio.create_task(core.run()), asyncio.create_task(core.file())]
    for _ in range(PICTURES):
        await core.put(fall())
    await core.put(replace(fall(), id="f", owes=replace(LOST, settles="")))
    await core.put(settling)
    await core._bus.join()
    store.recovered.set()
    await core.drained()
    for task in tasks:
        task.cancel()
    assert [draft.id for draft in store.drafts if draft.type != fall().type] == told
    assert sum(draft.id == "f" for draft in store.drafts) == 1
    assert executed(store.facts) == ([], {})
    assert not core._owing
