"""Makes a line of text that a device's pattern matches and that says the given values: the pattern, run backwards."""

import re
from collections.abc import Iterator, Mapping
from re import _constants, _parser  # type: ignore[attr-defined]  # the one parser of patterns there is
from typing import Any

from gateway.contract import DeviceSpec, Scalar

PRINTABLE = [chr(code) for code in range(0x20, 0x7F)]
LIKED = "0 1AaxZ,.-+"  # tried first where a pattern leaves a choice
FORMS = ("{:+08.2f}", "{:+07.2f}", "{:+.2f}", "{:08.2f}", "{:07.2f}", "{:.2f}", "{:.1f}", "{:+.1f}", "{:.0f}",
                "{:.3f}", "{:06.0f}", "{:05.0f}", "{:04.0f}", "{:03.0f}", "{:+06.0f}", "{:+05.0f}")  # fmt: skip
# How a group says no and yes: by taking part in the match, or in a word.
FLAG_WORDS: tuple[tuple[str | bool, str | bool], ...] = (
    (False, True), ("0", "1"), ("off", "on"), ("OFF", "ON"), ("no", "yes"), ("false", "true"),
)  # fmt: skip


def speak(spec: DeviceSpec, raws: Mapping[str, Scalar | None]) -> str | None:
    """The line, without begin, checksum and end; None when no line was found."""
    pattern = spec.options.get("pattern")
    wanted = {spec.points[name].at: raw for name, raw in raws.items()}
    if pattern is None:
        return _columns(str(spec.options["separator"]), wanted)
    compiled = re.compile(str(pattern))
    tree = _parser.parse(str(pattern))
    groups = dict(tree.state.groupdict)
    for words in FLAG_WORDS:
        for form in FORMS:
            line = "".join(_say(tree, {name: _text(raw, form, words) for name, raw in wanted.items()}, groups))
            match = compiled.fullmatch(line)
            if match is not None and all(_says(match[name], raw) for name, raw in wanted.items()):
                return line
    return None


def _columns(separator: str, wanted: Mapping[str, Scalar | None]) -> str:
    texts = {int(at): str(_text(raw, "{:.2f}", ("0", "1"))) for at, raw in wanted.items()}
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


def _say(tree: Any, texts: Mapping[str, str | bool], groups: Mapping[str, int]) -> Iterator[str]:  # noqa: ANN401
    """Say one part of a pattern; a named group says its text, the rest the first that fits."""
    by_number = {number: name for name, number in groups.items()}
    for kind, what in tree:
        if kind is _constants.LITERAL:
            yield chr(what)
        elif kind is _constants.SUBPATTERN:
            number, _, _, inner = what
            text = texts.get(by_number.get(number, ""))
            if isinstance(text, str):
                yield text
            elif text is not False or not _may_be_left_out(inner):
                yield from _say(inner, texts, groups)
        elif kind is _constants.BRANCH:
            yield from _say(_branch(what[1], texts, by_number), texts, groups)
        elif kind in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            low, high, inner = what
            names = {by_number.get(number, "") for number in _groups(inner)}
            times = max(low, 1) if any(texts.get(name) not in (None, False, "") for name in names) else low
            for _ in range(min(times, high)):
                yield from _say(inner, texts, groups)
        elif kind is not _constants.AT:
            yield _character(kind, what)


def _branch(branches: list[Any], texts: Mapping[str, str | bool], by_number: Mapping[int, str]) -> Any:  # noqa: ANN401
    """The branch with a group that is true or has a text; else one without groups that are false."""
    for branch in branches:
        names = [by_number.get(number, "") for number in _groups(branch)]
        if any(texts.get(name) not in (None, False, "") for name in names):
            return branch
    for branch in branches:
        if not any(texts.get(by_number.get(number, "")) is False for number in _groups(branch)):
            return branch
    return branches[0]


def _groups(tree: Any) -> list[int]:  # noqa: ANN401
    """Numbers of all groups in a part of a pattern."""
    found = []
    for kind, what in tree:
        if kind is _constants.SUBPATTERN:
            found += ([what[0]] if what[0] is not None else []) + _groups(what[3])
        elif kind is _constants.BRANCH:
            for branch in what[1]:
                found += _groups(branch)
        elif kind in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            found += _groups(what[2])
    return found


def _may_be_left_out(inner: Any) -> bool:  # noqa: ANN401
    return len(inner) == 0


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
