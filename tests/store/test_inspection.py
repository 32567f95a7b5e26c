"""`linli verify`: says that a sound store is sound, and finds every kind of thing that can be wrong."""

import json
import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner

from gateway.cli.verify import verify
from gateway.store.envelope import encode
from gateway.store.packing import Packer
from tests.store.desk import alarm, disposal, noise, opened, reading, state


async def written(path, records="64MiB", count=300, rounds=1):
    async with opened(path, records=records) as store:
        for _ in range(rounds):
            drafts = [reading(f"d{n % 5}", n) for n in range(count)]
            for draft in drafts:
                draft.data["noise"] = noise(200)
            await store.put([*drafts, state(), alarm(), disposal()])
            await store.committed()
        await store.put_media(b"a picture", "image/jpeg", "jpg")
        await store.put([alarm()], facts={"alarm/x": b"{}"})
        await store.committed()
        store.confirm("mqtt", "perception", 10)


def judged(path, *options):
    done = CliRunner().invoke(verify, [str(path), "--json", *options])
    report = json.loads(done.stdout)
    assert done.exit_code == (0 if report["ok"] else 1)
    return report


def edit(path, *statements):
    with closing(sqlite3.connect(path / "records.db")) as connection, connection:
        for statement in statements:
            connection.execute(*statement) if isinstance(statement, tuple) else connection.execute(statement)


async def test_a_sound_store_is_sound_also_while_it_is_open(tmp_path):
    await written(tmp_path)
    report = judged(tmp_path, "--media")
    assert report["ok"], report
    assert report["streams"]["perception"] == {"records": 300, "explained": 0, "first": 1, "last": 300}
    assert report["streams"]["alarm"]["records"] == 2
    assert report["media"] == {"files": 1, "bytes": 9}
    assert report["consumers"] == 1
    async with opened(tmp_path) as store:
        await store.put([reading()])
        await store.committed()
        before = {file.name for file in tmp_path.iterdir()}
        report = judged(tmp_path)
        assert report["ok"], report
        assert report["streams"]["perception"]["last"] == 301
        assert {file.name for file in tmp_path.iterdir()} == before


async def test_evicted_records_are_explained(tmp_path):
    await written(tmp_path, records="1MiB", count=2000, rounds=4)
    report = judged(tmp_path)
    assert report["ok"], report
    assert report["streams"]["perception"]["explained"] > 0


def test_an_empty_directory_has_no_store(tmp_path):
    done = CliRunner().invoke(verify, [str(tmp_path)])
    assert done.exit_code == 1
    assert "no store" in done.stderr


async def test_what_is_no_database_any_more_is_damage_and_no_matter_of_rights(tmp_path):
    await written(tmp_path)
    with (tmp_path / "records.db").open("r+b") as file:
        file.write(bytes(16))
    done = CliRunner().invoke(verify, [str(tmp_path)])
    assert done.exit_code == 1
    assert "NOT SOUND: it is damaged" in done.stderr
    assert "as root" not in done.stderr


async def test_words_for_people(tmp_path):
    await written(tmp_path)
    done = CliRunner().invoke(verify, [str(tmp_path)])
    assert done.exit_code == 0
    assert "sound" in done.stdout
    edit(tmp_path, "UPDATE cursors SET sequence = 301")
    done = CliRunner().invoke(verify, [str(tmp_path)])
    assert done.exit_code == 1
    assert "NOT SOUND: 2 found" in done.stdout
    assert "mqtt has confirmed perception 301, which ends at 300" in done.stdout
    assert "a row of cursors (mqtt, perception, 301) does not have the checksum" in done.stdout


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("DELETE FROM perception WHERE first = (SELECT min(first) FROM perception)", "missing"),
        ("UPDATE perception SET payload = zeroblob(length(payload)) WHERE first = 1", "damaged row"),
        ("UPDATE perception SET last = last + 7 WHERE first = (SELECT max(first) FROM perception)", "row"),
        ("DELETE FROM dictionaries", "damaged row"),
        ("INSERT INTO gaps VALUES ('perception', 17, 1, 2, 0)", "gap"),
        ("UPDATE cursors SET stream = 'rumours'", "cursor"),
        ("UPDATE facts SET value = 'text'", "fact"),
        ("UPDATE facts SET value = CAST('[]' AS BLOB)", "checksum"),
        ("UPDATE cursors SET sequence = sequence - 1", "checksum"),
        ("UPDATE media SET bytes = 10", "media"),
        ("DELETE FROM about", "schema"),
        ("DROP TABLE facts", "schema"),
        ("PRAGMA user_version = 0", "schema"),
    ],
)
async def test_what_is_wrong_is_found(tmp_path, statement, kind):
    await written(tmp_path, count=700, rounds=2)
    edit(tmp_path, statement)
    report = judged(tmp_path)
    assert kind in report["counts"], report
    assert any(finding.startswith(f"{kind}: ") for finding in report["findings"])


async def forged(path, **changes):
    """Put one more alarm row, made of the stored alarm with these members changed."""
    async with opened(path) as store:
        (record,) = await store.records("alarm", 0, 1)
        last = store.bounds("alarm").last
    event = {**json.loads(record.json), "sequence": f"{last + 1:020d}", **changes}
    payload = Packer().pack([encode(event)], last + 1)
    edit(path, ("INSERT INTO alarm VALUES (?, ?, 1, 0, ?)", (last + 1, last + 1, payload)))


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "id"),
        ({"id": "no-id"}, "id"),
        ({"id": "0190d1f0-0000-7000-8000-000000000001", "epoch": "other"}, "record"),
        ({"id": "0190d1f0-0000-7000-8000-000000000001", "sequence": f"{99:020d}"}, "record"),
        ({"id": "0190d1f0-0000-7000-8000-000000000001", "type": "linli.rumour.v1"}, "record"),
        ({"id": "0190d1f0-0000-7000-8000-000000000001", "data": None, "time": 5}, "record"),
        (
            {
                "id": "0190d1f0-0000-7000-8000-000000000001",
                "type": "linli.gap.v1",
                "data": {"stream": "alarm", "first": 1, "last": 9, "count": 9, "cause": "quota"},
            },
            "bad gap",
        ),
    ],
)
async def test_records_that_are_wrong_are_found(tmp_path, changes, kind):
    await written(tmp_path, count=20)
    await forged(tmp_path, **changes)
    assert kind in judged(tmp_path)["counts"]


async def test_media_are_read_on_demand(tmp_path):
    await written(tmp_path, count=20)
    (picture,) = (tmp_path / "media").rglob("*.jpg")
    picture.write_bytes(b"a PICTURE")
    assert judged(tmp_path)["ok"]
    assert judged(tmp_path, "--media")["counts"] == {"media": 1}
    picture.unlink()
    assert judged(tmp_path)["counts"] == {"media": 1}


async def test_broken_pages_are_found(tmp_path):
    await written(tmp_path, count=2000)
    file = tmp_path / "records.db"
    content = bytearray(file.read_bytes())
    for page in range(40, len(content) // 512, 9):
        content[512 * page : 512 * page + 8] = bytes(8)
    file.write_bytes(content)
    assert not judged(tmp_path)["ok"]
