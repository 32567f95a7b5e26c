"""A search of a real pseudo-terminal with several protocols and speeds."""

import termios
from pathlib import Path

from gateway.clock import SystemClock
from gateway.scan.search import Search, Wanted
from gateway.scan.wire import OwnWire
from gateway.settings import LineSettings
from tests.meters.slaves import CjtMeter, modbus_ear, water
from tests.scan.crowd import crowd, of_edition, only_reads
from tests.scan.sites import ELECTRIC, SHEETS, WATER, climate, electric, level, run, told

FEW = [sheet for sheet in SHEETS if sheet.name.startswith(("qdy30a", "renke-rs-ws", "dlt645", "cjt188"))]
B9600, B38400 = termios.B9600, termios.B38400


async def test_a_mixed_line_is_found_whole_and_only_reads_leave_it() -> None:
    tap = CjtMeter(WATER, {"901F": water()}, order="high")
    ears = (
        (B9600, modbus_ear(3, level())), (B38400, modbus_ear(5, climate())),
        (B38400, of_edition(electric())), (B38400, tap.hear),
    )  # fmt: skip
    with crowd(*ears) as bus:
        line = LineSettings(name="bus", serial=Path(bus.path))
        clock = SystemClock()
        wanted = Wanted(units=(3, 5), bauds=(9600, 38400), protocols=("modbus", "dlt645", "cjt188"))
        search = Search(OwnWire(line, clock), clock, wanted, FEW)
        search._meter_wait = 0.15  # these meters are quick
        await run(search)
    assert told(search) == {
        3: ("modbus", "qdy30a", 9600),
        5: ("modbus", "renke-rs-ws-n01", 38400),
        ELECTRIC: ("dlt645", "dlt645-2007-single-phase", 38400),
        WATER: ("cjt188", "cjt188-water", 38400),
    }
    assert search.complete
    assert search.clashes == []
    assert len(bus.heard) > 20
    assert [question.hex() for _, question in bus.heard if not only_reads(question)] == []
