"""The simulated sites make records that are as good as real ones, and the same ones again when asked."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import tests.platform.conftest  # noqa: F401 - puts the fleet's programs on the path
from gateway.completeness import Place, entry, prove
from tests.platform.conftest import PROJECT

community = pytest.importorskip("community")

START = 1_795_300_000_000_000_000


def lived() -> "community.Site":  # type: ignore[name-defined]
    site = community.Site(17, 2.0, START)
    for second in range(400):
        site.make(float(second))
        if second % 50 == 7:
            site.streams["perception"].evict(1 + second % 13, second % 29)
    return site


def records_of(site: "community.Site", stream: str) -> list[dict[str, object]]:  # type: ignore[name-defined]
    return [
        json.loads(site.record(stream, number)) for number in site.streams[stream].made(0, site.streams[stream].last)
    ]


def test_every_record_is_valid_and_none_is_missing() -> None:
    site = lived()
    schemas: dict[str, Draft202012Validator] = {}
    for stream in site.streams:
        records = records_of(site, stream)
        assert len(records) == site.streams[stream].count > 0
        for record in records:
            kind = str(record["type"])
            path = Path(PROJECT / "docs" / "schemas" / f"{kind}.json")
            schema = schemas.setdefault(kind, Draft202012Validator(json.loads(path.read_text(encoding="utf-8"))))
            schema.validate(record)
        (verdict,) = prove([entry(record) for record in records])
        assert verdict.findings == ()
        assert verdict.place == Place("fleet-00017", site.epoch, stream)
        assert verdict.last == site.streams[stream].last
    assert {"linli.gap.v1", "linli.reading.v1", "linli.alarm.raised.v1"} <= schemas.keys()


def test_a_record_is_the_same_bytes_whenever_it_is_asked_for() -> None:
    site, twin = lived(), lived()
    for number in (1, 2, site.streams["perception"].last):
        assert site.record("perception", number) == twin.record("perception", number)
    ids = [record["id"] for stream in site.streams for record in records_of(site, stream)]
    assert len(ids) == len(set(ids)) == site.count()


def test_batches_go_through_a_stream_without_a_hole() -> None:
    site, after, seen = lived(), 0, []
    while after < site.streams["perception"].last:
        payload, cursor, until, count = site.batch("perception", after, 7)
        batch = json.loads(payload)
        assert len(batch) == count > 0
        assert cursor == f"{site.epoch}.perception.{until}"
        seen += batch
        after = until
    assert seen == records_of(site, "perception")


def test_a_new_epoch_counts_from_one_and_keeps_the_truth() -> None:
    site = lived()
    before, numbers = site.count(), site.numbers()
    site.new_epoch(400.0)
    assert (site.count(), site.numbers()) == (before, numbers)
    site.make(401.0)
    assert site.streams["perception"].last == 2
    assert (site.count(), site.numbers()) == (before + 2, numbers + 2)
