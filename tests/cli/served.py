"""A real API on a real Unix socket in a thread, in front of the gateway in memory."""

import asyncio
import threading
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from gateway.api import Api
from gateway.cli import linli
from tests.desk import Desk

ALARM = {"name": "sump-high", "when": "sump.level > 2.5", "severity": "major", "text": {"zh": "水位高", "en": "High"}}
CONSUMER = {"name": "platform", "token_sha256": "0" * 64}


class Served:
    """A desk whose commands the CLI can reach; ``run`` calls `linli` with its state directory."""

    def __init__(self, state: Path) -> None:
        gateway = {"id": "desk-1", "site": "花园里12号", "state": str(state)}
        api = {"listen": "127.0.0.1:0", "consumer": [CONSUMER]}
        self.state, self.desk = state, Desk(gateway=gateway, alarm=[ALARM], api=api)
        self._up = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Served":
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        finally:
            self._loop.close()

    async def _live(self) -> None:
        desk = self.desk
        api = Api(desk.settings, desk.store, desk.commands, desk.clock)  # type: ignore[arg-type]
        self._task = asyncio.create_task(api.run())
        await api.listening.wait()
        self._up.set()
        await asyncio.gather(self._task, return_exceptions=True)

    def run(self, *arguments: str, **options: Any) -> Result:
        verb, rest = arguments[0], arguments[1:]
        return CliRunner().invoke(linli, [verb, "--state", str(self.state), *rest], **options)
