"""Cuts an alarm expression into tokens and says in words what cannot be one."""

import re
import unicodedata
from typing import Literal, NamedTuple

from gateway.contract import LinliError

TokenKind = Literal["number", "duration", "text", "name", "point", "symbol", "end"]

LONGEST = 1000  # characters; keeps a hostile or mistaken expression from costing more than its alarm is worth
_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?P<tail>[A-Za-z_]\w*)?
      | (?P<name>[^\W\d][\w-]*(?:\.[\w-]+)*)
      | (?P<text>"[^"]*"|'[^']*')
      | (?P<symbol><=|>=|==|!=|<>|&&|\|\||[-+*/()<>,=!])
    """,
    re.VERBOSE,
)
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_UNITS = ("ms", "s", "m", "h", "d")
_INSTEAD = {"&&": "and", "||": "or", "!": "not", "<>": "!=", "=": "=="}


class ExpressionError(LinliError):
    """An expression cannot be understood; the text says what and how to write it."""


class Token(NamedTuple):
    """One word of an expression and where it starts (0-based)."""

    kind: TokenKind
    text: str
    at: int


def shown(token: Token) -> str:
    """The token and its place (counted from 1) as messages name it."""
    return "at the end" if token.kind == "end" else f'"{token.text}" (character {token.at + 1})'


def tokens(source: str) -> list[Token]:
    """Cut ``source``; ExpressionError at the first thing that belongs to no expression."""
    if len(source) > LONGEST:
        raise ExpressionError(f"the expression is longer than {LONGEST} characters; split it into several alarms")
    found: list[Token] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise ExpressionError(_stranger(source[at], at))
        if not match["space"]:
            found.append(_token(match))
        at = match.end()
    found.append(Token("end", "", at))
    return found


def _token(match: re.Match[str]) -> Token:
    at = match.start()
    if match["number"]:
        return Token("number", match["number"], at) if not match["tail"] else _duration(match)
    if name := match["name"]:
        return _named(name, at)
    if match["text"]:
        return Token("text", match["text"][1:-1], at)
    symbol = match["symbol"]
    if symbol in _INSTEAD:
        raise ExpressionError(f"write {_INSTEAD[symbol]} instead of {symbol} (character {at + 1})")
    return Token("symbol", symbol, at)


def _duration(match: re.Match[str]) -> Token:
    text, tail = match[0], match["tail"]
    if tail not in _UNITS or not match["number"].replace(".", "", 1).isdecimal():
        raise ExpressionError(
            f'"{text}" (character {match.start() + 1}) is neither a number nor a duration such as 30s, 5m or 1h'
        )
    return Token("duration", text, match.start())


def _named(text: str, at: int) -> Token:
    parts = text.split(".")
    if any(_NAME.fullmatch(part) is None for part in parts) or len(parts) > 2:
        # Kept whole: the parser knows the points and can tell a missing space from a wrong name.
        return Token("point", text, at)
    return Token("name" if len(parts) == 1 else "point", text, at)


def _stranger(character: str, at: int) -> str:
    where = f"(character {at + 1})"
    if character in "\"'“”‘’":
        return f"a text needs a plain quotation mark at both its ends {where}"
    plain = unicodedata.normalize("NFKC", character)
    if plain != character and _TOKEN.match(plain):
        return f'write a half-width "{plain}" instead of "{character}" {where}'
    return f'"{character}" {where} means nothing in an expression'
