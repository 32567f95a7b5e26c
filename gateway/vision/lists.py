"""Allow and deny lists: CSV files ``plate[,from,to]`` that are read again when they change."""

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Literal

from gateway.vision.grammar import kind_of, normalise

ListName = Literal["allow", "deny"]

# Spreadsheets in China save CSV as GB 18030 as often as UTF-8.
ENCODINGS = ("utf-8-sig", "gb18030")
HEADINGS = ("plate", "车牌", "车牌号", "车牌号码", "号牌")


@dataclass(frozen=True, slots=True)
class Validity:
    """From when (inclusive) to when (exclusive) an entry holds; seconds since 1970, open ends are infinite."""

    start: float
    end: float


def read_list(path: Path) -> tuple[dict[str, list[Validity]], list[str]]:
    """Read one list: the entries by plate, and a sentence for every line that is broken (it names no plate).

    ``from`` and ``to`` are dates (the whole day counts) or date-times, local where they have no offset. OSError when
    the file cannot be read.
    """
    entries: dict[str, list[Validity]] = {}
    problems: list[str] = []
    for number, row in enumerate(csv.reader(_text(path).splitlines()), 1):
        cells = [cell.strip() for cell in row]
        if (
            not any(cells)
            or cells[0].startswith("#")
            or (number == 1 and cells[0].lower() in ("plate", "车牌", "车牌号"))
        ):
            continue
        plate = normalise(cells[0])
        try:
            if kind_of(plate) is None:
                raise ValueError("the first column is no plate, expected one such as 沪A12345")
            if len(cells) > 3 and any(cells[3:]):
                raise ValueError("expected plate,from,to and no more columns")
            start = _moment(cells[1], end=False) if len(cells) > 1 and cells[1] else float("-inf")
            end = _moment(cells[2], end=True) if len(cells) > 2 and cells[2] else float("inf")
            if end <= start:
                raise ValueError("it ends before it begins")
        except ValueError as error:
            problems.append(f"{path}:{number}: {error}; this line is left out")
            continue
        entries.setdefault(plate, []).append(Validity(start, end))
    return entries, problems


def _text(path: Path) -> str:
    data = path.read_bytes()
    for encoding in ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", errors="replace")


def _moment(text: str, *, end: bool) -> float:
    try:
        moment = datetime.fromisoformat(text.replace("/", "-"))
    except ValueError as error:
        raise ValueError("a date is written 2026-11-21 or 2026-11-21T08:00") from error
    if end and len(text) <= 10:
        moment = datetime.combine(moment.date(), time()) + timedelta(days=1)
    return moment.astimezone().timestamp()


class PlateLists:
    """The lists of one camera; ``problems`` are the broken lines and files as of the last look."""

    def __init__(self, files: Mapping[ListName, Path | None]) -> None:
        self._files = {name: path for name, path in files.items() if path is not None}
        self._entries: dict[ListName, dict[str, list[Validity]]] = {}
        self._seen: dict[ListName, tuple[int, int] | None] = {}
        self._problems: dict[ListName, list[str]] = {}
        self.refresh()

    @property
    def problems(self) -> list[str]:
        """Sentences about broken lines and unreadable files; none of them holds a plate."""
        return [sentence for name in self._files for sentence in self._problems.get(name, [])]

    def refresh(self) -> None:
        """Read again what changed on the disk; a file that cannot be read keeps its last good entries."""
        for name, path in self._files.items():
            try:
                state = os.stat(path)  # noqa: PTH116 - one call for both fields, on every passage
                seen = (state.st_mtime_ns, state.st_size)
                if self._seen.get(name) == seen:
                    continue
                self._entries[name], self._problems[name] = read_list(path)
                self._seen[name] = seen
            except OSError as error:
                self._seen[name] = None
                self._problems[name] = [f"{path}: the {name} list cannot be read ({error.strerror}); put it there"]

    def match(self, plate: str, wall: int) -> ListName | None:
        """Name the list that holds this plate at this time (ns since 1970); deny wins over allow."""
        self.refresh()
        now = wall / 1e9
        for name in ("deny", "allow"):
            if any(entry.start <= now < entry.end for entry in self._entries.get(name, {}).get(plate, [])):
                return name
        return None
