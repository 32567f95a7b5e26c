"""The meter simulator of the package dlt645 (not ours) on a real TCP line, read by our driver through a source.

The simulator keeps its address as the wire has it, lowest byte first: what it calls 785634122320 is the meter with
202312345678 on its plate.
"""

from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.contract import SourceState
from gateway.links import Line
from gateway.settings import LineSettings
from tests.meters.test_shared_line import ELECTRIC, Site, running, source

simulator = pytest.importorskip(
    "dlt645.service.serversvc.server_service", reason="the peer is missing: pip install dlt645==3.2.0 (extra dev)"
)
ON_THE_WIRE = bytes.fromhex(ELECTRIC)[::-1].hex()


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # it may write log files where it stands
    made = simulator.MeterServerService.new_tcp_server("127.0.0.1", 0, 1.0)
    made.set_address(ON_THE_WIRE)
    assert all(
        (
            made.set_00(0x00010000, 123456.78),
            made.set_00(0x00010100, 1.5),
            made.set_02(0x02010100, 220.5),
            made.set_02(0x02020100, 0.456),
            made.set_02(0x02030000, -1.2345),
            made.set_02(0x02800002, 49.98),
        )
    )
    assert made.start()
    yield made
    made.stop()


async def test_the_simulated_meter_is_read(peer):
    settings = LineSettings(name="bus", tcp=f"127.0.0.1:{peer.server.port}")
    line, site = Line(settings, SystemClock()), Site()
    part = source(line, settings, "meter", "dlt645-2007-single-phase", ELECTRIC, site.put)
    async with running(line, part):
        await site.until(lambda: len(site.readings.get("meter", ())) >= 2)
    values = {name: value.value for name, value in site.readings["meter"][-1].points.items()}
    expected = {
        "import-energy": 123456.78, "import-energy-peak": 1.5, "voltage": 220.5, "current": 0.456, "power": -1234.5,
        "frequency": 49.98,
    }  # fmt: skip
    assert {name: values[name] for name in expected} == expected


async def test_another_address_gives_no_value(peer):
    """The simulator refuses in the name of every other address, with error word 01."""
    settings = LineSettings(name="bus", tcp=f"127.0.0.1:{peer.server.port}")
    line, site = Line(settings, SystemClock()), Site()
    part = source(line, settings, "meter", "dlt645-2007-single-phase", ON_THE_WIRE, site.put)
    async with running(line, part):
        await site.until(lambda: part.state is SourceState.DEGRADED)
    assert part.view()["reason"] == "refused"
    assert "error word 01 (another error)" in part.view()["sentence"]
    assert {value.quality for reading in site.readings["meter"] for value in reading.points.values()} == {"bad"}
