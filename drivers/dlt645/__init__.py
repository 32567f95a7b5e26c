"""DL/T 645-2007 and -1997 electricity meters: read by identifier, told the time if asked to; never cut or cleared."""

from __future__ import annotations

from collections.abc import Mapping

from drivers._meters import exchange, only_frame
from drivers._options import Options
from drivers._points import PointError, check_meaning
from drivers.dlt645.frame import ANSWER, ANYONE, EVERYONE, FUNCTION, READ_1997, READ_ADDRESS, measure, parse, question
from drivers.dlt645.meter import Meter
from drivers.dlt645.place import Place, locate
from gateway.contract import ConfigError, DeviceSpec, Pipe

DIGITS = 12
MOST_WAKE = 32
ENERGY_1997 = bytes.fromhex("1090")

VECTORS = (  # published frames; the third is a 1997 answer
    (
        bytes.fromhex("68 01 00 00 00 00 00 68 93 06 34 33 33 33 33 33 9D 16"),
        {"address": "000000000001", "control": 0x93, "data": "010000000000"},
    ),
    (
        bytes.fromhex("68 61 01 00 00 00 00 68 91 08 33 33 34 33 59 33 33 33 8A 16"),
        {"address": "000000000161", "control": 0x91, "data": "0000010026000000"},
    ),
    (
        bytes.fromhex("68 14 04 00 00 00 00 68 81 06 43 C3 48 B3 C8 33 6B 16"),
        {"address": "000000000414", "control": 0x81, "data": "109015809500"},
    ),
)

__all__ = ["VECTORS", "Meter", "decode", "find_address", "make"]


def make(spec: DeviceSpec) -> Meter:
    """Build the driver of one meter; ConfigError with one sentence ``key: what; fix`` for each mistake."""
    options = Options(spec)
    wake = options.number("wake", 4, 0, MOST_WAKE)
    blocks = options.flag("blocks", default=True)
    set_clock = options.flag("set_clock", default=False)
    problems = [*options.finish(), *_address_problems(str(spec.address).strip())]
    places: dict[str, Place] = {}
    for name, point in spec.points.items():
        try:
            places[name] = locate(point)
            check_meaning(point, spec.points)
        except PointError as error:
            problems.append(f"points.{name}.{error.key}: {error}")
    if not spec.points:
        problems.append("points: a meter needs at least one point, or a profile that has them")
    if len({place.is_1997 for place in places.values()}) > 1:
        problems.append("points: identifiers of 4 digits (1997) and of 8 (2007) do not go into one meter")
    if problems:
        raise ConfigError(*problems)
    return Meter(str(spec.address).strip(), spec.points, places, wake=wake, blocks=blocks, set_clock=set_clock)


def decode(frame: bytes) -> Mapping[str, object]:
    """Take one frame apart, for people: address as on the plate, control, data less 33H; DeviceError if damaged."""
    address, control, data = parse(only_frame(frame, measure))
    return {"address": address, "control": control, "data": data.hex()}


async def find_address(pipe: Pipe, *, edition: int = 2007, wake: int = 4) -> str:
    """Ask who is there, with the wildcard address: for one meter alone on a line, and never for polling.

    Returns the 12 digits on its plate; DeviceError when several answer at once. The 1997 edition has no question for
    the address, so its energy is asked for and the address taken from the answer.
    """
    control, data = (READ_ADDRESS, b"") if edition == 2007 else (READ_1997, ENERGY_1997)

    def accept(frame: bytes) -> str | None:
        address, given, said = parse(frame)
        if not given & ANSWER or given & FUNCTION != control:
            return None
        told = bytes(reversed(said)).hex().upper() if control == READ_ADDRESS else address
        return told if len(told) == DIGITS and told.isdecimal() else None

    return await exchange(pipe, b"\xfe" * wake + question(control, ANYONE, data), measure, accept, "read address")


def _address_problems(text: str) -> list[str]:
    if not (text.isascii() and text.isdecimal() and 0 < len(text) <= DIGITS):
        return [f'address: {text!r} is no meter address; write the 12 digits on the meter, such as "202312345678"']
    if len(text) < DIGITS:
        return [f'address: {text} has {len(text)} digits and a meter 12; write "{text.zfill(DIGITS)}"']
    if text == EVERYONE:
        return ["address: 99… is the broadcast address, which no meter answers; write the 12 digits on the meter"]
    return []
