"""Explains why a text is not TOML, for people who have never heard of it."""

import re

KEY = re.compile(r"""\s*(?P<key>[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(\s*\.\s*[A-Za-z0-9_"'-]+)*\s*=""")
HEAD = re.compile(r"\s*\[+\s*(?P<head>[^\]]*?)\s*\]+")
PLACE = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)
LISTS = ("line", "device", "alarm", "camera", "vector", "api.consumer")


def explain_syntax(text: str, error: ValueError) -> tuple[int, str]:
    """Say in plain words what ``tomllib`` refused; returns the line, counted from 1, and the sentence."""
    lines = text.split("\n")
    match = PLACE.fullmatch(str(error))
    if match is None:
        if "nested" in str(error):
            return 1, "lists or tables are nested too deeply"
        return 1, "a number here has far too many digits" if "digits" in str(error) else "this is not a TOML file"
    at_end = match["line"] is None
    line = len(lines) - (lines[-1] == "" and len(lines) > 1) if at_end else int(match["line"])
    what = match["what"]
    rest = lines[line - 1][int(match["column"]) - 1 :] if not at_end else ""
    if what.startswith(("Cannot overwrite", "Cannot declare", "Duplicate", "Cannot mutate", "Cannot redefine")):
        return _twice(lines, line, what)
    if at_end and _open_quote(lines) is not None:
        return _open_quote(lines) or line, 'a text is opened with a quote and never closed; end it with "'
    begin = _begin(lines, line)
    if at_end and _brackets(lines[begin - 1 :]) > 0:
        return begin, f"{_key(lines[begin - 1])}: a list or table opened here is not closed before the file ends"
    explained = next((case for begins, case in _CASES if what.startswith(begins)), _statement)
    line, sentence = explained(lines, line, rest)
    key = _key(lines[line - 1])
    return line, f"{key}: {sentence}" if key else sentence


def _twice(lines: list[str], line: int, what: str) -> tuple[int, str]:
    head = HEAD.match(lines[line - 1])
    if head is not None and "=" not in lines[line - 1].split("]")[0]:
        name = head["head"]
        first = next((number for number, other in enumerate(lines, 1) if _head(other) == name), line)
        if name in LISTS:
            return line, f"[{name}] needs two brackets, [[{name}]], for each one"
        again = f"stands twice (first in line {first}): join the two" if first < line else "clashes with an earlier key"
        return line, f"[{name}] {again}"
    if what.startswith("Duplicate"):
        return line, f"{what.split(chr(39))[1]} stands twice in the braces: keep one"
    # The error is found behind the value: a value over several lines begins further up.
    line = _begin(lines, line)
    key = _key(lines[line - 1])
    for number in range(line - 1, 0, -1):
        if HEAD.match(lines[number - 1]) and not KEY.match(lines[number - 1]):
            break
        if key and _key(lines[number - 1]) == key:
            return line, f"{key} stands twice (first in line {number}): keep one"
    return line, f"{key or 'a key'} stands twice in this table: keep one"


def _value(lines: list[str], line: int, rest: str) -> tuple[int, str]:
    if _list_above(lines, line, rest):
        return _list(lines, line, rest)
    if not rest.strip() or rest.lstrip().startswith("#"):
        return line, "there is nothing after the =; expected a value"
    if rest[0] in "“”„‘’「」":
        return line, 'these are typographic quotes; expected straight ones: "…"'
    if re.match(r"(True|False|TRUE|FALSE|yes|no|on|off)\b", rest):
        return line, f"expected true or false, in small letters, not {rest.split()[0].rstrip(',')}"
    return line, 'this value is neither a number nor true or false; a text needs straight quotes: "…"'


def _behind(lines: list[str], line: int, rest: str) -> tuple[int, str]:
    if rest.startswith(('"', "'")):
        return line, "there is a quote too many; write one before and one after the text"
    if re.match(r"(ms|s|m|h|d|B|KiB|MiB|GiB|TiB)\b", rest):
        return line, 'a duration or size needs quotes: "5s", "64MiB"'
    if "=" in rest:
        return line, "there are two keys in one line; write each on a line of its own"
    # Only a sign is shown, never a word: it may be a secret that lacks its quotes.
    sign = f'"{rest[0]}"' if rest[:1] and not rest[0].isalnum() else "something"
    return (
        line,
        f"did not expect {sign} behind the value; a text needs quotes, a comment a #, and a key a line of its own",
    )


def _equals(lines: list[str], line: int, rest: str) -> tuple[int, str]:
    if rest[:1] in (":", "：", "＝"):
        return line, f'expected = between key and value, not "{rest[0]}"'
    return line, "expected key = value; a key is one word of letters, digits, - and _"


def _text(lines: list[str], line: int, rest: str) -> tuple[int, str]:
    return line, "a text is not closed with a quote before the line ends"


def _character(lines: list[str], line: int, rest: str) -> tuple[int, str]:
    if rest[:1] in ("\n", "\r", ""):
        return line, 'a text is opened with a quote and not closed before the line ends; end it with "'
    return line, "there is a control character here that no editor shows; write the line anew"


def _backslash(lines: list[str], line: int, rest: str) -> tuple[int, str]:
    return line, r"a \ in double quotes must be written twice; or put the text into single quotes '…'"


def _list(lines: list[str], line: int, rest: str) -> tuple[int, str]:
    begin = _begin(lines, line - 1 if _list_above(lines, line, rest) else line)
    if begin == line:
        return line, "a list is not closed or lacks a comma; expected [value, value]"
    return begin, f"a list opened here is not closed with ] (or lacks a comma) before line {line}"


def _braces(lines: list[str], line: int, rest: str) -> tuple[int, str]:
    return (
        line,
        "braces { } must open and close in one line, with key = value, key = value between; no comma at the end",
    )


def _brackets_of_head(lines: list[str], line: int, rest: str) -> tuple[int, str]:
    return line, "a table head is not closed; expected [table], or [[table]] with two brackets on both sides"


def _statement(lines: list[str], line: int, rest: str) -> tuple[int, str]:
    if rest.startswith("\ufeff"):
        return line, "the file begins with an invisible byte order mark; save it as plain UTF-8"
    return line, "this is neither key = value nor a [table] head; a comment begins with #"


_CASES = (
    ("Invalid value", _value),
    ("Expected newline", _behind),
    ("Expected '=' after", _equals),
    ("Expected ']", _brackets_of_head),
    ("Expected", _text),
    ("Unterminated", _text),
    ("Illegal character", _character),
    ("Unescaped", _backslash),
    ("Invalid hex", _backslash),
    ("Escaped character", _backslash),
    ("Unclosed array", _list),
    ("Unclosed inline", _braces),
    ("Invalid initial", _braces),
    ("Invalid statement", _statement),
    ("Invalid date", lambda lines, line, rest: (line, "there is no such date or time")),
)


def _begin(lines: list[str], line: int) -> int:
    """Return the line of the nearest key at or above the given line."""
    return next((number for number in range(line, 0, -1) if KEY.match(lines[number - 1])), line)


def _list_above(lines: list[str], line: int, rest: str) -> bool:
    """Whether the error stands at the beginning of a line that should have gone on with a list further up."""
    before = lines[line - 1].removesuffix(rest).strip(" \t[")
    begin = _begin(lines, line - 1)
    return not before and 0 < begin < line and _brackets(lines[begin - 1 : line - 1]) > 0


def _brackets(lines: list[str]) -> int:
    """Count brackets and braces left open, texts and comments apart."""
    bare = re.sub(r"\"[^\"\n]*\"|'[^'\n]*'|#.*", "", "\n".join(lines))
    return sum(bare.count(sign) for sign in "[{") - sum(bare.count(sign) for sign in "]}")


def _open_quote(lines: list[str]) -> int | None:
    """Return the line where a text over several lines was opened for the last time, if it is still open."""
    text = "\n".join(lines)
    for quote in ('"""', "'''"):
        if text.count(quote) % 2:
            return text.count("\n", 0, text.rindex(quote)) + 1
    return None


def _key(line: str) -> str | None:
    match = KEY.match(line)
    return match["key"].strip("\"'") if match else None


def _head(line: str) -> str | None:
    match = HEAD.match(line)
    return match["head"] if match and not KEY.match(line) else None
