"""A simulated RTU sensor on a pseudo-terminal that the service may open; writes the terminal's name to argv[1]."""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from gateway.cli.simulate.line import Pace, SimulatedLine
from gateway.cli.simulate.modbus import Tables, Units
from gateway.cli.simulate.ports import PtyPort
from gateway.cli.simulate.station import Station
from gateway.settings import SerialSettings


async def main() -> None:
    slave = Units("rtu", {4: Tables(input={1: 184, 2: 610})}.get)
    with tempfile.TemporaryDirectory() as folder:
        port = PtyPort(Path(folder) / "sensor")
        pace = Pace(SerialSettings(baud=9600, format="8N1"), real=True, turnaround=0.005)
        await SimulatedLine("sensor", [Station("sensor", "", slave, None, slave)], port, pace, lambda: 0.0).open()
        offer(Path(port.address), Path(sys.argv[1]))
        await asyncio.Event().wait()


def offer(link: Path, place: Path) -> None:
    terminal = str(link.resolve())
    # A USB adapter's node belongs to this group on Debian.
    shutil.chown(terminal, "root", "dialout")
    Path(terminal).chmod(0o660)
    place.write_text(terminal)


asyncio.run(main())
