"""From register bytes to raw values: types and byte orders. Never raises on data."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from functools import lru_cache

from drivers._points import NOT_AVAILABLE, Finish, Raw
from drivers.modbus.address import Span
from gateway.contract import Point, PointValue

Extract = Callable[[bytes], Raw]
Decode = Callable[[bytes], PointValue]

FORMATS = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q",
    "float32": "f", "float64": "d",
}  # fmt: skip
SINGLE_BITS = 24
NEW = object()


def extractor(point: Point, span: Span, base: int) -> Extract:
    """Make the function that takes this point's raw value out of a block that begins at address ``base``."""
    if span.table.of_bits:
        return _bit_extractor(point, span, span.start - base)
    begin = 2 * (span.start - base)
    end = begin + 2 * span.size
    ordered = _reorder(point.order)
    if point.type in FORMATS:
        return _number_extractor(point.type, point.order, begin, end)
    if point.type == "bool":
        mask = 0xFFFF if point.bit is None else 1 << point.bit
        return lambda data: bool(int.from_bytes(ordered(data[begin:end])) & mask) is not point.invert
    if point.type == "bits":
        return lambda data: int.from_bytes(ordered(data[begin:end]))
    if point.type == "bcd":
        return lambda data: _bcd(ordered(data[begin:end]))
    return lambda data: _text(ordered(data[begin:end]))


def packer(point: Point, span: Span) -> Callable[[Raw], bytes]:
    """Make the function from a raw value to the bytes in which ``extractor`` finds it: registers, or packed bits.

    ValueError, OverflowError or struct.error when it does not fit. A bool fills a register as 0 or 1, whatever its bit.
    """
    if span.table.of_bits:
        bits = (span.size + 7) // 8
        return lambda raw: (int(raw or 0) ^ (point.invert and point.type == "bool")).to_bytes(bits, "little")
    ordered, size = _reorder(point.order), 2 * span.size  # every order undoes itself
    if point.type in FORMATS:
        pack = struct.Struct(">" + FORMATS[point.type]).pack
        return lambda raw: ordered(pack(raw))
    if point.type == "bcd":
        return lambda raw: ordered(bytes.fromhex(f"{raw:0{2 * size}d}"))
    if point.type == "string":
        return lambda raw: ordered(_padded(str(raw).encode(), size))
    if point.type == "bool":
        return lambda raw: ordered((bool(raw) is not point.invert).to_bytes(size))
    return lambda raw: ordered(int(raw or 0).to_bytes(size))


def _padded(text: bytes, size: int) -> bytes:
    if len(text) > size:
        raise ValueError(f"has {len(text)} bytes, {size} fit")
    return text.ljust(size, b"\0")


def decoder(extract: Extract, finish: Finish) -> Decode:
    """Join both; remembers the last value, for most registers seldom change and finishing is the dear half."""
    last_raw: object = NEW
    last = NOT_AVAILABLE

    def decode(data: bytes) -> PointValue:
        nonlocal last_raw, last
        raw = extract(data)
        if raw != last_raw:
            last = finish(raw, 1, 0)
            last_raw = raw
        return last

    return decode


@lru_cache(maxsize=1024)
def _number_extractor(kind: str, order: str, begin: int, end: int) -> Extract:
    if order in ("ABCD", "DCBA"):
        unpack = struct.Struct((">" if order == "ABCD" else "<") + FORMATS[kind]).unpack_from
        if kind != "float32":
            return lambda data: unpack(data, begin)[0]
        return lambda data: shortest(unpack(data, begin)[0])
    reorder, unpack_whole = _reorder(order), struct.Struct(">" + FORMATS[kind]).unpack
    if kind != "float32":
        return lambda data: unpack_whole(reorder(data[begin:end]))[0]
    return lambda data: shortest(unpack_whole(reorder(data[begin:end]))[0])


def _bit_extractor(point: Point, span: Span, first: int) -> Extract:
    if point.type == "bool":
        at, mask, invert = first >> 3, 1 << (first & 7), point.invert
        return lambda data: bool(data[at] & mask) is not invert
    mask = (1 << span.size) - 1
    return lambda data: int.from_bytes(data, "little") >> first & mask


def _reorder(order: str) -> Callable[[bytes], bytes]:
    """Return the function that turns this order into ABCD, for any number of registers."""
    functions: dict[str, Callable[[bytes], bytes]] = {
        "ABCD": bytes,
        "CDAB": _swap_words,
        "BADC": _swap_bytes,
        "DCBA": lambda data: data[::-1],
    }
    return functions[order]


def _swap_bytes(data: bytes) -> bytes:
    swapped = bytearray(data)
    swapped[0::2], swapped[1::2] = data[1::2], data[0::2]
    return bytes(swapped)


def _swap_words(data: bytes) -> bytes:
    return _swap_bytes(data[::-1])


def shortest(number: float) -> float:
    """Return the shortest decimal within one unit in the last place of this single: 230.2, not 230.20001220703125."""
    if not math.isfinite(number):
        return number
    last_place = math.ldexp(1.0, math.frexp(number)[1] - SINGLE_BITS)
    for digits in (7, 8):
        short = float(f"{number:.{digits}g}")
        if abs(short - number) <= last_place:
            return short
    return number


def _bcd(data: bytes) -> int | None:
    digits = data.hex()
    return int(digits) if digits.isdecimal() else None


def _text(data: bytes) -> str | None:
    try:
        text = data.split(b"\0", 1)[0].decode().strip()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None
