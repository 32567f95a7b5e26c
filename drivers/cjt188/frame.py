"""Frames of CJ/T 188: questions that only read, and answers told from everything else."""

from __future__ import annotations

from typing import NamedTuple

from drivers._meters import START, RefusedError, StrayError, close
from gateway.contract import DeviceError

HEADER = 11  # 68 type address(7) control length
OVERHEAD = HEADER + 2
ANYONE = "AA" * 7
ANY_TYPE = 0xAA
READ = 0x01
READS = frozenset({READ})
ANSWER, ABNORMAL = 0x80, 0x40
FUNCTION = 0x1F


class Frame(NamedTuple):
    """A sound frame: meter type, address as on the meter's plate (14 digits), control byte, data."""

    type: int
    address: str
    control: int
    data: bytes


def question(control: int, meter_type: int, address: str, ident: bytes, serial: int) -> bytes:
    """Build a question; every byte that this driver sends comes from here. ValueError for what does not read."""
    if control not in READS:
        raise ValueError(f"control {control:02X}H does not read; this driver sends nothing else")
    data = ident + bytes((serial & 0xFF,))
    return close(bytes((START, meter_type, *reversed(bytes.fromhex(address)), control, len(data))) + data)


def measure(data: bytes) -> int:
    """Tell the length of the frame that begins here, see ``Frames``."""
    return OVERHEAD + data[10] if len(data) >= HEADER else OVERHEAD


def parse(frame: bytes) -> Frame:
    """Take a sound frame apart."""
    return Frame(frame[1], bytes(reversed(frame[2:9])).hex().upper(), frame[9], frame[HEADER:-2])


def answer_to(frame: bytes, meter_type: int, address: str, ident: str, what: str) -> bytes | None:
    """Return the data behind identifier and serial number; None when the frame is none of ours.

    ``ident`` is as in the standard's tables (901F); meters answer with either byte first. The serial number is not
    compared: many meters send one of their own. RefusedError when our meter refuses.
    """
    given = parse(frame)
    if (given.type, given.address) != (meter_type, address) or not given.control & ANSWER:
        return None
    if given.control & FUNCTION != READ:
        raise StrayError(f"{what}: answered with control {given.control:02X}H, another question's", "protocol", frame)
    if given.control & ABNORMAL:
        status = given.data[1:].hex(" ").upper() or given.data.hex().upper()
        raise RefusedError(f"{what}: the meter refuses (status {status or 'not given'})", "refused", frame)
    if len(given.data) < 3:
        raise DeviceError(f"{what}: the answer is too short", "protocol", frame)
    said = given.data[:2]
    if bytes.fromhex(ident) not in (said, said[::-1]):
        raise StrayError(f"{what}: the meter answered {said.hex().upper()} instead", "protocol", frame)
    return given.data[3:]
