"""CJ/T 188-2004 and 188-2018 water, gas and heat meters: read only; a valve's state is told, a valve never moved."""

from __future__ import annotations

from collections.abc import Mapping

from drivers._meters import WAKE, exchange, only_frame
from drivers._options import Options
from drivers._points import PointError
from drivers.cjt188.frame import ANSWER, ANY_TYPE, ANYONE, FUNCTION, READ, measure, parse, question
from drivers.cjt188.meter import ORDERS, Meter
from drivers.cjt188.place import locate
from gateway.contract import ConfigError, DeviceSpec, Pipe

DIGITS = 14
MOST_WAKE = 32

VECTORS = (  # published frames
    (
        bytes.fromhex(
            "68 10 44 33 22 11 00 33 78 81 16 1F 90 00 00 77 66 55 2C 00 77 66 55 2C 31 01 22 11 05 15 20 21 84 13 16"
        ),
        {"type": 0x10, "address": "78330011223344", "control": 0x81,
         "data": "1f9000007766552c007766552c31012211051520" "2184"},
    ),
    (
        bytes.fromhex("68 10 01 00 00 05 08 00 00 01 03 1F 90 00 39 16"),
        {"type": 0x10, "address": "00000805000001", "control": 0x01, "data": "1f9000"},
    ),
)  # fmt: skip

__all__ = ["VECTORS", "Meter", "decode", "find_address", "make"]


def make(spec: DeviceSpec) -> Meter:
    """Build the driver of one meter; ConfigError with one sentence ``key: what; fix`` for each mistake."""
    options = Options(spec)
    wake = options.number("wake", 4, 0, MOST_WAKE)
    meter_type = options.number("meter_type", 0x10, 0x01, 0x99)
    order = options.word("di_order", "learn", ORDERS)
    address = str(spec.address).strip()
    problems = [*options.finish(), *_address_problems(address)]
    places = {}
    for name, point in spec.points.items():
        try:
            places[name] = locate(point, spec.points)
        except PointError as error:
            problems.append(f"points.{name}.{error.key}: {error}")
    if not spec.points:
        problems.append("points: a meter needs at least one point, or a profile that has them")
    if problems:
        raise ConfigError(*problems)
    return Meter(address, meter_type, spec.points, places, wake=wake, order=order)


def decode(frame: bytes) -> Mapping[str, object]:
    """Take one frame apart, for people: meter type, address as on the plate, control, data; DeviceError if damaged."""
    meter_type, address, control, data = parse(only_frame(frame, measure))
    return {"type": meter_type, "address": address, "control": control, "data": data.hex()}


async def find_address(
    pipe: Pipe, *, meter_type: int = ANY_TYPE, low_first: bool = True, wake: int = 4
) -> tuple[int, str]:
    """Ask who is there, with the wildcard address: for one meter alone on a line, and never for polling.

    Returns meter type and address; DeviceError when several answer at once. It reads the current total, which more
    meters answer than the question for the address. Some want to be asked by their own ``meter_type``; ``low_first``
    is the order of the identifier's bytes.
    """

    def accept(frame: bytes) -> tuple[int, str] | None:
        found, address, given, _ = parse(frame)
        if not given & ANSWER or given & FUNCTION != READ or not address.isdecimal():
            return None
        return found, address

    ident = bytes.fromhex("1F90" if low_first else "901F")
    asked = bytes((WAKE,)) * wake + question(READ, meter_type, ANYONE, ident, 0)
    return await exchange(pipe, asked, measure, accept, "read address")


def _address_problems(text: str) -> list[str]:
    if not (text.isascii() and text.isdecimal() and 0 < len(text) <= DIGITS):
        return [f'address: {text!r} is no meter address; write the 14 digits of the meter, such as "78330011223344"']
    if len(text) < DIGITS:
        return [
            f"address: {text} has {len(text)} digits and an address 14: the maker's four, then the meter's ten; "
            f'without a maker\'s code write "{text.zfill(DIGITS)}"'
        ]
    return []
