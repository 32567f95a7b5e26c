"""The uplink over the real store and a real broker: what was committed arrives once by id, over restarts of both."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.contract import STREAMS, Draft, Stream, record_id
from gateway.settings.core import MqttSettings, StoreSettings
from gateway.store import Store
from gateway.uplink.mqtt import MqttUplink
from tests.broker import Mosquitto, broker
from tests.uplink.platform import Platform
from tests.uplink.stand_in import EchoCommands, MemoryStore
from tests.uplink.test_mqtt import running, until

__all__ = ["broker"]


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    settings = StoreSettings(commit="50ms")
    store = await Store.open(settings, folder, "gw", SystemClock(), {"mqtt": frozenset(STREAMS)})
    try:
        yield store
    finally:
        await store.close()


def draft(stream: Stream, number: int) -> Draft:
    now = SystemClock().wall()
    return Draft(stream, "linli.reading.v1", "sump", "sump", now, {"points": {"n": {"value": number}}}, record_id(now))


def make(store: Store, port: int) -> MqttUplink:
    settings = MqttSettings(url=f"mqtt://127.0.0.1:{port}")
    return MqttUplink(settings, "gw", store, EchoCommands(MemoryStore()), SystemClock(), dict)


async def test_committed_records_arrive_contiguous_and_the_cursor_survives_a_restart(
    broker: Mosquitto, tmp_path: Path
) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    async with Platform(broker.port) as platform:
        for round_ in range(2):
            async with opened(folder) as store:
                uplink = make(store, broker.port)
                async with running(uplink):
                    for stream in STREAMS:
                        await store.put([draft(stream, number) for number in range(500)])
                    await store.committed()
                    await platform.until(
                        lambda round_=round_: all(len(platform.sequences(s)) >= 500 * (round_ + 1) for s in STREAMS)
                    )
                    await uplink.flush(5)
                assert all(store.position("mqtt", stream) == 500 * (round_ + 1) for stream in STREAMS)
        for stream in STREAMS:
            assert platform.sequences(stream) == list(range(1, 1001)), "each once, none twice, over a restart"


async def test_what_was_committed_while_the_broker_was_away_goes_when_it_is_back(
    broker: Mosquitto, tmp_path: Path
) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    async with opened(folder) as store, running(make(store, broker.port)) as uplink:
        await store.put([draft("perception", 0)])
        await until(lambda: store.position("mqtt", "perception") == 1)
        await asyncio.to_thread(broker.kill)
        await store.put([draft("perception", number) for number in range(3000)])
        await store.put([draft("alarm", 1)], urgent=True)
        await store.committed()
        await until(lambda: uplink.view()["state"] == "offline")
        assert uplink.view()["backlog"]["perception"] == 3000
        await asyncio.to_thread(broker.start)
        await until(lambda: store.position("mqtt", "perception") == 3001)
        assert store.position("mqtt", "alarm") == 1


async def test_an_uncommitted_record_is_never_sent(broker: Mosquitto, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    sent: list[int] = []
    async with opened(folder) as store:
        uplink = make(store, broker.port)
        original = store.runs

        async def watched(stream: Stream, after: int, limit: int, max_bytes: int) -> Any:
            found = await original(stream, after, limit, max_bytes)
            sent.extend(int(record["sequence"]) for run in found for record in json.loads(run.json))
            assert not found or found[-1].last <= store.bounds(stream).last
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "runs", watched)
            async with running(uplink):
                await store.put([draft("perception", number) for number in range(50)])
                await until(lambda: store.position("mqtt", "perception") == 50)
        assert sent == list(range(1, 51))
