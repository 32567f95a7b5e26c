"""The daemon as a process registers at a view library and takes its leave at its stop."""

import asyncio
from pathlib import Path

import pytest

from tests.site import Daemon, free_port, head
from tests.uplink.gat1400_platform import CAMERA, GATEWAY, PASSWORD, ViewLibrary
from tests.uplink.test_http_push import until


async def test_a_daemon_registers_and_takes_its_leave(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="the extra `vision` is not installed")
    api = free_port()
    (tmp_path / "password").write_text(PASSWORD)
    async with ViewLibrary() as library:
        (tmp_path / "linli.toml").write_text(f"""{head(tmp_path / "state", api)}
[[camera]]
name = "north-gate"
url = "{tmp_path}/nothing.mp4"
purpose = "vehicle gate"
[camera.vehicles]
[uplink.gat1400]
url = "http://127.0.0.1:{library.port}"
device_id = "{GATEWAY}"
password_file = "{tmp_path}/password"
required = true
[uplink.gat1400.camera.north-gate]
device_id = "{CAMERA}"
""")
        daemon = Daemon(tmp_path / "linli.toml", api)
        await asyncio.to_thread(daemon.start)
        try:
            await until(lambda: library.registrations == 1)
            status = await asyncio.to_thread(daemon.get, "/v1/status")
            (uplink,) = status["uplinks"]
            assert uplink["name"] == "gat1400"
            rows = [(row["stream"], row["required"]) for row in status["consumers"] if row["consumer"] == "gat1400"]
            assert rows == [("perception", True)]
        finally:
            code = await asyncio.to_thread(daemon.stop)
        assert code == 0, daemon.tail()
        assert (library.unregistrations, library.registered, library.wrong) == (1, False, [])
        assert PASSWORD not in daemon.log.read_text()
