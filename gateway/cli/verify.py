"""`linli verify`: proves from outside that a store is sound and that nothing in it is missing."""

import sys
from pathlib import Path

import click

from gateway.cli.output import Line, Table, Word, json_option, print_json, show, size
from gateway.contract import LinliError
from gateway.words import many

BAR = 24


@click.command()
@click.argument("state", metavar="STATE_DIR", type=click.Path(path_type=Path))
@click.option("--media", is_flag=True, help="Also read every picture and clip and compare it with its name.")
@json_option
def verify(state: Path, media: bool, as_json: bool) -> None:
    """Examine the store in STATE_DIR, also while the daemon runs; nothing is written.

    Reads every page and every record; checks that numbers are contiguous or explained by gap records, ids unique,
    positions and media as the store says. Exit code 0 when all is sound, 1 when not.
    """
    from gateway.store.inspection import inspect  # `linli --help` must be quick

    progress = _Progress(sys.stderr.isatty() and not as_json)
    try:
        report = inspect(state, media=media, progress=progress)
    except LinliError as error:
        if as_json:
            print_json({"ok": False, "findings": [str(error)], "counts": {"unreadable": 1}})
        else:
            click.echo(str(error), err=True)
        sys.exit(1)
    finally:
        progress.clear()
    if as_json:
        print_json(
            {
                "ok": report.sound,
                "epoch": report.epoch,
                "schema": report.schema,
                "streams": report.streams,
                "media": report.media,
                "consumers": report.consumers,
                "findings": report.findings,
                "counts": dict(report.counts),
            }
        )
        sys.exit(0 if report.sound else 1)
    if report.streams:
        rows: list[list[str | Word]] = [
            [
                Word(stream, "strong"),
                str(each["records"]),
                str(each["first"]),
                str(each["last"]),
                str(each["explained"]),
            ]
            for stream, each in report.streams.items()
        ]
        show([Table(["stream", "records", "first", "last", "explained by gaps"], rows)])
    if report.media:
        how = "read and compared" if media else "there, with the right size; --media also reads them"
        files = report.media["files"]
        missing = report.counts.get("media", 0)
        told = f"{many(files, 'file')}, {size(report.media['bytes'])}, {files - missing} of them {how}"
        show([Line([Word("media", "strong"), told])])
    show([Line([Word("!", "bad"), finding]) for finding in report.findings])
    total = report.counts.total()
    if total > len(report.findings):
        show([Line([f"and {total - len(report.findings)} more of the same kinds"])])
    verdict = Word("sound", "good") if report.sound else Word(f"NOT SOUND: {total} found", "bad")
    show([Line([f"{state}: epoch {report.epoch or 'unknown'}:", verdict])])
    sys.exit(0 if report.sound else 1)


class _Progress:
    """One line on a terminal that says how far the reading is."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._last = ("", -1)

    def __call__(self, what: str, done: int, total: int) -> None:
        share = BAR * done // total if total else BAR
        if not self._shown or (what, share) == self._last:
            return
        self._last = (what, share)
        bar = "#" * share + "." * (BAR - share)
        click.echo(f"\r\x1b[K{what:<12} {bar} {done} of {total}", nl=False, err=True)

    def clear(self) -> None:
        """Leave no trace."""
        if self._shown:
            click.echo("\r\x1b[K", nl=False, err=True)
