"""The simulated slaves speak Modbus as the standard has it, on a real socket and a real pseudo-terminal."""

import asyncio
import os
import struct

import pytest

from gateway.cli.demo.modbus import RtuSlave, Tables, TcpSlave, answer, crc16, take_frame

TABLES = Tables(discrete={0: 1, 1: 0, 2: 1, 8: 1}, holding={0: 7, 1: 0xFFFF}, input={4: 118})


@pytest.mark.parametrize(
    ("request_hex", "reply_hex"),
    [
        ("0300000002", "03040007ffff"),
        ("0400040001", "04020076"),
        ("0200000003", "020105"),
        ("0200080001", "020101"),
        ("0300020001", "8302"),  # no such address
        ("0300010002", "8302"),  # runs over the end
        ("0300000000", "8303"),
        ("030000007e", "8303"),  # 126 registers
        ("03000000", "8303"),
        ("0600010001", "8601"),  # a write
        ("", "8001"),
    ],
)
def test_answers(request_hex: str, reply_hex: str) -> None:
    assert answer(TABLES, bytes.fromhex(request_hex)).hex() == reply_hex


def test_nine_bits_take_two_bytes() -> None:
    tables = Tables(discrete={place: int(place in {0, 8}) for place in range(9)})
    assert answer(tables, bytes.fromhex("0200000009")).hex() == "02020101"


def test_crc_of_a_published_frame() -> None:
    # XY-MD02: request of temperature and humidity, as its manual prints it.
    assert crc16(bytes.fromhex("010400010002")).hex() == "200b"


def test_a_frame_is_found_behind_noise_and_in_pieces() -> None:
    frame = bytes.fromhex("010400010002200b")
    buffer = bytearray(b"\x00\xff" + frame[:5])
    assert take_frame(buffer) is None
    buffer += frame[5:] + frame
    assert take_frame(buffer) == frame
    assert take_frame(buffer) == frame
    assert take_frame(buffer) is None


async def test_tcp_serves_several_units_on_one_connection() -> None:
    slave = TcpSlave({1: TABLES, 2: Tables(input={0: 5})}.get)
    port = await slave.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for unit, request, reply in ((1, "0400040001", "04020076"), (2, "0400000001", "04020005")):
            pdu = bytes.fromhex(request)
            writer.write(struct.pack(">HHHB", 77, 0, len(pdu) + 1, unit) + pdu)
            head = await reader.readexactly(7)
            assert struct.unpack(">HHHB", head) == (77, 0, len(reply) // 2 + 1, unit)
            assert (await reader.readexactly(len(reply) // 2)).hex() == reply
        # A unit that is not there keeps silent, and the connection lives on.
        for unit in (9, 1):
            writer.write(struct.pack(">HHHB", unit, 0, 6, unit) + bytes.fromhex("0400040001"))
        assert struct.unpack(">HHHB", await reader.readexactly(7))[0] == 1
    finally:
        writer.close()
        await slave.stop()


async def test_tcp_hangs_up_on_what_is_not_modbus() -> None:
    slave = TcpSlave({1: TABLES}.get)
    port = await slave.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
    finally:
        writer.close()
        await slave.stop()


async def test_rtu_answers_on_a_terminal_and_keeps_silent_for_others() -> None:
    slave = RtuSlave({1: TABLES}.get)
    master = os.open(slave.start(), os.O_RDWR | os.O_NOCTTY)
    try:
        for unit in (5, 1):
            request = bytes((unit,)) + bytes.fromhex("0400040001")
            os.write(master, request + crc16(request))
        reply = await asyncio.to_thread(os.read, master, 100)
        while len(reply) < 7:
            reply += await asyncio.to_thread(os.read, master, 100)
        assert reply[:5].hex() == "0104020076"
        assert crc16(reply[:-2]) == reply[-2:]
    finally:
        os.close(master)
        await slave.stop()
