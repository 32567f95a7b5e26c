"""scripts/verify_platform as a platform engineer runs it."""

import importlib.machinery
import importlib.util
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.platform.conftest import PROJECT
from tests.platform.histories import History, Record, gap, lines, record, resent

PROGRAM = PROJECT / "scripts" / "verify_platform"
PLACE = ("sh-1", "k3f9", "perception")


def verify(*words: object, stdin: bytes = b"") -> tuple[int, str]:
    done = subprocess.run(
        # -S and -I: nothing but the standard library and the checkout beside the program.
        [sys.executable, "-I", "-S", str(PROGRAM), *map(str, words)], input=stdin, capture_output=True, check=False
    )  # fmt: skip
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.fixture(scope="module")
def records() -> list[Record]:
    rng = random.Random(11)
    histories = [
        History(rng, gateway, "k3f9", stream, 60) for gateway in ("sh-1", "sh-2") for stream in ("alarm", "perception")
    ]
    return resent(rng, [one for history in histories for one in history.received.values()])


def test_complete_records_from_files_and_stdin(tmp_path: Path, records: list[Record]) -> None:
    half = tmp_path / "half.jsonl"
    half.write_bytes(lines(records[: len(records) // 2]))
    rest = json.dumps(records[len(records) // 2 :]).encode()
    code, said = verify(half, "-", stdin=rest + b"\n\n" + json.dumps({"records": records[:3], "next": "x"}).encode())
    assert (code, said.count("\n")) == (0, 1), said
    assert said.startswith("4 series, ")
    assert said.endswith(": complete\n")


def test_every_defect_is_named(tmp_path: Path) -> None:
    rng = random.Random(12)
    good = [record(rng, *PLACE, number, 0.0) for number in (1, 2, 3, 6, 7)]
    bad = [
        {**good[0], "timequality": "unknown"},
        {**record(rng, *PLACE, 8, 0.0), "id": good[1]["id"]},
        gap(rng, *PLACE, 9, 2, 6), gap(rng, *PLACE, 10, 6, 7),
        {**gap(rng, *PLACE, 11, 1, 2), "data": {}},
        {"hello": "world"},
    ]  # fmt: skip
    path = tmp_path / "records.jsonl"
    path.write_bytes(lines([*good, *bad]) + b"not json\n")
    ends = tmp_path / "ends.json"
    ends.write_text(json.dumps({"gateway": "sh-1", "epoch": "k3f9", "streams": {"perception": {"last": 14}}}))
    code, said = verify(path, "--ends", ends)
    assert code == 1
    kinds = [line[:9].strip() for line in said.splitlines()[:-1]]
    assert sorted(kinds) == ["bad gap", "changed", "malformed", "malformed", "missing", "overlap", "same id"]
    assert "sh-1 k3f9 perception 12-14: 3 numbers" in said
    assert f"{path}:12: not JSON" in said
    assert said.splitlines()[-1].endswith("NOT COMPLETE, 7 defects")


def test_two_files_are_all_that_a_platform_has_to_take_along(tmp_path: Path, records: list[Record]) -> None:
    for name in ("scripts/verify_platform", "gateway/completeness.py"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(PROJECT / name, tmp_path / name)
    words = [sys.executable, "-I", "-S", str(tmp_path / "scripts" / "verify_platform"), "-"]
    done = subprocess.run(words, input=lines(records), capture_output=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")


def test_one_lost_record_fails(tmp_path: Path) -> None:
    rng = random.Random(13)
    path = tmp_path / "records.jsonl"
    path.write_bytes(lines([record(rng, *PLACE, number, 0.0) for number in (1, 2, 4)]))
    code, said = verify(path, "--json")
    assert code == 1
    (told,) = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert told["findings"] == [{"kind": "missing", "first": 3, "last": 3, "text": told["findings"][0]["text"]}]
    assert (told["gateway"], told["epoch"], told["stream"], told["records"]) == (*PLACE, 3)


def test_a_file_of_scripts_pull(tmp_path: Path, records: list[Record]) -> None:
    path = tmp_path / "records.db"
    loader = importlib.machinery.SourceFileLoader("pull_program", str(PROJECT / "scripts" / "pull"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    pull = importlib.util.module_from_spec(spec)
    loader.exec_module(pull)
    archive = pull.Archive(path)
    archive.keep("perception", [one for one in records if one["source"].startswith("/gateways/sh-1")], "cursor")
    assert verify("--sqlite", path)[0] == 0
    alarms = [one for one in records if one["stream"] == "alarm" and one["type"] != "linli.gap.v1"]
    archive.keep("alarm", [{**alarms[0], "sequence": f"{5:020d}", "epoch": "other", "id": "x"}], "cursor")
    code, said = verify("--sqlite", path)
    assert code == 1
    assert " other alarm 1-4: 4 numbers" in said


@pytest.mark.parametrize("words", [["/nowhere/at/all"], ["--sqlite", "/nowhere/at/all"], ["-", "--ends", "/nowhere"]])
def test_what_cannot_be_read_is_said(words: list[str]) -> None:
    code, said = verify(*words)
    assert code == 2
    assert said.startswith("verify: cannot read the input")


def test_sequences_beyond_64_bits_do_not_confuse_it() -> None:
    rng = random.Random(14)
    far = [{**record(rng, *PLACE, 1, 0.0), "sequence": number} for number in ("9" * 20, "1")]
    code, said = verify("-", stdin=lines(far))
    assert code == 1
    assert f"2-{10**20 - 2}" in said


def test_postgres_is_proved_by_the_same_program(dsn: str) -> None:
    psycopg = pytest.importorskip("psycopg")
    writer = pytest.importorskip("writer")
    taking = writer.Writer(dsn)
    rng = random.Random(15)
    good = [record(rng, *PLACE, number, 0.0) for number in (1, 2, 3, 5)]
    taking.take([writer.Batch(PLACE[0], PLACE[2], json.dumps([*good, gap(rng, *PLACE, 6, 4, 4)]).encode())])
    words = [sys.executable, str(PROGRAM), "--postgres", dsn]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (
        0, "1 series, 5 records, 1 numbers explained by gap records, 0 identical copies: complete\n"
    )  # fmt: skip
    with psycopg.connect(dsn, autocommit=True) as database:
        database.execute("DELETE FROM records WHERE sequence = 2")
        database.execute("UPDATE series SET told_last = 8")
        database.execute(
            "INSERT INTO conflicts (series, sequence, id, record, reason) "
            "SELECT series, 3, gen_random_uuid(), '', 'number taken' FROM series"
        )
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "missing    sh-1 k3f9 perception 2:" in done.stdout
    assert "missing    sh-1 k3f9 perception 7-8:" in done.stdout
    assert "changed    sh-1 k3f9 perception 3:" in done.stdout
    taking.close()
