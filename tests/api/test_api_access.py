"""Tokens, problems and manners: who gets in, and what everybody else is told."""

import asyncio
import logging
import os
from email.utils import parsedate_to_datetime

import pytest

from tests.api.api_standins import TOKEN, exchange, fetch, split, until
from tests.api.conftest import start
from tests.api.test_api_pull import is_problem

OPEN = ("/healthz", "/openapi.json", "/")
CLOSED = ("/v1/status", "/metrics", "/v1/streams/alarm/records", "/v1/media/" + "0" * 64)


@pytest.mark.parametrize("target", CLOSED)
async def test_everything_else_needs_a_token(served, target):
    for token in (None, "wrong", ""):
        answer = await served.get(target, token=token)
        is_problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("bearer")
    is_problem(await served.get(target, token=None, headers={"Authorization": f"Basic {TOKEN}"}), 401)
    assert (await served.get(target)).status in (200, 404)


@pytest.mark.parametrize("target", OPEN)
async def test_open_addresses_need_none(served, target):
    assert (await served.get(target, token=None)).status == 200
    assert (await served.get(target, token="wrong")).status == 200


async def test_wrong_tokens_are_slowed_down_and_valid_ones_never(tmp_path, fake_clock, caplog):
    caplog.set_level(logging.INFO, "linli.api")
    served = await start(tmp_path, clock=fake_clock)
    try:
        statuses = [(await served.get("/v1/status", token=f"guess-{n}")).status for n in range(14)]
        assert statuses == [401] * 10 + [429] * 4
        limited = await served.get("/v1/status", token="guess")
        is_problem(limited, 429)
        assert limited.headers["retry-after"] == "60"
        assert (await served.get("/v1/status")).status == 200
        is_problem(await served.get("/v1/status", token=None), 401)
        other = await fetch(served.api.address.replace("127.0.0.1", "localhost"), "/v1/status", token="guess")
        assert other.status == 429
        await fake_clock.advance(61, step=61)
        assert (await served.get("/v1/status", token="guess")).status == 401
    finally:
        await served.stop()
    (told,) = served.store.drafts
    assert (told.stream, told.type) == ("management", "linli.api.refused.v1")
    assert (told.data["address"], told.data["count"]) == ("127.0.0.1", 11)
    lines = [record.getMessage() for record in caplog.records if "wrong token" in record.getMessage()]
    assert len(lines) == 2  # first seen, slowed down; a minute later it is known already
    assert not [line for line in lines if "guess" in line]


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/status/", 404),
        ("GET", "//v1/status", 404),
        ("GET", "/v1/../v1/status", 404),
        ("GET", "/v1/status%00", 404),
        ("GET", "/%FF%zz%", 404),
        ("POST", "/v1/status", 405),
        ("DELETE", "/v1/streams/alarm/records", 405),
        ("GET", "/v1/streams/alarm/ack", 405),
        ("OPTIONS", "/metrics", 405),
        ("BREW", "/healthz", 405),
        ("GET", "/v1/status?x=1", 400),
        ("GET", "/healthz?%FF", 400),
        ("GET", "/v1/media/xyz", 404),
        ("GET", "/page/..%2F..%2Fservice.py", 404),
        ("GET", "/page/%2e%2e", 404),
        ("GET", "/page/", 404),
        ("POST", "/local/status", 404),
    ],
)
async def test_mistakes_get_a_problem(served, method, target, status):
    answer = await served.get(target, method=method)
    is_problem(answer, status)
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 400_000,
        b"GET /" + b"a" * 400_000,
        b"POST /v1/streams/alarm/ack HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_not_http_is_refused_and_closed(served, data, caplog):
    answer = await exchange(served.api.address, data)
    is_problem(answer, 400) if answer.status == 400 else is_problem(answer, 401)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_bug_is_a_problem_too_and_logged(served, caplog):
    answer = await fetch(served.socket, "/local/fail", method="POST", token=None)
    is_problem(answer, 500)
    assert "on purpose" not in answer.body.decode()
    assert "a bug, on purpose" in caplog.text


async def test_answers_carry_date_and_protection(served):
    for target in ("/healthz", "/nothing", "/v1/status", "/"):
        headers = (await served.get(target)).headers
        assert parsedate_to_datetime(headers["date"])
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


async def test_keep_alive_and_pipelining(served):
    host, port = split(served.api.address)
    reader, writer = await asyncio.open_connection(host, port)
    request = f"GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    writer.write(request * 3)
    for _ in range(3):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
        assert head.startswith(b"HTTP/1.1 200")
        await reader.readexactly(length)
    writer.close()


async def test_a_refused_body_is_read_to_its_end_and_the_connection_stays(served):
    host, port = split(served.api.address)
    reader, writer = await asyncio.open_connection(host, port)
    size = 2_000_000
    head = f"POST /v1/streams/alarm/ack HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    writer.write(f"{head}Content-Length: {size}\r\n\r\n".encode() + b" " * size)
    await writer.drain()
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 413")
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"HTTP/1.1 200" in await reader.read(-1)
    writer.close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET /healthz HTT",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /he",
        b"POST /v1/streams/alarm/ack HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
    ],
)
async def test_half_requests_are_not_waited_for_ever(served, data, monkeypatch):
    monkeypatch.setattr("gateway.api.protocol.REQUEST_WITHIN", 0.02)
    host, port = split(served.api.address)
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(data)
    try:
        while await reader.read(1000):
            pass
    except ConnectionResetError:
        pass
    writer.close()


async def test_a_slow_body_is_given_up(served, monkeypatch):
    monkeypatch.setattr("gateway.api.body.BODY_WITHIN", 0.02)
    head = f"POST /v1/streams/alarm/ack HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    host, port = split(served.api.address)
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"{head}Content-Length: 99\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 408")
    writer.close()


async def test_too_many_connections_are_closed(served, monkeypatch):
    monkeypatch.setattr("gateway.api.protocol.CONNECTIONS", 3)
    host, port = split(served.api.address)
    kept = [await asyncio.open_connection(host, port) for _ in range(3)]
    await until(lambda: len(served.api._state.connections) == 3)
    with pytest.raises((ConnectionResetError, IndexError)):
        await served.get("/healthz")
    for _, writer in kept:
        writer.close()
    await until(lambda: not served.api._state.connections)
    assert (await served.get("/healthz")).status == 200


async def test_the_local_user_is_the_actor(served):
    answer = await fetch(served.socket, "/local/echo", method="POST", body=b'{"a": [1, {"b": null}]}', token=None)
    assert answer.json == {"a": [1, {"b": None}]}
    assert served.commands.asked[-1] == ("echo", {"a": [1, {"b": None}]}, f"uid:{os.getuid()}")
    empty = await fetch(served.socket, "/local/echo", method="POST", token=None)
    assert empty.json == {}
    is_problem(await fetch(served.socket, "/local/nonsense", method="POST", token=None), 404)
    is_problem(await fetch(served.socket, "/local/echo", method="POST", body=b"[]", token=None), 400)
    assert (await fetch(served.socket, "/v1/status", token=None)).status == 200
    assert (await fetch(served.socket, "/metrics", token=None)).status == 200
