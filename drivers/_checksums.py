"""The checksums that devices with lines and frames of their own put behind them."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import xor

Checksum = Callable[[bytes], bytes]


def _crc16_of_byte(rest: int) -> int:
    for _ in range(8):
        rest = rest >> 1 ^ (0xA001 if rest & 1 else 0)
    return rest


CRC16 = tuple(_crc16_of_byte(byte) for byte in range(256))


def crc16(data: bytes) -> bytes:
    """CRC of Modbus over serial line 1.02, 6.2.2; low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC16[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def sum8(data: bytes) -> bytes:
    """Sum of all bytes, modulo 256."""
    return bytes((sum(data) & 0xFF,))


def xor8(data: bytes) -> bytes:
    """Exclusive or of all bytes (NMEA 0183, 5.3.1)."""
    return bytes((reduce(xor, data, 0),))


def none(_data: bytes) -> bytes:
    """No checksum: nothing is behind the data."""
    return b""


CHECKSUMS: dict[str, Checksum] = {"none": none, "xor": xor8, "sum8": sum8, "crc16": crc16}
