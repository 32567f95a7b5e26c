"""`linli evidence`: takes records with their pictures and clips out of the gateway, and proves them anywhere."""

import os
import sys
import zipfile
from pathlib import Path

import click

from gateway.cli.client import find, place
from gateway.cli.output import Line, Table, Word, json_option, print_json, show, size
from gateway.contract import LinliError
from gateway.words import many


@click.group()
def evidence() -> None:
    """Take out evidence, hold it, and prove it."""


@evidence.command()
@click.argument("records", metavar="RECORD...", nargs=-1, required=True)
@click.option("--to", "to", type=click.Path(path_type=Path), required=True, help="A new folder, or a file NAME.zip.")
@click.option("--reason", required=True, help="Why, and for whom: it goes into the bundle and into the audit.")
@place
@json_option
def export(
    records: tuple[str, ...], to: Path, reason: str, config: Path | None, state: Path | None, as_json: bool
) -> None:
    """Write RECORDs (their ids), with their pictures, clips and signed links, into a bundle.

    That it was taken out, by whom and why, is recorded in the stream `disposal`.
    """
    from gateway.store.bundle import LINKS, MANIFEST, MEDIA, RECORDS

    if to.exists():
        raise click.ClickException(f"{to} is there already; name a new folder or file")
    daemon = find(config, state)
    made = daemon.ask("evidence", records=" ".join(records), reason=reason)
    files: dict[str, bytes] = {
        MANIFEST: made["manifest"].encode(),
        LINKS: "".join(f"{line}\n" for line in made["chain"]).encode(),
    }
    files |= {f"{RECORDS}/{name}.json": text.encode() for name, text in made["records"].items()}
    files |= {f"{MEDIA}/{name}": daemon.media(name.partition(".")[0]) for name in dict.fromkeys(made["media"])}
    try:
        _write(to, files)
    except OSError as error:
        raise click.ClickException(f"{error.filename or to}: {error.strerror}") from error
    if as_json:
        print_json({"bundle": str(to), "records": sorted(made["records"]), "files": sorted(files)})
        return
    taken = f"{many(len(made['records']), 'record')}, {many(len(made['media']), 'file')}"
    show([Line([Word(str(to), "strong"), taken])])
    show([Line([f"prove it anywhere with: linli evidence verify {to}"])])


@evidence.command()
@click.argument("records", metavar="RECORD...", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why, and for whom: it is recorded, and must not name the plate.")
@place
@json_option
def hold(records: tuple[str, ...], reason: str, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Keep RECORDs (their ids), with pictures, clips and signed links, until they are released.

    No age, quota or `linli vehicles delete` takes them then. A clip that comes later is kept by holding once more.
    """
    done = find(config, state).ask("evidence", what="hold", records=" ".join(records), reason=reason)
    if as_json:
        print_json(done)
        return
    show([Line([Word("held", "good"), f"{many(len(done['held']), 'record')} with all files, {size(done['bytes'])}"])])


@evidence.command()
@click.argument("records", metavar="RECORD...", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why: it is recorded, and must not name the plate.")
@place
@json_option
def release(records: tuple[str, ...], reason: str, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Let go of held RECORDs: what the store has still goes by its age, what it had given up is deleted."""
    done = find(config, state).ask("evidence", what="release", records=" ".join(records), reason=reason)
    if as_json:
        print_json(done)
        return
    show([Line([Word("released", "good"), f"{many(len(done['released']), 'record')}, {size(done['bytes'])}"])])


@evidence.command()
@place
@json_option
def held(config: Path | None, state: Path | None, as_json: bool) -> None:
    """Show what is held, since when, by whom and why."""
    cases = find(config, state).ask("evidence", what="held")["cases"]
    if as_json:
        print_json(cases)
        return
    rows = [[case["record"], case["since"], case["by"], case["reason"], size(case["bytes"])] for case in cases]
    show([Table(("record", "since", "by", "why", "size"), rows)] if rows else [Line(["Nothing is held."])])


@evidence.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True))
@click.option("--key", metavar="HEX", help="The gateway's public key, as `linli status` of that gateway shows it.")
@json_option
def verify(bundle: Path, key: str | None, as_json: bool) -> None:
    """Prove BUNDLE, a folder or a ZIP file, without a gateway or a network.

    Says of each file that was changed, removed or added which it is and why. Exit code 0 when all is as it was
    signed, 1 when not.
    """
    from gateway.store.bundle import verify as prove

    try:
        found = prove(bundle, key)
    except ImportError as error:
        raise click.ClickException(f"{error.name} is not installed here; run scripts/setup") from error
    except LinliError as error:
        raise click.ClickException(str(error)) from error
    manifest = found.manifest
    if as_json:
        print_json(
            {
                "ok": not found.faults,
                "gateway": manifest.gateway if manifest else None,
                "key": manifest.key if manifest else None,
                "key_checked": key is not None,
                "exported": manifest.exported if manifest else None,
                "by": manifest.by if manifest else None,
                "reason": manifest.reason if manifest else None,
                "records": [entry.id for entry in manifest.records] if manifest else [],
                "links": found.links,
                "files": found.files,
                "faults": found.faults,
                "notes": found.notes,
            }
        )
        sys.exit(1 if found.faults else 0)
    if manifest is not None:
        show([Line([f"gateway {manifest.gateway}, taken out {manifest.exported} by {manifest.by}: {manifest.reason}"])])
        parts = (len(manifest.records), "record"), (found.files, "file"), (found.links, "link")
        show([Line([", ".join(many(count, what) for count, what in parts)])])
    show([Line([Word("!", "bad"), fault]) for fault in found.faults])
    show([Line([Word("-", "warn"), note]) for note in found.notes])
    if manifest is not None and key is None:
        show([Line([f"signed by {manifest.key}: compare it with the status of the gateway, or give --key"])])
    verdict = Word("as it was signed", "good")
    if found.faults:
        verdict = Word(f"NOT as it was signed: {many(len(found.faults), 'fault')}", "bad")
    show([Line([f"{bundle}:", verdict])])
    sys.exit(1 if found.faults else 0)


def _write(to: Path, files: dict[str, bytes]) -> None:
    """Plates and pictures of people: for the one who takes them out, and nobody else on this machine."""
    if to.suffix == ".zip":
        descriptor = os.open(to, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w+b") as file, zipfile.ZipFile(file, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return
    to.mkdir(mode=0o700)
    for name, data in files.items():
        path = to / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
