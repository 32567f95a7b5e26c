"""`linli model`: which model packs there are, bringing them here, testing them, and choosing which one works."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import click

from gateway.cli import NO_VISION
from gateway.cli.output import Line, Table, Tone, Word, json_option, print_json, show, size
from gateway.vision.fetch import install, pull, remove
from gateway.vision.packs import (
    BY_CHOICE,
    READING,
    SLOWER,
    Choice,
    Pack,
    PackError,
    choices,
    choose,
    models_folder,
    packs,
)

if TYPE_CHECKING:
    from gateway.vision.selftest import Opened

Answer = TypeVar("Answer")

SECOND = "second reader"
HERE, REFUSED, ABSENT = "here", "refused: not its file", "not here"
TONES: dict[str, Tone] = {HERE: "good", REFUSED: "bad", ABSENT: "warn"}
SHOW_EVERY = 0.2


@click.group()
def model() -> None:
    """Fetch, test and choose the models that cameras need.

    They lie in the folder that LINLI_MODELS names, else in models/ of a checkout, else in share/linli/models of the
    installation: one folder a pack, with its manifest and, once pulled, its file. The daemon never fetches anything.
    """


@model.command("list")
@json_option
def list_packs(as_json: bool) -> None:
    """Show every pack: where it comes from, its licence, whether it is here and unchanged, and which one works."""
    folder = models_folder()
    known = _packs()
    working = _working(known)
    rows = [_row(pack, working) for pack in known]
    providers = _providers()
    if as_json:
        print_json({"folder": str(folder), "packs": rows, "providers": providers})
        return
    if not rows:
        raise click.ClickException(f"there are no model packs in {folder}; install the gateway's models folder")
    table = Table(
        ("pack", "version", "for", "licence", "from", "state"),
        [
            (
                *(row[key] for key in ("name", "version", "task", "licence")),
                urlsplit(row["source"]).hostname or row["source"],
                Word(_state(row), TONES[row["state"]] if not row["optional"] or row["state"] == HERE else "dim"),
            )
            for row in rows
        ],
    )
    there = ", ".join(word for word, built in providers.items() if built) or "nothing: onnxruntime is not installed"
    absent = ", ".join(word for word, built in providers.items() if not built)
    runs = f"models run on: {there}" + (f" (not in this onnxruntime: {absent})" if absent else "")
    show([Line((f"model packs in {folder}",)), table, Line((Word(runs, "dim"),))])


@model.command("pull")
@click.argument("names", metavar="[PACK]...", nargs=-1)
@json_option
def pull_packs(names: tuple[str, ...], as_json: bool) -> None:
    """Fetch packs from where their manifests say; only checked files are kept.

    Without a name: all that cameras need; the optional ones are fetched by name. What is there already is left alone.
    A download that broke off goes on where it stopped. HTTPS_PROXY (and pip's own settings) name a proxy.
    """
    known = {pack.name: pack for pack in _packs()}
    wanted = [_known(known, name) for name in names] or [pack for pack in known.values() if not pack.optional]
    failures = []
    results = []
    for pack in wanted:
        try:
            with _Progress(pack.name) as progress:
                fetched = pull(pack, progress)
        except PackError as error:
            failures.append(str(error))
            results.append({"name": pack.name, "ok": False, "text": str(error)})
            continue
        text = f"fetched from {pack.source}" if fetched else "already here"
        if pack.task in BY_CHOICE:
            text += f"; it does nothing until you choose it: linli model use {pack.name}"
        results.append({"name": pack.name, "ok": True, "text": text})
        if not as_json:
            click.echo(f"{pack.name}: {text}")
    if as_json:
        print_json(results)
    if failures:
        raise click.ClickException("\n".join(failures))


@model.command("install")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def install_pack(file: Path, as_json: bool) -> None:
    """Take a model from FILE: the file of a pack that is known here, or a pack of its own (.zip).

    It is checked and tested on its golden picture first; what fails is not stored. An archive holds manifest.toml,
    the model and the golden picture, side by side.
    """
    pack = _refusing(lambda: install(models_folder(), file, lambda pack: _tested(pack, strict=True)))
    if as_json:
        print_json({"name": pack.name, "task": pack.task, "version": pack.version, "path": str(pack.path)})
        return
    works = _working(_packs()).get(pack.task)
    hint = "" if works is None or works.name == pack.name else f"; {works.name} does {pack.task} until you choose: "
    if works is None and pack.task in BY_CHOICE:
        hint = "; it does nothing until you choose it: "
    click.echo(f"{pack.title} is installed" + (f"{hint}linli model use {pack.name}" if hint else ""))


@model.command("test")
@click.argument("names", metavar="[PACK]...", nargs=-1)
@click.option("--provider", "providers", multiple=True, help="What to run on, such as cpu or openvino.")
@json_option
def test_packs(names: tuple[str, ...], providers: tuple[str, ...], as_json: bool) -> None:
    """Test packs (all that are here without a name): file, SHA-256, loading, golden picture, and CPU of a look."""
    known = {pack.name: pack for pack in _packs()}
    chosen = [_known(known, name) for name in names]
    rows = [_try(pack, providers) for pack in chosen or known.values() if chosen or pack.present or not pack.optional]
    if as_json:
        print_json(rows)
    else:
        marks = {True: Word("yes", "good"), False: Word("NO", "bad"), None: Word("-", "dim")}
        table = [
            (
                row["name"],
                row["file"],
                *(marks[row[step]] for step in ("sha256", "loads", "golden")),
                f"{row['ms']:.1f}" if row["ms"] is not None else "-",
                row["text"],
            )
            for row in rows
        ]
        show([Table(("pack", "file", "sha256", "loads", "golden", "ms a look", ""), table)])
    if not all(row["ok"] for row in rows):
        sys.exit(1)


@model.command("use")
@click.argument("name")
@click.option("--slower", default=SLOWER, show_default=True, help="Times the CPU of the pack before that it may take.")
@json_option
def use_pack(name: str, slower: float, as_json: bool) -> None:
    """Let the pack NAME do its task from now on.

    It is tested first; running cameras change over between two frames, and go back by themselves if it fails or is
    too slow there.
    """
    known = {pack.name: pack for pack in _packs()}
    pack = _known(known, name)
    opened = _refusing(lambda: _tested(pack, strict=True))
    before = _working(list(known.values())).get(pack.task)
    if before is not None and before.name != pack.name and (old := _cost(before)) and opened.cost > slower * old:
        raise click.ClickException(
            f"{pack.name} takes {opened.cost * 1000:.1f} ms for a look, {before.name} {old * 1000:.1f} ms: more than "
            f"{slower:g} times as much, so {before.name} stays. If that is meant: "
            f"linli model use {name} --slower {opened.cost / old * 1.3:.0f}"
        )
    choice = Choice(pack.name, before.name if before else "", slower)
    _refusing(lambda: choose(models_folder(), pack.task, choice))
    if as_json:
        print_json({"task": pack.task, "name": pack.name, "before": choice.before, "ms": opened.cost * 1000})
        return
    instead = f" instead of {before.name}" if before is not None and before.name != pack.name else ""
    click.echo(f"{pack.title} does {pack.task} from now on{instead} ({opened.cost * 1000:.1f} ms a look)")
    click.echo("running cameras change over within seconds; linli status says so if one goes back")


@model.command("remove")
@click.argument("name")
@click.option("--force", is_flag=True, help="Also when nothing else can do its work.")
def remove_pack(name: str, force: bool) -> None:
    """Delete the file of the pack NAME; its manifest stays, so that it can be pulled or installed again."""
    known = {pack.name: pack for pack in _packs()}
    pack = _known(known, name)
    folder = models_folder()
    if any(choice.name == name for choice in _refusing(lambda: choices(folder)).values()):
        others = [one.name for one in known.values() if one.task == pack.task and one.name != name and one.present]
        hint = f"first: linli model use {others[0]}" if others else "nothing else here does it"
        if not force or others:
            raise click.ClickException(f"{name} was chosen for {pack.task}; {hint}")
        _refusing(lambda: choose(folder, pack.task, None))
    alone = not any(one.task == pack.task and one.name != name and one.present for one in known.values())
    if alone and pack.present and not force:
        raise click.ClickException(f"nothing else here does {pack.task}: cameras would go without; if meant: --force")
    _refusing(lambda: remove(pack))
    click.echo(f"{name}: its file is gone")


# ----------------------------------------------------------------------------------------------------- inside


class _Progress:
    """How much of a download is here; shown on a terminal only, and only when it takes a while."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._shown = time.monotonic()
        self._visible = sys.stderr.isatty()
        self._wrote = False

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._wrote:
            click.echo("\r" + " " * 60 + "\r", err=True, nl=False)

    def __call__(self, done: int, total: int) -> None:
        if self._visible and time.monotonic() - self._shown >= SHOW_EVERY:
            self._shown, self._wrote = time.monotonic(), True
            share = f" of {size(total)}, {done / total:.0%}" if total else ""
            click.echo(f"\r{self._name}: {size(done)}{share}".ljust(60), err=True, nl=False)


def _packs() -> tuple[Pack, ...]:
    return _refusing(lambda: packs(models_folder()))


def _refusing(work: Callable[[], Answer]) -> Answer:
    """Do it, or end with the pack's own sentence."""
    try:
        return work()
    except PackError as error:
        raise click.ClickException(str(error)) from error


def _known(known: dict[str, Pack], name: str) -> Pack:
    if name not in known:
        raise click.UsageError(f"there is no model pack {name}; known: {', '.join(known) or 'none'}")
    return known[name]


def _working(known: tuple[Pack, ...] | list[Pack]) -> dict[str, Pack]:
    """The pack that works for each task, and the SECOND; none without the libraries to tell, or where none is here."""
    try:
        from gateway.vision.selftest import ranked
    except ImportError:
        return {}
    found = {}
    chosen = _refusing(lambda: choices(models_folder()))
    for task in sorted({pack.task for pack in known}):
        best, *others = _refusing(partial(ranked, models_folder(), task))
        if best.present and (task not in BY_CHOICE or task in chosen):
            found[task] = best
            if task == READING and (other := next((pack for pack in others if pack.present), None)) is not None:
                found[SECOND] = other
    return found


def _providers() -> dict[str, bool]:
    try:
        from gateway.vision.runtime import PROVIDERS, available
    except ImportError:
        return {}
    there = available()
    return {word: word in there for word in PROVIDERS}


def _tested(pack: Pack, *, strict: bool, providers: tuple[str, ...] = ()) -> "Opened":
    try:
        from gateway.vision.selftest import open_tested
    except ImportError as error:
        raise PackError(NO_VISION.format(error.name), "models_missing") from error
    return open_tested(replace(pack, providers=providers), strict=strict)


def _cost(pack: Pack) -> float:
    try:
        return _tested(pack, strict=False).cost
    except PackError:
        return 0.0  # one that does not work is no measure


def _try(pack: Pack, providers: tuple[str, ...]) -> dict[str, Any]:
    """One row of the test: each step is True, False, or None where it was not come to."""
    row: dict[str, Any] = {"name": pack.name, "task": pack.task, "file": pack.path.name, "path": str(pack.path)}
    row.update(sha256=None, loads=None, golden=None, ms=None, ok=False, text="")
    try:
        pack.checked()
    except PackError as error:
        row.update(sha256=False if error.reason == "models_refused" else None, text=str(error))
        return row
    row["sha256"] = True
    try:
        from gateway.vision.selftest import open_model
    except ImportError as error:
        row["text"] = NO_VISION.format(error.name)
        return row
    try:
        open_model(replace(pack, providers=providers))
    except PackError as error:
        row.update(loads=False, text=str(error))
        return row
    row["loads"] = True
    try:
        opened = _tested(pack, strict=False, providers=providers)
    except PackError as error:
        row.update(golden=False, text=str(error))
        return row
    row["ok"] = True
    if pack.golden is None:
        row["text"] = "its manifest has no golden picture"
    else:
        row.update(golden=True, ms=opened.cost * 1000)
    return row


def _row(pack: Pack, working: dict[str, Pack]) -> dict[str, Any]:
    state = HERE
    try:
        pack.checked()
    except PackError as error:
        state = REFUSED if error.reason == "models_refused" else ABSENT
    return {
        "name": pack.name,
        "task": pack.task,
        "version": pack.version,
        "licence": pack.licence,
        "source": pack.source,
        "sha256": pack.sha256,
        "path": str(pack.path),
        "optional": pack.optional,
        "remedy": pack.remedy,
        "in_use": pack.task in working and working[pack.task].name == pack.name and state == HERE,
        "second": SECOND in working and working[SECOND].name == pack.name and state == HERE,
        "golden": pack.golden is not None,
        "state": state,
    }


def _state(row: dict[str, Any]) -> str:
    if row["state"] == HERE:
        unused = f"here; to let it work: linli model use {row['name']}" if row["task"] in BY_CHOICE else "here"
        unused = "here, asked where the other reader is unsure" if row["second"] else unused
        return "here, in use" if row["in_use"] else unused
    if row["state"] == ABSENT:
        return f"not here: {row['remedy']}"
    return REFUSED
