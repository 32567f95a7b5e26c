"""Parses an alarm expression once into closures; every mistake becomes a sentence with its fix.

Grammar, loosest first: ``or``; ``and``; ``not``; one comparison; ``+ -``; ``* /``; unary ``-``; then a number,
``true``, ``false``, a "text", ``device.point``, a call or parentheses.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.contract import Scalar
from gateway.rules import nodes
from gateway.rules.inputs import EventCell, Inputs, PointCell
from gateway.rules.names import EVENTS, KEYWORDS, Known
from gateway.rules.nodes import Node, Timer
from gateway.rules.tokens import ExpressionError, Token, TokenKind, shown, tokens
from gateway.settings.nearest import did_you_mean

DEEPEST = 40  # parentheses, `not` and signs inside each other
MOST_OPERATORS = 200
CALLS = ("stale", "rate", "event", *nodes.FUNCTIONS)
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LARGEST = 1e300
FULL_DIGITS = 18  # decimal digits that every 64-bit register value fits in


@dataclass(slots=True)
class Expression:
    """A compiled condition and the inputs and timers it depends on."""

    condition: Callable[[], bool | None]
    points: dict[str, PointCell]
    events: dict[str, EventCell]
    timers: list[Timer]


def parse(source: str, known: Known, inputs: Inputs) -> tuple[Expression | None, list[str]]:
    """Compile ``source``; with any mistake, None and a sentence for each."""
    parser = _Parser(source, known, inputs)
    try:
        expression = parser.whole()
    except ExpressionError as error:
        return None, [*parser.problems, str(error)]
    return (None, parser.problems) if parser.problems else (expression, [])


class _Parser:
    def __init__(self, source: str, known: Known, inputs: Inputs) -> None:
        self._source, self._known, self._inputs = source, known, inputs
        self._tokens: list[Token] = []
        self._next = self._depth = self._operators = 0
        self._points: dict[str, PointCell] = {}
        self._events: dict[str, EventCell] = {}
        self._timers: list[Timer] = []
        self.problems: list[str] = []

    def whole(self) -> Expression:
        """The expression from its first to its last token."""
        self._tokens = tokens(self._source)
        if self._peek().kind == "end":
            raise ExpressionError("the expression is empty; write a condition such as pump.level > 2.5")
        node = self._any_of()
        self._finished()
        self._condition(node)
        if not self._points and not self._events and not self.problems:
            self.problems.append("the expression names no point or event, so it would never change")
        evaluate = node.evaluate
        return Expression(lambda: nodes.truth(evaluate()), self._points, self._events, self._timers)

    # ---- words

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        if token.kind != "end":
            self._next += 1
        return token

    def _accept(self, kind: TokenKind, *texts: str) -> str | None:
        token = self._peek()
        if token.kind == kind and token.text in texts:
            return self._take().text
        return None

    def _expect(self, symbol: str, after: str) -> None:
        if self._accept("symbol", symbol) is None:
            raise ExpressionError(f'{shown(self._peek())}: expected "{symbol}" {after}')

    def _finished(self) -> None:
        token = self._peek()
        if token.kind == "end":
            return
        if token.text in ("(", ")", ","):
            raise ExpressionError(f"{shown(token)} has no partner")
        if token.text.lower() in KEYWORDS and token.text not in KEYWORDS:
            raise ExpressionError(f'{shown(token)}: write "{token.text.lower()}" in lower case')
        before = self._tokens[self._next - 1]
        raise ExpressionError(
            f'{shown(token)} does not follow from "{before.text}"; an operator such as and, > or + is missing between'
        )

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ExpressionError(f"more than {DEEPEST} parentheses inside each other; split it into several alarms")

    def _operator(self) -> None:
        self._operators += 1
        if self._operators > MOST_OPERATORS:
            raise ExpressionError(f"more than {MOST_OPERATORS} operators; split it into several alarms")

    # ---- the grammar, loosest binding first

    def _any_of(self) -> Node:
        return self._joined("or", self._all_of)

    def _all_of(self) -> Node:
        return self._joined("and", self._not)

    def _joined(self, word: str, operand: Callable[[], Node]) -> Node:
        start = self._peek().at
        parts = [operand()]
        while self._accept("name", word):
            self._operator()
            parts.append(operand())
        if len(parts) == 1:
            return parts[0]
        for part in parts:
            self._condition(part)
        return Node(nodes.settle(word == "or", [part.evaluate for part in parts]), "bool", self._since(start))

    def _not(self) -> Node:
        start = self._peek().at
        if not self._accept("name", "not"):
            return self._comparison()
        self._deeper()
        operand = self._not()
        self._depth -= 1
        self._condition(operand)
        return Node(nodes.negate(operand.evaluate), "bool", self._since(start))

    def _comparison(self) -> Node:
        start = self._peek().at
        left = self._sum()
        sign = self._accept("symbol", *nodes.COMPARE)
        if sign is None:
            return left
        self._operator()
        right = self._sum()
        if self._peek().text in nodes.COMPARE and self._peek().kind == "symbol":
            again = self._peek().text
            raise ExpressionError(
                f"{shown(self._peek())}: compare two things at a time, "
                f"such as {left.text} {sign} {right.text} and {right.text} {again} …"
            )
        self._comparable(left, sign, right)
        return Node(nodes.compare(sign, left.evaluate, right.evaluate), "bool", self._since(start))

    def _sum(self) -> Node:
        return self._calculated(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._calculated(("*", "/"), self._signed)

    def _calculated(self, signs: tuple[str, ...], operand: Callable[[], Node]) -> Node:
        start = self._peek().at
        left = operand()
        while sign := self._accept("symbol", *signs):
            self._operator()
            right = operand()
            self._number(left, f'"{sign}"')
            self._number(right, f'"{sign}"')
            left = Node(nodes.arithmetic(sign, left.evaluate, right.evaluate), "number", self._since(start))
        return left

    def _signed(self) -> Node:
        start = self._peek().at
        sign = self._accept("symbol", "-", "+")
        if sign is None:
            return self._operand()
        self._deeper()
        operand = self._signed()
        self._depth -= 1
        self._number(operand, f'"{sign}"')
        return Node(nodes.arithmetic(sign, nodes.constant(0), operand.evaluate), "number", self._since(start))

    def _operand(self) -> Node:
        token = self._take()
        if token.kind == "number":
            return Node(nodes.constant(_value(token)), "number", token.text)
        if token.kind == "text":
            return Node(nodes.constant(token.text), "text", f'"{token.text}"')
        if token.kind == "point":
            return self._point(token)
        if token.kind == "name":
            return self._named(token)
        if token.kind == "duration":
            raise ExpressionError(f"{shown(token)}: a duration belongs into stale(point, {token.text}) or rate(…)")
        if token.text == "(":
            return self._bracket()
        raise ExpressionError(self._missing(token))

    def _missing(self, token: Token) -> str:
        if self._next < 2 and token.kind != "end":
            return f"{shown(token)}: a value or a point is missing before it"
        before = self._tokens[self._next - (1 if token.kind == "end" else 2)]
        return f'{shown(token)}: a value or a point is missing after "{before.text}"'

    def _bracket(self) -> Node:
        self._deeper()
        inner = self._any_of()
        self._depth -= 1
        self._expect(")", 'to close "("')
        return Node(inner.evaluate, inner.kind, f"({inner.text})")

    def _named(self, token: Token) -> Node:
        if token.text in ("true", "false"):
            return Node(nodes.constant(token.text == "true"), "bool", token.text)
        if token.text in KEYWORDS:
            raise ExpressionError(self._missing(token))
        if self._accept("symbol", "("):
            return self._call(token)
        devices = [device for device, names in self._known.points.items() if token.text in names]
        if devices:
            raise ExpressionError(f'{shown(token)}: name its device too, such as "{devices[0]}.{token.text}"')
        if token.text in self._known.points:
            names = ", ".join(sorted(self._known.points[token.text])[:8])
            raise ExpressionError(f"{shown(token)} is a device; write {token.text}.POINT (it has: {names})")
        raise ExpressionError(
            f"{shown(token)}: a point is written device.point{self._known.minus(token.text)}; "
            "a text stands in quotation marks"
        )

    # ---- calls

    def _call(self, token: Token) -> Node:
        if token.text == "event":
            return self._event(token)
        if token.text in ("stale", "rate"):
            return self._timed(token)
        if token.text in nodes.FUNCTIONS:
            return self._function(token)
        raise ExpressionError(f"{shown(token)}: no such function; {did_you_mean(token.text, CALLS)}")

    def _timed(self, token: Token) -> Node:
        form = f"in {token.text}(device.point, 5m)"
        named = self._take()
        if named.kind != "point":
            raise ExpressionError(f"{shown(named)}: expected a point {form}")
        cell = self._cell(named)
        self._expect(",", form)
        length = self._take()
        if length.kind != "duration":
            raise ExpressionError(f"{shown(length)}: expected a duration such as 30s, 5m or 1h {form}")
        self._expect(")", form)
        seconds = _seconds(length)
        text = self._since(token.at)
        if cell is None:
            return Node(nodes.constant(0), "any", text)
        if token.text == "rate":
            self._number(Node(nodes.point(cell), self._known.kinds.get(cell.name, "any"), cell.name), "rate")
            return Node(nodes.rate(cell, seconds), "number", text)
        evaluate, timer = nodes.stale(cell, seconds, self._inputs.moment)
        self._timers.append(timer)
        return Node(evaluate, "bool", text)

    def _event(self, token: Token) -> Node:
        form = "in event(camera, word), such as event(north-gate, deny)"
        camera = self._take()
        if camera.kind != "name":
            raise ExpressionError(f"{shown(camera)}: expected a camera {form}")
        if camera.text not in self._known.cameras:
            hint = did_you_mean(camera.text, self._known.cameras, what="cameras")
            self.problems.append(f"{shown(camera)}: no such camera; {hint}")
        self._expect(",", form)
        word = self._take()
        if word.kind != "name":
            raise ExpressionError(f"{shown(word)}: expected an event's name {form}")
        if word.text not in EVENTS:
            self.problems.append(f"{shown(word)}: no such event; {did_you_mean(word.text, EVENTS)}")
        self._expect(")", form)
        cell = self._inputs.event(camera.text, word.text)
        self._events[cell.name] = cell
        evaluate, timer = nodes.event(cell, self._inputs.moment)
        self._timers.append(timer)
        return Node(evaluate, "bool", self._since(token.at))

    def _function(self, token: Token) -> Node:
        self._deeper()
        arguments = [self._any_of()]
        while self._accept("symbol", ","):
            self._operator()
            arguments.append(self._any_of())
        self._depth -= 1
        self._expect(")", f"to close {token.text}(")
        if (len(arguments) == 1) != (token.text == "abs"):
            count = "one value" if token.text == "abs" else "two values or more"
            self.problems.append(f"{token.text}(…) takes {count}, not {len(arguments)}")
        for argument in arguments:
            self._number(argument, token.text)
        evaluate = nodes.function(token.text, [argument.evaluate for argument in arguments])
        return Node(evaluate, "number", self._since(token.at))

    # ---- names

    def _point(self, token: Token) -> Node:
        cell = self._cell(token)
        if cell is None:
            return Node(nodes.constant(0), "any", token.text)
        return Node(nodes.point(cell), self._known.kinds.get(token.text, "any"), token.text)

    def _cell(self, token: Token) -> PointCell | None:
        device, _, point = token.text.partition(".")
        points = self._known.points.get(device)
        if points is not None and point in points:
            cell = self._inputs.point(device, point)
            self._points[cell.name] = cell
            return cell
        self.problems.append(shown(token) + self._known.complaint(token.text))
        return None

    # ---- kinds

    def _condition(self, node: Node) -> None:
        if node.kind in ("number", "text"):
            self.problems.append(
                f"{node.text} is a {node.kind}, not a condition; compare it with something, such as {node.text} "
                + ("!= 0" if node.kind == "number" else '== "…"')
            )

    def _number(self, node: Node, where: str) -> None:
        if node.kind == "text" or (node.kind == "bool" and where in nodes.FUNCTIONS):
            what = "a text" if node.kind == "text" else "a condition"
            self.problems.append(f"{node.text} is {what}; {where} needs a number")

    def _comparable(self, left: Node, sign: str, right: Node) -> None:
        kinds = {left.kind, right.kind}
        if "text" in kinds and kinds & {"number", "bool"}:
            self.problems.append(f"{left.text} {sign} {right.text} compares a text with a {min(kinds)}")
        elif "text" in kinds and sign not in ("==", "!="):
            self.problems.append(f"{left.text} {sign} {right.text}: a text can only be compared with == or !=")

    def _since(self, start: int) -> str:
        last = self._tokens[self._next - 1]
        quotes = 2 if last.kind == "text" else 0
        return self._source[start : last.at + len(last.text) + quotes]


def _value(token: Token) -> Scalar:
    whole = token.text.isdecimal() and len(token.text) <= FULL_DIGITS
    value = int(token.text) if whole else float(token.text)
    if value > LARGEST:
        raise ExpressionError(f"{shown(token)} is too large a number")
    return value


def _seconds(token: Token) -> float:
    unit = token.text.lstrip("0123456789.")
    seconds = float(token.text.removesuffix(unit)) * UNITS[unit]
    if not 0 < seconds <= 3650 * UNITS["d"]:
        raise ExpressionError(f"{shown(token)}: expected a duration between 1ms and 3650d")
    return seconds
