"""Wired M-Bus (EN 13757-2 and -3): heat, water and gas meters by primary or secondary address; only reads."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from drivers._decimals import check_decimal
from drivers._options import Options
from drivers._points import PointError
from gateway.contract import ConfigError, DeviceSpec, Driver, Point

if TYPE_CHECKING:
    from drivers.mbus.telegram import Place

QUALIFIERS = {"storage": 1 << 41, "tariff": 1 << 20, "device": 1 << 10}  # and what each stays below


def make(spec: DeviceSpec) -> Driver:
    """Build the driver of one meter; ConfigError with one sentence ``key: what; fix`` for each mistake."""
    if importlib.util.find_spec("meterbus") is None:
        raise ConfigError('driver: M-Bus needs pyMeterBus; install it with: pip install "linli-gateway[mbus]"')
    from drivers.mbus.device import MbusDevice  # pyMeterBus is an extra

    problems = Options(spec).finish()
    primary, identity = _address(spec.address, problems)
    if not spec.points:
        problems.append("points: a meter needs at least one point, or a profile that has them")
    places: dict[str, Place] = {}
    for name, point in spec.points.items():
        try:
            places[name] = _place(point, spec.points)
        except PointError as error:
            problems.append(f"points.{name}.{error.key}: {error}")
    if problems:
        raise ConfigError(*problems)
    return MbusDevice(primary, identity, spec.points, places)


def _address(address: int | str, problems: list[str]) -> tuple[int, bytes]:
    """Return the primary address, or the 8 bytes that select by the secondary one."""
    text = str(address).strip().upper()
    if text.isdecimal() and len(text) <= 3 and int(text) in (*range(251), 254):
        return int(text), b""
    if re.fullmatch(r"[0-9]{8}", text):
        return 0, bytes.fromhex(text)[::-1] + b"\xff" * 4
    if re.fullmatch(r"[0-9]{8}[0-9A-F]{8}", text):
        return 0, bytes.fromhex(text[:8])[::-1] + bytes.fromhex(text[8:])
    problems.append(
        f"address: {address!r} is no M-Bus address; write 0 to 250, the meter's number of 8 digits in quotes, or those "
        "and maker, version and medium as 8 hexadecimal digits more"
    )
    return 0, b""


def _place(point: Point, points: Mapping[str, Point]) -> Place:
    from drivers.mbus.telegram import FLAGS, FUNCTIONS, HEAD_NUMBERS, NUMBERS, TEXTS, Place

    word, *more = point.at.split() or [""]
    words = NUMBERS | HEAD_NUMBERS | TEXTS | FLAGS.keys()
    if word not in words:
        raise PointError("at", f"{word!r} is nothing that is read here; write one of {', '.join(sorted(words))}")
    kind = "string" if word in TEXTS else "bool" if word in FLAGS else ""
    if (kind or point.type in ("string", "bool")) and point.type != kind:
        raise PointError("type", f'write type = "{kind}" for {word}' if kind else f"{word} is a number; leave it out")
    check_decimal(point, points, others=("string", "bool"))
    numbers = {"storage": 0, "tariff": 0, "device": 0}
    function = "now"
    for part in more:
        key, _, number = part.partition("=")
        if part in FUNCTIONS:
            function = part
        elif key in numbers and number.isdecimal() and number.isascii() and int(number) < QUALIFIERS[key]:
            numbers[key] = int(number)
        else:
            form = 'write for example "volume storage=1 tariff=2 device=1" or "power max"'
            raise PointError("at", f"{part!r} qualifies no record; {form}")
    return Place(word, numbers["storage"], numbers["tariff"], numbers["device"], function)
