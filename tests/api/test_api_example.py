"""The example client for platforms, against the real store: whole, again, over a gap, and into a new epoch."""

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from gateway.contract import Draft, record_id
from tests.api.api_standins import TOKEN
from tests.api.conftest import readings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def database(tmp_path_factory):
    return tmp_path_factory.mktemp("platform") / "records.db"


async def pull(served, database, token=TOKEN):
    """Run scripts/pull to the present end; returns its exit code and what it printed."""
    secret = database.with_name("token.txt")
    secret.write_text(f"{token}\n")
    command = [ROOT / "scripts/pull", f"http://{served.api.address}", secret, database, "--once"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    printed, _ = await process.communicate()
    return process.returncode, printed.decode()


async def test_pulls_everything_once_and_goes_on(begin, database):
    served, clock = await begin()
    await served.store.put(readings(clock, 2300))
    await served.store.committed()
    code, printed = await pull(served, database)
    assert "perception: 2300 records, 0 more explained by gap records, complete" in printed
    assert code == 0
    await served.store.put(readings(clock, 7))
    await served.store.committed()
    code, printed = await pull(served, database)
    assert "perception: 2307 records" in printed
    rows = (await served.get("/v1/status")).json["consumers"]
    lags = {row["stream"]: row["lag"] for row in rows if row["consumer"] == "district-platform"}
    assert lags == {"alarm": 0, "disposal": 0, "management": 0, "perception": 0}


async def test_finds_what_is_missing(begin, database):
    served, clock = await begin()
    await served.store.put(readings(clock, 20))
    await served.store.committed()
    await pull(served, database)
    with sqlite3.connect(database) as archive:
        archive.execute("DELETE FROM records WHERE sequence IN (5, 6, 11)")
    code, printed = await pull(served, database)
    assert code == 1
    assert "MISSING [(5, 6), (11, 11)]" in printed
    now = clock.wall()
    data = {"stream": "perception", "first": 5, "last": 11, "count": 7, "cause": "quota"}
    await served.store.put([Draft("perception", "linli.gap.v1", "", "perception", now, data, record_id(now))])
    await served.store.committed()
    code, printed = await pull(served, database)
    assert "perception: 18 records, 3 more explained by gap records, complete" in printed
    assert code == 0


async def test_goes_on_in_a_new_epoch(begin, database, tmp_path):
    served, clock = await begin()
    await served.store.put(readings(clock, 5))
    await served.store.committed()
    await pull(served, database)

    def lose_the_database():
        for path in tmp_path.iterdir():
            if path.is_file():
                path.unlink()

    served, clock = await begin(lose_the_database)
    await served.store.put(readings(clock, 3))
    await served.store.committed()
    code, printed = await pull(served, database)
    assert "perception: 8 records" in printed
    assert code == 0


async def test_says_when_the_token_is_wrong(begin, database):
    served, _ = await begin()
    code, printed = await pull(served, database, token="wrong")
    assert code == 1
    assert "401" in printed


def test_the_guide_names_what_there_is(begin):
    guide = (ROOT / "docs/platform/pull.md").read_text()
    from gateway.api.service import ENDPOINTS

    for endpoint in ENDPOINTS:
        if endpoint.listed:
            assert endpoint.path.replace("{stream}", "STREAM").replace("{sha256}", "SHA256") in guide, endpoint.path
    assert json.loads(guide.split("```json\n")[1].split("```")[0])["records"][0]["stream"] == "perception"
