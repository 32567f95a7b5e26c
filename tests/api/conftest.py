"""A served API on a free port, with stand-ins or the real store behind it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio

from gateway.api import Api
from gateway.clock import SystemClock
from gateway.commands import Commands
from gateway.contract import Draft, record_id
from gateway.rules import compile_rules
from gateway.store import Store
from tests.api.api_standins import Answer, MemoryCommands, MemoryStore, fetch, settings


@dataclass
class Served:
    api: Api
    store: MemoryStore
    commands: MemoryCommands
    socket: Path
    task: asyncio.Task[None]

    async def get(self, target: str, **more) -> Answer:
        return await fetch(self.api.address, target, **more)

    async def post(self, target: str, body: bytes = b"", **more) -> Answer:
        return await fetch(self.api.address, target, method="POST", body=body, **more)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def start(state: Path, clock=None, health=lambda: None, **more) -> Served:
    store = MemoryStore()
    commands = MemoryCommands(store)
    api = Api(settings(state, **more), store, commands, clock or SystemClock(), health)
    task = asyncio.create_task(api.run())
    listening = asyncio.create_task(api.listening.wait())
    await asyncio.wait([task, listening], return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    if task.done():
        task.result()
    return Served(api, store, commands, state / "linli.sock", task)


@pytest_asyncio.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    running = await start(tmp_path)
    yield running
    await running.stop()


def readings(clock, count):
    """Drafts of readings, each another value."""
    drafts = []
    for number in range(count):
        now = clock.wall()
        data = {"points": {"level": {"value": number / 8, "unit": "m", "quality": "good"}}}
        drafts.append(Draft("perception", "linli.reading.v1", "sump-level", "sump-level", now, data, record_id(now)))
    return drafts


@pytest_asyncio.fixture
async def begin(tmp_path):
    """Start store, commands and API in the same state directory; a call stops what ran before."""
    running = []

    async def stop():
        for served in running:
            await served.stop()
            await served.store.close()
        running.clear()

    async def again(between=lambda: None):
        await stop()
        between()
        chosen = settings(tmp_path)
        clock = SystemClock()
        required = {"district-platform": frozenset(chosen.api.consumer[0].streams)}
        store = await Store.open(chosen.store, tmp_path, chosen.gateway.id, clock, required)
        rules, _ = compile_rules((), {}, frozenset())

        async def apply(transition):
            await store.put(transition.drafts, urgent=True)

        commands = Commands(chosen, store, rules, {}, [], [], [], clock, apply)
        api = Api(chosen, store, commands, clock)
        served = Served(api, store, commands, tmp_path / "linli.sock", asyncio.create_task(api.run()))
        await api.listening.wait()
        running.append(served)
        return served, clock

    yield again
    await stop()
