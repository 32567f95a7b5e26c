"""Pulling by cursor: interface.md's HTTP section, word for word."""

import asyncio
import json

import pytest

from tests.api.api_standins import ALARM_TOKEN, EPOCH, exchange, fetch, split, until

RECORDS = "/v1/streams/perception/records"
ACK = "/v1/streams/perception/ack"


def cursor(sequence, stream="perception", epoch=EPOCH):
    return f"{epoch}.{stream}.{sequence}"


def ack_body(text):
    return json.dumps({"cursor": text}).encode()


def is_problem(answer, status):
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


async def test_pages_through_a_stream(served):
    await served.store.add("perception", 7)
    first = (await served.get(f"{RECORDS}?limit=3")).json
    assert [record["sequence"][-1] for record in first["records"]] == ["1", "2", "3"]
    assert first["next"] == cursor(3)
    assert first["more"] is True
    rest = (await served.get(f"{RECORDS}?after={first['next']}")).json
    assert len(rest["records"]) == 4
    assert rest["next"] == cursor(7)
    assert rest["more"] is False
    nothing = (await served.get(f"{RECORDS}?after={rest['next']}")).json
    assert nothing == {"records": [], "next": cursor(7), "more": False}


async def test_empty_stream_answers_the_start(served):
    assert (await served.get(RECORDS)).json == {"records": [], "next": cursor(0), "more": False}


async def test_records_are_the_stored_bytes(served):
    await served.store.add("perception", 3, {"text": "集水井 \u2028 水位高"})
    answer = await served.get(RECORDS)
    stored = b",".join(record.json for record in served.store.streams["perception"])
    assert answer.body.startswith(b'{"records":[' + stored + b"]")
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["content-type"] == "application/json"


async def test_large_answers_leave_in_pieces_and_stay_whole(served):
    await served.store.add("perception", 9000, {"text": "x" * 200})
    answer = await served.get(f"{RECORDS}?limit=10000")
    assert answer.headers["content-length"] == str(len(answer.body))
    assert len(answer.json["records"]) == 9000


async def test_an_answer_is_bounded_in_bytes(served):
    await served.store.add("perception", 100, {"text": "x" * 200_000})
    answer = (await served.get(RECORDS)).json
    assert 1 < len(answer["records"]) < 100
    assert answer["more"] is True


async def test_default_limit_is_a_thousand(served):
    await served.store.add("perception", 1001)
    assert len((await served.get(RECORDS)).json["records"]) == 1000


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=10001", "limit=-1", "limit=1.5", "limit=", "limit=%31%30x", "limit=१०", "limit=1e3"),
        *("wait=x", "wait=-1", "wait=-0.1", "wait=nan", "wait=inf", "wait=", "wait=1e", "wait=-1e3", "wait=%00"),
        *("after=", "after=x", "after=k3f9", "after=k3f9.perception.", "after=k3f9.perception.-1"),
        *("after=k3f9.perception.1.2", "after=k3f9.nonsense.1", "after=k3f9.perception.%D9%A1", "after=%FF%FE"),
        *("after=k3f9.alarm.0", "after=k3f9.perception.1", "after=k3f9.perception.99999999999999999999"),
        *("limit=5&limit=6", "afer=k3f9.perception.0"),
    ],
)
async def test_bad_arguments_are_400(served, query):
    is_problem(await served.get(f"{RECORDS}?{query}".encode().decode("latin-1")), 400)


async def test_more_than_sixty_seconds_are_sixty(served):
    waited = []

    async def wait(streams, after, timeout):
        waited.append(timeout)
        return False

    served.store.wait = wait
    for text in ("60.5", "86400", "9" * 200, "1e3", "1e999999999"):
        assert (await served.get(f"{RECORDS}?wait={text}")).json["records"] == []
    assert (await served.get(f"{RECORDS}?wait=0.25")).status == 200
    assert (await served.get(f"{RECORDS}?wait=0")).status == 200
    assert waited == [60.0] * 5 + [0.25]


async def test_long_poll_answers_as_soon_as_there_is_a_record(served):
    pull = asyncio.create_task(served.get(f"{RECORDS}?wait=60"))
    await until(lambda: served.store.waiting)
    assert not pull.done()
    await served.store.add("perception")
    answer = (await pull).json
    assert len(answer["records"]) == 1
    assert answer["next"] == cursor(1)


async def test_long_poll_comes_back_empty(served):
    assert (await served.get(f"{RECORDS}?wait=0.01")).json == {"records": [], "next": cursor(0), "more": False}


async def test_a_client_that_goes_away_ends_its_long_poll(served):
    host, port = split(served.api.address)
    _, writer = await asyncio.open_connection(host, port)
    token = "linli-test-token-of-the-district"
    writer.write(f"GET {RECORDS}?wait=60 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    await until(lambda: served.store.waiting)
    writer.transport.abort()
    await until(lambda: not served.store.waiting)


async def test_stopping_answers_long_polls_at_once(served):
    pull = asyncio.create_task(served.get(f"{RECORDS}?wait=60"))
    await until(lambda: served.store.waiting)
    await served.stop()
    assert (await pull).json == {"records": [], "next": cursor(0), "more": False}


async def test_a_cursor_of_another_epoch_is_gone(served):
    await served.store.add("perception", 2)
    body = is_problem(await served.get(f"{RECORDS}?after={cursor(1, epoch='old1')}"), 410)
    assert body["cursor"] == cursor(0)
    assert (await served.get(f"{RECORDS}?after={body['cursor']}")).status == 200
    assert is_problem(await served.post(ACK, ack_body(cursor(1, epoch="old1"))), 410)["cursor"] == cursor(0)


async def test_ack_confirms_and_never_goes_back(served):
    await served.store.add("perception", 5)
    answer = await served.post(ACK, ack_body(cursor(4)))
    assert answer.json == {"acked": cursor(4), "lag": 1}
    assert (await served.post(ACK, ack_body(cursor(2)))).json == {"acked": cursor(4), "lag": 1}
    assert (await served.post(ACK, ack_body(cursor(4)))).json["acked"] == cursor(4)
    rows = (await served.get("/v1/status")).json["consumers"]
    acked = {(row["consumer"], row["stream"]): row["acked"] for row in rows}
    assert acked["district-platform", "perception"] == cursor(4)
    assert acked["alarm-desk", "perception"] == cursor(0)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"null", b"[]", b"{", b'{"cursor": 5}', b'{"cursor": null}', b'{"cursor": "x"}', b"\xff\xfe"),
        *(b'{"cursor": "k3f9.alarm.0"}', b'{"cursor": "k3f9.perception.6"}', b'{"cursor": "\\ud800"}'),
        *(b"[" * 60_000, b'{"cursor":' * 6_000, b'{"cursor": "k3f9.perception.99999999999999999999"}'),
    ],
)
async def test_bad_acks_are_400(served, body):
    await served.store.add("perception", 5)
    is_problem(await served.post(ACK, body), 400)
    assert served.store.positions == {}


async def test_a_body_beyond_its_bound_is_413(served):
    is_problem(await served.post(ACK, b" " * 70_000), 413)
    chunked = {"Transfer-Encoding": "chunked"}
    body = b"10000\r\n" + b" " * 0x10000 + b"\r\n10\r\n" + b" " * 16 + b"\r\n0\r\n\r\n"
    lines = f"POST {ACK} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer linli-test-token-of-the-district\r\n"
    head = lines + "".join(f"{name}: {value}\r\n" for name, value in chunked.items()) + "Connection: close\r\n\r\n"
    is_problem(await exchange(served.api.address, head.encode() + body), 413)


async def test_a_consumer_only_has_its_own_streams(served):
    await served.store.add("alarm")
    assert (await served.get("/v1/streams/alarm/records", token=ALARM_TOKEN)).status == 200
    assert "alarm" in is_problem(await served.get(RECORDS, token=ALARM_TOKEN), 403)["detail"]
    is_problem(await served.post(ACK, ack_body(cursor(0)), token=ALARM_TOKEN), 403)
    alarm = ack_body(cursor(1, "alarm"))
    assert (await served.post("/v1/streams/alarm/ack", alarm, token=ALARM_TOKEN)).status == 200


async def test_an_unknown_stream_is_404(served):
    for stream in ("nonsense", "Alarm", "alarm%00", "%FF", "alarm%2F", "."):
        is_problem(await served.get(f"/v1/streams/{stream}/records"), 404)


async def test_head_has_the_headers_only_and_does_not_wait(served):
    await served.store.add("perception", 2)
    answer = await served.get(f"{RECORDS}?wait=60", method="HEAD")
    assert answer.status == 200
    assert answer.body == b""
    assert int(answer.headers["content-length"]) > 100
    empty = await served.get("/v1/streams/alarm/records?wait=60", method="HEAD")
    assert empty.status == 200


async def test_the_local_socket_reads_all_streams_without_a_token(served):
    await served.store.add("perception", 2)
    answer = await fetch(served.socket, RECORDS, token=None)
    assert len(answer.json["records"]) == 2
    is_problem(await fetch(served.socket, ACK, method="POST", body=ack_body(cursor(1)), token=None), 403)
