"""The example platform, a server that is not ours (Python's http.server), takes what is pushed and proves it."""

import asyncio
import hashlib
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.contract import STREAMS, Draft, record_id
from gateway.settings.core import MEDIA_CONSUMER, HttpSettings, StoreSettings
from gateway.store import Store
from gateway.uplink.http.push import HttpUplink
from tests.uplink.stand_in import MemoryStore
from tests.uplink.test_http_push import make, running, until

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "receive"


class Receiver:
    """``scripts/receive`` as a process."""

    def __init__(self, folder: Path) -> None:
        self._words = [sys.executable, str(SCRIPT), str(folder / "records.db"), str(folder / "media")]
        (folder / "token").write_text("s3cr3t\n")
        self._token = folder / "token"
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        words = [*self._words, "--token", str(self._token), "--listen", f"127.0.0.1:{self.port}"]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().rpartition(":")[2])

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.communicate()
            self._process = None

    def prove(self) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*self._words, "--prove"], capture_output=True, text=True, timeout=60)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    one = Receiver(tmp_path)
    one.start()
    yield one
    one.kill()


async def test_it_takes_everything_through_its_own_death_and_proves_it(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    store = await Store.open(StoreSettings(commit="20ms"), tmp_path / "state", "gw", SystemClock(), {})
    try:
        url, token = f"http://127.0.0.1:{receiver.port}/in", tmp_path / "token"
        settings = HttpSettings(url=url, token_file=token, media=True, compress="gzip")
        async with running(HttpUplink(settings, "gw", store, SystemClock())) as uplink:
            content = hashlib.sha256(b"picture").digest() * 90_000  # above a piece
            picture = await store.put_media(content, "image/jpeg", "jpg")
            for round_ in range(2):
                for stream in STREAMS:
                    drafts = [reading(stream, {"n": number, "picture": picture}) for number in range(700)]
                    await store.put(drafts)
                await store.committed()
                await until(lambda: store.position("http", "alarm") > 0)
                if round_ == 0:
                    await asyncio.to_thread(receiver.kill)
                    await until(lambda: uplink.view()["state"] == "offline")
                    await asyncio.to_thread(receiver.start)
            await until(lambda: all(store.position("http", s) == store.bounds(s).last for s in STREAMS))
            await until(lambda: store.position(MEDIA_CONSUMER, "perception") == store.bounds("perception").last)
            assert uplink.view()["problems"] == []
        proof = await asyncio.to_thread(receiver.prove)
        assert proof.returncode == 0, proof.stdout
        assert sorted(line.split()[2] for line in proof.stdout.splitlines()) == sorted(STREAMS)
        assert "1400 records" in proof.stdout
        assert (tmp_path / "media" / str(picture["sha256"])).read_bytes() == content
    finally:
        await store.close()


async def test_a_hole_is_found(receiver: Receiver, tmp_path: Path) -> None:
    record = (
        '{"id": "a", "source": "/gateways/gw/x", "epoch": "e", "stream": "alarm", "sequence": "00000000000000000002",'
        ' "type": "linli.alarm.raised.v1", "data": {}}'
    )
    with sqlite3.connect(tmp_path / "records.db") as database:
        database.execute("INSERT INTO records VALUES ('a', 'gw', 'e', 'alarm', 2, ?)", (record,))
    database.close()
    proof = receiver.prove()
    assert proof.returncode == 1
    assert "missing: 1 to 1" in proof.stdout


async def test_a_wrong_token_is_refused(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("guess")
    store = MemoryStore()
    await store.fill("alarm", 1)
    async with running(make(store, receiver.port, token_file=tmp_path / "wrong")) as uplink:
        await until(lambda: "401" in uplink.view()["held"].get("alarm", ""))


def reading(stream: str, data: dict[str, object]) -> Draft:
    now = SystemClock().wall()
    return Draft(stream, "linli.reading.v1", "sump", "sump", now, data, record_id(now))
