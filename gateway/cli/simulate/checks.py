"""The checksums that simulated devices put behind what they say; by table and closed form, unlike the drivers' own."""

from collections.abc import Callable

Check = Callable[[bytes], bytes]


def _crc_entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0xA001 if byte % 2 else 0)
    return byte


_CRC = tuple(_crc_entry(byte) for byte in range(256))


def crc16(data: bytes) -> bytes:
    """CRC of Modbus RTU (Modbus over serial line 1.02, 6.2.2), low byte first."""
    register = 0xFFFF
    for byte in data:
        register = (register >> 8) ^ _CRC[(register ^ byte) % 256]
    return bytes((register % 256, register // 256))


def lrc(data: bytes) -> bytes:
    """LRC of Modbus ASCII (Modbus over serial line 1.02, 6.2.1): two's complement of the sum."""
    return bytes((-sum(data) % 256,))


def byte_sum(data: bytes) -> bytes:
    """Sum of all bytes, one byte: DL/T 645, CJ/T 188, M-Bus and many sensors."""
    return bytes((sum(data) % 256,))


def exclusive_or(data: bytes) -> bytes:
    """Exclusive or of all bytes: NMEA 0183."""
    result = 0
    for byte in data:
        result ^= byte
    return bytes((result,))


def nothing(_data: bytes) -> bytes:
    """No checksum."""
    return b""


BY_NAME: dict[str, Check] = {"none": nothing, "xor": exclusive_or, "sum8": byte_sum, "crc16": crc16}


def digits(number: int, size: int, *, signed: bool = False) -> bytes:
    """Packed BCD of ``size`` bytes, low byte first; ``signed``: the top bit of the last byte says minus."""
    data = bytearray(bytes.fromhex(f"{abs(number):0{2 * size}d}"))
    if signed and number < 0:
        data[0] |= 0x80
    return bytes(reversed(data))


def crc_hj212(data: bytes) -> bytes:
    """CRC of HJ 212-2017, appendix A: each byte replaces the low half, unlike Modbus; four upper-case digits."""
    register = 0xFFFF
    for byte in data:
        register = _crc_entry((register >> 8) ^ byte)
    return f"{register:04X}".encode()
