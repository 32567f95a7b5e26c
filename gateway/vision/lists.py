"""Allow and deny lists: CSV files of plates, read again when they change; one that cannot be read stays as it was."""

import csv
import os
import re
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import tzinfo
from pathlib import Path
from stat import S_ISREG
from typing import Literal

from gateway.vision.calendars import Validity, days, hours, moment
from gateway.vision.grammar import PROVINCES, kind_of, normalise
from gateway.vision.listed import Tell, logged
from gateway.words import many

ListName = Literal["allow", "deny"]
Entries = dict[str, list[Validity]]

UTF16 = (b"\xff\xfe", b"\xfe\xff")
SETTLED = 1.0  # seconds: a list that is written in place is not read while it may be half written
LARGEST = 32 << 20  # bytes: half a million lines; more is not a list of plates
# Words of a heading line, by what the column is.
COLUMNS: Mapping[str, str] = {
    "plate": "plate number platenumber licence license plateno licenceplate licenseplate licenceplatenumber "
    "licenseplatenumber carplate 车牌 车牌号 车牌号码 车牌照 牌照 牌照号 牌照号码 号牌 号牌号码 车号 车辆号牌",
    "name": "name note owner comment 姓名 车主 业主 备注 说明 房号",
    "from": "from validfrom start startdate begin 起 起始 开始 生效 起始日 起始日期 起始时间 开始日 开始日期 开始时间 "
    "生效日期 生效时间 有效期起 有效期自 有效期开始",
    "to": "to validto validuntil until till end enddate expires expiry expirydate expirationdate 止 截止 结束 到期 "
    "失效 有效至 截止日 截止日期 截止时间 结束日期 结束时间 到期日 到期日期 到期时间 失效日期 失效时间 终止日期 "
    "有效期至 有效期止 有效期到 有效期结束",
    "days": "days day weekdays 星期 日期限制",
    "hours": "hours hour time times 时段 时间",
}
COLUMN_OF = {word: column for column, words in COLUMNS.items() for word in words.split()}
# What may say when a plate is valid; a column like that is not passed over because its name is new to us.
LIMITING = re.compile(
    r"[至止起终]|有效|到期|过期|期限|失效|生效|截止|开始|结束|时[段限]|通行|允许|星期|周|^日期$|"
    r"valid|expir|until|till|due|from|start|begin|^end|hour|weekday|^date"
)
# Without a heading line, by the number of cells.
SHORT = ("plate", "from", "to")
LONG = ("plate", "name", "from", "to", "days", "hours")


def read_list(path: Path, zone: tzinfo | None = None) -> tuple[Entries, list[str]]:
    """Read one list: the entries by plate, and a sentence for every line that is broken (it names no plate).

    The first line may name the columns (``plate``, ``name``, ``from``, ``to``, ``days``, ``hours``, in English or
    Chinese). Dates and hours are those of ``zone``, of this machine without one. OSError when the file cannot be read.
    """
    best: tuple[Entries, list[str]] = {}, []
    most = (False, -1)
    for text in _texts(path):
        try:
            entries, problems, headed = _parse(path, text, zone)
        except HeadingError as error:
            # Without its columns nobody knows until when a plate may come in.
            unclear: tuple[Entries, list[str]] = {}, [f"{path}:{error}; no line of this list is used"]
            if error.sure or (most[1] < 0 and "\ufffd" not in text):
                return unclear
            best = best if most[1] >= 0 else unclear
            continue  # another way of writing makes nonsense of a heading
        # Whose heading is understood is understood; plates without a Chinese character look alike in all.
        if (headed, len(entries)) > most:
            best, most = (entries, problems), (headed, len(entries))
        if not problems:
            break
    return best


def _parse(path: Path, text: str, zone: tzinfo | None) -> tuple[Entries, list[str], bool]:
    """Entries, problems, and whether there is a heading; HeadingError begins with its line's number."""
    entries: Entries = {}
    problems: list[str] = []
    columns: Sequence[str] = ()
    lines = text.replace("\0", "").splitlines()
    delimiter = _delimiter(lines)
    for number, line in enumerate(lines, 1):
        try:
            cells = _cells(line, delimiter)
            if not any(cells) or cells[0].startswith("#"):
                continue
            if not columns and not entries and (columns := _headings(cells)):
                continue
            plate, validity = _entry(cells, columns, zone)
        except HeadingError as error:
            raise HeadingError(f"{number}: {error}", sure=error.sure) from None
        except ValueError as error:
            problems.append(f"{path}:{number}: this line is left out; {error}")
            continue
        entries.setdefault(plate, []).append(validity)
    return entries, problems, bool(columns)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, strict=True), [])]
    except csv.Error as error:
        raise ValueError(f"its quotes do not match, or it is too long ({error}); mend it") from error


def _entry(cells: Sequence[str], columns: Sequence[str], zone: tzinfo | None) -> tuple[str, Validity]:
    named = columns or (SHORT if len(cells) <= len(SHORT) else LONG)
    if any(cells[len(named) :]):
        raise ValueError(
            f"it has {many(len(cells), 'cell')} for {many(len(named), 'known column')}; take away what is too much"
        )
    cell = dict(zip(named, cells, strict=False))
    plate = spelled(cell.get("plate", ""))
    if kind_of(plate) is None:
        raise ValueError(_no_plate(plate))
    start = moment(cell["from"], zone, end=False) if cell.get("from") else float("-inf")
    end = moment(cell["to"], zone, end=True) if cell.get("to") else float("inf")
    if end <= start:
        raise ValueError("it ends before it begins; correct its dates")
    return plate, Validity(start, end, days(cell.get("days", "")), hours(cell.get("hours", "")))


def spelled(text: str) -> str:
    """A plate as it is read from a picture, whatever dots, dashes, spaces or wide letters somebody wrote it with."""
    return "".join(symbol for symbol in normalise(text) if symbol.isalnum())


def _no_plate(text: str) -> str:
    if not text:
        return "it names no plate; write one, or take the line away"
    mended = text[:2] + text[2:].replace("I", "1").replace("O", "0")
    if mended != text and kind_of(mended) is not None:
        return "a plate has no letters I and O behind the first two; write the digits 1 and 0"
    found = many(len(text), "character")
    return f"what is there ({found}) makes no plate; write it as it stands on the car, or take the line away"


def _headings(cells: Sequence[str]) -> tuple[str, ...]:
    """What the columns are, if this is a heading line; a column that we do not need has an empty name.

    HeadingError when one may limit plates and is not known, or when two say the same.
    """
    words = [re.sub(r"\(.*?\)|[\W_]", "", unicodedata.normalize("NFKC", cell).lower()) for cell in cells]
    found = tuple(COLUMN_OF.get(word, "") for word in words)
    if "plate" not in found:
        limits = any(column not in ("", "name") for column in found) or any(map(LIMITING.search, words))
        if limits and sum(map(bool, cells)) > 1 and not any(re.search(rf"[{PROVINCES}\d]", word) for word in words):
            sentence = "no column of this heading is known to hold the plates; call it plate (车牌)"
            raise HeadingError(sentence, sure=False)
        return ()
    for cell, word, column in zip(cells, words, found, strict=True):
        if not column and LIMITING.search(word) and not cell.startswith("#"):
            fix = "call it from or to (开始日期, 截止日期), days or hours, or put # before it if it limits nothing"
            raise HeadingError(f'nobody knows whether the column "{cell[:40]}" says when a plate is valid: {fix}')
        if column and column != "name" and found.count(column) > 1:
            raise HeadingError(f'two columns say "{column}"; leave one')
    return found


def _delimiter(lines: Sequence[str]) -> str:
    head = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    return max(",;\t，", key=lambda sign: (head.count(sign), sign == ","))


def _texts(path: Path) -> Iterator[str]:
    """The list as each way of writing has it, the likeliest first.

    Spreadsheets in China save CSV as GB 18030 as often as UTF-8; "Unicode text" is UTF-16. 鲁 and 豫 in GB 18030 are
    sound UTF-8 too, so only the plates tell.
    """
    state = path.stat()
    if not S_ISREG(state.st_mode):
        raise OSError(22, "it is no plain file", str(path))  # a pipe or a device may never end
    if state.st_size > LARGEST:
        raise OSError(27, f"it is larger than {LARGEST >> 20} MiB", str(path))
    data = path.read_bytes()
    if data[:2] in UTF16:
        yield data.decode("utf-16", errors="replace")
        return
    yield data.decode("utf-8-sig", errors="replace")
    yield data.decode("gb18030", errors="replace").removeprefix("\ufeff")


class HeadingError(ValueError):
    """The columns of a list are not clear, so that none of its lines is. ``sure``: one of them holds plates."""

    def __init__(self, sentence: str, *, sure: bool = True) -> None:
        super().__init__(sentence)
        self.sure = sure


class PlateLists:
    """The lists of one camera; ``problems`` are the broken lines and files as of the last look."""

    def __init__(
        self,
        files: Mapping[ListName, Path | None],
        zone: tzinfo | None = None,
        now: Callable[[], float] = time.time,
        tell: Tell | None = None,
    ) -> None:
        """``now``: seconds since 1970, for the age of a file; ``tell`` hears the problems of a list that was read."""
        self._now = now
        self._tell = tell or logged()
        self._files = {name: path for name, path in files.items() if path is not None}
        self._zone = zone
        self._entries: dict[ListName, Entries] = {}
        self._seen: dict[ListName, tuple[int, int, int] | None] = {}
        self._problems: dict[ListName, list[str]] = {}
        self.refresh()

    @property
    def problems(self) -> list[str]:
        """Sentences about broken lines and unreadable files; none of them holds a plate."""
        return [sentence for name in self._files for sentence in self._problems.get(name, [])]

    def refresh(self) -> None:
        """Read again what changed on the disk; a file that cannot be read keeps its last good entries."""
        for name, path in self._files.items():
            before = self._problems.get(name)
            try:
                state = os.stat(path)  # noqa: PTH116 - one call for all fields, on every passage
                # A file that is replaced by another of the same length and second has another inode.
                seen = (state.st_mtime_ns, state.st_size, state.st_ino)
                if self._seen.get(name) == seen or self._is_written(name, state):
                    continue
                entries, self._problems[name] = read_list(path, self._zone)
                if not entries and self._entries.get(name) and (self._problems[name] or not state.st_size):
                    # Somebody is just writing it, or it is no list at all.
                    why = "has no line that can be used" if state.st_size else "is empty"
                    had = many(len(self._entries[name]), "plate")
                    held = f"what it had ({had}) holds; a heading line alone empties it"
                    kept = f"{path}: the {name} list {why}; {held}"
                    self._problems[name] = [kept, *self._problems[name]]
                elif not entries and self._problems[name] and name not in self._entries:
                    sentence = f"{path}: the {name} list has no line that can be used{_until(name)}"
                    self._problems[name] = [sentence, *self._problems[name]]
                else:
                    self._entries[name] = entries
                self._seen[name] = seen
            except OSError as error:
                self._seen[name] = None
                self._problems[name] = [_unreadable(path, name, error, self._entries.get(name))]
            if self._problems[name] != before:
                self._tell(name, str(path), self._problems[name])

    def _is_written(self, name: ListName, state: os.stat_result) -> bool:
        """Whether somebody is just writing over a list that we have: half of its last line may be another plate."""
        before = self._seen.get(name)
        same = before is not None and before[2] == state.st_ino and bool(self._entries.get(name))
        return same and 0 <= self._now() - state.st_mtime < SETTLED

    @property
    def unread(self) -> bool:
        """Whether there is to be a deny list, and nobody has been able to read it yet: anybody may stand on it."""
        return "deny" in self._files and "deny" not in self._entries

    @property
    def partial(self) -> bool:
        """Whether any list that is to be there was never readable: of no plate is it known that it is on none."""
        return bool(self._files.keys() - self._entries.keys())

    def limited(self, plate: str) -> bool:
        """Whether any list holds this plate at certain times only, so that the hour has to be known."""
        found = (entry for entries in self._entries.values() for entry in entries.get(plate, ()))
        return any(entry.limited for entry in found)

    def match(self, plate: str, wall: int) -> ListName | None:
        """Name the list that holds this plate at this time (ns since 1970); deny wins over allow.

        None also while a deny list was never readable: whoever may be banned is not called allowed.
        """
        self.refresh()
        now = wall / 1e9
        known: tuple[ListName, ...] = () if self.unread else ("deny", "allow")
        for name in known:
            if any(entry.holds(now, self._zone) for entry in self._entries.get(name, {}).get(plate, [])):
                return name
        return None


def _unreadable(path: Path, name: str, error: OSError, kept: Entries | None) -> str:
    still = f"; what it had ({many(len(kept), 'plate')}) holds until it is back" if kept else "; put it there"
    return f"{path}: the {name} list cannot be read ({error.strerror}){still}{_until(name) if kept is None else ''}"


def _until(name: str) -> str:
    return "; until it was read once, no gate opens (an empty one denies nobody)" if name == "deny" else ""
