"""Evidence: every record with media gets a signed link, and a bundle shows any byte that was touched."""

import asyncio
import contextlib
import hashlib
import json
import shutil
import time
import warnings
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

pytest.importorskip("cryptography", reason="the extra `vision` is not installed")

from gateway.cli import linli
from gateway.cli.evidence import _write
from gateway.cli.status import _store as store_lines
from gateway.clock import SystemClock
from gateway.commands.personal import Personal
from gateway.contract import CommandError, Draft, record_id
from gateway.daemon.evidence import Evidence
from gateway.store import Store
from gateway.store.bundle import LINKS, MANIFEST, MEDIA, RECORDS, verify
from gateway.store.chain import LINKS_PER_FILE, Chain, EvidenceError, Found, chain_files, peek
from gateway.store.held import Held
from tests.store.desk import GATEWAY, FastClock, everything, opened, reading

MOST = 30.0  # seconds after which a test gives up


async def passage(store: Store, picture: bytes) -> str:
    now = SystemClock().wall()
    data = {"lane": "main", "picture": await store.put_media(picture, "image/jpeg", "jpg")}
    name = record_id(now)
    await store.put([Draft("perception", "linli.vehicle.passage.v1", "gate", "main", now, data, name)])
    return name


async def ready(store: Store, record: str, clip: bytes) -> None:
    now = SystemClock().wall()
    data = {"record": record, **await store.put_media(clip, "video/mp4", "mp4")}
    await store.put([Draft("perception", "linli.media.ready.v1", "gate", "main", now, data, record_id(now))])


@contextlib.asynccontextmanager
async def following(store: Store, state: Path) -> AsyncIterator[Evidence]:
    evidence = Evidence(GATEWAY, state, store, SystemClock())
    task = asyncio.create_task(evidence.run())
    try:
        yield evidence
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(evidence: Evidence, links: int) -> None:
    async with asyncio.timeout(MOST):
        while evidence.view()["links"] < links:
            await asyncio.to_thread(time.sleep, 0.01)


def write(made: dict[str, Any], store: Store, to: Path) -> Path:
    for folder in (RECORDS, MEDIA):
        (to / folder).mkdir(parents=True)
    (to / MANIFEST).write_text(made["manifest"])
    (to / LINKS).write_text("".join(f"{line}\n" for line in made["chain"]))
    for name, text in made["records"].items():
        (to / RECORDS / f"{name}.json").write_text(text)
    for name in made["media"]:
        found = store.media(name.partition(".")[0])
        assert found is not None
        (to / MEDIA / name).write_bytes(found[0].read_bytes())
    return to


@pytest.fixture
async def bundle(tmp_path: Path) -> Path:
    """Two of three passages, the first one with a clip, and a reading between them."""
    async with opened(tmp_path / "state") as store, following(store, tmp_path / "state") as evidence:
        names = []
        for picture in (b"one", b"two", b"three"):
            names.append(await passage(store, picture * 100))
            await store.put([reading()])
        await ready(store, names[0], b"clip" * 300)
        await until(evidence, 4)
        made = await evidence.answer("export", [names[0], names[2]], "case 7", "uid:0")
        await store.committed()
        said = [each for each in await everything(store, "disposal") if each["type"] == "linli.disposal.accessed.v1"]
        assert [each["data"]["reason"] for each in said] == ["case 7"]
        return write(made, store, tmp_path / "bundle")


def test_a_bundle_is_proved(bundle: Path) -> None:
    found = verify(bundle)
    assert found.faults == []
    assert found.manifest is not None
    assert (len(found.manifest.records), found.links, found.manifest.reason) == (3, 4, "case 7")
    assert verify(bundle, found.manifest.key).faults == []


def test_another_gateways_key_is_a_fault(bundle: Path) -> None:
    assert any("not the gateway's key" in fault for fault in verify(bundle, "00" * 32).faults)


def test_every_byte_that_was_touched_is_found_and_its_file_named(bundle: Path) -> None:
    for path in sorted(bundle.rglob("*.*")):
        whole = path.read_bytes()
        step = max(1, len(whole) // 20)
        places = {*range(0, len(whole), step), len(whole) - 1}
        for place in sorted(places):
            for flip in (0x01, 0x20, 0x80):
                path.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
                faults = verify(bundle).faults
                assert any(path.name in fault for fault in faults), (path.name, place, flip, faults)
        for other in (whole[:-1], whole + b"\n", whole + b" ", b""):
            path.write_bytes(other)
            assert verify(bundle).faults, (path.name, len(other))
        path.write_bytes(whole)
    assert verify(bundle).faults == []


def test_what_was_taken_away_or_put_in_is_named(bundle: Path) -> None:
    for path in sorted(bundle.rglob("*.*")):
        if path.name == MANIFEST:
            continue
        whole = path.read_bytes()
        path.unlink()
        assert any(path.name in fault and "missing" in fault for fault in verify(bundle).faults)
        path.write_bytes(whole)
    (bundle / MEDIA / "more.jpg").write_bytes(b"x")
    assert verify(bundle).faults == ["media/more.jpg: was put in afterwards; it is no part of the evidence"]


def test_a_link_that_was_taken_out_moved_or_doubled_is_found(bundle: Path) -> None:
    lines = (bundle / LINKS).read_text().splitlines(keepends=True)
    for changed in (lines[:1] + lines[2:], [lines[1], lines[0], *lines[2:]], [*lines[:2], *lines[1:]], lines[:-1]):
        (bundle / LINKS).write_text("".join(changed))
        assert any(LINKS in fault for fault in verify(bundle).faults)


def test_records_of_two_bundles_cannot_be_mixed(bundle: Path) -> None:
    one, *_, other = sorted((bundle / RECORDS).iterdir())
    text = one.read_text()
    one.write_text(other.read_text())
    other.write_text(text)
    assert len(verify(bundle).faults) == 2


def test_a_bundle_may_be_a_zip_file_and_no_bundle_is_said_so(bundle: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "taken"), "zip", bundle.parent, bundle.name))
    assert verify(archive).faults == []
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("a.txt", "a")
    for path in (tmp_path / "other.zip", bundle / LINKS, tmp_path):
        with pytest.raises(EvidenceError):
            verify(path)


def zipped(bundle: Path, to: Path, *more: tuple[str, bytes], before: bool = False, within: str = "") -> Path:
    files = [(f"{within}{path.relative_to(bundle)}", path.read_bytes()) for path in bundle.rglob("*.*")]
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name that is there twice
        for name, data in (*more, *files) if before else (*files, *more):
            file.writestr(name, data)
    return to


@pytest.mark.parametrize("before", [True, False])
def test_what_is_put_into_an_archive_is_found_wherever_it_is(bundle: Path, tmp_path: Path, *, before: bool) -> None:
    to = tmp_path / "x.zip"
    record = next((bundle / RECORDS).iterdir())
    name = f"{RECORDS}/{record.name}"
    assert verify(zipped(bundle, to)).faults == verify(zipped(bundle, to, within="case/")).faults == []
    for within, added in (("", name), ("case/", f"case/{name}")):
        twice = verify(
            zipped(bundle, to, (added, record.read_bytes().replace(b"main", b"none")), before=before, within=within)
        )
        assert any(name in fault and "2 times" in fault for fault in twice.faults)
    for within, added in (("", "/abs"), ("", "../up"), ("", "media//x"), ("case/", "note.txt")):
        faults = verify(zipped(bundle, to, (added, b"x"), before=before, within=within)).faults
        assert [fault.partition(": ")[2][:18] for fault in faults] == ["was put in afterwa"], added


def test_an_archive_that_does_not_unpack_is_a_fault(bundle: Path, tmp_path: Path) -> None:
    to = zipped(bundle, tmp_path / "x.zip")
    whole = to.read_bytes()
    last = whole.rindex(b"PK\x01\x02")
    for place, value in ((last + 8, 1), (last + 10, 97), (whole.index(b".jpg") + 4, 0xFF)):
        spoilt = bytearray(whole)
        spoilt[place] = value
        to.write_bytes(spoilt)
        assert any("cannot be read" in fault for fault in verify(to).faults), place
    for name in (LINKS, MANIFEST):
        (bundle / name).write_bytes(b'{"signed":' + b"[" * 100_000)
        assert any(fault.startswith(name) and "cannot be read" in fault for fault in verify(bundle).faults)


def test_a_bundle_is_for_who_took_it_out(tmp_path: Path) -> None:
    for to in (tmp_path / "case.zip", tmp_path / "case"):
        _write(to, {f"{RECORDS}/r.json": b"{}"})
        assert to.stat().st_mode & 0o077 == 0


def test_the_command_says_what_was_changed(bundle: Path) -> None:
    run = CliRunner()
    good = run.invoke(linli, ["evidence", "verify", str(bundle), "--json"])
    assert (good.exit_code, json.loads(good.output)["ok"]) == (0, True)
    picture = next((bundle / MEDIA).glob("*.jpg"))
    picture.write_bytes(b"another car")
    bad = run.invoke(linli, ["evidence", "verify", str(bundle)])
    assert bad.exit_code == 1
    assert picture.name[:40] in bad.output.replace("\n", "")
    assert "changed after it was signed" in " ".join(bad.output.split())


async def test_the_chain_goes_on_after_a_restart_and_misses_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with opened(state) as store:
        async with following(store, state) as evidence:
            await passage(store, b"one")
            await until(evidence, 1)
            key = evidence.view()["public_key"]
        await passage(store, b"while nobody looked")
        await store.committed()
    async with opened(state) as store, following(store, state) as evidence:
        await passage(store, b"three")
        await until(evidence, 3)
        assert evidence.view()["public_key"] == key
    lines = b"".join(path.read_bytes() for path in chain_files(state / "evidence")).splitlines()
    assert [peek(line).number for line in lines] == [1, 2, 3]
    assert [peek(line).sequence for line in lines] == [1, 2, 3]
    assert (state / "evidence" / "key").stat().st_mode & 0o777 == 0o600


async def test_what_is_gone_from_the_store_is_not_handed_out(tmp_path: Path) -> None:
    async with opened(tmp_path) as store, following(store, tmp_path) as evidence:
        name = await passage(store, b"one")
        await until(evidence, 1)
        with pytest.raises(CommandError, match="no link for record"):
            await evidence.answer("export", ["01a2020b-e930-7d50-81a2-b828f73f8934"], "case 7", "uid:0")
        with pytest.raises(CommandError, match="reason"):
            await evidence.answer("export", [name], " ", "uid:0")
        found = store.media(hashlib.sha256(b"one").hexdigest())
        assert found is not None
        found[0].unlink()
        made = await evidence.answer("export", [name], "case 7", "uid:0")
        to = write(made, store, tmp_path / "bundle")
    proof = verify(to)
    assert proof.faults == []
    assert "deleted before" in proof.notes[0]


async def seen(store: Store, picture: bytes, plate: str) -> str:
    now = SystemClock().wall()
    told = {"text": plate, "kind": "ordinary", "status": "accepted", "confidence": 0.9}
    stamp = SystemClock().rfc3339(now)
    data = {"lane": "main", "direction": "in", "plate": told, "first_time": stamp, "last_time": stamp}
    data["picture"] = await store.put_media(picture, "image/jpeg", "jpg")
    name = record_id(now)
    await store.put([Draft("perception", "linli.vehicle.passage.v1", "gate", "main", now, data, name)])
    return name


def holding(state: Path, plate: str) -> list[Path]:
    return [path for path in state.rglob("*") if path.is_file() and plate.encode() in path.read_bytes()]


async def test_what_is_held_outlives_age_quota_and_erasure_until_it_is_released(tmp_path: Path) -> None:
    async with opened(tmp_path) as store, following(store, tmp_path) as evidence:
        name = await seen(store, b"one" * 1000, "沪A12345")
        await ready(store, name, b"clip" * 1000)
        await until(evidence, 2)
        for reason in ("case of 沪A·12345", "case of a12345"):
            with pytest.raises(CommandError, match="names the plate"):
                await evidence.answer("hold", [name], reason, "uid:7")
        with pytest.raises(CommandError, match="no link for record"):
            await evidence.answer("hold", [record_id(1)], "case 7", "uid:7")
        for _ in range(2):  # once more is no harm
            done = await evidence.answer("hold", [name], "case 7", "uid:7")
        assert done["held"] == [name]
        assert done["bytes"] > 7000
        personal = Personal(store, SystemClock(), tmp_path)
        assert (await personal.find("沪A12345", "asked by its owner", "uid:7", "find"))["held"] == [name]
        erased = await personal.erase("沪A12345", "asked by its owner", "uid:7")
        assert (erased["files"], erased["held"]) == (2, [name])
        with pytest.raises(CommandError, match="under a legal hold") as refused:
            await personal.erase("沪A12345", "asked by its owner", "uid:7")
        assert refused.value.status == 404
        with pytest.raises(CommandError, match="it is held, whole, in") as gone:
            await evidence.answer("export", [name], "case 7", "uid:7")
        proof = verify(Path(str(gone.value).rpartition(" in ")[2]))
        assert (proof.faults, proof.notes, proof.links) == ([], [], 2)
        (case,) = (await evidence.answer("held", [], "", "uid:7"))["cases"]
        assert (case["record"], case["by"], case["reason"]) == (name, "uid:7", "case 7")
        assert case["bytes"] == done["bytes"]
        with pytest.raises(CommandError, match="is not held"):
            await evidence.answer("release", [name, "other"], "over", "uid:7")
        with pytest.raises(CommandError, match="names the plate"):
            await evidence.answer("release", [name], "沪A12345 is free", "uid:7")
        await evidence.answer("release", [name, name], "over", "uid:7")
        assert (await evidence.answer("held", [], "", "uid:7"))["cases"] == []
        assert holding(tmp_path, "沪A12345") == []
        await store.committed()
        told = [each for each in await everything(store, "disposal") if each["type"] == "linli.disposal.held.v1"]
        assert [(each["data"]["what"], each["data"]["ids"]) for each in told] == [
            ("hold", [name]),
            ("hold", [name]),
            ("release", [name]),
        ]


@pytest.mark.parametrize("keep", [{"unlisted_vehicles": "100s"}, {"media": "100s"}, {"perception": "100s"}])
async def test_what_is_held_outlives_every_age(tmp_path: Path, keep: dict[str, str]) -> None:
    clock = FastClock(100)
    async with opened(tmp_path, clock, keep=keep) as store, following(store, tmp_path) as evidence:
        name = await seen(store, b"one" * 1000, "沪A12345")
        await until(evidence, 1)
        await evidence.answer("hold", [name], "case 7", "uid:7")
        (picture,) = (tmp_path / "media").rglob("*.jpg")

        async def is_there() -> bool:
            if "media" in keep:
                return store.media(picture.stem) is not None
            return any(event["id"] == name for event in await everything(store, "perception"))

        assert await is_there()
        clock.ahead_ns += 150 * 10**9
        async with asyncio.timeout(MOST):
            while await is_there():  # noqa: ASYNC110 - a thread of the store does it
                await asyncio.sleep(0.02)
        proof = verify(tmp_path / "evidence" / "held" / name)
        assert (proof.faults, proof.notes) == ([], [])  # a file that is gone would be a note
        assert [path.stem for path in (tmp_path / "evidence" / "held" / name / MEDIA).iterdir()] == [picture.stem]


async def test_no_more_is_held_than_there_is_room_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        evidence = Evidence(GATEWAY, tmp_path, store, SystemClock(), hold=20_000)
        task = asyncio.create_task(evidence.run())
        names = [await seen(store, bytes([place]) * 9000, f"沪A1234{place}") for place in range(3)]
        await until(evidence, 3)
        await evidence.answer("hold", names[:1], "case 7", "uid:7")
        with pytest.raises(CommandError, match="then release them") as refused:
            await evidence.answer("hold", names[1:], "case 8", "uid:7")
        assert refused.value.status == 409
        with pytest.raises(CommandError, match="hold, release or held"):
            await evidence.answer("eat", names, "case 8", "uid:7")
        half = tmp_path / "evidence" / "held" / f"{names[2]}.new"
        half.mkdir()
        (half / MANIFEST).write_text("{}")  # as a power cut leaves it
        (tmp_path / "evidence" / "held" / names[1] / MANIFEST).parent.mkdir(exist_ok=True)
        assert [case["record"] for case in (await evidence.answer("held", [], "", "uid:7"))["cases"]] != []
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def link(number: int) -> Found:
    return Found(f"record-{number}", "", "e", "perception", number, "0" * 64, ("1" * 64,))


def test_a_line_that_the_power_cut_in_two_is_written_again(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    chain.append([link(1), link(2)])
    path = chain_files(tmp_path)[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    again = Chain(tmp_path)
    assert again.last is not None
    assert again.last.number == 1
    again.append([link(2)])
    assert path.read_bytes() == whole  # Ed25519 signs the same bytes the same way


def test_files_of_the_chain_are_bounded_and_follow_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.store import chain as chains

    monkeypatch.setattr(chains, "LINKS_PER_FILE", 10)
    monkeypatch.setattr(chains, "FILES_KEPT", 3)
    chain = Chain(tmp_path)
    chain.append([link(number) for number in range(1, 36)])
    chain.append([link(36)])
    assert [path.name for path in chain_files(tmp_path)] == [f"chain-{n:012d}.jsonl" for n in (11, 21, 31)]
    assert [peek(line).number for line in Chain(tmp_path).around(["record-19", "record-22"])] == [19, 20, 21, 22]
    assert LINKS_PER_FILE == 5000


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    Chain(tmp_path)
    (tmp_path / "key").write_text("not a key")
    with pytest.raises(EvidenceError, match="no key of ours"):
        Chain(tmp_path)


def test_the_status_shows_the_public_key() -> None:
    bounds = {"first": 0, "last": 0, "unstored": 0}
    state = {
        "store": {"bytes": 1, "quota": 2},
        "streams": {"perception": bounds},
        "evidence": {"public_key": "ab" * 32, "links": 7, "head": "0" * 64, "failing": None},
    }
    assert f"7 records signed; public key {'ab' * 32}" in str(store_lines(state))


async def test_what_is_held_once_more_keeps_what_the_store_has_given_up_meanwhile(tmp_path: Path) -> None:
    async with opened(tmp_path) as store, following(store, tmp_path) as evidence:
        name = await seen(store, b"one" * 1000, "沪A12345")
        await until(evidence, 1)
        await evidence.answer("hold", [name], "case 7", "uid:7")
        (picture,) = Held(tmp_path / "evidence").media(name)
        found = store.media(picture)
        assert found is not None
        found[0].unlink()
        await ready(store, name, b"clip" * 1000)
        await until(evidence, 2)
        await evidence.answer("hold", [name], "case 7, with its clip", "uid:7")
        held = Held(tmp_path / "evidence")
        assert len(held.media(name)) == 2
        proof = verify(held.place(name))
        assert (proof.faults, proof.notes) == ([], [])
