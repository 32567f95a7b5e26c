"""Breaks the way to a real broker in every manner we know, and proves what arrived against what was stored.

The real store and uplink send through a fault proxy into a real mosquitto; a platform with a lasting session counts
what comes out. A gap record explains a gap; nothing else does. Time to recover: from the end of the fault until the
cursor stands at what was stored by then. Quick by default; --rounds and --records make it long.
"""

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from stage import Broker

from gateway.clock import SystemClock
from gateway.contract import STREAMS, Draft, Stream, record_id
from gateway.settings.core import MqttSettings, StoreSettings
from gateway.store import Store
from gateway.uplink.mqtt import MqttUplink
from tests.faults.proxy import FaultProxy

GATEWAY = "campaign"
RECOVER_SECONDS = 120.0


class NoCommands:
    """Nothing is asked here."""

    async def execute(self, verb: str, arguments: Mapping[str, Any], actor: str) -> Any:  # noqa: ANN401 - any JSON
        """Refuse."""
        raise AssertionError(verb)


class Platform:
    """Counts what arrives by stream and sequence; acknowledges, where the gateway waits for that."""

    def __init__(self, port: int) -> None:
        about = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        about.SessionExpiryInterval = 3600
        self._options: dict[str, Any] = {
            "identifier": "platform", "protocol": aiomqtt.ProtocolVersion.V5, "clean_start": False, "properties": about,
        }  # fmt: skip
        self._port = port
        self.seen: dict[str, Counter[int]] = {stream: Counter() for stream in STREAMS}
        self._upto: Counter[str] = Counter()

    async def run(self) -> None:
        """Take records until cancelled, over every restart of the broker."""
        while True:
            try:
                async with aiomqtt.Client("127.0.0.1", self._port, **self._options) as client:
                    await client.subscribe(f"linli/v1/{GATEWAY}/+", qos=1)
                    async for message in client.messages:
                        await self._take(client, message)
            except aiomqtt.MqttError:
                await asyncio.sleep(0.1)

    async def _take(self, client: aiomqtt.Client, message: aiomqtt.Message) -> None:
        stream = str(message.topic).rsplit("/", 1)[1]
        if stream not in self.seen:
            return
        epoch = ""
        for event in json.loads(bytes(message.payload)):
            self.seen[stream][int(event["sequence"])] += 1
            epoch = event["epoch"]
        while self.seen[stream][self._upto[stream] + 1]:
            self._upto[stream] += 1
        cursor = f"{epoch}.{stream}.{self._upto[stream]}"
        await client.publish(f"linli/v1/{GATEWAY}/ack", json.dumps({"stream": stream, "cursor": cursor}))


@dataclass
class Scene:
    """What a fault works on."""

    proxy: FaultProxy
    broker: Broker
    seconds: float


Fault = Callable[[Scene], Awaitable[None]]


async def gone(scene: Scene) -> None:
    """The broker is killed and comes back."""
    await asyncio.to_thread(scene.broker.stop)
    await asyncio.sleep(scene.seconds)
    await asyncio.to_thread(scene.broker.start)


async def killed(scene: Scene) -> None:
    """The broker is killed, and what it held and had confirmed is gone with it."""
    await asyncio.to_thread(scene.broker.kill)
    await asyncio.sleep(scene.seconds)
    await asyncio.to_thread(scene.broker.start)


async def cut(scene: Scene) -> None:
    """Every connection is reset at a random moment, three times, with records on the way."""
    scene.proxy.delay = 0.2
    for _ in range(3):
        await asyncio.sleep(random.uniform(0.5, 1.5))
        scene.proxy.cut()
    scene.proxy.delay = 0.0


async def flapping(scene: Scene) -> None:
    """Reset every 2 s, with records on the way."""
    scene.proxy.delay = 0.2
    task = asyncio.create_task(scene.proxy.flap(2.0))
    await asyncio.sleep(scene.seconds * 2)
    task.cancel()
    scene.proxy.delay = 0.0


async def half_open(scene: Scene) -> None:
    """Bytes vanish, the connection seems to stand: it never ends by itself."""
    scene.proxy.half_open()
    await asyncio.sleep(scene.seconds)


async def stalls(scene: Scene) -> None:
    """600 ms each way, and nothing moves for seconds at a time."""
    scene.proxy.delay = 0.6
    for _ in range(2):
        scene.proxy.stall()
        await asyncio.sleep(scene.seconds / 2)
        scene.proxy.resume()
        await asyncio.sleep(1.0)
    scene.proxy.delay = 0.0


async def throttle(scene: Scene) -> None:
    """8 kB/s, far less than is produced."""
    scene.proxy.rate = 8_000
    await asyncio.sleep(scene.seconds * 2)
    scene.proxy.rate = None


FAULTS: tuple[tuple[str, Fault], ...] = (
    ("broker stopped", gone), ("connection cut", cut), ("flapping every 2 s", flapping),
    ("half-open, no RST", half_open),
    ("600 ms each way, stalls", stalls), ("throttled to 8 kB/s", throttle),
)  # fmt: skip
# A broker that forgets what it confirmed has lost it, unless the platform's own word is waited for.
KILLED: tuple[str, Fault] = ("broker killed, forgets", killed)


@dataclass
class Outcome:
    """A line of the table."""

    times: int = 0
    stored: int = 0
    lost: int = 0
    duplicated: int = 0
    gaps: int = 0
    recovered: list[float] = field(default_factory=list)


class Producer:
    """Puts readings all the time, and now and then an alarm."""

    def __init__(self, store: Store, rate: int) -> None:
        self._store, self._rate = store, rate

    async def run(self) -> None:
        """Some 200 records a second."""
        number = 0
        while True:
            await self._store.put([draft("perception", number + index) for index in range(self._rate // 10)])
            if number % (self._rate * 2) == 0:
                await self._store.put([draft("alarm", number)], urgent=True)
            number += self._rate // 10
            await asyncio.sleep(0.1)


def draft(stream: Stream, number: int) -> Draft:
    """A record that says its number."""
    now = time.time_ns()
    kind = "linli.alarm.raised.v1" if stream == "alarm" else "linli.reading.v1"
    data = {"points": {"level": {"value": number, "unit": "m", "quality": "good"}}}
    return Draft(stream, kind, "sump", "sump", now, data, record_id(now))


@asynccontextmanager
async def background(*work: Awaitable[None]) -> AsyncIterator[None]:
    """Run beside, and end it in the end."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Campaign:
    """One way to acknowledge, all faults in turn over one store."""

    def __init__(self, folder: Path, mosquitto: str, ack: str, seconds: float, rate: int) -> None:
        (folder / "state").mkdir(parents=True)
        self._folder, self._ack, self._seconds, self._rate = folder, ack, seconds, rate
        self._broker = Broker(mosquitto, folder)
        self._faults = (*FAULTS, KILLED) if ack == "platform" else FAULTS
        self.outcomes: dict[str, Outcome] = {name: Outcome() for name, _ in self._faults}

    async def run(self, rounds: int) -> None:
        """Break, mend, wait, count."""
        clock = SystemClock()
        self._broker.start()
        settings = StoreSettings(commit="50ms", records="512MiB")
        store = await Store.open(settings, self._folder / "state", GATEWAY, clock, {"mqtt": frozenset(STREAMS)})
        platform = Platform(self._broker.port)
        try:
            async with FaultProxy(self._broker.port) as proxy:
                mqtt = MqttSettings(url=proxy.url, ack=self._ack, required=True)
                uplink = MqttUplink(mqtt, GATEWAY, store, NoCommands(), clock, dict)
                async with background(platform.run(), uplink.run(), Producer(store, self._rate).run()):
                    await asyncio.sleep(1.0)
                    for _ in range(rounds):
                        for name, fault in self._faults:
                            await self._one(name, fault, Scene(proxy, self._broker, self._seconds), store, platform)
        finally:
            await store.close()
            self._broker.stop()

    async def _one(self, name: str, fault: Fault, scene: Scene, store: Store, platform: Platform) -> None:
        outcome, first = self.outcomes[name], dict(self._ends(store))
        before = {stream: sum(platform.seen[stream].values()) - len(platform.seen[stream]) for stream in STREAMS}
        await asyncio.sleep(0.5)
        await fault(scene)
        began = time.monotonic()
        await store.put([draft("alarm", 0)], urgent=True)
        await store.committed()
        target = dict(self._ends(store))
        while any(store.position("mqtt", stream) < end for stream, end in target.items()):
            if time.monotonic() - began > RECOVER_SECONDS:
                break
            await asyncio.sleep(0.02)
        outcome.recovered.append(time.monotonic() - began)
        await self._arrived(platform, target)
        outcome.times += 1
        for stream, end in target.items():
            seen = platform.seen[stream]
            wanted = range(first[stream] + 1, end + 1)
            missing = [number for number in wanted if not seen[number]]
            outcome.stored += len(wanted)
            outcome.lost += len(missing)
            outcome.gaps += sum(1 for number in missing if number - 1 not in missing)
            outcome.duplicated += sum(seen.values()) - len(+seen) - before[stream]

    @staticmethod
    async def _arrived(platform: Platform, target: Mapping[Stream, int]) -> None:
        """The broker's word is not the platform's: give what it holds some time."""
        end = time.monotonic() + 15.0
        while time.monotonic() < end:
            if all(platform.seen[stream][last] or not last for stream, last in target.items()):
                await asyncio.sleep(0.2)
                return
            await asyncio.sleep(0.05)

    @staticmethod
    def _ends(store: Store) -> Mapping[Stream, int]:
        return {stream: store.bounds(stream).last for stream in STREAMS}


def table(ack: str, outcomes: Mapping[str, Outcome]) -> None:
    """Print it as it stands in docs/reliability.md."""
    print(f'\nack = "{ack}"\n')
    print("| fault | times | records | lost | sent twice | unexplained gaps | time to recover: median, worst |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, one in outcomes.items():
        ranked = sorted(one.recovered)
        took = f"{ranked[len(ranked) // 2]:.1f} s, {ranked[-1]:.1f} s"
        print(f"| {name} | {one.times} | {one.stored:,} | {one.lost} | {one.duplicated} | {one.gaps} | {took} |")


def main() -> None:
    """Parse the options, run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1, help="how often each fault comes (default: 1)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long a fault lasts, about (default: 3)")
    parser.add_argument("--records", type=int, default=200, help="records a second meanwhile (default: 200)")
    parser.add_argument("--ack", choices=("broker", "platform", "both"), default="both", help="whose word counts")
    options = parser.parse_args()
    mosquitto = shutil.which("mosquitto", path="/usr/bin:/usr/sbin:/usr/local/sbin")
    if mosquitto is None:
        raise SystemExit("campaign_links: mosquitto is missing; apt-get install mosquitto")
    lost = 0
    for ack in ("broker", "platform") if options.ack == "both" else (options.ack,):
        with tempfile.TemporaryDirectory(prefix="linli-links-") as folder:
            campaign = Campaign(Path(folder) / ack, mosquitto, ack, options.seconds, options.records)
            asyncio.run(campaign.run(options.rounds))
        table(ack, campaign.outcomes)
        lost += sum(one.lost + one.gaps for one in campaign.outcomes.values())
    print(f"\n{'nothing is missing' if not lost else f'{lost} records or gaps are NOT explained'}")
    raise SystemExit(bool(lost))


if __name__ == "__main__":
    main()
