"""`linli falling`: recorded falls, what people say of them, and labelled clips for training and regression tests."""

import contextlib
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import NO_VISION
from gateway.cli.client import Daemon, NotRunningError, Refusal, find, place
from gateway.cli.fell import HEAD, measures
from gateway.cli.output import (
    Block,
    Cell,
    Line,
    Table,
    Tone,
    Word,
    ends,
    full_option,
    json_option,
    moment,
    print_json,
    show,
)
from gateway.words import many

if TYPE_CHECKING:
    from gateway.cli.fallset import Clip

PATIENCE = 900.0  # seconds: a store of millions of records is read from end to end
TONES: dict[str | None, Tone] = {"true": "good", "false": "warn"}
days_option = click.option("--days", type=click.IntRange(1, 3660), default=30, show_default=True, help="How far back.")


@click.group()
def falling() -> None:
    """Falls that were recorded: call them true or false, and take the clips out.

    A label never changes a record: it is one of its own, in the stream disposal, and the last one counts.
    """


@falling.command("list")
@days_option
@click.option("--last", type=click.IntRange(1, 5000), default=50, show_default=True, help="Only the newest so many.")
@full_option
@place
@json_option
def list_falls(days: int, last: int, full: bool, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Show recorded falls with their labels, the newest at the end."""
    found = find(config, state).ask("falls", days=days, last=last, patience=PATIENCE)
    if as_json:
        print_json(found)
        return
    shown = ends((fall["record"] for fall in found["falls"]), full=full)
    rows = [_row(fall, shown) for fall in found["falls"]]
    head = ("time", "camera", *HEAD, "clip", "label", "record")
    blocks: list[Block] = [Table(head, rows)] if rows else [Line([f"Nothing has fallen in {many(days, 'day')}."])]
    if found["total"] > len(rows):
        older = many(found["total"] - len(rows), "older fall")
        blocks.append(Line([f"not shown: {older}, for which --last {found['total']}"]))
    show(blocks)


@falling.command()
@click.argument("record")
@click.argument("label", type=click.Choice(["true", "false", "none"]))
@click.option("--why", required=True, help="How you know, for the record.")
@place
@json_option
def label(record: str, label: str, why: str, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Say that the fall of RECORD was one (true), was none (false), or take back what was said (none).

    RECORD is the id of its record, as `linli falling list` shows it; six or more characters of one end of it do.
    """
    fall = find(config, state).ask("fall-label", record=record, label=label, why=why, patience=PATIENCE)
    if as_json:
        print_json(fall)
        return
    said = Word(label if label != "none" else "no label any more", TONES.get(label, ""))
    show([Line([Word(ends([fall["record"]])[fall["record"]], "strong"), f"of {fall['camera']}, {_when(fall)}:", said])])


@falling.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--reason", required=True, help="Why, for the record of this.")
@days_option
@place
@json_option
def export(folder: Path, reason: str, days: int, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Write the clips of all labelled falls, with what was said of them, into a new FOLDER.

    `linli replay FOLDER` plays them as a regression test; models/falling/gather.py takes them for training. A clip
    that shows what its camera is not allowed to show now (masks, `unblurred`) is left out.
    """
    try:
        from gateway.cli.fallset import write_set
        from gateway.vision.masked import shown_in  # noqa: F401 - without it nothing is written
    except ImportError as error:
        raise click.ClickException(NO_VISION.format(error.name)) from error
    daemon = find(config, state)
    gateway = daemon.ask("ping")["gateway"]
    with contextlib.ExitStack() as undo:
        try:
            folder.mkdir(mode=0o700)
            # Clips of people do not stay behind in half an export, and the next try finds the name free.
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            told = daemon.ask("falls-export", days=days, reason=reason, patience=PATIENCE)
            progress = Counter("clip")
            written, left = write_set(folder, gateway, told, lambda sha256: _media(daemon, sha256), progress.show)
        except FileExistsError:
            raise click.ClickException(f"{folder} is there already; name a new folder") from None
        except OSError as error:
            sentence = f"{error.filename or folder}: {error.strerror}; nothing was written"
            raise click.ClickException(sentence) from error
        undo.pop_all()
    progress.end()
    counts = [sum(clip.falls is not None and _labels(clip, label) for clip in written) for label in ("true", "false")]
    if as_json:
        rows = [{"record": one.record, "why": one.why} for one in left]
        print_json({"folder": str(folder), "clips": len(written), "left_out": rows, "more": told["more"]})
    else:
        what = f"{many(len(written), 'clip')}: {counts[0]} of true falls, {counts[1]} of false ones"
        show([Line([Word(str(folder), "strong"), what])])
        show([Line([Word("left out", "warn"), one.record, one.why]) for one in left])
        if written:
            show([Line([f"play them again with: linli replay {folder}"])])
        elif not left:
            show([Line([f"no fall of {many(days, 'day')} has a label: linli falling label RECORD true"])])
    if told["more"]:
        click.echo("More than fit into one answer: what was written are the oldest; use --days.", err=True)


class Counter:
    """How many of many; shown on a terminal only, in one line that goes away."""

    def __init__(self, what: str) -> None:
        self._what, self._visible = what, sys.stderr.isatty()

    def show(self, number: int, total: int) -> None:
        """Now it is this one."""
        if self._visible:
            click.echo(f"\r{self._what} {number} of {total} ", err=True, nl=False)

    def end(self) -> None:
        """Take the line away."""
        if self._visible:
            click.echo("\r" + " " * 40 + "\r", err=True, nl=False)


def _labels(clip: "Clip", label: str) -> bool:
    """Whether the fall that a clip is named for has this label."""
    return any(fall.label == label and clip.file.startswith(fall.record) for fall in clip.falls or ())


def _media(daemon: Daemon, sha256: str) -> bytes | None:
    try:
        return daemon.media(sha256)
    except NotRunningError:
        raise
    except Refusal:
        return None  # evicted by its age or by the quota


def _row(fall: dict[str, Any], shown: Mapping[str, str]) -> list[Cell]:
    words = [fall["label"], "test" if fall["test"] else None, None if fall["complete"] else "end not seen"]
    marked = Word(", ".join(word for word in words if word) or "-", TONES.get(fall["label"], "dim"))
    clip = "yes" if fall["clip"] else f"lost: {fall['clip_lost']}" if fall["clip_lost"] else "no"
    return [_when(fall), fall["camera"], *measures(fall), clip, marked, shown[fall["record"]]]


def _when(fall: dict[str, Any]) -> str:
    return moment(fall["time"])
