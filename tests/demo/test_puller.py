"""The platform client against a small HTTP server of the test: cursors, confirmations, and a gateway that goes away."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.demo import puller
from gateway.cli.demo.puller import Desk, Http, Puller, RefusedError
from gateway.cli.demo.story import Story
from tests.demo.test_story import record


class Gateway:
    """Serves prepared records and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.authorization: set[str] = set()
        self.refuse_next = False
        self.all_pulled = asyncio.Event()
        self.serving: list[asyncio.Task[None]] = []

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.append(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split(" ", 2)
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        self.asked.append((method, path, json.loads(body) if body else None))
        self.authorization.add(fields.get("authorization", ""))
        if self.refuse_next:
            self.refuse_next = False
            writer.close()
            return
        if "/perception/records" in path and "after=" not in path:
            answer: Any = {"records": [record(1), record(2)], "next": "e.perception.2", "more": False}
        elif method == "POST":
            answer = {}
            self.all_pulled.set()
        elif "nothing" in path:
            writer.write(b"HTTP/1.1 404 Not Found\r\n\r\n{}")
            writer.close()
            return
        else:
            await asyncio.sleep(0.02)
            answer = {"records": [], "next": "e.x.0", "more": False}
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + json.dumps(answer).encode())
        writer.close()


async def test_pulls_from_the_oldest_and_confirms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(puller, "AGAIN_SECONDS", 0.01)
    gateway = Gateway()
    gateway.refuse_next = True  # the first connection is closed without an answer: it must ask again
    server = await asyncio.start_server(gateway.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    story = Story()
    task = asyncio.create_task(Puller(Http(f"127.0.0.1:{port}", "tok"), story, lambda _: None).run())
    await gateway.all_pulled.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    server.close()
    await asyncio.gather(*gateway.serving)
    assert story.ledgers["perception"].pulled == 2
    assert ("POST", "/v1/streams/perception/ack", {"cursor": "e.perception.2"}) in gateway.asked
    assert gateway.authorization == {"Bearer tok"}
    assert {path.split("/")[3] for method, path, _ in gateway.asked if method == "GET"} == {
        "perception",
        "management",
        "alarm",
        "disposal",
    }


async def test_a_refusal_is_not_retried(tmp_path: Path) -> None:
    gateway = Gateway()
    place = tmp_path / "s"
    server = await asyncio.start_unix_server(gateway.accept, place)
    with pytest.raises(RefusedError, match="404"):
        await Http(place).ask("GET", "/nothing")
    server.close()
    await asyncio.gather(*gateway.serving)
    assert gateway.authorization == {""}


async def test_the_desk_acknowledges_a_major_alarm_once_and_later() -> None:
    asked: list[object] = []

    class Local:
        async def ask(self, method: str, path: str, body: object = None) -> dict[str, object]:
            asked.append((method, path, body))
            return {}

    story = Story()
    for number, (name, severity) in enumerate((("sump-high", "major"), ("co-silent", "warning")), 1):
        list(story.take(record(number, "linli.alarm.raised.v1", "alarm", subject=name, severity=severity)))
    desk = Desk(Local(), story)
    for seconds in (10.0, 11.0, 12.0, 13.0):
        await desk.look(seconds)
        assert len(asked) == (seconds >= 12)
    assert asked == [("POST", "/local/ack", {"alarm": "sump-high", "note": "seen from the desk (demo)"})]
