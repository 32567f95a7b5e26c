"""Fixtures for every test: no task may outlive its test, and time is passed in."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

# A shell that runs the tests in the background leaves Ctrl-C ignored, which every program they start would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).resolve().parents[2] / "shared"


class FakeClock:
    """A clock that tests move by hand (a fake: no real time passes)."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall_ns = 1_795_300_000_000_000_000
        self.trust = "synced"
        self._waiting: list[tuple[float, asyncio.Future[None]]] = []

    def wall(self) -> int:
        return self.wall_ns

    def monotonic(self) -> float:
        return self.now

    def quality(self) -> str:
        return self.trust

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self.now + seconds, future))
        await future

    async def advance(self, seconds: float, step: float = 0.05) -> None:
        """Move time on in steps, letting everything that waited run."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            taken = min(step, end - self.now)
            self.now += taken
            self.wall_ns += int(taken * 1e9)
            due = [entry for entry in self._waiting if entry[0] <= self.now + 1e-9]
            self._waiting = [entry for entry in self._waiting if entry[0] > self.now + 1e-9]
            for _, future in due:
                if not future.done():
                    future.set_result(None)
            for _ in range(10):
                await asyncio.sleep(0)

    def rfc3339(self, time_ns: int) -> str:
        from datetime import UTC, datetime

        return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="milliseconds")


@pytest.fixture
def fake_clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared reference folder is not beside this checkout")
    return SHARED


@pytest_asyncio.fixture(autouse=True)
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail a test that leaves a task pending."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() - before if not task.done() and task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    assert not left, f"leaked tasks: {left}"
