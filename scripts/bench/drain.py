"""One drain in a process of its own: the real store and uplink, alarms raised meanwhile; prints a line of JSON.

Started as `drain.py STATE_DIRECTORY BROKER_PORT SECONDS EVERY`: at most so many seconds, an alarm every EVERY seconds.
"""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gateway.clock import SystemClock
from gateway.contract import STREAMS, Draft, record_id
from gateway.settings.core import MqttSettings, StoreSettings
from gateway.store import Store
from gateway.uplink.mqtt import MqttUplink

GATEWAY = "bench-gateway"
LOOK = 0.002


class NoCommands:
    """Nothing is asked in this measurement."""

    async def execute(self, verb: str, arguments: Mapping[str, Any], actor: str) -> Any:  # noqa: ANN401 - any JSON
        """Refuse."""
        raise AssertionError(verb)


def rss_mb() -> float:
    """Resident memory of this process."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1024


class Drain:
    """The measurement."""

    def __init__(self, store: Store, uplink: MqttUplink, clock: SystemClock) -> None:
        self._store, self._uplink, self._clock = store, uplink, clock
        self.alarms: list[float] = []
        self.most_mb = 0.0
        self.views: list[dict[str, Any]] = []

    async def raise_alarms(self, every: float) -> None:
        """Put an alarm, and take the time until the broker has acknowledged it."""
        while True:
            await asyncio.sleep(every)
            now = self._clock.wall()
            draft = Draft(
                "alarm", "linli.alarm.raised.v1", "sump", "sump-high", now, {"state": "raised"}, record_id(now)
            )
            began = time.monotonic()
            last = self._store.bounds("alarm").last
            await self._store.put([draft], urgent=True)
            while self._store.position("mqtt", "alarm") <= last:  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(LOOK)
            self.alarms.append(time.monotonic() - began)

    async def watch(self) -> None:
        """Look at memory often, and at what status would show."""
        while True:
            self.most_mb = max(self.most_mb, rss_mb())
            view = self._uplink.view()
            self.views.append(
                {key: view[key] for key in ("rate", "eta_s")} | {"backlog": view["backlog"]["perception"]}
            )
            await asyncio.sleep(0.25)


async def measure(folder: Path, port: int, seconds: float, every: float) -> dict[str, Any]:
    """Drain until nothing waits or the time is up."""
    clock = SystemClock()
    store = await Store.open(StoreSettings(records="4GiB"), folder, GATEWAY, clock, {"mqtt": frozenset(STREAMS)})
    uplink = MqttUplink(MqttSettings(url=f"mqtt://127.0.0.1:{port}"), GATEWAY, store, NoCommands(), clock, dict)
    waiting = store.bounds("perception").last - store.position("mqtt", "perception")
    drain = Drain(store, uplink, clock)
    before = rss_mb()
    running = asyncio.create_task(uplink.run())
    while uplink.view()["state"] != "online":  # noqa: ASYNC110 - nor does the uplink
        await asyncio.sleep(LOOK)
    began, cpu = time.monotonic(), time.process_time()
    others = [asyncio.create_task(drain.raise_alarms(every)), asyncio.create_task(drain.watch())]
    while uplink.view()["backlog"]["perception"] and time.monotonic() - began < seconds:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    took, cpu = time.monotonic() - began, time.process_time() - cpu
    left = uplink.view()["backlog"]["perception"]
    for task in others:
        task.cancel()
    await uplink.flush(0.2)
    await running
    await store.close()
    return {
        "records": waiting - left, "left": left, "seconds": took, "cpu_s": cpu, "alarms": drain.alarms,
        "before_mb": before, "most_mb": drain.most_mb, "views": drain.views,
    }  # fmt: skip


if __name__ == "__main__":
    words = sys.argv[1:]
    print(json.dumps(uvloop.run(measure(Path(words[0]), int(words[1]), float(words[2]), float(words[3])))))
