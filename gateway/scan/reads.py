"""The gate of a search: tells bytes that only read from all others, by their function or control code."""

from __future__ import annotations

from drivers._checksums import crc16
from drivers.cjt188 import frame as cjt188
from drivers.dlt645 import frame as dlt645

MODBUS_READS = (1, 2, 3, 4)
RTU_SIZE, MBAP_SIZE = 8, 12  # bytes of a question of these four
# M-Bus (EN 13757-2): reset of the link layer, and the two requests for data. Selecting by CI 52H sends no data either.
MBUS_READS = (0x40, 0x5B, 0x7B)
MBUS_SELECTION = bytes.fromhex("680B0B6873FD52")
WAKE = b"\xfe"


def is_read(data: bytes) -> bool:
    """Whether these bytes are one whole question, of a protocol that we speak, that changes nothing in a device."""
    return _modbus(data) or _meter(data.lstrip(WAKE)) or _mbus(data)


def _modbus(data: bytes) -> bool:
    if data[:1] == b":":
        digits = data[1:-2]
        if data[-2:] != b"\r\n" or len(digits) % 2 or not _is_hexadecimal(digits):
            return False
        frame = bytes.fromhex(digits.decode())
        return len(frame) == RTU_SIZE - 1 and not sum(frame) & 0xFF and frame[1] in MODBUS_READS
    if len(data) == RTU_SIZE and data[1] in MODBUS_READS:
        return crc16(data[:-2]) == data[-2:]
    return len(data) == MBAP_SIZE and data[2:6] == b"\0\0\0\x06" and data[7] in MODBUS_READS


def _meter(data: bytes) -> bool:
    if len(data) < cjt188.OVERHEAD - 1 or data[0] != 0x68 or data[-1] != 0x16 or data[-2] != sum(data[:-2]) & 0xFF:
        return False
    if data[7] == 0x68 and len(data) == dlt645.OVERHEAD + data[9]:
        return data[8] in dlt645.READS
    return len(data) == cjt188.OVERHEAD + data[10] and data[9] in cjt188.READS


def _mbus(data: bytes) -> bool:
    if data[:1] == b"\x10":
        return len(data) == 5 and data[1] in MBUS_READS and data[3] == sum(data[1:3]) & 0xFF and data[4] == 0x16
    return len(data) == 17 and data.startswith(MBUS_SELECTION) and data[15] == sum(data[4:15]) & 0xFF


def _is_hexadecimal(digits: bytes) -> bool:
    return all(digit in b"0123456789ABCDEFabcdef" for digit in digits)
