"""The tables and functions of docs/platform/postgresql.sql on a real PostgreSQL, beside the proof in Python."""

import json
import random
from typing import Any

import pytest

from gateway.completeness import Place, entry, prove
from tests.platform.histories import History, Record, gap, identity, record

psycopg = pytest.importorskip("psycopg")
writer = pytest.importorskip("writer", reason="the fleet's programs are not on the path")

GATEWAY, EPOCH, STREAM = "sh-1", "k3f9", "perception"


@pytest.fixture
def taking(dsn: str) -> Any:
    one = writer.Writer(dsn)
    yield one
    one.close()


@pytest.fixture
def database(dsn: str) -> Any:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def batch(records: list[Record], gateway: str = GATEWAY, stream: str = STREAM) -> Any:
    return writer.Batch(gateway, stream, json.dumps(records).encode())


def rows(database: Any, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in database.execute(query).fetchall()]


def make(number: int, epoch: str = EPOCH) -> Record:
    return record(random.Random(number), GATEWAY, epoch, STREAM, number, number / 2)


def test_the_same_records_again_change_nothing(taking: Any, database: Any) -> None:
    records = [make(number) for number in range(1, 6)]
    assert taking.take([batch(records[:3]), batch(records[2:])]) == (6, 5, 0)
    assert taking.take([batch(records)]) == (5, 0, 0)
    assert rows(database, "SELECT count(*) FROM records") == [(5,)]
    assert rows(database, "SELECT * FROM conflicts") == []
    assert rows(database, "SELECT record->>'id' = id::text FROM records") == [(True,)] * 5


def test_the_bytes_of_a_record_are_kept(taking: Any, database: Any) -> None:
    odd = {**make(1), "subject": 'back\\slash "quote" \t tab \n line 中文 \u2028', "data": {"points": {}}}
    text = json.dumps(odd, indent=1)
    assert taking.take([writer.Batch(GATEWAY, STREAM, f"[{text}]".encode())]).new == 1
    assert rows(database, "SELECT record::text FROM records") == [(text,)]


def test_another_record_under_a_taken_number_or_id_is_noticed(taking: Any, database: Any) -> None:
    one, two = make(1), make(2)
    taking.take([batch([one, two])])
    changed = {**one, "timequality": "unknown"}
    other = {**one, "id": identity(random.Random(99))}
    moved = {**make(3), "id": two["id"]}
    assert taking.take([batch([changed])]).new == 0
    assert taking.take([batch([other])]).new == 0
    assert taking.take([batch([moved])]).new == 0
    assert rows(database, "SELECT sequence, reason FROM conflicts ORDER BY noticed") == [
        (1, "number taken"), (1, "number taken"), (3, "id taken"),
    ]  # fmt: skip
    assert rows(database, "SELECT record::text FROM records WHERE sequence = 1") == [(json.dumps(one),)]


def test_two_different_records_in_one_group_are_noticed(taking: Any, database: Any) -> None:
    one = make(1)
    assert taking.take([batch([one]), batch([{**one, "timequality": "unknown"}])]).new == 1
    assert rows(database, "SELECT sequence, reason FROM conflicts") == [(1, "number taken")]


def test_salvaged_records_count_in_the_new_epoch_too(taking: Any, database: Any) -> None:
    old = [make(number) for number in (1, 2, 3)]
    taking.take([batch(old)])
    salvaged = [{**old[2], "epoch": "n2", "sequence": f"{1:020d}"}]
    fresh = record(random.Random(77), GATEWAY, "n2", STREAM, 2, 0.0)
    assert taking.take([batch([*salvaged, fresh])]) == (2, 1, 0)
    assert taking.take([batch(salvaged)]) == (1, 0, 0)
    assert rows(database, "SELECT * FROM conflicts") == []
    assert rows(database, "SELECT epoch, last, isempty(missing) FROM completeness ORDER BY 1") == [
        (EPOCH, 3, True), ("n2", 2, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"count": 9}, {"first": 0}, {"last": 9}, {"first": "x"}, {"first": 10**30}, {"first": None},
        {"stream": "alarm"},        {"first": 2.5}, {"first": {}},
    ],
    ids=str,
)  # fmt: skip
def test_a_bad_gap_record_is_kept_explains_nothing_and_stops_nobody(
    taking: Any, database: Any, change: dict[str, object]
) -> None:
    told = gap(random.Random(50), GATEWAY, EPOCH, STREAM, 5, 2, 4)
    told["data"] = {**told["data"], **change}
    assert taking.take([batch([make(1), told])]).new == 2
    assert rows(database, "SELECT sequence, reason FROM conflicts") == [(5, "bad gap")]
    assert rows(database, "SELECT missing::text FROM completeness") == [("{[2,5)}",)]


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{}", b"[1]", b"[", b'[{"id": "x"}]', b"\xff", json.dumps([{**make(1), "sequence": "0"}]).encode(),
        json.dumps([{**make(1), "sequence": str(2**63)}]).encode(),
        json.dumps([{**make(1), "stream": "alarm"}]).encode(),
        json.dumps([{**make(1), "source": "/gateways/sh-2/meter"}]).encode(),
        json.dumps([{**make(1), "time": "yesterday"}]).encode(),
        json.dumps([{**make(1), "time": "2026-11-21T08:25:30"}]).encode(),
    ],
)  # fmt: skip
def test_a_message_that_is_no_batch_is_kept_and_the_others_go_on(taking: Any, database: Any, payload: bytes) -> None:
    taken = taking.take([batch([make(1)]), writer.Batch(GATEWAY, STREAM, payload), batch([make(2)])])
    assert taken == (2, 2, 1)
    assert rows(database, "SELECT topic, payload FROM refused") == [(f"{GATEWAY}/{STREAM}", payload)]


def ranges(database: Any) -> dict[Place, list[tuple[int, int]]]:
    found: dict[Place, list[tuple[int, int]]] = {}
    query = (
        "SELECT gateway, epoch, stream, lower(h), upper(h) - 1 FROM completeness, unnest(missing) h ORDER BY 1,2,3,4"
    )
    for gateway, epoch, stream, first, last in rows(database, query):
        found.setdefault(Place(gateway, epoch, stream), []).append((first, last))
    return found


@pytest.mark.parametrize("seed", range(12))
def test_sql_and_python_find_the_same(taking: Any, database: Any, seed: int) -> None:
    rng = random.Random(seed)
    kept: list[Record] = []
    ends: dict[Place, int] = {}
    for gateway, epoch in (("sh-1", "e1"), ("sh-1", "e2"), ("sh-2", "e1")):
        history = History(rng, gateway, epoch, STREAM, 30)
        kept += [one for one in history.received.values() if rng.random() < 0.8]
        ends[Place(gateway, epoch, STREAM)] = history.last
    shuffled = rng.sample(kept, len(kept))
    for start in range(0, len(shuffled), 7):
        for gateway in ("sh-1", "sh-2"):
            mine = [one for one in shuffled[start : start + 7] if one["source"].split("/")[2] == gateway]
            taking.take([batch(mine, gateway)])
        if rng.random() < 0.3:
            database.execute("SELECT prove_on()")
    for place, last in ends.items():
        database.execute(
            "INSERT INTO series (gateway, epoch, stream, told_last) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (gateway, epoch, stream) DO UPDATE SET told_last = excluded.told_last",
            (*place, last),
        )
    entries = sorted((entry(one) for one in kept), key=lambda one: (one.place, one.sequence))
    expected = {
        verdict.place: [(one.first, one.last) for one in verdict.findings]
        for verdict in prove(entries, ends)
        if verdict.findings
    }
    assert ranges(database) == expected
    assert rows(database, "SELECT prove_on()") == [(len(expected),)]
    assert ranges(database) == expected, "proving on changes what has to be read, not what is missing"
