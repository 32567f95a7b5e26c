"""Masters and decoders that are not ours read the simulated meters: the package dlt645, and pyMeterBus."""

import asyncio
from pathlib import Path

import pytest

from gateway.cli.simulate.line import Pace, SimulatedLine
from gateway.cli.simulate.ports import TcpPort
from gateway.cli.simulate.station import Station
from tests.simulate.bench import ADDRESSES, pair, spec_of

ON_THE_WIRE = bytes.fromhex(ADDRESSES["dlt645"])[::-1].hex()  # that package takes addresses lowest byte first


async def test_the_client_of_dlt645_reads_a_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client_service = pytest.importorskip(
        "dlt645.service.clientsvc.client_service", reason="the peer is missing: pip install dlt645==3.2.0 (extra dev)"
    )
    monkeypatch.chdir(tmp_path)  # it may write log files where it stands
    _, slave = pair(spec_of("dlt645-2007-single-phase"))
    port = TcpPort()
    line = SimulatedLine("meters", [Station("meter", "", slave, None, slave)], port, Pace(), lambda: 9.0)
    await line.open()
    shown = slave.values.at(9.0).shown()
    try:
        host, _, number = port.address.partition(":")
        client = client_service.MeterClientService.new_tcp_client(host, int(number), 3.0)
        assert client.set_address(ON_THE_WIRE)
        energy = await asyncio.to_thread(client.read_00, 0x00010000)
        voltage = await asyncio.to_thread(client.read_02, 0x02010100)
        power = await asyncio.to_thread(client.read_02, 0x02030000)
        await asyncio.to_thread(client.client.disconnect)
    finally:
        await line.close()
    assert energy.value == pytest.approx(shown["import-energy"])
    assert voltage.value == pytest.approx(shown["voltage"])
    assert power.value == pytest.approx(shown["power"] / 1000)  # the package shows kW


def test_pymeterbus_reads_a_telegram() -> None:
    meterbus = pytest.importorskip("meterbus", reason="the peer is missing: pip install pyMeterBus (extra mbus)")
    _, slave = pair(spec_of("mbus-heat-meter"))
    now = slave.values.at(50.0)
    assert slave.hear(meterbus_short(0x40, 17), now) == b"\xe5"
    telegram = meterbus.load(slave.hear(meterbus_short(0x7B, 17), now))
    records = {record.interpreted["type"]: record.interpreted["value"] for record in telegram.records}
    shown = now.shown()
    assert records["VIFUnit.ENERGY_WH"] == pytest.approx(shown["energy"] * 1000)
    assert records["VIFUnit.VOLUME"] == pytest.approx(shown["volume"])
    assert records["VIFUnit.FLOW_TEMPERATURE"] == pytest.approx(shown["flow-temperature"])
    assert telegram.body.bodyHeader.id_nr_field is not None


def meterbus_short(control: int, address: int) -> bytes:
    """A short frame, as EN 13757-2 has it."""
    return bytes((0x10, control, address, (control + address) % 256, 0x16))


def test_meters_of_published_frames_say_them() -> None:
    """The frames of the profiles' published vectors come out of the simulated meter, byte by byte."""
    from gateway.cli.simulate.checks import digits
    from gateway.cli.simulate.cjt188 import CjtMeter
    from gateway.cli.simulate.dlt645 import DltMeter

    meter = DltMeter("000000000161", {"00010000": digits(26, 4)})
    meter.wake = 0
    asked = bytes.fromhex("FE FE FE FE 68 61 01 00 00 00 00 68 11 04 33 33 34 33 14 16")
    assert meter.hear(asked) == bytes.fromhex("68 61 01 00 00 00 00 68 91 08 33 33 34 33 59 33 33 33 8A 16")
    older = DltMeter("000000000414", {"9010": digits(958015, 4)}, edition=1997)
    older.wake = 0
    asked = bytes.fromhex("FE FE FE FE 68 14 04 00 00 00 00 68 01 02 43 C3 F1 16")
    assert older.hear(asked) == bytes.fromhex("68 14 04 00 00 00 00 68 81 06 43 C3 48 B3 C8 33 6B 16")
    tap = CjtMeter("78330011223344", {"901F": bytes.fromhex("007766552C007766552C310122110515202184")})
    asked = bytes.fromhex("FE FE FE FE 68 10 44 33 22 11 00 33 78 01 03 1F 90 00 80 16")
    said = "68 10 44 33 22 11 00 33 78 81 16 1F 90 00 00 77 66 55 2C 00 77 66 55 2C 31 01 22 11 05 15 20 21 84 13 16"
    assert tap.hear(asked) == b"\xfe\xfe" + bytes.fromhex(said)
