"""The push against a real server: order, headers, and what every status and every broken connection leads to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.contract import SEND_ORDER, STREAMS, Stream
from gateway.metrics import REGISTRY
from gateway.settings.core import HttpSettings
from gateway.uplink import lane as lane_module
from gateway.uplink import outbox as outbox_module
from gateway.uplink.http import connection as connection_module
from gateway.uplink.http.push import HttpUplink
from tests.uplink.http_platform import Asked, HttpPlatform, Reply
from tests.uplink.stand_in import MemoryStore


@pytest.fixture
async def platform() -> AsyncIterator[HttpPlatform]:
    async with HttpPlatform() as one:
        yield one


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries within tenths of a second."""
    monkeypatch.setattr(lane_module, "FIRST_RETRY", 0.02)
    monkeypatch.setattr(lane_module, "LAST_RETRY", 0.1)


def make(store: MemoryStore, port: int, **options: Any) -> HttpUplink:
    settings = HttpSettings(url=options.pop("url", f"http://127.0.0.1:{port}/linli?site=7"), **options)
    return HttpUplink(settings, "gw", store, SystemClock())


@asynccontextmanager
async def running(uplink: HttpUplink) -> AsyncIterator[HttpUplink]:
    task = asyncio.ensure_future(uplink.run())
    try:
        yield uplink
    finally:
        await uplink.flush(0)
        async with asyncio.timeout(5):
            await task


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await SystemClock().sleep(0.01)


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"uplink": "http", **labels}) or 0.0


def complete(store: MemoryStore, platform: HttpPlatform, *streams: Stream) -> bool:
    """Every record is there, by id and without a hole, and the cursors say so."""
    return all(
        platform.delivered(stream) == list(range(1, store.bounds(stream)[1] + 1))
        and store.position("http", stream) == store.bounds(stream)[1]
        for stream in streams or STREAMS
    )


async def test_batches_go_in_order_with_headers_that_say_what_they_are(platform: HttpPlatform, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cr3t\n")
    store = MemoryStore()
    for stream in STREAMS:
        await store.fill(stream, 3)
    async with running(make(store, platform.port, window=1, token_file=tmp_path / "token")) as uplink:
        await until(lambda: complete(store, platform))
        view = uplink.view()
    assert [asked.stream for asked in platform.asked] == list(SEND_ORDER)
    first = platform.asked[0]
    assert first.target == "/linli?site=7"
    assert first.headers["content-type"] == "application/cloudevents-batch+json"
    assert first.headers["linli-gateway"] == "gw"
    assert first.headers["linli-epoch"] == "e1"
    assert first.headers["linli-cursor"] == "e1.alarm.3"
    assert first.headers["idempotency-key"].startswith('"e1.alarm.3-')
    assert first.headers["authorization"] == "Bearer s3cr3t"
    assert platform.connections == 1, "one connection is kept"
    assert view["state"] == "online"
    assert view["problems"] == []
    assert "site=7" not in str(view)


async def test_user_and_password_and_compression(platform: HttpPlatform, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("päss")
    store = MemoryStore()
    await store.fill("alarm", 50, size=200)
    options = {"user": "gw", "password_file": tmp_path / "password", "compress": "gzip"}
    async with running(make(store, platform.port, **options)):
        await until(lambda: complete(store, platform, "alarm"))
    asked = platform.asked[0]
    assert asked.headers["authorization"] == "Basic Z3c6cMOkc3M="
    assert asked.headers["content-encoding"] == "gzip"
    assert len(asked.body) < 5000


async def test_only_the_configured_streams_go(platform: HttpPlatform) -> None:
    store = MemoryStore()
    await store.fill("alarm", 1)
    await store.fill("perception", 1)
    async with running(make(store, platform.port, streams=("alarm",))) as uplink:
        await until(lambda: complete(store, platform, "alarm") and uplink.view()["state"] == "online")
    assert {asked.stream for asked in platform.asked} == {"alarm"}


@pytest.mark.parametrize("status", [200, 201, 202, 204, 207])
async def test_every_success_confirms(platform: HttpPlatform, status: int) -> None:
    def judge(asked: Asked) -> Reply:
        platform._take(asked)
        return Reply(status)

    platform.judge = judge
    store = MemoryStore()
    await store.fill("alarm", 2)
    before = metric("linli_delivered_total", stream="alarm")
    async with running(make(store, platform.port)):
        await until(lambda: complete(store, platform, "alarm"))
    assert metric("linli_delivered_total", stream="alarm") == before + 2


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 507, 599])
async def test_trouble_that_passes_is_waited_out(platform: HttpPlatform, quick: None, status: int) -> None:
    store = MemoryStore()
    await store.fill("perception", 40)
    keys: list[str] = []

    def judge(asked: Asked) -> Reply | None:
        keys.append(asked.headers["idempotency-key"])
        return Reply(status) if len(keys) <= 3 and asked.stream == "perception" else None

    platform.judge = judge
    delivered = metric("linli_delivered_total", stream="perception")
    refused = metric("linli_refused_total", stream="perception", code=str(status))
    async with running(make(store, platform.port)) as uplink:
        await until(lambda: len(keys) >= 2)
        if uplink.view()["held"]:
            assert uplink.view()["state"] == "degraded"
            assert str(status) in uplink.view()["reason"]
        await until(lambda: complete(store, platform, "perception"))
        await until(lambda: uplink.view()["state"] == "online")
    assert len(set(keys[:4])) == 1, "the same batch, recognisable"
    assert metric("linli_delivered_total", stream="perception") == delivered + 40, "a refusal is never counted"
    assert metric("linli_refused_total", stream="perception", code=str(status)) == refused + 3
    assert store.told("linli.uplink.refused.v1") == []


@pytest.mark.parametrize("status", [301, 302, 307, 308, 401, 402, 403, 404, 405, 406, 410, 411, 415, 418, 451, 494])
async def test_a_refusal_holds_its_stream_and_is_told_once(platform: HttpPlatform, quick: None, status: int) -> None:
    store = MemoryStore()
    await store.fill("perception", 4)
    refusing = True

    def judge(asked: Asked) -> Reply | None:
        refuse = refusing and asked.stream == "perception"
        headers = {"Location": f"http://127.0.0.1:{platform.port}/elsewhere"} if 300 <= status < 400 else {}
        return Reply(status, headers) if refuse else None

    platform.judge = judge
    async with running(make(store, platform.port)) as uplink:
        await store.fill("alarm", 1)
        await until(lambda: complete(store, platform, "alarm", "management") and len(platform.posts("perception")) > 4)
        assert store.position("http", "perception") == 0
        assert uplink.view()["state"] == "online"
        assert str(status) in uplink.view()["held"]["perception"]
        assert any(str(status) in problem for problem in uplink.view()["problems"])
        (told,) = store.told("linli.uplink.refused.v1")
        assert told["uplink"] == "http"
        assert told["stream"] == "perception"
        assert told["code"] == str(status)
        assert told["effect"] == "held"
        assert {asked.target for asked in platform.asked} == {"/linli?site=7"}, "redirects are not followed"
        refusing = False
        await until(lambda: complete(store, platform))
        assert uplink.view()["held"] == {}


async def test_a_token_that_was_changed_counts_at_once(platform: HttpPlatform, quick: None, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    platform.judge = lambda asked: None if asked.headers["authorization"] == "Bearer new" else Reply(401)
    store = MemoryStore()
    await store.fill("alarm", 1)
    async with running(make(store, platform.port, token_file=token)) as uplink:
        await until(lambda: bool(uplink.view()["held"]))
        token.write_text("new")
        await until(lambda: complete(store, platform))
    assert "old" not in str(store.told("linli.uplink.refused.v1"))


@pytest.mark.parametrize("status", [400, 422])
async def test_the_culprit_of_a_batch_is_found_parked_and_named(platform: HttpPlatform, status: int) -> None:
    store = MemoryStore()
    await store.fill("perception", 100)
    problem = b'{"title": "bad", "detail": "no such\\u0007 point"}'
    said = {"Content-Type": "application/problem+json"}

    def judge(asked: Asked) -> Reply | None:
        bad = asked.stream == "perception" and 37 in asked.sequences()
        return Reply(status, said, problem) if bad else None

    platform.judge = judge
    async with running(make(store, platform.port)) as uplink:
        await until(lambda: store.position("http", "perception") == 100 and complete(store, platform, "management"))
        assert uplink.view()["parked"] == 1
    assert platform.delivered("perception") == [number for number in range(1, 101) if number != 37]
    (told,) = store.told("linli.uplink.refused.v1")
    assert told["effect"] == "parked"
    assert told["code"] == str(status)
    assert [record["sequence"] for record in told["records"]] == [f"{37:020d}"]


async def test_a_body_that_is_too_large_is_split(platform: HttpPlatform) -> None:
    store = MemoryStore()
    await store.fill("perception", 300, size=100)
    await store.fill("perception", 1, size=9000)
    await store.fill("perception", 3, size=100)
    platform.judge = lambda asked: Reply(413) if len(asked.body) > 8000 else None
    async with running(make(store, platform.port)):
        await until(lambda: store.position("http", "perception") == 304 and complete(store, platform, "management"))
    assert platform.delivered("perception") == [number for number in range(1, 305) if number != 301]
    assert [told["records"][0]["sequence"][-3:] for told in store.told("linli.uplink.refused.v1")] == ["301"]


async def test_a_platform_that_refuses_before_the_body_is_heard(platform: HttpPlatform, quick: None) -> None:
    store = MemoryStore()
    await store.fill("perception", 500, size=1000)
    refusals = 0

    def early(asked: Asked) -> Reply | None:
        nonlocal refusals
        large = int(asked.headers.get("content-length", "0")) > 10_000
        refusals += large
        return Reply(413, close=True) if large else None

    platform.early = early
    async with running(make(store, platform.port)):
        await until(lambda: complete(store, platform, "perception"))
    assert refusals
    assert store.told("linli.uplink.refused.v1") == []


async def test_a_platform_that_refuses_everything_is_held_not_emptied_into_the_void(
    platform: HttpPlatform, quick: None
) -> None:
    store = MemoryStore()
    await store.fill("perception", 200)
    refusing = True
    platform.judge = lambda asked: Reply(400) if refusing and asked.stream == "perception" else None
    async with running(make(store, platform.port)) as uplink:
        await until(lambda: bool(uplink.view()["held"]))
        await asyncio.sleep(0.3)
        assert uplink.view()["parked"] <= outbox_module.MOST_PARKED_IN_A_ROW
        assert store.position("http", "perception") <= outbox_module.MOST_PARKED_IN_A_ROW
        refusing = False
        await until(lambda: store.position("http", "perception") == 200)
        assert len(platform.delivered("perception")) == 200 - uplink.view()["parked"]


async def test_retry_after_is_honoured(platform: HttpPlatform, quick: None) -> None:
    store = MemoryStore()
    await store.fill("alarm", 1)
    times: list[float] = []

    def judge(asked: Asked) -> Reply | None:
        times.append(asyncio.get_running_loop().time())
        return Reply(503, {"Retry-After": "1"}) if len(times) == 1 else None

    platform.judge = judge
    async with running(make(store, platform.port)):
        await until(lambda: complete(store, platform))
    assert times[1] - times[0] >= 1.0


async def test_a_cut_within_the_body_and_a_hang_up_instead_of_an_answer(platform: HttpPlatform) -> None:
    store = MemoryStore()
    await store.fill("perception", 1000, size=200)
    platform.cut_after = 50_000
    hang_ups = iter([None, Reply(0), None, Reply(0)])

    def judge(asked: Asked) -> Reply | None:
        reply = next(hang_ups, None)
        if reply is not None:
            platform._take(asked)  # it has the records; only its word is lost
        return reply

    platform.judge = judge
    async with running(make(store, platform.port)):
        await until(lambda: complete(store, platform, "perception"))


async def test_a_platform_that_closes_after_every_answer(platform: HttpPlatform) -> None:
    def judge(asked: Asked) -> Reply:
        platform._take(asked)
        return Reply(200, body=b"thanks", close=True)

    platform.judge = judge
    store = MemoryStore()
    async with running(make(store, platform.port)) as uplink:
        for _ in range(5):
            await store.fill("alarm", 1)
            await until(lambda: complete(store, platform, "alarm"))
            assert uplink.view()["state"] == "online"
    assert platform.connections >= 5


async def test_an_idle_connection_that_was_closed_is_no_outage(platform: HttpPlatform, caplog: Any) -> None:
    store = MemoryStore()
    await store.fill("alarm", 1)
    async with running(make(store, platform.port)) as uplink:
        await until(lambda: complete(store, platform, "alarm"))
        port = platform.port
        await platform.stop()
        platform.port = port
        await platform.start()
        await store.fill("alarm", 1)
        await until(lambda: complete(store, platform, "alarm"))
        assert uplink.view()["state"] == "online"
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


async def test_a_half_open_platform_is_left_and_found_again(platform: HttpPlatform) -> None:
    store = MemoryStore()
    platform.speaks.clear()
    await store.fill("perception", 100)
    async with running(make(store, platform.port, timeout="1s")) as uplink:
        await until(lambda: uplink.view()["state"] == "offline")
        assert "within 1 s" in uplink.view()["reason"]
        platform.speaks.set()
        await until(lambda: complete(store, platform, "perception"))


async def test_a_platform_that_takes_no_bytes_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def swallow_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        reader._transport.pause_reading()

    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(swallow_nothing, "127.0.0.1", 0, limit=1024)
    store = MemoryStore()
    await store.fill("perception", 1, size=9 << 20)
    async with running(make(store, server.sockets[0].getsockname()[1], timeout="1s")) as uplink:
        await until(lambda: uplink.view()["state"] == "offline")
        assert "does not take a request" in uplink.view()["reason"]
    server.close()
    for writer in writers:
        writer.transport.abort()


async def test_a_platform_away_is_one_log_line_and_everything_goes_when_it_is_back(
    platform: HttpPlatform, caplog: Any
) -> None:
    store = MemoryStore()
    await store.fill("alarm", 1)
    async with running(make(store, platform.port)) as uplink:
        await until(lambda: complete(store, platform, "alarm"))
        port = platform.port
        await platform.stop()
        for _ in range(3):
            await store.fill("perception", 700)
            await asyncio.sleep(0.3)
        await until(lambda: uplink.view()["state"] == "offline")
        assert uplink.view()["backlog"]["perception"] == 2100
        platform.port = port
        await platform.start()
        await until(lambda: complete(store, platform))
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) <= 2


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 twohundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
        b"\x15\x03\x01\x00\x02\x02\x16",
    ],
)
async def test_what_is_no_http_confirms_nothing(answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    store = MemoryStore()
    await store.fill("alarm", 1)
    async with running(make(store, server.sockets[0].getsockname()[1])) as uplink:
        await until(lambda: uplink.view()["state"] == "offline")
        assert store.position("http", "alarm") == 0
        assert uplink.view()["reason"]
    server.close()


async def test_an_endless_answer_is_not_read_to_its_end(platform: HttpPlatform) -> None:
    def judge(asked: Asked) -> Reply:
        platform._take(asked)
        return Reply(200, {"Content-Type": "text/plain"}, b"x" * (4 * connection_module.LARGEST_ANSWER))

    platform.judge = judge
    store = MemoryStore()
    await store.fill("alarm", 1)
    async with running(make(store, platform.port)):
        await until(lambda: complete(store, platform, "alarm"))


async def test_an_alarm_passes_a_backlog_that_is_stuck(platform: HttpPlatform) -> None:
    async def slow(asked: Asked) -> Reply:
        await asyncio.sleep(0.5)
        return platform._take(asked)

    platform.judge = lambda asked: slow(asked) if asked.stream == "perception" else None
    store = MemoryStore()
    await store.fill("perception", 5000, size=200)
    async with running(make(store, platform.port, window=2)):
        await until(lambda: len(platform.posts("perception")) > 0)
        await store.fill("alarm", 1)
        await until(lambda: complete(store, platform, "alarm"))
        assert store.position("http", "perception") < 5000


async def test_flush_sends_what_is_there_and_a_stop_in_an_exchange_loses_nothing(platform: HttpPlatform) -> None:
    store = MemoryStore()
    await store.fill("alarm", 1)
    uplink = make(store, platform.port)
    async with running(uplink):
        await until(lambda: complete(store, platform, "alarm"))
        await store.fill("perception", 2000)
        await uplink.flush(5)
    assert complete(store, platform, "perception")
    platform.judge = lambda asked: Reply(silent=True)
    await store.fill("perception", 100)
    async with running(make(store, platform.port)):
        await until(lambda: platform.posts("perception")[-1].sequences()[-1] > 2000)
    assert store.position("http", "perception") == 2000
    platform.judge = lambda asked: None
    async with running(make(store, platform.port)):
        await until(lambda: complete(store, platform, "perception"))


async def test_a_missing_token_is_an_outage_with_a_sentence_not_a_crash(tmp_path: Path) -> None:
    store = MemoryStore()
    async with running(make(store, 1, token_file=tmp_path / "none")) as uplink:
        await until(lambda: uplink.view()["state"] == "offline")
        assert "cannot be read" in uplink.view()["reason"]
        (tmp_path / "none").write_text("two words")
        await until(lambda: "no space" in uplink.view()["reason"])
        assert "two words" not in str(uplink.view())


async def test_plain_http_beyond_loopback_is_shown() -> None:
    uplink = make(MemoryStore(), 0, url="http://192.0.2.1/x", insecure=True)
    assert "not encrypted" in uplink.view()["problems"][0]
    assert uplink.view()["insecure"] is True
