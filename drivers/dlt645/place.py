"""Where a value lies in a DL/T 645 meter: identifier, bytes of its data, and the block that holds it with others."""

from __future__ import annotations

import re
from typing import NamedTuple

from drivers._points import PointError
from gateway.contract import Point

DI = re.compile(r"(?P<ident>[0-9A-F]{2}(?:-?[0-9A-F]{2}){3}|[0-9A-F]{2}-?[0-9A-F]{2})(?:\+(?P<offset>\d{1,3}))?")
TYPES = ("bcd", "sbcd", "bits", "bool", "string")
LONGEST = {"bcd": 8, "sbcd": 8, "bits": 6, "bool": 6}
MOST_DATA = 196  # the longest data of one frame, without the identifier
# 2007 blocks: their first two bytes, and the DI1 of the first value; FF in DI1 asks for all of them.
BLOCKS_2007 = {
    **dict.fromkeys(("0000", "0001", "0002", "0003", "0004"), 0),
    **dict.fromkeys(("0201", "0202", "0207"), 1),
    **dict.fromkeys(("0203", "0204", "0205", "0206"), 0),
}
# 1997 blocks: their first three digits; F as the last digit asks for all of them.
BLOCKS_1997 = {"901": 0, "902": 0, "B61": 1, "B62": 1, "B63": 0, "B64": 0}


class Place(NamedTuple):
    """``ident`` as written in tables (high byte first); ``offset`` None: the value is all the data there is."""

    ident: str
    offset: int | None
    size: int

    @property
    def end(self) -> int:
        """One past the last byte in the data."""
        return (self.offset or 0) + self.size

    @property
    def is_1997(self) -> bool:
        """Identifiers of the 1997 edition have two bytes, those of 2007 four."""
        return len(self.ident) == 4


def locate(point: Point) -> Place:
    """Return where a point lies; PointError names the key that is wrong."""
    match = DI.fullmatch(point.at.strip().upper())
    if match is None:
        raise PointError(
            "at",
            f"{point.at!r} is no data identifier; write 8 digits such as "
            '"00-01-00-00" (1997 edition: 4, such as "9010"), with +N for a value N bytes into a block',
        )
    if point.type not in TYPES:
        raise PointError("type", f'meters send digits, no {point.type}; write type = "bcd", or "sbcd" with a sign')
    if point.length is None and point.type != "bool":
        raise PointError("length", "write how many bytes the value has in the standard's table")
    if point.bit is None and point.type == "bool":
        raise PointError("bit", "a bool is one bit of a status word: write which, 0 is the lowest")
    offset = match["offset"]
    place = Place(match["ident"].replace("-", ""), int(offset) if offset else None, point.length or 2)
    if place.size > LONGEST.get(point.type, MOST_DATA):
        raise PointError("length", f"a {point.type} has at most {LONGEST.get(point.type, MOST_DATA)} bytes")
    _refuse_rest(point, place)
    return place


def block_of(place: Place) -> tuple[str, int] | None:
    """Return the block that holds this value among others, and which of them it is."""
    if place.offset is not None:
        return None
    if place.is_1997:
        begin, digit, end = place.ident[:3], place.ident[3], "F"
        first = BLOCKS_1997.get(begin)
    else:
        begin, digit, end = place.ident[:4], place.ident[4:6], "FF00"
        first = BLOCKS_2007.get(begin) if place.ident[6:] == "00" else None
    if first is None or digit.startswith("F") or int(digit, 16) < first:
        return None
    return begin + end, int(digit, 16) - first


def _refuse_rest(point: Point, place: Place) -> None:
    if point.write:
        raise PointError("write", "a meter is only ever read; leave write out")
    if point.order != "ABCD":
        raise PointError("order", "the standard fixes the byte order; leave order out")
    if point.decimals is not None:
        raise PointError("decimals", "the standard fixes the decimals; write a scale such as 0.01")
    if isinstance(point.ratio, str):
        raise PointError("ratio", "write the transformer's ratio as a number")
    if point.bit is not None and (point.type != "bool" or point.bit >= 8 * place.size):
        raise PointError("bit", f'only type = "bool" has a bit, from 0 to {8 * place.size - 1}')
