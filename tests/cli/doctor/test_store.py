"""The store, with real databases: sound ones, damaged ones, full ones, and those set aside."""

import asyncio
import shutil
from pathlib import Path

import pytest

from gateway.cli.doctor.topics import store as topic
from gateway.cli.doctor.topics.store import full, leftovers, sound
from tests.cli.doctor.made import look_at, made, only, status, verdicts
from tests.store.test_inspection import edit, written


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound store with several rows in a stream, written once."""
    folder = tmp_path_factory.mktemp("original")
    asyncio.run(written(folder, count=100, rounds=3))
    return folder


@pytest.fixture
def state(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "state"))


@pytest.mark.parametrize(("whole", "words"), [(1 << 30, "310 records"), (0, "the rest was not read")])
def test_a_sound_store(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int, words: str) -> None:
    monkeypatch.setattr(topic, "WHOLE", whole)
    found = only(look_at(made(tmp_path, state=state), sound))
    assert found.verdict == "ok", found
    assert words in found.what


@pytest.mark.parametrize("whole", [1 << 30, 0])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE cursors SET sequence = 100000",
        "UPDATE facts SET value = x'00'",
        "UPDATE perception SET payload = x'0011' WHERE first = (SELECT max(first) FROM perception)",
        "UPDATE alarm SET last = last + 7 WHERE first = 1",
        "DROP TABLE gaps",
        "PRAGMA user_version = 99",
    ],
)
def test_what_is_damaged_is_found_in_a_large_store_too(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int, statement: str
) -> None:
    monkeypatch.setattr(topic, "WHOLE", whole)
    edit(state, statement)
    found = only(look_at(made(tmp_path, state=state), sound))
    assert (found.verdict, "linli verify" in found.do) == ("wrong", True), found


def test_only_a_whole_reading_sees_the_middle(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = "SELECT min(first) FROM perception UNION SELECT max(first) FROM perception"
    edit(state, f"DELETE FROM perception WHERE first NOT IN ({ends})")
    assert only(look_at(made(tmp_path, state=state), sound)).verdict == "wrong"
    monkeypatch.setattr(topic, "WHOLE", 0)
    assert only(look_at(made(tmp_path, state=state), sound)).verdict == "ok"


def test_what_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "records.db").write_bytes(b"no database at all" * 300)
    found = only(look_at(made(tmp_path, state=tmp_path), sound))
    assert (found.verdict, "NOT SOUND" in found.what) == ("wrong", True)


def test_there_is_none_yet(tmp_path: Path) -> None:
    assert "no store yet" in only(look_at(made(tmp_path, state=tmp_path), sound)).what
    found = only(look_at(made(tmp_path, state=tmp_path / "elsewhere"), sound))
    assert (found.verdict, found.what) == ("look", "the state directory is not there")


def test_how_full_it_is(tmp_path: Path) -> None:
    rows = {"bytes": 95, "quota": 100, "media_bytes": 10, "media_quota": 100}
    found = look_at(made(tmp_path, state=tmp_path, status=status(store=rows)), full)
    assert verdicts(found) == ["look", "ok"]
    assert found[0].do == "raise [store] records"


def test_a_long_log(tmp_path: Path) -> None:
    with (tmp_path / "records.db-wal").open("wb") as file:
        file.truncate(200 << 20)
    assert "200.0 MiB" in only(look_at(made(tmp_path, state=tmp_path), full)).what


def test_databases_that_were_set_aside(tmp_path: Path) -> None:
    for name in ("records.db.damaged-20261122-1", "records.db.damaged-20261122-1-wal", "records.db.damaged-x-2.done"):
        (tmp_path / name).write_bytes(bytes(2048))
    found = only(look_at(made(tmp_path, state=tmp_path), leftovers))
    assert (found.verdict, found.where) == ("look", str(tmp_path / "records.db.damaged-20261122-1"))
