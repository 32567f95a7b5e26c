"""The API over the real store and the real commands: pull, confirm, restart, a new epoch."""

import asyncio
import hashlib
import json
from urllib.parse import quote

from tests.api.api_standins import fetch
from tests.api.conftest import readings
from tests.api.test_api_pull import is_problem

RECORDS = "/v1/streams/perception/records"


async def test_pull_confirm_and_restart(begin):
    served, clock = await begin()
    await served.store.put(readings(clock, 25))
    await served.store.committed()
    page = (await served.get(f"{RECORDS}?limit=10")).json
    assert [int(record["sequence"]) for record in page["records"]] == list(range(1, 11))
    assert page["more"] is True
    body = json.dumps({"cursor": page["next"]}).encode()
    assert (await served.post("/v1/streams/perception/ack", body)).json["lag"] == 15
    rows = (await served.get("/v1/status")).json["consumers"]
    first = page["records"]

    served, clock = await begin()
    assert (await served.get("/v1/status")).json["consumers"] == rows
    page = (await served.get(f"{RECORDS}?after={page['next']}")).json
    assert [int(record["sequence"]) for record in page["records"]] == list(range(11, 26))
    assert page["more"] is False
    assert (await served.get(f"{RECORDS}?limit=10")).json["records"] == first


async def test_long_poll_ends_with_the_commit(begin):
    served, clock = await begin()
    pull = asyncio.create_task(served.get(f"{RECORDS}?wait=30"))
    await asyncio.sleep(0)
    await served.store.put(readings(clock, 1), urgent=True)
    assert len((await pull).json["records"]) == 1


async def test_a_new_store_is_a_new_epoch(begin, tmp_path):
    served, clock = await begin()
    await served.store.put(readings(clock, 3))
    await served.store.committed()
    old = (await served.get(RECORDS)).json["next"]

    def lose_the_database():
        for path in tmp_path.iterdir():
            if path.is_file():
                path.unlink()

    served, clock = await begin(lose_the_database)
    cursor = is_problem(await served.get(f"{RECORDS}?after={old}"), 410)["cursor"]
    assert (await served.get(f"{RECORDS}?after={cursor}")).status == 200
    is_problem(await served.post("/v1/streams/perception/ack", json.dumps({"cursor": old}).encode()), 410)


async def test_media_metrics_and_health(begin):
    served, _ = await begin()
    data = b"\xff\xd8\xff picture"
    filed = await served.store.put_media(data, "image/jpeg", "jpg")
    assert filed["sha256"] == hashlib.sha256(data).hexdigest()
    answer = await served.get(f"/v1/media/{filed['sha256']}")
    assert (answer.body, answer.headers["content-type"]) == (data, "image/jpeg")
    text = (await served.get("/metrics")).body.decode()
    assert 'linli_backlog_records{consumer="district-platform",stream="perception"}' in text
    assert 'linli_alarms_active{severity="critical"} 0.0' in text
    assert (await served.get("/healthz", token=None)).status == 200


async def test_no_command_of_a_local_user_is_the_gateways_fault(begin):
    served, clock = await begin()
    await served.store.put(readings(clock, 3))
    await served.store.committed()
    odd = [
        None,
        True,
        0,
        -1,
        10**30,
        1.5,
        "",
        "\0",
        "x" * 2000,
        "k3f9.perception.1",
        "a.perception." + "9" * 20,
        [],
        {},
    ]
    arguments = ("stream", "after", "limit", "device", "point", "alarm", "note", "all", "nonsense")
    for verb in ("status", "ping", "devices", "read", "alarms", "ack", "records", "replay", "write", "reload", "x"):
        for name in arguments:
            for value in odd:
                body = json.dumps({name: value}).encode()
                answer = await fetch(served.socket, f"/local/{verb}", method="POST", body=body, token=None)
                if answer.status >= 400:
                    is_problem(answer, answer.status)
                assert answer.status < 500 or (answer.status == 501 and verb in ("write", "reload")), (
                    verb,
                    name,
                    value,
                )
    found = await fetch(served.socket, "/local/records", method="POST", body=b'{"stream": "perception"}', token=None)
    assert len(found.json["records"]) == 3


async def test_every_impossible_cursor_is_refused_with_its_reason(begin):
    served, clock = await begin()
    await served.store.put(readings(clock, 3))
    await served.store.committed()
    epoch = served.store.epoch
    cases = [
        (f"{epoch}.perception.4", 400, "beyond the end of perception: its last sequence is 3"),
        (f"{epoch}.perception.{2**63}", 400, "beyond the end"),
        (f"{epoch}.perception.{10**20 - 1}", 400, "beyond the end"),
        (f"{epoch}.perception.{10**20}", 400, "malformed cursor"),
        (f"{epoch}.perception.-1", 400, "malformed cursor"),
        (f"{epoch}.perception.1.5", 400, "malformed cursor"),
        (f"{epoch}.perception.+1", 400, "malformed cursor"),
        (f"{epoch}.perception.", 400, "malformed cursor"),
        (f"{epoch}.Perception.1", 400, "malformed cursor"),
        (f"{epoch}.alarm.0", 400, "belongs to stream alarm"),
        (f"{epoch}x.perception.1", 410, "epoch"),
        ("other9.perception.0", 410, "epoch"),
        ("other9.perception.99999999999999999999", 410, "epoch"),
        ("9" * 60_000, 400, "malformed cursor"),
        ("", 400, "malformed cursor"),
        ("\0", 400, "malformed cursor"),
        (None, 400, "Expected `str`"),
        (3, 400, "Expected `str`"),
        ([f"{epoch}.perception.1"], 400, "Expected `str`"),
    ]
    for cursor, status, reason in cases:
        answers = [await served.post("/v1/streams/perception/ack", json.dumps({"cursor": cursor}).encode())]
        if isinstance(cursor, str) and len(cursor) < 1000:
            answers.append(await served.get(f"{RECORDS}?after={quote(cursor)}"))
        for answer in answers:
            body = is_problem(answer, status)
            assert reason in body["detail"], (cursor, body)
            assert len(body["detail"]) < 300
            if status == 410:
                assert body["cursor"] == f"{epoch}.perception.0"
    assert served.store.position("district-platform", "perception") == 0
