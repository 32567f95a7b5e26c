"""`linli vehicles`: what is recorded of a plate, found, taken out and erased; how full the parking areas are."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
import msgspec

from gateway.cli import DEFAULT_CONFIG
from gateway.cli.client import NotRunningError, Refusal, find, place
from gateway.cli.output import Line, Table, Tone, Word, json_option, moment, print_json, show, since, size
from gateway.words import many

if TYPE_CHECKING:
    from gateway.commands.personal import Personal

PATIENCE = 900.0  # seconds: a store of millions of records is read from end to end
DOUBTS = {
    "gate_blind": "a gate's camera gives no picture",
    "below_zero": "vehicles left when it said that nobody was inside",
    "above_places": "more vehicles than places",
    "nightly_drift": "the fewest at night have moved one way for a week",
}
SUFFIXES = {b"\xff\xd8\xff": "jpg", b"\x89PNG": "png"}

Work = Callable[["Personal"], Awaitable[Any]]
reason_option = click.option("--reason", required=True, help="Why, for the record of this; it must not name the plate.")


@click.group()
def vehicles() -> None:
    """Parking areas, and what is recorded of single vehicles.

    find, export and delete also work while the gateway is not running; each leaves a record in the stream disposal.
    """


@vehicles.command("find")
@click.argument("plate")
@reason_option
@place
@json_option
def find_plate(plate: str, reason: str, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Show every record of PLATE."""
    found = _asked(plate, reason, config, state, "find")
    if as_json:
        print_json(found)
        return
    rows = [_row(record) for record in found["records"]]
    show([Table(("time", "where", "type", "direction", "status", "files", "record"), rows)] if rows else [])
    total = sum(found["counts"].values())
    files = many(len(found["files"]), "file")
    show([Line([Word(f"{many(total, 'record')}, {files}", "strong" if total else "")])])
    if found["more"]:
        click.echo("More than fit into one answer: what is shown are the oldest.", err=True)
    if found["held"]:
        click.echo(f"Held as evidence besides: {', '.join(found['held'])} (linli evidence held).", err=True)


@vehicles.command("export")
@click.argument("plate")
@reason_option
@click.option("--to", "folder", type=click.Path(path_type=Path), required=True, help="A new folder for what is found.")
@place
@json_option
def export_plate(plate: str, reason: str, folder: Path, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Write every record of PLATE, its pictures and clips, and their SHA-256 into a new folder."""
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise click.ClickException(f"{folder}: {error.strerror}; name a folder that is not there yet") from error
    found = _asked(plate, reason, config, state, "export")
    lines = b"".join(msgspec.json.encode(record) + b"\n" for record in found["records"])
    sums = {"records.jsonl": hashlib.sha256(lines).hexdigest()}
    (folder / "records.jsonl").write_bytes(lines)
    missing = 0
    for sha256 in found["files"]:
        data = _file(sha256, config, state)
        if data is None:
            missing += 1
            continue
        name = f"{sha256}.{next((end for head, end in SUFFIXES.items() if data.startswith(head)), 'mp4')}"
        (folder / name).write_bytes(data)
        sums[name] = hashlib.sha256(data).hexdigest()
    (folder / "SHA256SUMS").write_text("".join(f"{each}  {name}\n" for name, each in sums.items()), encoding="ascii")
    report = {"folder": str(folder), "records": len(found["records"]), "files": len(sums) - 1, "missing": missing}
    if as_json:
        print_json({**report, "more": found["more"]})
        return
    written = f"{many(len(found['records']), 'record')}, {many(len(sums) - 1, 'file')}"
    show([Line([Word(str(folder), "strong"), written])])
    if missing:
        click.echo(f"No longer kept: {many(missing, 'file')}.", err=True)
    if found["more"]:
        raise click.ClickException("more than fit into one answer: the oldest were written; erase them, then go on")


@vehicles.command("delete")
@click.argument("plate")
@reason_option
@click.option(
    "--damaged-too",
    is_flag=True,
    help="Also delete the databases that were set aside as damaged, each whole, with what they hold of others.",
)
@place
@json_option
def delete_plate(
    plate: str, reason: str, damaged_too: bool, config: Path | None, state: Path | None, as_json: bool
) -> None:
    """Erase every record of PLATE, its pictures and clips: from the database, its log, and the disk.

    Gap records with the cause `erased` say which numbers are gone; platforms that have them already are told so by
    these. A plate on a list stays there: lists are yours. Nothing can be erased inside a database that was set aside
    as damaged: --damaged-too deletes these whole. What is under a legal hold stays, and is said.
    """
    text = _spelled(plate)
    asked = {"plate": text, "reason": reason, "damaged_too": damaged_too}
    done = _run(
        config,
        state,
        lambda daemon: daemon.ask("vehicles-erase", **asked, patience=PATIENCE),
        lambda personal: personal.erase(text, reason, _actor(), damaged_too=damaged_too),
    )
    for path in done["set_aside"]["left"]:
        click.secho(f"NOT ERASED: {path} was set aside as damaged and may still hold this plate.", err=True, bold=True)
    if done["set_aside"]["left"]:
        click.echo(
            "What could be read of it had come back into the store and is erased there. To delete what was set aside, "
            "whole, give this command once more with --damaged-too.",
            err=True,
        )
    for record in done["held"]:
        click.secho(f"NOT ERASED: a copy of record {record} is under a legal hold as evidence.", err=True, bold=True)
    if done["held"]:
        click.echo("It goes when it is released: linli evidence release RECORD --reason WHY", err=True)
    if as_json:
        print_json(done)
        return
    total = sum(done["records"].values())
    erased = f"{many(total, 'record')} and {many(done['files'], 'file')}, {size(done['bytes'])}"
    show([Line([Word("erased", "good"), erased])])
    for name in done["set_aside"]["deleted"]:
        show([Line([Word("deleted", "good"), f"{name}, which was set aside as damaged"])])
    if done["mentions"]:
        told = many(done["mentions"], "record")
        click.echo(f"It stays in somebody's own words in {told} of alarms or disposals.", err=True)


@vehicles.command("occupancy")
@place
@json_option
def occupancy(config: Path | None, state: Path | None, as_json: bool) -> None:
    """Show how full the parking areas are."""
    daemon = find(config, state)
    areas = daemon.ask("parking")
    if as_json:
        print_json(areas)
        return
    now = daemon.ask("ping")["time"]
    rows: list[list[str | Word]] = [
        [
            Word(area["area"], "strong"),
            str(area["occupied"]),
            "-" if area["free"] is None else str(area["free"]),
            "-" if area["total"] is None else str(area["total"]),
            f"{area['in']} / {area['out']}",
            since(area["since"], now),
            Word(*_quality(area)),
        ]
        for area in areas
    ]
    head = ("area", "inside", "free", "places", "in / out", "counted since", "count")
    show([Table(head, rows)] if rows else [Line(["No camera counts for a parking area: give one spaces."])])


def _quality(area: dict[str, Any]) -> tuple[str, Tone]:
    """How far the count can be trusted, and why not further."""
    if area["quality"] == "good":
        return "good", "good"
    return f"{area['quality']}: {DOUBTS.get(area['reason'], area['reason'])}", "warn"


@vehicles.command("reset-count")
@click.argument("area")
@click.argument("inside", type=click.IntRange(min=0), metavar="N")
@click.option("--note", help="How it was counted, for the record.")
@place
@json_option
def reset_count(
    area: str, inside: int, note: str | None, config: Path | None, state: Path | None, as_json: bool
) -> None:
    """Say that N vehicles are in AREA now; counting goes on from there."""
    done = find(config, state).ask("parking-reset", area=area, inside=inside, note=note)
    if as_json:
        print_json(done)
        return
    counted = many(done["after"], "vehicle")
    show([Line([Word(area, "strong"), f"has {counted} inside (the count said {done['before']})"])])


def _asked(
    plate: str, reason: str, config: Path | None, state: Path | None, what: Literal["find", "export"]
) -> dict[str, Any]:
    text, export = _spelled(plate), what == "export"
    found: dict[str, Any] = _run(
        config,
        state,
        lambda daemon: daemon.ask("vehicles-find", plate=text, reason=reason, export=export, patience=PATIENCE),
        lambda personal: personal.find(text, reason, _actor(), what),
    )
    return found


def _run(config: Path | None, state: Path | None, ask: Callable[[Any], Any], work: Work) -> Any:  # noqa: ANN401 - JSON
    """Have the daemon do it, or do it here when there is none."""
    try:
        return ask(find(config, state))
    except NotRunningError as error:
        if config is None and (state is not None or not DEFAULT_CONFIG.exists()):
            raise Refusal(f"{error.message} Without it, -c FILE lets this command open the store itself.") from None
        return asyncio.run(_offline(config or DEFAULT_CONFIG, work))


async def _offline(config: Path, work: Work) -> Any:  # noqa: ANN401 - any JSON
    from gateway.clock import SystemClock
    from gateway.commands.personal import Personal
    from gateway.contract import ConfigError, LinliError
    from gateway.plan import load_plan
    from gateway.store import Store

    try:
        settings = load_plan(config).settings
        clock = SystemClock(settings.gateway.timezone)
        with _as_owner(settings.gateway.state):
            known = settings.gateway
            store = await Store.open(settings.store, known.state, known.id, clock, settings.required())
            try:
                done = await work(Personal(store, clock, settings.gateway.state))
                await store.committed()
                return msgspec.json.decode(msgspec.json.encode(done))
            finally:
                await store.close()
    except ConfigError as error:
        raise click.ClickException("\n".join(error.problems)) from error
    except LinliError as error:
        raise click.ClickException(str(error)) from error


@contextlib.contextmanager
def _as_owner(state: Path) -> Iterator[None]:
    """Be the state directory's owner meanwhile: files that root makes there are files that the daemon cannot write."""
    if not state.is_dir():
        raise click.ClickException(f"{state}: there is no store")
    owner = state.stat()
    before = os.umask(0o026)
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.umask(before)
        if os.getuid() == 0:
            os.seteuid(0)
            os.setegid(0)


def _file(sha256: str, config: Path | None, state: Path | None) -> bytes | None:
    from gateway.store.media import MediaFolder

    daemon = find(config, state)
    try:
        return daemon.media(sha256)
    except NotRunningError:
        there = MediaFolder(daemon.path.parent / "media").find(sha256)
        return there[0].read_bytes() if there else None
    except Refusal:
        return None


def _spelled(plate: str) -> str:
    """The plate as it is recorded, however it was typed."""
    from gateway.vision.lists import spelled

    text = spelled(plate)
    if not 5 <= len(text) <= 10:
        raise click.UsageError("PLATE is a whole plate such as 沪A12345; a part of one is not looked for")
    return text


def _actor() -> str:
    return f"uid:{os.getuid()}"


def _row(record: dict[str, Any]) -> list[str | Word]:
    data = record["data"]
    plate = data.get("plate") or {}
    files = sum(1 for key in ("picture", "clip") if data.get(key)) or int("sha256" in data)
    where = f"{record['source'].rpartition('/')[2]} {record['subject']}"
    kind = record["type"].removeprefix("linli.").removesuffix(".v1")
    time = moment(record["time"])
    return [time, where, kind, data.get("direction", ""), plate.get("status", ""), str(files), record["id"]]
