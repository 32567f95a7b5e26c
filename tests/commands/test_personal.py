"""What docs/privacy.md promises of finding and erasing one plate's records, where it is not tried with the command."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import linli
from gateway.commands.personal import Personal
from gateway.contract import CommandError
from gateway.settings import StoreSettings
from gateway.store import Store
from tests.site import head
from tests.store.desk import FastClock, alarm, everything, opened, reading, until
from tests.store.test_erasure import PLATE, passage

WHY = "asked by its owner"


async def test_nothing_is_erased_while_records_wait_for_the_clock(tmp_path: Path) -> None:
    """They have no numbers yet, so nobody can say which of them are gone."""
    clock = FastClock(1.0, "unknown")
    async with opened(tmp_path, clock) as store:
        await store.put([passage(PLATE)])
        await store.committed()
        personal = Personal(store, clock, tmp_path)
        with pytest.raises(CommandError, match="set the time") as refused:
            await personal.erase(PLATE, WHY, "uid:7")
        assert refused.value.status == 409
        clock.trust = "synced"
        await until(lambda: not store.view()["held"])
        assert (await personal.erase(PLATE, WHY, "uid:7"))["records"]["perception"] == 1


async def test_what_people_wrote_themselves_is_counted_and_stays(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put([passage(PLATE), alarm(note=f"it was {PLATE}"), alarm()])
        await store.committed()
        done = await Personal(store, FastClock(1.0), tmp_path).erase(PLATE, WHY, "uid:7")
        assert (done["mentions"], done["records"]["perception"]) == (1, 1)
        assert len(await everything(store, "alarm")) == 2


@pytest.mark.parametrize("what", ["find", "export"])
async def test_who_looked_is_on_record_without_the_plate(tmp_path: Path, what: Any) -> None:
    async with opened(tmp_path) as store:
        picture = await store.put_media(b"one", "image/jpeg", "jpg")
        await store.put([passage(PLATE, picture), passage("京B11111"), reading()])
        await store.committed()
        await Personal(store, FastClock(1.0), tmp_path).find(PLATE, WHY, "uid:7", what)
        await store.committed()
        (told,) = await everything(store, "disposal")
    assert told["type"] == "linli.disposal.accessed.v1"
    about = {"by": "uid:7", "reason": WHY, "what": what, "records": {"perception": 1}, "files": 1}
    assert told["data"] == about
    assert PLATE not in json.dumps(told, ensure_ascii=False)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    async def fill() -> None:
        async with opened(tmp_path / "state") as store:
            await store.put([passage(PLATE)])

    asyncio.run(fill())
    (tmp_path / "linli.toml").write_text(head(tmp_path / "state"))
    return tmp_path / "linli.toml"


def test_without_a_daemon_retention_waits_for_whom_it_has_to_wait(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    opens = Store.open

    async def noted(settings: StoreSettings, state: Path, gateway: str, clock: Any, required: Any) -> Store:
        asked.append(dict(required))
        return await opens(settings, state, gateway, clock, required)

    monkeypatch.setattr(Store, "open", noted)
    done = CliRunner().invoke(linli, ["vehicles", "find", PLATE, "--reason", WHY, "-c", str(site)])
    assert done.exit_code == 0, done.output
    assert [set(one) for one in asked] == [{"platform"}]
    assert asked[0]["platform"] == {"perception", "management", "alarm", "disposal"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as somebody else")
def test_root_leaves_nothing_that_the_daemon_cannot_write(site: Path) -> None:
    state = site.parent / "state"
    nobody = 65534
    site.parent.chmod(0o755)
    for folder in site.parent.parents:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    for path in (state, *state.rglob("*")):
        os.chown(path, nobody, nobody)
    done = CliRunner().invoke(linli, ["vehicles", "delete", PLATE, "--reason", WHY, "-c", str(site)])
    assert done.exit_code == 0, done.output
    assert os.geteuid() == 0
    assert {path.stat().st_uid for path in (state, *state.rglob("*"))} == {nobody}
