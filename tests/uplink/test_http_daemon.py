"""The push of the daemon as a process: what it reads arrives at a platform, also when it is killed in between."""

import asyncio
import signal
from pathlib import Path

from gateway.contract import STREAMS
from tests.site import Daemon, device, free_port, head, line, modbus_server
from tests.uplink.http_platform import HttpPlatform, Reply
from tests.uplink.test_http_push import until


def gapless(platform: HttpPlatform, stream: str) -> bool:
    numbers = platform.delivered(stream)
    return numbers == list(range(1, len(numbers) + 1))


async def test_a_killed_daemon_leaves_no_hole_at_the_platform(tmp_path: Path) -> None:
    api = free_port()
    with modbus_server() as server:
        async with HttpPlatform() as platform:
            push = f'[uplink.http]\nurl = "http://127.0.0.1:{platform.port}/in"\nrequired = true\nmedia = true\n'
            text = head(tmp_path / "state", api) + push + line("plant", server.port) + device("meter", "plant")
            (tmp_path / "linli.toml").write_text(text)
            daemon = Daemon(tmp_path / "linli.toml", api)
            await asyncio.to_thread(daemon.start)
            try:
                await until(lambda: len(platform.delivered("perception")) > 5)
                status = await asyncio.to_thread(daemon.get, "/v1/status")
                (uplink,) = status["uplinks"]
                assert (uplink["name"], uplink["state"]) == ("http", "online")
                rows = {(row["consumer"], row["required"]) for row in status["consumers"]}
                assert {("http", True), ("http-media", False)} <= rows
                platform.judge = lambda asked: platform._take(asked) and Reply(0)  # taken, but the answer is lost
                before = len(platform.posts())
                await until(lambda: len(platform.posts()) > before)
                await asyncio.to_thread(daemon.stop, signal.SIGKILL)
                platform.judge = lambda asked: None
                have = len(platform.delivered("perception"))
                await asyncio.to_thread(daemon.start)
                await until(lambda: len(platform.delivered("perception")) > have + 5)
            finally:
                code = await asyncio.to_thread(daemon.stop)
            assert code == 0, daemon.tail()
            assert all(gapless(platform, stream) for stream in STREAMS)
            states = [event["data"]["reason"] for event in platform.events["management"].values()
                      if event["type"] == "linli.gateway.state.v1"]  # fmt: skip
            assert states[:2] == ["started", "restarted"]
            epochs = {event["epoch"] for stream in STREAMS for event in platform.events.get(stream, {}).values()}
            assert len(epochs) == 1
