"""Where a value lies in an environment station's messages: which kind of data, factor and field."""

from __future__ import annotations

import re
from typing import NamedTuple

from drivers._decimals import check_decimal
from drivers._points import PointError
from gateway.contract import Point

# Commands (CN) by which a station sends data by itself.
PERIODS = {"realtime": "2011", "minute": "2051", "hour": "2061", "day": "2031"}
AT = re.compile(r"(?:(?P<period>[a-z]+):)?(?P<factor>[A-Za-z0-9]{1,12})-(?P<field>[A-Za-z]{1,12})")


class Place(NamedTuple):
    """``command`` is the CN; ``field`` such as ``Rtd``, ``Avg``, ``Cou``."""

    command: str
    factor: str
    field: str


def locate(point: Point) -> Place:
    """Return where a point lies; PointError names the key that is wrong."""
    match = AT.fullmatch(point.at.strip())
    if match is None:
        raise PointError(
            "at",
            f'{point.at!r} is no field of an environment station; write "a34004-Rtd" (factor and field), with '
            '"minute:", "hour:" or "day:" before it for the values of a period, such as "hour:a34004-Avg"',
        )
    period = match["period"] or "realtime"
    if period not in PERIODS:
        raise PointError("at", f"{period!r} is no kind of data; write one of {', '.join(PERIODS)}")
    if match["field"] == "Flag":
        raise PointError("at", "the mark of a value shows in the value's quality; name the value itself")
    if point.type != "string":
        check_decimal(point, {}, others=("string",))
    return Place(PERIODS[period], match["factor"].lower(), match["field"].lower())
