"""What a camera saw is on disk at once; what devices say waits for the commit's window."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.contract import BusItem, Draft, PointValue, Reading, VisionEvent
from gateway.daemon.core import Core


class Puts:
    """A store that notes how urgently it is given what."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], bool]] = []

    async def put(
        self, drafts: Sequence[Draft], *, urgent: bool = False, facts: Mapping[str, bytes | None] | None = None
    ) -> None:
        self.calls.append(([draft.type for draft in drafts], urgent))

    async def put_media(self, data: bytes, content_type: str, suffix: str) -> dict[str, Any]:
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


async def test_a_reading_waits_for_the_window() -> None:
    store: Any = Puts()
    rules: Any = NoRules()
    core = Core(rules, store, SystemClock("UTC"), lambda _: None)
    task = asyncio.create_task(core.run())
    await core.put(Reading("meter", 1, 1.0, {"voltage": PointValue(230.0)}, frozenset({"voltage"})))
    await core.drained()
    task.cancel()
    assert [urgent for _, urgent in store.calls] == [False]
