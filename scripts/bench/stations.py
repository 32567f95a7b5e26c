"""Fire stations that call the running daemon: fire to platform, frame to confirmation, memory under attack."""

import argparse
import asyncio
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.daemon.test_stations import site
from tests.drivers.station_frames import FIRE, NORMAL, calling, component, device_state, frame, operation
from tests.site import Daemon, free_port


def resident(pid: int) -> float:
    """Resident memory in MiB."""
    for row in Path(f"/proc/{pid}/status").read_text().splitlines():
        if row.startswith("VmRSS:"):
            return int(row.split()[1]) / 1024
    raise AssertionError


def fire_to_platform(daemon: Daemon, port: int, number: int) -> float:
    """Seconds from the fire's frame to the raised alarm in the hands of a platform that waits for it."""
    after = ""
    while True:
        page = daemon.get(f"/v1/streams/alarm/records?limit=1000{after}")
        after = f"&after={page['next']}"
        if not page["records"]:
            break
    raised: list[float] = []

    def wait() -> None:
        here = after
        while not raised:
            answer = daemon.get(f"/v1/streams/alarm/records?limit=10&wait=20{here}")
            here = f"&after={answer['next']}"
            if any(record["type"].startswith("linli.alarm.raised") for record in answer["records"]):
                raised.append(time.monotonic())

    platform = threading.Thread(target=wait)
    platform.start()
    time.sleep(0.2)  # the platform's long poll is there
    began = time.monotonic()
    asyncio.run(say(port, frame(10 * number, component(FIRE, number=number))))
    platform.join()
    asyncio.run(say(port, frame(10 * number + 1, operation(1)), frame(10 * number + 2, device_state(1))))
    return raised[0] - began


async def say(port: int, *frames: bytes) -> None:
    async with calling(port) as caller:
        for data in frames:
            await caller.ask(data)


async def confirmations(port: int, count: int) -> list[float]:
    """Seconds from each frame to its confirmation, at about fifty frames a second."""
    taken = []
    async with calling(port) as caller:
        for number in range(count):
            data = frame(30_000 + number, component(NORMAL, number=number % 200))
            began = time.perf_counter()
            await caller.ask(data)
            taken.append(time.perf_counter() - began)
            await asyncio.sleep(0.02)
    return sorted(taken)


async def attack(port: int, connections: int) -> None:
    """Call again and again with bytes that are no message, parts of messages, and silence."""
    whole = frame(1, component(FIRE))
    for _ in range(connections):
        try:
            async with calling(port) as caller:
                kind = random.randrange(3)
                await caller.say(random.randbytes(20_000) if kind == 0 else whole[: random.randrange(70)] * 50 * kind)
        except ConnectionError:
            continue


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--fires", type=int, default=10)
    options.add_argument("--frames", type=int, default=300)
    options.add_argument("--attacks", type=int, default=3000, help="hostile connections")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        api, port = free_port(), free_port()
        daemon = Daemon(site(Path(folder), api, port, "60s"), api).start()
        try:
            assert daemon.process is not None
            asyncio.run(say(port, frame(1, device_state(1))))
            ways = sorted(fire_to_platform(daemon, port, number) for number in range(1, chosen.fires + 1))
            print(
                f"fire to platform (commit = 60s): {len(ways)} fires, median {1000 * ways[len(ways) // 2]:.0f} ms, "
                f"slowest {1000 * ways[-1]:.0f} ms"
            )
            taken = asyncio.run(confirmations(port, chosen.frames))
            print(
                f"frame to confirmation: {len(taken)} frames, median {1000 * taken[len(taken) // 2]:.2f} ms, "
                f"p99 {1000 * taken[int(0.99 * len(taken))]:.2f} ms"
            )
            asyncio.run(attack(port, chosen.attacks // 10))
            before = resident(daemon.process.pid)
            asyncio.run(attack(port, chosen.attacks))
            after = resident(daemon.process.pid)
            refused = daemon.get("/v1/status")["lines"][0]["refused"]["count"]
            print(
                f"hostile callers: {chosen.attacks} connections, {refused} refusals, "
                f"memory {before:.1f} MiB before and {after:.1f} MiB after"
            )
            print(f"a fire behind them: {1000 * fire_to_platform(daemon, port, 90):.0f} ms")
        finally:
            daemon.stop()


if __name__ == "__main__":
    main()
