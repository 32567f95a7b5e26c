"""How long a write takes on a line whose meter is asked question after question, each a fifth of a second long.

An electricity meter (DL/T 645 at 2400 8E1) with twelve values, no blocks, is polled without pause; the output of a
Modbus unit at 9600 8N1 on the same wire is set at random moments. Bound: the 99th percentile of the questions (from
the first byte of one to the last of its answer) plus that of the write's own, the change of speed in it.
"""

import asyncio
import multiprocessing
import os
import pty
import random
import termios
import time
import tty

from drivers.dlt645 import make as make_meter
from drivers.modbus import make as make_unit
from gateway.cli.simulate.checks import digits
from gateway.cli.simulate.dlt645 import DltMeter
from gateway.clock import SystemClock
from gateway.links import Line
from gateway.settings import DeviceSettings, LineSettings
from gateway.settings.resolve import resolve_device
from gateway.sources import Source
from tests.modbus_farm import Slave, crc16, rtu

ADDRESS = "202312345678"
VALUES = [f"{kind:02X}{phase:02X}0000" for kind in range(0, 4) for phase in range(3)]
TURNAROUND = 0.02
# A character has 11 bits at the meter's speed and 10 at the unit's.
SPEEDS = {termios.B2400: 11 / 2400, termios.B9600: 10 / 9600}
RTU, START, END = 8, 0x68, 0x16


class Wire:
    """A meter and a unit behind a pseudo-terminal, in a process of their own: bytes take their time."""

    def __init__(self) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._meter = DltMeter(ADDRESS, {ident: digits(1234, 4) for ident in VALUES})
        self._unit = Slave({}, {0: False})
        multiprocessing.get_context("fork").Process(target=self.run, daemon=True).start()

    def run(self) -> None:
        """Answer for ever; a question is whole when one of the two knows it."""
        heard = b""
        while True:
            heard += os.read(self._master, 4096)
            answer = self._answer(heard)
            if answer:
                character = SPEEDS[termios.tcgetattr(self._slave)[5]]
                time.sleep((len(heard) + len(answer)) * character + TURNAROUND)
                os.write(self._master, answer)
                heard = b""

    def _answer(self, heard: bytes) -> bytes:
        if heard[-1] == END and START in heard:
            return self._meter.hear(heard)
        if len(heard) == RTU and heard[-2:] == crc16(heard[:-2]):
            return rtu(heard[:1] + (self._unit.answer(heard[1:-2]) or b""))
        return b""


class Log:
    """Every question with its answer, as the wire shows it: when its first byte went and when its last came."""

    def __init__(self, line: Line) -> None:
        self.questions: list[list[float]] = []
        line.tap(self.note)

    def note(self, way: str, _data: bytes, now: float) -> None:
        """See ``Tap``."""
        if way == "out":
            self.questions.append([now, now])
        elif self.questions:
            self.questions[-1][1] = now


def made(line: Line, settings: LineSettings, clock: SystemClock) -> list[Source]:
    """The meter and the unit."""

    async def drop(_item: object) -> None:
        return

    meter = {f"v{ident.lower()}": {"at": ident, "type": "bcd", "length": 4} for ident in VALUES}
    tables = (
        {"name": "meter", "driver": "dlt645", "address": ADDRESS, "points": meter, "options": {"blocks": False},
         "serial": {"baud": 2400, "format": "8E1"}, "every": "100ms"},
        {"name": "unit", "driver": "modbus", "address": 1, "every": "2s",
         "points": {"output": {"at": "coil:0", "type": "bool", "write": True}}},
    )  # fmt: skip
    sources = []
    for table, make in zip(tables, (make_meter, make_unit), strict=True):
        resolved = resolve_device(DeviceSettings.model_validate({"line": "bus", **table}), settings, None)
        sources.append(Source(resolved, make(resolved.spec), line, clock, drop))
    return sources


async def measure(writes: int) -> tuple[list[float], list[float], list[float], list[float]]:
    """Return in seconds: the meter's whole polls, its questions, the writes' own, and what the writes took."""
    wire, clock = Wire(), SystemClock()
    settings = LineSettings.model_validate({"name": "bus", "serial": wire.path, "baud": 9600})
    line = Line(settings, clock)
    log = Log(line)
    meter, unit = made(line, settings, clock)
    running = [asyncio.create_task(line.run())]
    while line.state != "open":
        await line.changed()
    running += [asyncio.create_task(source.run()) for source in (meter, unit)]
    await asyncio.sleep(6)
    taken, owns, asked = [], [], []
    chance, value = random.Random(1), False
    for _ in range(writes):
        await asyncio.sleep(chance.uniform(0.3, 1.2))
        value = not value
        began, before = clock.monotonic(), len(log.questions)
        written = await unit.write("output", value)
        ended = clock.monotonic()
        if written.fault is not None or written.after.value is not value:
            raise SystemExit(f"bench_write: a write failed: {written}")
        own = log.questions[-3:]  # it reads, writes and reads back
        others = log.questions[before : len(log.questions) - 3]
        if len(others) > 1:
            raise SystemExit(f"bench_write: {len(others)} questions of others went before a write")
        # One may have had the line already without a byte on the wire: it waited for silence.
        under_way = (others or log.questions[before - 1 :])[0]
        asked.append(under_way[1] - under_way[0])
        owns.append(ended - max(began, under_way[1]))
        taken.append(ended - began)
        if own[0][0] < began:
            raise SystemExit("bench_write: the write's own questions are not the last three")
    whole = meter.view()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    if whole["errors_by_kind"]:
        raise SystemExit(f"bench_write: the meter suffered: {whole['errors_by_kind']}")
    return [whole["mean_ms"] / 1e3, whole["worst_ms"] / 1e3], asked, owns, taken
