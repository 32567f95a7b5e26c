"""Makes a line of text that a device's pattern matches and that says the given values: the pattern, run backwards."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from re import _constants, _parser  # type: ignore[attr-defined]  # the one parser of patterns there is
from typing import Any

from gateway.contract import DeviceSpec, Scalar

PRINTABLE = [chr(code) for code in range(0x20, 0x7F)]
LIKED = "0 1AaxZ,.-+"  # tried first where a pattern leaves a choice
# How numbers are written: the first that fits is taken.
FORMS = (
    "{:.2f}", "{:+.2f}", "{:+08.2f}", "{:+07.2f}", "{:08.2f}", "{:07.2f}", "{:06.2f}", "{:.1f}", "{:+.1f}", "{:05.1f}",
    "{:+06.1f}", "{:.3f}", "{:+.3f}", "{:.0f}", "{:+.0f}", "{:03.0f}", "{:04.0f}", "{:05.0f}", "{:06.0f}", "{:+05.0f}",
    "{:+06.0f}",
)  # fmt: skip
SAMPLES = (12.34, 0.5, 123.0, 1234.0, -5.25)
# How a group says no and yes: by taking part in the match, or in a word.
FLAG_WORDS: tuple[tuple[str | bool, str | bool], ...] = (
    (False, True), ("0", "1"), ("off", "on"), ("OFF", "ON"), ("no", "yes"), ("false", "true"),
)  # fmt: skip
REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)


def speak(spec: DeviceSpec, raws: Mapping[str, Scalar | None]) -> str | None:
    """The line, without begin, checksum and end; None when no line was found."""
    pattern = spec.options.get("pattern")
    wanted = {spec.points[name].at: raw for name, raw in raws.items()}
    if pattern is None:
        return _columns(str(spec.options["separator"]), wanted)
    compiled = re.compile(str(pattern))
    tree = _parser.parse(str(pattern))
    numbers = {number: name for name, number in tree.state.groupdict.items()}
    for words in FLAG_WORDS:
        texts = {at: _text(raw, form_of(str(pattern), at), words) for at, raw in wanted.items()}
        line = "".join(_Speaker(texts, numbers).say(tree))
        match = compiled.fullmatch(line)
        if match is not None and all(_says(match[name], raw) for name, raw in wanted.items()):
            return line
    return None


@lru_cache(maxsize=256)
def form_of(pattern: str, group: str) -> str:
    """How a number is written in this group: the form that most samples fit in."""
    inside = re.compile(_inside(pattern, group))
    return max(FORMS, key=lambda form: sum(inside.fullmatch(form.format(sample)) is not None for sample in SAMPLES))


def places_of(spec: DeviceSpec, at: str) -> int:
    """Decimals that a point's text has."""
    pattern = spec.options.get("pattern")
    form = FORMS[0] if pattern is None else form_of(str(pattern), at)
    return int(form.partition(".")[2][0])


def _inside(pattern: str, group: str) -> str:
    """What stands between a named group's parentheses."""
    begin = pattern.index(f"(?P<{group}>") + len(group) + 5
    depth, at, in_class = 1, begin, False
    while depth and at < len(pattern):
        sign = pattern[at]
        at += 1 + (sign == "\\")
        if in_class:
            in_class = sign != "]"
        elif sign == "[":
            in_class = True
        elif sign in "()":
            depth += 1 if sign == "(" else -1
    return pattern[begin : at - 1]


def _columns(separator: str, wanted: Mapping[str, Scalar | None]) -> str:
    texts = {int(at): str(_text(raw, FORMS[0], ("0", "1"))) for at, raw in wanted.items()}
    return separator.join(texts.get(number, "") for number in range(1, max(texts) + 1))


def _text(raw: Scalar | None, form: str, words: tuple[str | bool, str | bool]) -> str | bool:
    if raw is None:
        return ""
    if isinstance(raw, bool):
        return words[raw]
    return raw if isinstance(raw, str) else form.format(raw)


def _says(text: str | None, raw: Scalar | None) -> bool:
    """Whether a group's text means this value."""
    if isinstance(raw, bool):
        return raw is (text is not None and text.strip().lower() not in ("", "0", "off", "no", "false"))
    if raw is None:
        return not (text or "").strip()
    if isinstance(raw, str):
        return (text or "").strip() == raw
    try:
        return text is not None and abs(float(text.replace(" ", "")) - raw) < 1e-6
    except ValueError:
        return False


class _Speaker:
    """Says a pattern: a named group says its text, the rest the first that fits."""

    def __init__(self, texts: Mapping[str, str | bool], numbers: Mapping[int, str]) -> None:
        self._texts = texts
        self._numbers = numbers
        self._said: set[str] = set()

    def say(self, tree: Any) -> Iterator[str]:  # noqa: ANN401 - the parser has no types
        """Say one part."""
        for kind, what in tree:
            if kind is _constants.LITERAL:
                yield chr(what)
            elif kind is _constants.SUBPATTERN:
                yield from self._group(what[0], what[3])
            elif kind is _constants.ATOMIC_GROUP:
                yield from self.say(what)
            elif kind is _constants.BRANCH:
                yield from self.say(self._branch(what[1]))
            elif kind in REPEATS:
                yield from self._repeat(*what)
            elif kind is not _constants.AT:
                yield _character(kind, what)

    def _group(self, number: int | None, inner: Any) -> Iterator[str]:  # noqa: ANN401
        name = self._numbers.get(number or 0, "")
        text = self._texts.get(name)
        self._said.add(name)
        if isinstance(text, str):
            yield text
        elif text is not False:
            yield from self.say(inner)

    def _repeat(self, low: int, high: int, inner: Any) -> Iterator[str]:  # noqa: ANN401
        times = 0
        while times < high and (times < low or self._wanted(inner)):
            before = len(self._said)
            yield from self.say(inner)
            times += 1
            if times >= low and len(self._said) == before:
                return

    def _branch(self, branches: list[Any]) -> Any:  # noqa: ANN401
        """The branch with something left to say; else one without groups that are false."""
        for branch in branches:
            if self._wanted(branch):
                return branch
        for branch in branches:
            if not any(self._texts.get(name) is False for name in self._names(branch)):
                return branch
        return branches[0]

    def _wanted(self, tree: Any) -> bool:  # noqa: ANN401
        return any(
            self._texts.get(name) not in (None, False, "") and name not in self._said for name in self._names(tree)
        )

    def _names(self, tree: Any) -> list[str]:  # noqa: ANN401
        return [self._numbers.get(number, "") for number in _groups(tree)]


def _groups(tree: Any) -> list[int]:  # noqa: ANN401
    """Numbers of all groups in a part of a pattern."""
    found: list[int] = []
    for kind, what in tree:
        if kind is _constants.SUBPATTERN:
            found += ([what[0]] if what[0] is not None else []) + _groups(what[3])
        elif kind is _constants.ATOMIC_GROUP:
            found += _groups(what)
        elif kind is _constants.BRANCH:
            for branch in what[1]:
                found += _groups(branch)
        elif kind in REPEATS:
            found += _groups(what[2])
    return found


def _character(kind: Any, what: Any) -> str:  # noqa: ANN401
    """The first character that fits a class, a category or a negation."""
    parts = what if kind is _constants.IN else [(kind, what)]
    negated: bool = parts[:1] == [(_constants.NEGATE, None)]
    for character in (*LIKED, *PRINTABLE):
        if any(_is_in(character, *part) for part in parts[negated:]) is not negated:
            return str(character)
    return ""


def _is_in(character: str, kind: Any, what: Any) -> bool:  # noqa: ANN401
    if kind is _constants.ANY:
        return True
    if kind is _constants.LITERAL:
        return character == chr(what)
    if kind is _constants.NOT_LITERAL:
        return character != chr(what)
    if kind is _constants.RANGE:
        return bool(what[0] <= ord(character) <= what[1])
    categories = {
        _constants.CATEGORY_DIGIT: character.isdecimal(),
        _constants.CATEGORY_SPACE: character.isspace(),
        _constants.CATEGORY_WORD: character.isalnum() or character == "_",
    }
    opposite = {
        _constants.CATEGORY_NOT_DIGIT: _constants.CATEGORY_DIGIT,
        _constants.CATEGORY_NOT_SPACE: _constants.CATEGORY_SPACE,
        _constants.CATEGORY_NOT_WORD: _constants.CATEGORY_WORD,
    }
    return not categories[opposite[what]] if what in opposite else categories.get(what, False)
