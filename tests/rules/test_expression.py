"""Expressions: what they give, what is refused, and that nothing but a problem ever comes of nonsense."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.contract import PointValue
from gateway.rules.expression import parse
from gateway.rules.inputs import Inputs
from gateway.rules.names import Known

KNOWN = Known(
    {"sump": frozenset({"level", "mode", "b-2"}), "pump-2": frozenset({"running", "amps"})},
    frozenset({"north-gate"}),
    {"sump.level": "number", "sump.mode": "text", "pump-2.running": "bool"},
)
GOOD = {"sump.level": 2.0, "sump.mode": "auto", "pump-2.running": True, "pump-2.amps": 5}


def judge(source: str, **changed: object) -> bool | None:
    """The condition's value with ``GOOD`` inputs, some of them changed (``sump__level=None`` is a bad one)."""
    inputs = Inputs()
    expression, problems = parse(source, KNOWN, inputs)
    assert expression is not None, problems
    values = GOOD | {name.replace("__", ".").replace("_", "-"): value for name, value in changed.items()}
    for name, cell in expression.points.items():
        value = values[name]
        read = PointValue(value) if value is not None else PointValue(None, "bad", "timeout")
        cell.take(read, "", 1, 1000.0)
    return expression.condition()


def problems(source: str) -> list[str]:
    expression, found = parse(source, KNOWN, Inputs())
    assert (expression is None) == bool(found)
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("sump.level > 1.5", True),
        ("sump.level > 2", False),
        ("sump.level >= 2", True),
        ("sump.level < 2", False),
        ("sump.level <= 2.0", True),
        ("sump.level == 2", True),
        ("sump.level != 2", False),
        ('sump.mode == "auto"', True),
        ("sump.mode != 'auto'", False),
        ("pump-2.running", True),
        ("not pump-2.running", False),
        ("pump-2.running == true", True),
        ("pump-2.running == 1", True),
        ("pump-2.amps", True),
        ("not sump.level > 3", True),
        ("1 + 2 * 3 == 7 and pump-2.running", True),
        ("(1 + 2) * 3 == 9 and pump-2.running", True),
        ("10 - 4 - 3 == 3 and pump-2.running", True),
        ("16 / 4 / 2 == 2 and pump-2.running", True),
        ("sump.level - 3 < -0.5", True),
        ("-sump.level == -2", True),
        ("- -sump.level == 2", True),
        ("abs(sump.level - 5) == 3", True),
        ("max(sump.level, pump-2.amps, 1) == 5", True),
        ("min(sump.level, pump-2.amps) == 2", True),
        ("true and sump.level > 9 or pump-2.running", True),
        ("sump.level > 9 and (false or pump-2.running)", False),
        ("sump.level > 1e-3", True),
        ("pump-2.amps == 18446744073709551615", False),
    ],
)
def test_value(source: str, expected: bool) -> None:
    assert judge(source) is expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("sump.level > 1", None),
        ("not sump.level > 1", None),
        ("sump.level + 1 > 1", None),
        ("abs(sump.level) > 1", None),
        ("sump.level > 1 or pump-2.running", True),
        ("pump-2.running or sump.level > 1", True),
        ("sump.level > 1 or not pump-2.running", None),
        ("sump.level > 1 and pump-2.running", None),
        ("sump.level > 1 and not pump-2.running", False),
        ("not pump-2.running and sump.level > 1", False),
    ],
)
def test_bad_input_is_unknown_unless_the_rest_decides(source: str, expected: bool | None) -> None:
    assert judge(source, sump__level=None) is expected


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("sump.level / pump-2.amps > 1", {"pump_2__amps": 0}),
        ("sump.level * pump-2.amps > 1", {"sump__level": 1e200, "pump_2__amps": 1e200}),
        ("sump.level > 1", {"sump__level": float("nan")}),
        ("pump-2.amps > 1", {"pump_2__amps": "off"}),
        ('pump-2.amps == "off"', {"pump_2__amps": 3}),
        ("not pump-2.amps", {"pump_2__amps": "off"}),
        ("pump-2.amps + 1 > 0", {"pump_2__amps": "off"}),
    ],
)
def test_what_cannot_be_calculated_is_unknown(source: str, changed: dict[str, object]) -> None:
    assert judge(source, **changed) is None


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("sump.level >", 'missing after ">"'),
        ("> 3", "missing before it"),
        ("sump.level > 3 and", 'missing after "and"'),
        ("sump.level > and 3 > 1", 'missing after ">"'),
        ("not", 'missing after "not"'),
        ("sump.level = 3", "write == instead of ="),
        ("sump.level > 3 && pump-2.running", "write and instead of &&"),
        ("!pump-2.running", "write not instead of !"),
        ("1 < sump.level < 3", "1 < sump.level and sump.level < …"),
        ("pump.running", 'no device "pump"; did you mean "pump-2"?'),
        ("sump.levle > 1", 'no point "levle"; did you mean "level"?'),
        ("sump.pressure > 1", 'no point "pressure"; expected one of b-2, level, mode'),
        ("level > 2", '"sump.level"'),
        ("sump > 2", "write sump.POINT"),
        ("sump.level-2 > 0", "sump.level - 2"),
        ("sump.level-pump-2.amps > 0", "sump.level - pump-2.amps"),
        ("Sump.level > 2", "lower case"),
        ("sump.level > 2 AND pump-2.running", 'write "and" in lower case'),
        ("pump-2.running == True", 'write "true" in lower case'),
        ("sump.level.high > 2", "device.point"),
        ('sump.level > "2"', "compares a text with a number"),
        ("sump.mode == 2", "compares a text with a number"),
        ("sump.mode == true", "compares a text with a bool"),
        ('sump.mode > "auto"', "only be compared with == or !="),
        ("sump.mode + 1 > 2", "needs a number"),
        ("sump.level + 1", "is a number, not a condition"),
        ("sump.level or pump-2.running", "sump.level is a number, not a condition"),
        ("sump.mode", "is a text, not a condition"),
        ("sump.mode == auto", "a text stands in quotation marks"),
        ('sump.mode == "auto', "both its ends"),
        ("sump.mode == “auto”", "plain quotation mark"),
        ("sump.level ＞ 2", "half-width"),
        ("sump.level > ２", "half-width"),
        ("sump.level > 2 #", "means nothing"),
        ("(sump.level > 2", 'expected ")"'),
        ("sump.level > 2)", "has no partner"),
        ("sump.level > 2 3", "operator"),
        ("sump.level > 5m", "duration"),
        ("sump.level > 5x", "neither a number nor a duration"),
        ("sump.level > 1e400", "too large"),
        ("stale(sump.level)", "stale(device.point, 5m)"),
        ("stale(sump.level, 5)", "expected a duration"),
        ("stale(sump.level, 0s)", "between"),
        ("stale(sump, 5m)", "expected a point"),
        ("stale(sump.levl, 5m)", 'did you mean "level"'),
        ("rate(sump.mode, 5m) > 1", "needs a number"),
        ("rate(sump.level, 5m)", "not a condition"),
        ("stail(sump.level, 5m)", 'did you mean "stale"'),
        ("event(north-gat, deny)", 'did you mean "north-gate"'),
        ("event(north-gate)", "event(camera, word)"),
        ("event(north-gate, 3)", "event's name"),
        ("event(north-gate, denny)", 'did you mean "deny"'),
        ("min(sump.level) > 1", "two values or more"),
        ("abs(sump.level, 1) > 1", "one value"),
        ("true", "names no point"),
        ("1 < 2", "names no point"),
        ("  ", "is empty"),
        ("(" * 60 + "pump-2.running" + ")" * 60, "more than 40"),
        ("not " * 60 + "pump-2.running", "more than 40"),
        ("abs(" * 60 + "sump.level" + ")" * 60 + " > 1", "more than 40"),
        ("sump.level" + "+1" * 300 + " > 1", "more than 200 operators"),
        ("pump-2.running or " * 100, "longer than 1000"),
    ],
)
def test_refused_with_a_fix(source: str, words: str) -> None:
    found = problems(source)
    assert len(found) == 1
    assert words in found[0]


def test_only_what_is_inside_each_other_counts_as_deep() -> None:
    assert judge(" or ".join(["not pump-2.running"] * 42)) is False
    assert judge(" and ".join(["- -abs(pump-2.amps) == 5"] * 30)) is True


def test_every_wrong_name_is_reported_at_once() -> None:
    assert len(problems("pomp.running or sump.levle > 1 and event(gate, deny)")) == 3


def test_the_deepest_expression_allowed_can_be_evaluated() -> None:
    assert judge("(" * 38 + "sump.level" + "+1" * 190 + ")" * 38 + " > 1") is True


WORDS = "== and or not true sump.level sump pump-2.running sump.mode stale( rate( event( abs( min( 5m 2 1e3 deny x-1.y"
PIECES = st.sampled_from([*"<>=!()+-*/,.\"' ＞“", *WORDS.split()])


@given(st.lists(PIECES, max_size=25).map(" ".join) | st.lists(PIECES, max_size=25).map("".join) | st.text(max_size=60))
@example("stale(sump.level, 99999999999999999999d)")
@example("1" * 900 + " > sump.level")
@example("." * 500)
def test_nonsense_gives_problems_and_never_an_exception(source: str) -> None:
    inputs = Inputs()
    expression, found = parse(source, KNOWN, inputs)
    assert (expression is None) == bool(found)
    assert all(isinstance(problem, str) and problem for problem in found)
    if expression is not None:
        assert expression.condition() in (True, False, None)


NUMBERS = st.integers(-50, 50).map(lambda n: (str(n), n)) | st.just(("sump.level", 2.0)) | st.just(("pump-2.amps", 5))


def _joined(pair: tuple[tuple[str, float], str, tuple[str, float]]) -> tuple[str, float]:
    (left, a), sign, (right, b) = pair
    return f"({left} {sign} {right})", {"+": a + b, "-": a - b, "*": a * b}[sign]


@given(
    st.recursive(NUMBERS, lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(_joined), max_leaves=12),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.integers(-100, 100),
)
def test_calculates_as_python_does(sum_: tuple[str, float], sign: str, limit: int) -> None:
    source, value = sum_
    expected = {"<": value < limit, "<=": value <= limit, ">": value > limit}
    expected |= {">=": value >= limit, "==": value == limit, "!=": value != limit}
    assert judge(f"{source} {sign} {limit} and pump-2.running") is expected[sign]
