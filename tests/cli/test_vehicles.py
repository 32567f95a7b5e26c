"""`linli vehicles`: find, export, delete, with a daemon and without one."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import linli
from gateway.commands import Commands
from gateway.commands.personal import Personal
from gateway.contract import CommandError
from tests.cli.served import Served
from tests.desk import Desk, StillClock, View
from tests.site import Daemon, free_port, head
from tests.store.desk import everything, opened, reading
from tests.store.test_erasure import PLATE, holds, passage
from tests.store.test_salvage import salvaged

JPEG = b"\xff\xd8\xff one car"
REASON = ("--reason", "asked by its owner")


async def fill(state: Path) -> str:
    """Two passages of one plate, one of another, a picture, and a clip that came later; the picture's name."""
    async with opened(state) as store:
        picture = await store.put_media(JPEG, "image/jpeg", "jpg")
        clip = await store.put_media(b"clip", "video/mp4", "mp4")
        first, second = passage(PLATE, picture), passage(PLATE)
        ready = reading()
        data = {"record": first.id, **clip}
        later = type(ready)("perception", "linli.media.ready.v1", "gate", "main", ready.time, data, ready.id)
        await store.put([reading(), first, passage("沪A98K7"), later, second, reading()])
    return str(picture["sha256"])


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(linli, ["vehicles", *arguments, "-c", str(config)])


@pytest.fixture
def site(tmp_path: Path) -> tuple[Path, Path, str, int]:
    state, api = tmp_path / "state", free_port()
    config = tmp_path / "linli.toml"
    config.write_text(head(state, api))
    return config, state, asyncio.run(fill(state)), api


def test_without_a_daemon(site: tuple[Path, Path, str, int], tmp_path: Path) -> None:
    config, state, picture, _ = site
    found = run(config, "find", "沪a·98K76", *REASON, "--json")
    assert found.exit_code == 0, found.output
    answer = json.loads(found.stdout)
    assert (answer["counts"], answer["files"][0]) == ({"perception": 3}, picture)
    rows = run(config, "find", "沪a·98K76", *REASON).stdout.splitlines()[1:4]
    assert [row.split()[-1] for row in rows] == [each["id"] for each in answer["records"]]  # evidence hold asks for it

    done = run(config, "export", PLATE, *REASON, "--to", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert f"{picture}.jpg" in names
    assert [name.rpartition(".")[2] for name in names if name[0] not in "rS"].count("mp4") == 1
    assert len((tmp_path / "out" / "records.jsonl").read_text().splitlines()) == 3
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0
    sums = dict(line.split("  ")[::-1] for line in (tmp_path / "out" / "SHA256SUMS").read_text().splitlines())
    out = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "out").iterdir()}
    assert sums == {name: each for name, each in out.items() if name != "SHA256SUMS"}

    gone = run(config, "delete", PLATE, *REASON)
    assert gone.exit_code == 0, gone.output
    assert "3 records and 2 files" in gone.stdout
    assert holds(state, PLATE) == []
    assert not list((state / "media").rglob("*.*"))
    assert run(config, "delete", PLATE, *REASON).exit_code == 1
    assert json.loads(run(config, "find", "沪A98K7", *REASON, "--json").stdout)["counts"] == {"perception": 1}
    verified = CliRunner().invoke(linli, ["verify", str(state), "--media"])
    assert verified.exit_code == 0, verified.output


def test_while_the_daemon_runs(site: tuple[Path, Path, str, int]) -> None:
    config, state, _, api = site
    daemon = Daemon(config, api).start()
    try:
        answer = json.loads(run(config, "find", PLATE, *REASON, "--json").stdout)
        assert answer["counts"] == {"perception": 3}
        gone = run(config, "delete", PLATE, *REASON, "--json")
        assert gone.exit_code == 0, gone.output
        assert json.loads(gone.stdout)["files"] == 2
        assert holds(state, PLATE) == []
        records = daemon.pull("perception", 1)
        assert PLATE not in json.dumps(records, ensure_ascii=False)
        gaps = [record["data"] for record in records if record["type"] == "linli.gap.v1"]
        assert sum(gap["count"] for gap in gaps if gap["cause"] == "erased") == 3
        told = [record for record in daemon.pull("disposal", 2) if "erased" in record["type"]]
        assert told[0]["data"]["records"] == {"perception": 3}
        assert told[0]["data"]["reason"] == "asked by its owner"
    finally:
        assert daemon.stop() == 0, daemon.tail()
    assert PLATE not in daemon.tail()
    assert CliRunner().invoke(linli, ["verify", str(state)]).exit_code == 0


async def damage(state: Path) -> list[Path]:
    """Have the database set aside and salvaged; the files that were set aside."""
    (state / "records.suspect").write_text("a test says so")
    async with opened(state) as store:
        await salvaged(store)
        await asyncio.wait([store._salvaging])
        return store.asides.paths()


def test_what_was_set_aside_as_damaged_is_named_and_deleted_when_asked(site: tuple[Path, Path, str, int]) -> None:
    config, state, _, _ = site
    (aside,) = asyncio.run(damage(state))
    gone = run(config, "delete", PLATE, *REASON)
    assert gone.exit_code == 0, gone.output
    assert "3 records and 2 files" in gone.stdout
    assert f"NOT ERASED: {aside}" in gone.stderr
    assert "--damaged-too" in gone.stderr
    assert aside.exists()
    again = run(config, "delete", PLATE, *REASON)
    assert again.exit_code == 1
    assert str(aside) in again.stderr

    done = run(config, "delete", PLATE, *REASON, "--damaged-too", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["set_aside"] == {"deleted": [aside.name], "left": []}
    assert not list(state.glob("records.db.damaged*"))
    (told,) = asyncio.run(deletions(state))
    assert (told["set_aside"], told["reason"], told["by"][:4]) == ([aside.name], "asked by its owner", "uid:")
    assert "nothing is recorded" in run(config, "delete", PLATE, *REASON, "--damaged-too").stderr
    assert CliRunner().invoke(linli, ["verify", str(state), "--media"]).exit_code == 0


async def deletions(state: Path) -> list[dict[str, Any]]:
    async with opened(state) as store:
        told = [event["data"] for event in await everything(store, "disposal")]
        return [data for data in told if data.get("set_aside")]


async def test_nothing_is_erased_while_a_damaged_database_still_comes_back(tmp_path: Path) -> None:
    clock = StillClock()
    async with opened(tmp_path) as store:
        await store.put([passage(PLATE)])
        store.asides.salvaging = lambda: True
        with pytest.raises(CommandError, match="still coming back") as refused:
            await Personal(store, clock, tmp_path).erase(PLATE, "asked by its owner", "uid:0")
        assert refused.value.status == 409
        store.asides.salvaging = lambda: clock.now < 1100.0
        done = await Personal(store, clock, tmp_path).erase(PLATE, "asked by its owner", "uid:0")
        assert done["records"]["perception"] == 1


class Shown(View):
    """A camera that notes what it is to forget."""

    def __init__(self) -> None:
        super().__init__({"name": "gate"})
        self.forgot: list[tuple[str, bool, bool]] = []

    def forget(self, plate: str, gone: Callable[[str], bool]) -> None:
        self.forgot.append((plate, gone(self.picture), gone(self.other)))


async def test_a_camera_forgets_an_erased_vehicle(tmp_path: Path) -> None:
    desk, camera = Desk(), Shown()
    async with opened(tmp_path) as store:
        picture, other = [await store.put_media(data, "image/jpeg", "jpg") for data in (JPEG, JPEG + b"2")]
        camera.picture, camera.other = picture["sha256"], other["sha256"]
        await store.put([passage(PLATE, picture)])
        parts = (desk.settings, store, desk.rules, desk.sources, desk.lines, [camera], [])
        commands = Commands(*parts, desk.clock, desk.apply)
        await commands.execute("vehicles-erase", {"plate": PLATE, "reason": "asked by its owner"}, "uid:0")
    assert camera.forgot == [(PLATE, True, False)]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("find", PLATE, "--reason", "x"), "say why"),
        (("delete", PLATE, "--reason", f"{PLATE} asked"), "names the plate"),
        (("delete", PLATE, "--reason", f"owner of {PLATE[:2]}·{PLATE[2:4]}-{PLATE[4:]}"), "names the plate"),
        (("find", PLATE, "--reason", f"the car {PLATE[1:].lower()} asked"), "names the plate"),
        (("find", "沪", *REASON), "whole plate"),
        (("delete", "粤B00000", *REASON), "nothing is recorded"),
    ],
)
def test_what_is_refused(site: tuple[Path, Path, str, int], arguments: tuple[str, ...], why: str) -> None:
    result = run(site[0], *arguments)
    assert result.exit_code != 0
    assert why in result.output


class Counted:
    """A parking area that counts nothing."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def view(self) -> list[dict[str, Any]]:
        known = {"area": "yard", "total": None, "free": None, "occupied": 5, "in": 9, "out": 4, "quality": "uncertain"}
        return [{**known, "reason": "below_zero", "since": "2026-11-21T08:00:00.000+08:00"}]

    async def reset(self, *what: Any) -> dict[str, Any]:
        self.told.append(what)
        return {"area": what[0], "before": 5, "after": what[1]}

    def problems(self) -> list[Any]:
        return []


def asked(served: Served, *arguments: str) -> Result:
    return CliRunner().invoke(linli, ["vehicles", *arguments, "--state", str(served.state)])


def test_areas_are_shown_and_counted_anew(served: Served) -> None:
    assert "No camera counts" in asked(served, "occupancy").stdout
    served.desk.commands.parking = counted = Counted()
    shown = asked(served, "occupancy").stdout
    assert shown.splitlines()[1].split()[:7] == ["yard", "5", "-", "-", "9", "/", "4"]
    assert "uncertain: vehicles left when it said that nobody was inside" in shown
    done = asked(served, "reset-count", "yard", "7", "--note", "by hand")
    assert "yard has 7 vehicles inside (the count said 5)" in done.stdout
    assert counted.told[0][:2] == ("yard", 7)
    assert counted.told[0][3] == "by hand"
    assert asked(served, "reset-count", "yard", "-3").exit_code == 2
    assert json.loads(served.run("status", "--json").stdout)["parking"][0]["occupied"] == 5
