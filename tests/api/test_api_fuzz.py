"""Whatever a client sends, the answer is never the gateway's fault (5xx), and every refusal is problem JSON."""

import asyncio
import contextlib
import json
import logging
import re
from urllib.parse import quote, urlencode

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.contract import STREAMS
from tests.api.api_standins import ALARM_TOKEN, EPOCH, TOKEN, exchange, split, take_apart
from tests.api.conftest import start

QUICK = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))

words = st.sampled_from(
    [
        *(
            "after",
            "limit",
            "wait",
            "cursor",
            "",
            "0",
            "-1",
            "1e9",
            "nan",
            "60",
            "10000",
            "10001",
            "%00",
            "%",
            "%FF",
            "+",
        ),
        *(
            f"{EPOCH}.perception.3",
            f"{EPOCH}.alarm.0",
            f"{EPOCH}.perception.{'9' * 20}",
            "old.perception.1",
            "null",
            "{}",
        ),
    ]
)
raw = st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=30)
text = st.one_of(words, st.text(max_size=30).map(lambda one: quote(one, errors="replace")), raw)
query = st.lists(st.tuples(text, text), max_size=4).map(
    lambda pairs: "&".join(f"{key}={value}" for key, value in pairs)
)
path = st.one_of(
    st.sampled_from(["/", "/v1/status", "/metrics", "/healthz", "/openapi.json", "/local/echo", "/page/app.js"]),
    st.sampled_from([f"/v1/streams/{stream}/{what}" for stream in (*STREAMS, "x") for what in ("records", "ack")]),
    st.sampled_from([f"/v1/media/{'0' * 64}", "/v1/media/" + "f" * 64, "/v1/media/x"]),
    st.lists(text, max_size=4).map(lambda parts: "/" + "/".join(parts)),
)
method = st.sampled_from(
    ["GET", "GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "X-Y"]
)
header_name = st.sampled_from(
    [
        "Range",
        "If-Range",
        "If-None-Match",
        "Accept",
        "Content-Type",
        "Cookie",
        "Expect",
        "Upgrade",
        "Origin",
        "X-Forwarded-For",
    ]
)
headers = st.lists(st.tuples(header_name, st.one_of(text, st.just("bytes=0-5"), st.just("websocket"))), max_size=3)
value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | words, inner, max_size=3),
    max_leaves=8,
)
body = st.one_of(
    st.binary(max_size=200),
    value.map(lambda one: json.dumps(one).encode()),
    text.map(lambda one: json.dumps({"cursor": one}).encode()),
    st.integers(1, 60_000).map(lambda depth: b"[" * depth),
)


@pytest.fixture(scope="module")
def runner():
    with asyncio.Runner() as one:
        yield one


@pytest.fixture(scope="module")
def served(runner, tmp_path_factory):
    async def begin():
        running = await start(tmp_path_factory.mktemp("fuzz"))
        await running.store.add("perception", 5)
        return running

    logging.disable(logging.CRITICAL)
    running = runner.run(begin())
    running.described = runner.run(running.get("/openapi.json", token=None)).json
    yield running
    runner.run(running.stop())
    logging.disable(logging.NOTSET)


def check(answer):
    assert 200 <= answer.status < 500, answer
    if answer.status >= 400 and answer.body:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json["status"] == answer.status


def check_documented(described, method, path, answer):
    """An answer of a described address must be one that its description knows: status, media type, shape."""
    for template, operations in described["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in operations:
            responses = operations[method.lower()]["responses"]
            assert str(answer.status) in responses, (template, answer)
            content = responses[str(answer.status)].get("content")
            if content is None:
                assert not answer.body
                return
            kind = answer.headers["content-type"].partition(";")[0]
            assert kind in content, (template, answer)
            if kind.endswith("json"):
                schema = {**content[kind]["schema"], "components": described["components"]}
                jsonschema.validate(answer.json, schema)


@QUICK
@given(method, path, query, headers, st.booleans(), body)
def test_requests(runner, served, method, path, query, headers, knows_token, body):
    lines = [f"{method} {path}?{query} HTTP/1.1", "Host: x", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if knows_token:
        lines.append(f"Authorization: Bearer {TOKEN}")
    if method not in ("GET", "HEAD"):
        lines.append(f"Content-Length: {len(body)}")
    else:
        body = b""
    # Long polls are cut short: the stand-in's streams other than perception stay empty.
    head = "\r\n".join([*lines, "", ""]).replace("wait=60", "wait=0")
    with contextlib.suppress(ConnectionResetError):
        answer = runner.run(exchange(served.api.address, head.encode("latin-1") + body))
        check(answer)
        check_documented(served.described, method, path, answer)


near_cursor = st.builds(
    "{}.{}.{}".format,
    st.sampled_from([EPOCH, EPOCH, "old"]),
    st.sampled_from(STREAMS),
    st.integers(-1, 7) | st.integers(),
)
near_query = st.fixed_dictionaries(
    {},
    optional={"after": near_cursor, "limit": st.integers(-1, 10_001), "wait": st.floats(max_value=0.01) | st.just(0)},
)


@QUICK
@given(st.sampled_from(STREAMS), near_query, near_cursor, st.sampled_from([TOKEN, TOKEN, ALARM_TOKEN]))
def test_requests_that_are_nearly_right(runner, served, stream, query, cursor, token):
    pull, confirm = f"/v1/streams/{stream}/records", f"/v1/streams/{stream}/ack"
    body = json.dumps({"cursor": cursor}).encode()
    answers = {
        ("GET", pull): runner.run(served.get(f"{pull}?{urlencode(query)}", token=token)),
        ("POST", confirm): runner.run(served.post(confirm, body, token=token)),
    }
    for (method, path), answer in answers.items():
        check(answer)
        check_documented(served.described, method, path, answer)


@QUICK
@given(st.text(max_size=20) | words, value)
def test_local_commands(runner, served, verb, arguments):
    data = json.dumps(arguments).encode()
    if verb == "fail":
        return
    target = f"/local/{quote(verb, safe='', errors='replace')}"
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n"
    check(runner.run(exchange(served.socket, head.encode() + data)))


@QUICK
@given(
    st.lists(st.binary(max_size=60) | st.sampled_from([b"\r\n", b"GET / HTTP/1.1\r\n", b"Host: x\r\n", b": ", b"\0"]))
)
def test_bytes(runner, served, pieces):
    async def send():
        reader, writer = await asyncio.open_connection(*split(served.api.address))
        writer.write(b"".join(pieces))
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            async with asyncio.timeout(0.02):
                raw = await reader.read(-1)
                writer.close()
                return raw
        writer.close()
        return b""

    raw = runner.run(send())
    if raw:
        check(take_apart(raw))
