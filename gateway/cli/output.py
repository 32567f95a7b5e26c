"""Prints for people and programs: colours on a terminal, plain aligned text in a pipe, JSON on demand."""

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

Tone = Literal["", "good", "warn", "bad", "dim", "strong"]
STYLES: dict[Tone, str] = {
    "": "",
    "good": "green",
    "warn": "yellow",
    "bad": "bold red",
    "dim": "dim",
    "strong": "bold",
}
STATE_TONES: dict[str, Tone] = {
    "online": "good",
    "open": "good",
    "starting": "dim",
    "opening": "dim",
    "degraded": "warn",
    "ended": "dim",
    "offline": "bad",
    "down": "bad",
}
SEVERITY_TONES: dict[str, Tone] = {"warning": "warn", "minor": "warn", "major": "bad", "critical": "bad"}
GAP = 2  # characters between two columns
ENOUGH = 20  # characters of the last column that a row keeps beside the others; what is longer is wrapped there
SHORT = 8  # characters of an id: its end is chance, while ids of one hour begin alike
INDENT = 4  # of what does not fit beside the others


class Word(NamedTuple):
    """Text with a tone, which only a terminal shows."""

    text: str
    tone: Tone = ""


Cell = str | Word


class Line(NamedTuple):
    """One line of words."""

    cells: Sequence[Cell]
    indent: int = 0


class Table(NamedTuple):
    """Rows under headings; the last column takes what room is left.

    On a terminal that is too narrow the columns behind those that fit stand below their row: nothing is cut off.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


Block = Line | Table


def json_option(command: Any) -> Any:  # noqa: ANN401 - click's decorators are typed so
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def full_option(command: Any) -> Any:  # noqa: ANN401 - click's decorators are typed so
    """Add ``--full``."""
    return click.option("--full", is_flag=True, help="Print whole ids, not their ends.")(command)


def print_json(value: object, *, indent: int = 2) -> None:
    """Print one JSON document, or one line of it with ``indent=0``."""
    data = msgspec.json.encode(value)
    write_line(msgspec.json.format(data, indent=indent) if indent else data)
    sys.stdout.flush()


def write_line(data: bytes) -> None:
    """Write bytes as they are, and a line's end."""
    sys.stdout.buffer.write(data + b"\n")


def show(blocks: Iterable[Block], *, err: bool = False) -> None:
    """Print blocks in the way that suits where they go: stdout, or with ``err`` stderr."""
    if (sys.stderr if err else sys.stdout).isatty():
        from rich.console import Console

        console = Console(highlight=False, stderr=err)
        console.print(rendered(blocks, console.width))
    else:
        for block in blocks:
            for line in plain(block):
                click.echo(line, err=err)


def plain(block: Block) -> list[str]:
    """A block as lines of aligned text without any control sequence."""
    if isinstance(block, Line):
        return [(" " * block.indent + " ".join(_text(cell) for cell in block.cells)).rstrip()]
    widths = _widths(block)
    rows = [[column.upper() for column in block.columns], *([_text(cell) for cell in row] for row in block.rows)]
    return ["  ".join(_padded(text, width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def rendered(blocks: Iterable[Block], width: int) -> "RenderableType":
    """Blocks as something that rich can print on a terminal of ``width`` characters."""
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    parts: list[RenderableType] = []
    for block in blocks:
        if isinstance(block, Line):
            parts.append(Text(" " * block.indent) + Text(" ").join(_styled(cell) for cell in block.cells))
            continue
        fitting = _fitting(_widths(block), width)
        if fitting < len(block.columns):
            parts += _folded(block, fitting)
            continue
        table = RichTable(box=None, header_style="dim", pad_edge=False, padding=(0, GAP, 0, 0))
        for index, column in enumerate(block.columns):
            table.add_column(column.upper(), no_wrap=index < len(block.columns) - 1)
        for row in block.rows:
            table.add_row(*(_styled(cell) for cell in row))
        parts.append(table)
    return Group(*parts)


def _folded(block: Table, fitting: int) -> "list[RenderableType]":
    """Each row with what fits on its first line, and the rest below it under their own names."""
    from rich.padding import Padding
    from rich.text import Text

    def first(cells: Sequence[Cell]) -> Text:
        padded = [Text(" " * (width - _width(_text(cell)))) for cell, width in zip(cells, widths, strict=True)]
        return Text(" " * GAP).join(_styled(cell) + rest for cell, rest in zip(cells, padded, strict=True))

    widths = _widths(block)[:fitting]
    parts: list[RenderableType] = [first([Word(column.upper(), "dim") for column in block.columns[:fitting]])]
    for row in block.rows:
        parts.append(first(row[:fitting]))
        for column, cell in zip(block.columns[fitting:], row[fitting:], strict=True):
            if _text(cell):
                line = _styled(Word(f"{column} ", "dim")) + _styled(cell) if column else _styled(cell)
                parts.append(Padding(line, (0, 0, 0, INDENT)))
    return parts


def _fitting(widths: Sequence[int], width: int) -> int:
    """How many columns stand beside each other; all of them when the last one has enough room."""
    *firsts, last = widths
    if sum(firsts) + GAP * len(firsts) + min(last, ENOUGH) <= width:
        return len(widths)
    fitting = len(firsts)
    while fitting > 1 and sum(widths[:fitting]) + GAP * (fitting - 1) > width:
        fitting -= 1
    return fitting


def _widths(block: Table) -> list[int]:
    """What each column needs on a screen."""
    columns = zip(block.columns, *block.rows, strict=True)
    return [max(_width(column[0].upper()), *(_width(_text(cell)) for cell in column[1:]), 0) for column in columns]


def _styled(cell: Cell) -> "Text":
    from rich.text import Text

    return Text(_text(cell), STYLES[cell.tone if isinstance(cell, Word) else ""])


def _text(cell: Cell) -> str:
    text = cell.text if isinstance(cell, Word) else cell
    # Values and sentences come from devices and brokers: no control character of theirs may reach a terminal.
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _width(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(bool(unicodedata.combining(character)) for character in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


# ---- words for people


def duration(seconds: float) -> str:
    """A span of time in at most two units: ``3 s``, ``2 min``, ``2 h 10 min``, ``3 d 4 h``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if hours == 0:
        return f"{minutes} min"
    if days == 0:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{days} d {hours % 24} h" if hours % 24 else f"{days} d"


def moment(text: str) -> str:
    """``2026-11-21 08:25:30+08:00`` of an RFC 3339 time: whoever reads it may be in another zone."""
    return datetime.fromisoformat(text).replace(microsecond=0).isoformat(" ")


def since(text: str | None, now: str) -> str:
    """``21 Nov 08:25 (2 h)``, seen from the gateway's own time; "" when not known."""
    if not text:
        return ""
    try:
        time, present = datetime.fromisoformat(text), datetime.fromisoformat(now)
    except ValueError:
        return text
    return f"{time:%d %b %H:%M} ({duration((present - time).total_seconds())})"


def ends(identities: Iterable[str], *, full: bool = False) -> dict[str, str]:
    """Each id's last characters, as many of all as tell these apart, or with ``full`` all; commands take either."""
    known = set(identities)
    if full:
        return {one: one for one in known}
    length = next(size for size in range(SHORT, 64) if len({one[-size:] for one in known}) == len(known))
    return {one: one[-length:] for one in known}


def size(count: float) -> str:
    """Bytes as ``12.3 MiB``."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def value(point: dict[str, Any]) -> str:
    """A point's value with its unit, or why there is none."""
    if point.get("value") is None:
        return f"bad ({point.get('reason') or 'no reason'})"
    shown = point["value"]
    text = (
        ("on" if shown else "off")
        if isinstance(shown, bool)
        else f"{shown:.6g}"
        if isinstance(shown, float)
        else f"{shown}" or '""'
    )
    unit = point.get("unit") or ""
    mark = " ?" if point.get("quality") == "uncertain" else ""
    return f"{text} {unit}".rstrip() + mark
