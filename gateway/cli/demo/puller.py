"""Who talks to the gateway: a small platform that pulls and confirms, and a desk that acknowledges alarms."""

import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.cli.demo.story import Story
from gateway.contract import STREAMS, LinliError

POLL_SECONDS = 5
ANSWER_SECONDS = POLL_SECONDS + 10.0
AGAIN_SECONDS = 0.5
LIMIT = 1000
REACTION_SECONDS = 2.0


class RefusedError(LinliError):
    """The gateway answered with something else than 200."""


class Http:
    """Asks one gateway, by TCP (``host:port`` and a token) or by its Unix socket (a path, no token)."""

    def __init__(self, place: str | Path, token: str = "") -> None:
        self._place = place
        self._token = token

    async def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """One request, one JSON answer; OSError when nobody is there, RefusedError for any status but 200."""
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await self._connect()
            try:
                content = b"" if body is None else json.dumps(body).encode()
                head = [f"{method} {path} HTTP/1.1", "host: gateway", "connection: close"]
                head += [f"authorization: Bearer {self._token}"] if self._token else []
                head += ["content-type: application/json", f"content-length: {len(content)}"] if content else []
                writer.write("\r\n".join([*head, "", ""]).encode() + content)
                answer_head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
        status = answer_head[9:12].decode(errors="replace")
        if not status:
            raise ConnectionResetError("the gateway closed the connection without an answer")
        if status != "200":
            raise RefusedError(f"{method} {path}: {status} {answer[:300].decode(errors='replace')}")
        content_of: dict[str, Any] = json.loads(answer)
        return content_of

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._place, Path):
            return await asyncio.open_unix_connection(self._place)
        host, _, port = self._place.rpartition(":")
        return await asyncio.open_connection(host.strip("[]"), int(port))


class Puller:
    """Follows every stream from its first record on; ``show`` gets each line worth showing."""

    def __init__(self, http: Http, story: Story, show: Callable[[str], None]) -> None:
        self._http, self._story, self._show = http, story, show
        self.away: str | None = None

    async def run(self) -> None:
        """Pull and confirm until cancelled; RefusedError when the gateway refuses."""
        tasks = [asyncio.create_task(self._follow(stream), name=f"pull {stream}") for stream in STREAMS]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, stream: str) -> None:
        cursor = ""
        while True:
            after = f"&after={cursor}" if cursor else ""
            try:
                page = await self._http.ask(
                    "GET", f"/v1/streams/{stream}/records?limit={LIMIT}&wait={POLL_SECONDS}{after}"
                )
                for record in page["records"]:
                    for line in self._story.take(record):
                        self._show(line)
                cursor = page["next"]
                if page["records"]:
                    await self._http.ask("POST", f"/v1/streams/{stream}/ack", {"cursor": cursor})
                self.away = None
            except (OSError, TimeoutError) as error:
                # A platform outlives its gateway's restarts: it asks again from the same cursor.
                self.away = str(error) or type(error).__name__
                await asyncio.sleep(AGAIN_SECONDS)


class Desk:
    """The property's desk: acknowledges a major alarm some seconds after it was raised, over the local socket."""

    def __init__(self, http: Http, story: Story) -> None:
        self._http, self._story = http, story
        self._due: dict[str, float] = {}

    async def look(self, seconds: float) -> None:
        """Look at the alarms at a time of the demo, and acknowledge what is due."""
        for name, record in list(self._story.alarms.items()):
            if record["data"]["severity"] != "major":
                continue
            if seconds >= self._due.setdefault(record["id"], seconds + REACTION_SECONDS):
                self._due[record["id"]] = math.inf
                await self._http.ask("POST", "/local/ack", {"alarm": name, "note": "seen from the desk (demo)"})
