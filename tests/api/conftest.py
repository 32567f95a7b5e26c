"""A served API on a free port with stand-ins behind it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio
from api_standins import Answer, MemoryCommands, MemoryStore, fetch, settings

from gateway.api import Api
from gateway.clock import SystemClock


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
