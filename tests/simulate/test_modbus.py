"""The simulated slaves speak Modbus as the standard has it: bytes from the standard, and masters that are not ours."""

import asyncio
import os

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient, AsyncModbusUdpClient
from pyModbusTCP.client import ModbusClient

from gateway.cli.simulate.checks import crc16
from gateway.cli.simulate.line import Pace, SimulatedLine
from gateway.cli.simulate.modbus import Tables, Units, respond, whole_mbap
from gateway.cli.simulate.ports import Port, PtyPort, TcpPort, UdpPort
from gateway.cli.simulate.station import Station
from gateway.settings import SerialSettings
from tests.simulate.bench import Face, pair, spec_from

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
        ("0600010001", "8602"),  # nothing here may be set
        ("1700010001", "9701"),
        ("2b0e0100", "ab01"),
        ("", "8001"),
    ],
)
def test_answers(request_hex: str, reply_hex: str) -> None:
    assert respond(TABLES, bytes.fromhex(request_hex)).hex() == reply_hex


def test_nine_bits_take_two_bytes() -> None:
    tables = Tables(discrete={place: int(place in {0, 8}) for place in range(9)})
    assert respond(tables, bytes.fromhex("0200000009")).hex() == "02020101"


def test_crc_of_a_published_frame() -> None:
    # XY-MD02: request of temperature and humidity, as its manual prints it.
    assert crc16(bytes.fromhex("010400010002")).hex() == "200b"


def test_a_request_is_found_in_noise() -> None:
    slave = Units("rtu", {1: TABLES}.get)
    asked = bytes.fromhex("010400040001")
    for before, behind in ((b"", b""), (b"\0\xff", b""), (b"\xfe\xfe", b"\0")):
        said = slave.hear(before + asked + crc16(asked) + behind, slave.values.at(0))
        assert said[:-2].hex() == "0104020076"
    assert slave.hear(asked + b"\0\0", slave.values.at(0)) == b""


@pytest.mark.parametrize(
    ("stream", "whole"), [("", 0), ("0001000000", 0), ("000100000006010300000001", 12), ("0001000000060103", 0),
                          ("00010000000601030000000100020000", 12), ("474554202f20485454", 9)],
)  # fmt: skip
def test_whole_requests_of_a_stream(stream: str, whole: int) -> None:
    assert whole_mbap(bytes.fromhex(stream)) == whole


POINTS = {
    "level": {"at": "holding:4", "type": "int16", "scale": 0.01, "unit": "m", "valid": [-1, 5], "write": True},
    "power": {"at": "input:8", "type": "float32", "order": "CDAB", "unit": "W"},
    "total": {"at": "input:10", "type": "uint32", "order": "BADC", "unit": "Wh"},
    "runs": {"at": "coil:3", "type": "bool", "write": True},
    "door": {"at": "discrete:0", "type": "bool", "invert": True},
}


def line(port: Port, framing: str, pace: Pace | None = None) -> tuple[SimulatedLine, Station]:
    _, slave = pair(spec_from("modbus", POINTS, framing=framing))
    station = Station("pump", "", slave, SerialSettings(), slave)
    whole = whole_mbap if framing == "tcp" else None
    return SimulatedLine("plant", [station], port, pace or Pace(), lambda: 3.0, whole=whole), station


async def check_with_pymodbus(client, station: Station, framing: str) -> None:
    """A master that is not ours reads and sets; the registers mean what the simulator shows."""
    assert await client.connect()
    try:
        shown = station.slave.values.at(3.0).shown()
        power = await client.read_input_registers(8, count=2, device_id=5)
        assert client.convert_from_registers(power.registers, client.DATATYPE.FLOAT32, "little") == pytest.approx(
            shown["power"], rel=1e-6
        )
        door = await client.read_discrete_inputs(0, count=1, device_id=5)
        assert door.bits[0] is not shown["door"]
        await client.write_coil(3, value=True, device_id=5)
        await client.write_register(4, 217, device_id=5)
        assert (
            station.slave.values.at(3.0).shown() | {"runs": True, "level": 2.17} == station.slave.values.at(3.0).shown()
        )
        assert (await client.read_holding_registers(4, count=1, device_id=5)).registers == [217]
        assert (await client.read_holding_registers(400, count=1, device_id=5)).exception_code == 2
        assert (await client.write_register(8, 1, device_id=5)).exception_code == 2
        assert (await client.read_device_information(device_id=5)).exception_code == 1
    finally:
        client.close()


async def test_pymodbus_reads_it_over_tcp() -> None:
    for framing, framer in (("tcp", FramerType.SOCKET), ("rtu", FramerType.RTU)):
        port = TcpPort()
        made, station = line(port, framing)
        await made.open()
        try:
            host, _, number = port.address.partition(":")
            await check_with_pymodbus(AsyncModbusTcpClient(host, port=int(number), framer=framer), station, framing)
        finally:
            await made.close()


async def test_pymodbus_reads_it_over_udp() -> None:
    port = UdpPort()
    made, station = line(port, "tcp")
    await made.open()
    try:
        host, _, number = port.address.partition(":")
        await check_with_pymodbus(AsyncModbusUdpClient(host, port=int(number)), station, "tcp")
    finally:
        await made.close()


async def test_pymodbus_reads_it_on_a_terminal(tmp_path) -> None:
    for framing, framer in (("rtu", FramerType.RTU), ("ascii", FramerType.ASCII)):
        port = PtyPort(tmp_path / framing)
        made, station = line(port, framing, Pace(SerialSettings(baud=115200), real=True, turnaround=0.001))
        station.serial = SerialSettings(baud=115200)
        await made.open()
        try:
            await check_with_pymodbus(AsyncModbusSerialClient(port.address, baudrate=115200, framer=framer), station,
                                      framing)  # fmt: skip
        finally:
            await made.close()


async def test_pymodbustcp_reads_it() -> None:
    port = TcpPort()
    made, station = line(port, "tcp")
    await made.open()
    try:
        host, _, number = port.address.partition(":")
        client = ModbusClient(host, int(number), unit_id=5, timeout=5)
        words = await asyncio.to_thread(client.read_input_registers, 10, 2)
        await asyncio.to_thread(client.close)
    finally:
        await made.close()
    swapped = [int.from_bytes(word.to_bytes(2, "little"), "big") for word in words]
    assert swapped[0] << 16 | swapped[1] == station.slave.values.at(3.0).shown()["total"]


async def test_another_speed_is_not_heard(tmp_path) -> None:
    made, _station = line(PtyPort(tmp_path / "wire"), "rtu")
    await made.open()
    try:
        assert made.answer(bytes.fromhex("0504000800020000"), 9600) is None
        asked = bytes.fromhex("050400080002")
        assert made.answer(asked + crc16(asked), 9600) is not None
        assert made.answer(asked + crc16(asked), 2400) is None
        assert (made.questions, made.unheard) == (3, 2)
    finally:
        await made.close()


async def test_two_units_asked_at_once_on_a_terminal(tmp_path) -> None:
    slave = Units("rtu", {1: TABLES}.get)
    made = SimulatedLine(
        "riser", [Station("u", "", slave, None, slave)], PtyPort(tmp_path / "riser"), Pace(), lambda: 0.0
    )
    await made.open()
    master = os.open(made.port.address, os.O_RDWR | os.O_NOCTTY)
    try:
        for unit in (5, 1):
            request = bytes((unit,)) + bytes.fromhex("0400040001")
            os.write(master, request + crc16(request))
        reply = b""
        while len(reply) < 7:
            reply += await asyncio.to_thread(os.read, master, 100)
        assert reply[:5].hex() == "0104020076"
    finally:
        os.close(master)
        await made.close()


async def test_busy_and_wrong_checks() -> None:
    for framing in ("rtu", "ascii"):
        _, slave = pair(spec_from("modbus", POINTS, framing=framing))
        face = Face(slave)
        driver, _ = pair(spec_from("modbus", POINTS, framing=framing))
        slave.refusal = slave.busy_code
        with pytest.raises(Exception, match="busy"):
            await driver.read(face, frozenset({"power"}))
        slave.refusal = None
        face.spoil = slave.break_check
        with pytest.raises(Exception, match="wrong"):
            await driver.read(face, frozenset({"power"}))
