"""Where a point lies: table, first register or bit, and how many; and what a configuration may say of it."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

from drivers._points import PointError
from gateway.contract import Point

MAX_REGISTERS = 125  # Modbus application protocol 1.1b3, 6.3 and 6.4
MAX_BITS = 2000  # the same, 6.1 and 6.2
REGISTERS = {"int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "float32": 2, "int64": 4, "uint64": 4, "float64": 4}
WORD_ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
# What manuals print for these tables: a number that counts from 1 behind the table's own digit.
MANUAL_DIGIT = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}


class Table(IntEnum):
    """The four tables of Modbus; the value is the function code that reads it. No other function is ever polled."""

    COIL = 1
    DISCRETE = 2
    HOLDING = 3
    INPUT = 4

    @property
    def of_bits(self) -> bool:
        """True for coils and discrete inputs, functions 1 and 2."""
        return self <= 2


class Span(NamedTuple):
    """``size`` registers (or bits) from ``start`` (wire address, 0-based)."""

    table: Table
    start: int
    size: int

    @property
    def end(self) -> int:
        """One past the last."""
        return self.start + self.size

    def __str__(self) -> str:
        return f"{self.table.name.lower()}:{self.start}" + (f"-{self.end - 1}" if self.size > 1 else "")


def parse_at(at: str) -> tuple[Table, int]:
    """Read ``holding:20`` or ``input:0x14``; PointError says what was meant, as far as one can tell."""
    match = re.fullmatch(r"\s*([a-zA-Z]+)\s*:\s*(0[xX][0-9a-fA-F]+|\d+)\s*", at)
    if match is None:
        raise PointError("at", _guess(at))
    table = Table.__members__.get(match[1].upper())
    if table is None:
        raise PointError("at", f"{match[1]!r} is no Modbus table; write holding, input, coil or discrete")
    number = int(match[2], 16) if match[2][:2] in ("0x", "0X") else int(match[2])
    if number > 0xFFFF:
        raise PointError("at", f"{at!r} is beyond the last address 65535{_manual_hint(match[2])}")
    return table, number


def locate(point: Point) -> Span:
    """Return the span of a point, checking type, order, length and bit against its table."""
    table, start = parse_at(point.at)
    span = Span(table, start, _count(point, table))
    if span.end > 0x10000:
        raise PointError("length", f"reaches beyond the last address 65535 from {point.at}")
    _check_write(point, table)
    return span


def _count(point: Point, table: Table) -> int:
    if point.order not in WORD_ORDERS:
        raise PointError("order", f"{point.order!r} is no byte order; write one of {', '.join(WORD_ORDERS)}")
    if point.bit is not None and (point.type != "bool" or table.of_bits):
        raise PointError("bit", 'only a point with type = "bool" in a register (holding, input) has a bit')
    if table.of_bits:
        if point.type not in ("bool", "bits"):
            raise PointError("type", f'a {table.name.lower()} is one bit; write type = "bool" (or "bits" with length)')
        if point.type == "bool" and point.length not in (None, 1):
            raise PointError("length", 'a bool is one bit; write type = "bits" for several')
        return point.length or 1
    if point.type in REGISTERS:
        fixed = REGISTERS[point.type]
        if point.length not in (None, fixed):
            raise PointError("length", f"{point.type} always takes {fixed} register{'s' * (fixed > 1)}; leave it out")
        return fixed
    if point.type == "string" and point.length is None:
        raise PointError("length", "a string needs its length in registers (2 characters each)")
    limit = {"bool": 1, "bits": 4, "bcd": 4}.get(point.type, MAX_REGISTERS)
    if not 1 <= (point.length or 1) <= limit:
        raise PointError("length", f"{point.type} takes 1 to {limit} registers")
    return point.length or 1


def _check_write(point: Point, table: Table) -> None:
    if not point.write:
        return
    if table in (Table.DISCRETE, Table.INPUT):
        raise PointError("write", f"{table.name.lower()} can only be read; leave write out")
    if point.type not in ("bool", "bits", "string") and not point.enum and point.valid is None:
        raise PointError("valid", "a writable number needs valid = [lowest, highest]")


def _guess(at: str) -> str:
    form = 'write table:address, for example "holding:20" or "input:0x14"'
    return f"{at!r} is no Modbus address; {form}{_manual_hint(at)}"


def _manual_hint(number: str) -> str:
    """Explain 40001 and its like: the manual's number counts from 1, the wire's from 0."""
    digits = number.strip()
    if len(digits) in (5, 6) and digits.isdecimal() and digits[0] in MANUAL_DIGIT and int(digits[1:]) > 0:
        table = MANUAL_DIGIT[digits[0]]
        return f" ({digits} in a manual is {table}:{int(digits[1:]) - 1} here: the wire counts from 0)"
    return ""
