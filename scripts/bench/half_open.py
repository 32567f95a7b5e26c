"""Measures how long an alarm waits on a link that is half-open in earnest; needs root, `ip` and mosquitto.

The broker runs in a network namespace that drops all it would answer without a word (a blackhole route), as a link does
whose way back is gone: nobody resets, and our packets stay unacknowledged. The way back opens when the uplink has found
out. Three ways of finding out: all, the system's TCP_USER_TIMEOUT alone, MQTT's keep alive alone.
"""

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gateway.uplink import dial, session
from tests.uplink.stand_in import MemoryStore
from tests.uplink.test_mqtt import make

SPACE, HERE, THERE = "linli-half-open", "10.231.7.1", "10.231.7.2"
LOOK, NEVER = 0.02, 86_400.0


def ip(words: str) -> None:
    """Call `ip`."""
    subprocess.run(["ip", *words.split()], check=True)


def build() -> None:
    """Two ends of a cable, one of them in the namespace."""
    ip(f"netns add {SPACE}")
    ip(f"link add linli0 type veth peer name linli1 netns {SPACE}")
    ip(f"addr add {HERE}/30 dev linli0")
    ip("link set linli0 up")
    ip(f"-n {SPACE} addr add {THERE}/30 dev linli1")
    ip(f"-n {SPACE} link set linli1 up")


async def measure() -> tuple[float, float]:
    """Break the way back, raise an alarm; seconds until the uplink knows, and until the alarm is confirmed."""
    store = MemoryStore()
    uplink = make(store, f"mqtt://{THERE}:1883", insecure=True)
    running = asyncio.create_task(uplink.run())
    while uplink.view()["state"] != "online":  # noqa: ASYNC110 - the uplink tells nobody
        await asyncio.sleep(LOOK)
    await asyncio.sleep(1.0)
    ip(f"-n {SPACE} route add blackhole {HERE}/32")
    began = time.monotonic()
    await store.fill("alarm", 1)
    while uplink.view()["state"] == "online":  # noqa: ASYNC110
        await asyncio.sleep(LOOK)
    knows = time.monotonic() - began
    ip(f"-n {SPACE} route del blackhole {HERE}/32")
    while not store.position("mqtt", "alarm"):  # noqa: ASYNC110
        await asyncio.sleep(LOOK)
    confirmed = time.monotonic() - began
    await uplink.flush(1.0)
    await running
    return knows, confirmed


async def compare() -> None:
    """All three, printed."""
    print(f"{'found out by':<36}{'after':>8}{'alarm confirmed after':>24}")
    for name, ask, unacknowledged in (
        ("all there is", session.DOUBT_SECONDS, dial.UNACKNOWLEDGED_MS),
        ("TCP_USER_TIMEOUT alone", NEVER, dial.UNACKNOWLEDGED_MS),
        ("the keep alive alone", NEVER, 0),
    ):
        session.DOUBT_SECONDS, dial.UNACKNOWLEDGED_MS = ask, unacknowledged
        knows, confirmed = await measure()
        print(f"{name:<36}{knows:>6.1f} s{confirmed:>22.1f} s", flush=True)


def main() -> None:
    """Set the stage, measure, clear it away."""
    mosquitto = shutil.which("mosquitto", path="/usr/bin:/usr/sbin:/usr/local/sbin")
    if mosquitto is None or shutil.which("ip") is None:
        raise SystemExit("half_open: mosquitto or ip is missing; apt-get install mosquitto iproute2")
    with tempfile.TemporaryDirectory(prefix="linli-half-open-") as folder:
        config = Path(folder) / "mosquitto.conf"
        config.write_text(f"listener 1883 {THERE}\nallow_anonymous true\nuser root\n")
        try:
            build()
            command = ["ip", "netns", "exec", SPACE, mosquitto, "-c", str(config)]
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as broker:
                try:
                    time.sleep(1.0)
                    asyncio.run(compare())
                finally:
                    broker.kill()
        finally:
            ip(f"netns del {SPACE}")


if __name__ == "__main__":
    main()
