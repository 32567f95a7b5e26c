"""Devices that speak, for tests: chunks of bytes on a fake pipe, and a far side on a real pseudo-terminal."""

import asyncio
import contextlib
import json
import os
import pty
import tty
from collections.abc import Callable
from pathlib import Path

import drivers
from gateway.clock import SystemClock
from gateway.contract import DeviceSilentError, DeviceSpec, Driver, LineKind, PointValue, Reading, StateChange
from gateway.links import Line
from gateway.settings import DeviceSettings, LineSettings, PointSettings, Profile
from gateway.settings.resolve import _point, resolve_device
from gateway.sources import Source


def make(driver: str, points: dict[str, dict], address: int | str = 1, **options) -> Driver:
    made = {name: _point(name, PointSettings.model_validate(point)) for name, point in points.items()}
    return drivers.find(driver).make(DeviceSpec("d", driver, address, LineKind.SERIAL, made, options))


class Speech:
    """A fake pipe: ``unasked`` came before the read, ``chunks`` come during it, then silence (or answers)."""

    def __init__(self, *chunks: bytes, unasked: bytes = b"") -> None:
        self.unasked = unasked
        self.chunks = list(chunks)
        self.said: list[bytes] = []
        self.answer: Callable[[bytes], bytes] = lambda _request: b""

    async def write(self, data: bytes) -> None:
        self.said.append(data)
        answer = self.answer(data)
        if answer:
            self.chunks.append(answer)

    async def read(self, at_most: int = 4096) -> bytes:
        await asyncio.sleep(0)
        while self.chunks:
            chunk = self.chunks.pop(0)
            if chunk:
                if len(chunk) > at_most:
                    self.chunks.insert(0, chunk[at_most:])
                return chunk[:at_most]
        raise DeviceSilentError("silence")

    async def drain_input(self) -> bytes:
        data, self.unasked = self.unasked, b""
        return data


async def hear(device: Driver, points, *chunks: bytes, unasked: bytes = b"") -> dict[str, PointValue]:
    return dict(await device.read(Speech(*chunks, unasked=unasked), frozenset(points)))


def run(coroutine):
    return asyncio.run(coroutine)


def vectors(shared: Path, key: str) -> list[dict]:
    return json.loads((shared / "standards/vectors.json").read_text("utf-8"))[key]


class FarSide:
    """The other end of a real pseudo-terminal; ``answer`` is given every piece that the gateway sends."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        os.set_blocking(self._master, False)
        self.heard: list[bytes] = []
        self.answer: Callable[[bytes], bytes] = lambda _request: b""
        self._loop.add_reader(self._master, self._readable)

    def say(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, data)

    def close(self) -> None:
        self._loop.remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.heard.append(os.read(self._master, 4096))
            self.say(self.answer(self.heard[-1]))


class Stage:
    """One device on a real line, with its real driver and source."""

    def __init__(self, far: FarSide, profile: Profile, **more) -> None:
        self.far = far
        clock = SystemClock()
        line = LineSettings(name="port", serial=Path(far.path))
        settings = DeviceSettings.model_validate({"name": "d", "line": "port", "profile": "x", **more})
        device = resolve_device(settings, line, profile)
        self.line = Line(line, clock)
        driver = drivers.find(profile.driver).make(device.spec)
        self.source = Source(device, driver, self.line, clock, self.put)
        self.readings: list[dict[str, PointValue]] = []
        self.states: list[str] = []
        self._arrived = asyncio.Event()

    async def put(self, item: object) -> None:
        if isinstance(item, Reading):
            self.readings.append(dict(item.points))
        if isinstance(item, StateChange):
            self.states.append(item.state.value)
        self._arrived.set()

    async def until(self, enough: Callable[[], bool], *others, seconds: float = 20.0) -> None:
        tasks = [asyncio.create_task(part) for part in (self.line.run(), self.source.run(), *others)]
        try:
            async with asyncio.timeout(seconds):
                while not enough():
                    self._arrived.clear()
                    await self._arrived.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.far.close()
