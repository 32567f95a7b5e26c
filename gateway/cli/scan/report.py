"""How a scan looks: progress with the time left, a table of what was found, the TOML, and the same as JSON."""

import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from gateway.cli.output import Block, Cell, Line, Table, Word, duration, show, value
from gateway.cli.scan.place import Where
from gateway.scan.found import Found
from gateway.scan.paste import configured_as, toml
from gateway.scan.search import Progress, Search
from gateway.words import many

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

NAMES = {"modbus": "Modbus", "dlt645": "DL/T 645", "cjt188": "CJ/T 188", "mbus": "M-Bus", "nmea": "NMEA 0183"}
SHOWN_VALUES = 3
SURE = {"likely": "good", "possible": "warn", "guess": "warn", "none": "dim"}
NOTHING = (
    "Nothing answered. Check: power; A and B (swap them: it harms nothing); termination and common earth; that no "
    "other master is connected. Then try --thorough, which takes all speeds, formats and addresses."
)
NOTHING_BEHIND = (
    "Nothing answered. Check: that this is the right address and port; of a serial server its own speed, format and "
    "mode, and what hangs on its wire (power, A and B); that no other master is connected. Then try --thorough, which "
    "takes all addresses."
)


class Screen:
    """Shows progress on stderr: a bar on a terminal, one sentence elsewhere."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}"), BarColumn(30), TextColumn("{task.fields[left]}"))
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("opening", total=1.0, left="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, search: Search, where: Where) -> None:
        """Say what is to come."""
        through = " through the running gateway, between its polls" if where.owner else ""
        each = duration(search.each_device)
        click.echo(
            f"scanning {where.address}{through}: about {duration(search.expected)}, and {each} a new device; "
            "only reads are sent; Ctrl-C stops",
            err=True,
        )

    def progress(self, progress: Progress) -> None:
        """Show how far it is."""
        if self._bar is not None:
            title = f"{progress.step}/{progress.steps} {progress.title}"
            self._bar.update(
                self._task, description=title, completed=progress.done, left=f"{duration(progress.left)} left"
            )


def show_report(search: Search, where: Where, spent: float, *, stopped: bool, failure: str) -> None:
    """Print the TOML on stdout, which may be a file, and everything else for people on stderr."""
    blocks: list[Block] = [_table(search, where), Line([])] if search.found else []
    for clash in search.clashes:
        blocks += [Line([Word(clash.sentence, "bad")]), Line([clash.fix], 2)]
    blocks += [Line([Word(remark, "warn")]) for remark in search.remarks]
    if failure:
        blocks.append(Line([Word(f"the line broke: {failure}", "bad")]))
    end = "stopped" if stopped else "done" if search.complete else "broken off"
    count = len(search.found)
    blocks.append(Line([Word(f"{end} after {duration(spent)}: {many(count, 'device')} found", "dim")]))
    if not search.found and not search.clashes and not stopped:
        blocks.append(Line([NOTHING if where.settings.serial else NOTHING_BEHIND]))
    show(blocks, err=True)
    text = toml(search.found, where.around)
    if text:
        place = f" into {_printable(where.config)}" if where.config else " into the configuration"
        sys.stderr.flush()
        click.echo(f"# to paste{place}; linli check says whether it is right\n{text}", nl=False)


def _printable(path: Path) -> str:
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in str(path))


def _table(search: Search, where: Where) -> Table:
    rows: list[list[Cell]] = []
    for found in search.found:
        best = found.candidates[0] if found.candidates else None
        already = configured_as(found, where.around)
        what = (
            f"configured as {already}"
            if already
            else f"{best.profile} ({found.sureness})"
            if best
            else "no profile fits"
        )
        rows.append(
            [
                protocol(found),
                Word(str(found.address), "strong"),
                f"{found.serial.baud} {found.serial.format}" if found.serial else "-",
                f"{found.seconds * 1000:.0f} ms" if found.seconds else "-",
                Word(what, "good" if already else SURE[found.sureness]),  # type: ignore[arg-type]
                "; ".join([*_values(found), *found.remarks]),
            ]
        )
    return Table(("protocol", "address", "speed", "answers in", "profile", "values"), rows)


def protocol(found: Found) -> str:
    """The protocol in words."""
    if found.driver == "modbus":
        return f"Modbus {found.framing.upper()}"
    if found.driver == "dlt645":
        return f"DL/T 645-{found.options.get('edition', 2007)}"
    return NAMES.get(found.driver, found.driver)


def _values(found: Found) -> list[str]:
    if not found.candidates:
        return []
    best = found.candidates[0]
    good = [(name, one) for name, one in best.values.items() if one.quality == "good"]
    return [
        f"{name} {value({'value': one.value, 'unit': best.units[name], 'quality': one.quality})}"
        for name, one in good[:SHOWN_VALUES]
    ]


def as_data(search: Search, where: Where, spent: float, failure: str) -> dict[str, Any]:
    """Everything for programs."""
    return {
        "line": where.settings.name,
        "address": where.address,
        "through_gateway": where.owner is not None,
        "complete": search.complete,
        "seconds": round(spent, 1),
        "found": [_device(found, where) for found in search.found],
        "clashes": [{"text": clash.sentence, "fix": clash.fix} for clash in search.clashes],
        "remarks": [*search.remarks, *([failure] if failure else [])],
        "toml": toml(search.found, where.around),
    }


def _device(found: Found, where: Where) -> dict[str, Any]:
    candidates = [
        {
            "profile": one.profile,
            "model": one.model,
            "bits": round(one.bits, 1),
            "read": round(one.fraction, 2),
            "values": {
                name: {"value": shown.value, "unit": one.units.get(name, ""), "quality": shown.quality}
                for name, shown in one.values.items()
            },
        }
        for one in found.candidates
    ]
    return {
        "driver": found.driver,
        "framing": found.framing or None,
        "address": found.address,
        "serial": {"baud": found.serial.baud, "format": found.serial.format} if found.serial else None,
        "answers_in_s": round(found.seconds, 3),
        "configured_as": configured_as(found, where.around) or None,
        "sure": found.sureness,
        "candidates": candidates,
        "remarks": found.remarks,
    }
