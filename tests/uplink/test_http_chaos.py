"""The push over the real store through one fault after the other: nothing missing, nothing confirmed in error."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.contract import STREAMS, Draft, Stream, record_id
from gateway.settings.core import HttpSettings, StoreSettings
from gateway.store import Store
from gateway.uplink import lane as lane_module
from gateway.uplink import outbox as outbox_module
from gateway.uplink import pause as pause_module
from gateway.uplink.http.push import HttpUplink
from tests.uplink.http_platform import Asked, HttpPlatform, Reply
from tests.uplink.test_http_push import running, until


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    settings = StoreSettings(commit="20ms")
    store = await Store.open(settings, folder, "gw", SystemClock(), {"http": frozenset(STREAMS)})
    try:
        yield store
    finally:
        await store.close()


def draft(stream: Stream, number: int) -> Draft:
    now = SystemClock().wall()
    points = {"n": {"value": number, "unit": "", "quality": "good"}}
    return Draft(stream, "linli.reading.v1", "sump", "sump", now, {"points": points}, record_id(now))


def make(store: Store, port: int, **options: Any) -> HttpUplink:
    settings = HttpSettings(url=f"http://127.0.0.1:{port}/in", timeout="1s", **options)
    return HttpUplink(settings, "gw", store, SystemClock())


def complete(store: Store, platform: HttpPlatform) -> bool:
    return all(
        platform.delivered(stream) == list(range(1, store.bounds(stream).last + 1))
        and store.position("http", stream) == store.bounds(stream).last
        for stream in STREAMS
    )


class Faults:
    """One fault after the other, by chance but always the same ones."""

    def __init__(self, platform: HttpPlatform, seed: int) -> None:
        self._platform, self._dice = platform, random.Random(seed)
        self.busy, self.count = True, 0

    async def __call__(self, asked: Asked) -> Reply:
        fault = self._dice.choice(STATUSES) if self.busy and self._dice.random() < 0.4 else 0
        if fault in (400, 413) and len(asked.sequences()) == 1:
            fault = 503  # a single record would be parked, as it should be
        self.count += bool(fault)
        if fault == "slow":
            await asyncio.sleep(self._dice.random() * 0.2)
        elif fault == "silent":
            return Reply(silent=True)
        elif fault == "lost answer":
            self._platform._take(asked)
            return Reply(0)
        elif isinstance(fault, int) and fault:
            return Reply(fault)
        if self.busy and self._dice.random() < 0.1:
            self._platform.cut_after = self._dice.randrange(40_000)
        return self._platform._take(asked)


STATUSES = [429, 500, 503, 401, 404, 302, 400, 413, "slow", "lost answer", "lost answer", "silent"]


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_history_of_faults_makes_a_hole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    for name in ("FIRST_RETRY", "LAST_RETRY"):
        monkeypatch.setattr(lane_module, name, 0.05)
    monkeypatch.setattr(outbox_module, "BATCH_RECORDS", 20)
    monkeypatch.setattr(pause_module, "SHORT_RETRY", 0.1)
    (tmp_path / "state").mkdir()
    async with HttpPlatform() as platform:
        faults = Faults(platform, seed)
        platform.judge = faults
        for round_ in range(3):
            async with opened(tmp_path / "state") as store:
                async with running(make(store, platform.port, window=round_ + 1)):
                    for stream in STREAMS:
                        await store.put([draft(stream, number) for number in range(400)])
                    await store.committed()
                    await until(lambda store=store: all(store.position("http", s) > 300 for s in STREAMS))
                # The cursor never stands beyond what was answered with success.
                for stream in STREAMS:
                    records = await store.records(stream, 0, store.position("http", stream))
                    ids = {record["id"] for record in platform.events.get(stream, {}).values()}
                    assert {json.loads(record.json)["id"] for record in records} <= ids
        faults.busy = False
        async with opened(tmp_path / "state") as store, running(make(store, platform.port)):
            await until(lambda: complete(store, platform), 60)
        assert faults.count > 20
