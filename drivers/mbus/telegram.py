"""From a long frame to values (EN 13757-3): pyMeterBus cuts records and knows units; the numbers are read here."""

from __future__ import annotations

import datetime
import math
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import meterbus
from meterbus.exceptions import MBusError

from drivers._points import MALFORMED, NOT_A_NUMBER, NOT_AVAILABLE
from drivers.mbus.link import RESPONSES
from gateway.contract import DeviceError, PointValue

VARIABLE_DATA = 0x72
FIXED_DATA = 0x73
REPORT = 0x70
HEADER = 12  # bytes of identity and state before the records
# EN 13757-3, 8: application errors that a meter reports instead of data.
REPORTS = {0x03: "premature end of record", 0x08: "application too busy", 0x09: "too many readouts"}
BUSY = 0x08
FUNCTIONS = ("now", "max", "min", "error")
# What pyMeterBus raises on records that are cut or that it does not know.
LIBRARY_ERRORS = (MBusError, IndexError, KeyError, ValueError, TypeError, AttributeError)
EXTENSIONS = {0xFB: 0x200, 0xFD: 0x100}
PLAIN_TEXT = (0x7C, 0xFC)
RECORD_ERRORS = range(0x20)  # VIFE by which a meter says that this record failed
MALFORMED_DATE = PointValue(None, "bad", "invalid_date")
RECORD_ERROR = PointValue(None, "bad", "record_error")

# pyMeterBus' type and unit: our word, its unit after scaling in the comment.
QUANTITIES = {
    ("ENERGY_WH", "WH"): "energy",  # Wh
    ("Energy", "WH"): "energy",
    ("ENERGY_J", "J"): "energy-joule",  # J
    ("VOLUME", "M3"): "volume",  # m3
    ("Volume", "M3"): "volume",
    ("MASS", "KG"): "mass",  # kg
    ("ON_TIME", "SECONDS"): "on-time",  # s
    ("OPERATING_TIME", "SECONDS"): "operating-time",  # s
    ("POWER_W", "W"): "power",  # W
    ("Power", "W"): "power",
    ("POWER_J_H", "J_H"): "power-joule",  # J/h
    ("VOLUME_FLOW", "M3_H"): "volume-flow",  # m3/h
    ("MASS_FLOW", "KG_H"): "mass-flow",  # kg/h
    ("FLOW_TEMPERATURE", "C"): "flow-temperature",  # degrees Celsius
    ("RETURN_TEMPERATURE", "C"): "return-temperature",
    ("TEMPERATURE_DIFFERENCE", "K"): "temperature-difference",  # K
    ("EXTERNAL_TEMPERATURE", "C"): "external-temperature",
    ("PRESSURE", "BAR"): "pressure",  # bar
    ("UNITS_FOR_HCA", "HCA"): "heat-cost",
    ("FABRICATION_NO", "NONE"): "fabrication-number",
    ("RELATIVE_HUMIDITY", "PERCENT"): "humidity",  # %
    ("VOLTS", "V"): "voltage",  # V
    ("AMPERE", "A"): "current",  # A
    ("ERROR_FLAGS", "NONE"): "error-flags",
    ("DIGITAL_INPUT", "NONE"): "digital-input",
    ("DATE", "DATE"): "date",
    ("DATE_TIME_GENERAL", "DATE_TIME"): "date-time",
}
NUMBERS = frozenset(QUANTITIES.values()) - {"date", "date-time"}
HEAD_NUMBERS = frozenset({"medium", "version", "status", "access-number"})
TEXTS = frozenset({"date", "date-time", "id", "manufacturer"})
FLAGS = {"power-low": 0x04, "permanent-error": 0x08, "temporary-error": 0x10}

Raw = Decimal | str | bool | PointValue


class Place(NamedTuple):
    """Which record: what, storage number, tariff, subunit, and now, max, min or error."""

    word: str
    storage: int = 0
    tariff: int = 0
    device: int = 0
    function: str = "now"


@dataclass(frozen=True, slots=True)
class Telegram:
    """One answer: identity as it is sent (8 bytes), values by place, and whether the meter has more to say."""

    identity: bytes
    values: dict[Place, Raw] = field(default_factory=dict)
    more: bool = False


def decode(frame: bytes, address: int | None) -> Telegram:
    """Read a long frame whose checksum is right; ``address`` None takes any. DeviceError says what it is instead."""
    control, sender, kind = frame[4:7]
    if control not in RESPONSES or (address is not None and sender != address):
        raise DeviceError(f"meter {sender} answered instead of {address}; check the address", "protocol", frame)
    if kind == REPORT:
        code = frame[7] if len(frame) > 9 else -1
        text = REPORTS.get(code, f"code {code}")
        raise DeviceError(f"the meter reports: {text}", "busy" if code == BUSY else "device_failure", frame)
    if kind == FIXED_DATA:
        raise DeviceError("the meter sends the old fixed data structure, which is not supported", "protocol", frame)
    if kind != VARIABLE_DATA or len(frame) < 4 + 3 + HEADER + 2:
        raise DeviceError("the answer is no variable data (CI 72)", "protocol", frame)
    try:
        records = meterbus.TelegramLong.parse(list(frame)).records
        values = dict(_head(frame[7:]))
        for record in records:
            place = _place(record)
            if place is not None:
                values.setdefault(place, _value(record, place))
        more = any(record.more_records_follow for record in records)
    except LIBRARY_ERRORS as error:
        raise DeviceError(f"the answer's records cannot be read ({type(error).__name__})", "damaged", frame) from None
    return Telegram(frame[7:15], values, more)


def _head(head: bytes) -> Iterator[tuple[Place, Raw]]:
    number = head[3::-1].hex()
    maker = int.from_bytes(head[4:6], "little")
    yield Place("id"), number if number.isdecimal() else MALFORMED["bcd"]
    letters = "".join(chr((maker >> shift & 0x1F) + 64) for shift in (10, 5, 0))
    yield Place("manufacturer"), letters if letters.isalpha() else MALFORMED["string"]
    for at, word in ((6, "version"), (7, "medium"), (8, "access-number"), (9, "status")):
        yield Place(word), Decimal(head[at])
    for word, mask in FLAGS.items():
        yield Place(word), bool(head[9] & mask)


def _place(record: Any) -> Place | None:  # noqa: ANN401 - pyMeterBus has no types
    code, _ = _code(record.vib.parts)
    if code is None:
        return None
    _, unit, kind = meterbus.VIFTable.lut[code]
    word = QUANTITIES.get((getattr(kind, "name", kind), getattr(unit, "name", unit)))
    if word is None:
        return None
    storage, tariff, device = record.dib.parse_dife()
    return Place(word, storage, tariff or 0, device or 0, FUNCTIONS[record.dib.parts[0] >> 4 & 3])


def _code(parts: Sequence[int]) -> tuple[int | None, bool]:
    """Return the place in pyMeterBus' table, and whether the meter says that the record failed.

    None for what is not wanted: text, and values whose meaning an extension changes (per hour, future, maximum of …).
    """
    if not parts or parts[0] in PLAIN_TEXT:
        return None, False
    first, more = parts[0], parts[1:]
    if first in EXTENSIONS:
        code, more = EXTENSIONS[first] | more[0] & 0x7F, more[1:]
    else:
        code = first & 0x7F
    failed = bool(more) and all(part & 0x7F in RECORD_ERRORS for part in more)
    return (None if more and not failed else code), failed


def _value(record: Any, place: Place) -> Raw:  # noqa: ANN401 - pyMeterBus has no types
    code, failed = _code(record.vib.parts)
    if failed:
        return RECORD_ERROR
    data = bytes(record.dataField.parts)
    coding = record.dib.parts[0] & 0x0F
    if len(data) != SIZES.get(coding):
        return NOT_AVAILABLE
    if place.word == "date":
        return _date(data) if coding == 0x2 else MALFORMED_DATE
    if place.word == "date-time":
        return _date_time(data) if coding == 0x4 else MALFORMED_DATE
    number = READERS[coding](data)
    if isinstance(number, PointValue):
        return number
    factor, _, _ = meterbus.VIFTable.lut[code]
    return number * Decimal(repr(factor))


def _integer(data: bytes) -> Decimal | PointValue:
    number = int.from_bytes(data, "little", signed=True)
    return NOT_AVAILABLE if number == -1 << 8 * len(data) - 1 else Decimal(number)


def _bcd(data: bytes) -> Decimal | PointValue:
    digits = data[::-1].hex()
    sign = ""
    if digits[0] == "f" and digits != "f" * len(digits):
        sign, digits = "-", digits[1:]  # EN 13757-3, annex: F in the highest digit is a minus
    return Decimal(sign + digits) if digits.isdecimal() else MALFORMED["bcd"]


def _real(data: bytes) -> Decimal | PointValue:
    (number,) = struct.unpack("<f", data)
    return Decimal(f"{number:.7g}") if math.isfinite(number) else NOT_A_NUMBER


def _date(data: bytes) -> str | PointValue:
    """Type G: five bits day, four month, seven year."""
    year = data[0] >> 5 | (data[1] & 0xF0) >> 1
    try:
        return datetime.date(2000 + year, data[1] & 0x0F, data[0] & 0x1F).isoformat()
    except ValueError:
        return MALFORMED_DATE


def _date_time(data: bytes) -> str | PointValue:
    """Type F: minute, hour, and type G behind; the top bit of the first byte says that the clock is not set."""
    date = _date(data[2:])
    if isinstance(date, PointValue) or data[0] & 0x80 or data[0] & 0x3F > 59 or data[1] & 0x1F > 23:
        return MALFORMED_DATE
    return f"{date}T{data[1] & 0x1F:02}:{data[0] & 0x3F:02}"


SIZES = {0x1: 1, 0x2: 2, 0x3: 3, 0x4: 4, 0x5: 4, 0x6: 6, 0x7: 8, 0x9: 1, 0xA: 2, 0xB: 3, 0xC: 4, 0xE: 6}
READERS: dict[int, Callable[[bytes], Decimal | PointValue]] = {
    coding: _real if coding == 0x5 else _integer if coding < 0x8 else _bcd for coding in SIZES
}
