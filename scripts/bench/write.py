"""How long a write takes on a busy line: p50 and p99 beside the transaction under way and its own three exchanges.

A slave in its own process on a pseudo-terminal gives every byte its time on the wire and answers after a turnaround.
Ten units are polled, more of them than the line can carry, so that there is always a queue. Writes come at random
moments. Bound: the 99th percentile of the transactions that were under way plus that of the writes' own, both measured
in this run, and never more than one transaction before a write. Then the same beside a meter that is asked for long:
see ``write_meter``.
"""

import argparse
import asyncio
import logging
import math
import multiprocessing
import os
import pty
import random
import sys
import time
import tty
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from drivers.modbus import make
from gateway.clock import SystemClock
from gateway.links import Line
from gateway.settings import DeviceSettings, LineSettings
from gateway.settings.resolve import resolve_device
from gateway.sources import Source
from scripts.bench.write_meter import measure as measure_beside_meter
from tests.modbus_farm import Slave, crc16, rtu, rtu_length

UNITS, REGISTERS, TURNAROUND = 10, 40, 0.005
QUESTION = 8


class Wire:
    """Slaves behind a pseudo-terminal, in a process of their own: bytes take their time, one question at a time."""

    def __init__(self, baud: int) -> None:
        self.character = 10 / baud
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        words = dict.fromkeys(range(REGISTERS), 7)
        self.slaves = {unit: Slave(dict(words), {0: False}) for unit in range(1, UNITS + 1)}
        multiprocessing.get_context("fork").Process(target=self.run, daemon=True).start()

    def run(self) -> None:
        """Answer for ever."""
        buffer = b""
        while True:
            buffer += os.read(self._master, 4096)
            while len(buffer) >= QUESTION and len(buffer) >= (length := rtu_length(buffer)):
                request, buffer = buffer[:length], buffer[length:]
                if request[-2:] != crc16(request[:-2]):
                    raise SystemExit("bench_write: a damaged question")
                pdu = self.slaves[request[0]].answer(request[1:-2])
                if pdu is not None:
                    frame = rtu(request[:1] + pdu)
                    # The question's own time on the wire, the slave's thinking, the answer's time.
                    time.sleep((len(request) + len(frame)) * self.character + TURNAROUND)
                    os.write(self._master, frame)


class Turn(NamedTuple):
    """One transaction, in monotonic seconds."""

    began: float
    ended: float
    first: bool

    @property
    def seconds(self) -> float:
        """How long it had the line."""
        return self.ended - self.began


class Meter:
    """Remembers when every transaction of a line began and ended, and whether it went before all others."""

    def __init__(self, line: Line) -> None:
        self.turns: list[Turn] = []
        self.began = 0.0  # of the transaction under way
        inner = line.transact

        async def timed(work, *, deadline, **more):  # noqa: ANN001, ANN003, ANN202 - as Line.transact
            async def measured(pipe):  # noqa: ANN001, ANN202
                self.began = time.monotonic()
                try:
                    return await work(pipe)
                finally:
                    self.turns.append(Turn(self.began, time.monotonic(), deadline == -math.inf))

            return await inner(measured, deadline=deadline, **more)

        line.transact = timed  # type: ignore[method-assign, assignment]


def percentile(values: list[float], share: float) -> float:
    """The value that this share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def devices(line: Line, settings: LineSettings, clock: SystemClock) -> list[Source]:
    """Ten units with forty registers each and an output."""
    points = {f"r{at}": {"at": f"holding:{at}"} for at in range(REGISTERS)}
    points["output"] = {"at": "coil:0", "type": "bool", "write": True}  # type: ignore[dict-item]

    async def drop(_item: object) -> None:
        return

    made = []
    for unit in range(1, UNITS + 1):
        about = DeviceSettings.model_validate(
            {"name": f"u{unit}", "driver": "modbus", "line": "bus", "address": unit, "every": "100ms", "points": points}
        )
        resolved = resolve_device(about, settings, None)
        made.append(Source(resolved, make(resolved.spec), line, clock, drop))
    return made


async def measure(baud: int, writes: int) -> bool:
    """Print one row; False when the bound was missed."""
    wire, clock = Wire(baud), SystemClock()
    settings = LineSettings.model_validate({"name": "bus", "serial": wire.path, "baud": baud})
    line = Line(settings, clock)
    meter = Meter(line)
    sources = devices(line, settings, clock)
    running = [asyncio.create_task(line.run())]
    while line.state != "open":
        await line.changed()
    running += [asyncio.create_task(source.run()) for source in sources]
    await asyncio.sleep(3)
    taken, polls, owns, waited = [], [], [], []
    chance, value = random.Random(1), False
    for _ in range(writes):
        await asyncio.sleep(chance.uniform(0.02, 0.3))
        value = not value
        meter.turns.clear()
        began = time.monotonic()
        written = await chance.choice(sources).write("output", value)
        taken.append(time.monotonic() - began)
        if written.fault is not None or written.after.value is not value:
            raise SystemExit(f"bench_write: a write failed: {written}")
        own = next(number for number, turn in enumerate(meter.turns) if turn.first)
        # Beside its own there may be one more, that was under way when the write came.
        waited.append(own)
        polls += [turn.seconds for turn in meter.turns[:own]]
        owns.append(meter.turns[own].seconds)
    busy = line.view()["busy"]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    p99, bound = percentile(taken, 0.99), percentile(polls, 0.99) + percentile(owns, 0.99)
    kept = p99 <= bound and max(waited) <= 1
    print(f"{baud} baud, line {busy:.0%} busy, {writes} writes at random moments")
    print(f"  a poll's transaction:     p50 {ms(polls, 0.5)}, p99 {ms(polls, 0.99)}")
    print(f"  a write's own:            p50 {ms(owns, 0.5)}, p99 {ms(owns, 0.99)} (read, write, read back)")
    print(f"  from asking to read back: p50 {ms(taken, 0.5)}, p99 {ms(taken, 0.99)}, most {ms(taken, 1)}")
    print(f"  transactions in between:  at most {max(waited)}")
    print(f"  p99 within the one under way and its own ({bound * 1e3:.1f} ms): {'yes' if kept else 'NO'}")
    return kept


def ms(values: list[float], share: float) -> str:
    """A percentile in milliseconds."""
    return f"{percentile(values, share) * 1e3:.1f} ms"


async def beside_meter(writes: int) -> bool:
    """Print how writes fare beside a meter; False when the bound was missed."""
    (mean, worst), asked, owns, taken = await measure_beside_meter(writes)
    p99, bound = percentile(taken, 0.99), percentile(asked, 0.99) + percentile(owns, 0.99)
    print(f"an electricity meter of 12 questions at 2400 baud, an output at 9600, {writes} writes at random moments")
    print(f"  a whole poll of it:       mean {mean * 1e3:.1f} ms, worst {worst * 1e3:.1f} ms")
    print(f"  a question under way:     p50 {ms(asked, 0.5)}, p99 {ms(asked, 0.99)}")
    print(f"  a write's own:            p50 {ms(owns, 0.5)}, p99 {ms(owns, 0.99)} (change of speed, read, write, read)")
    print(f"  from asking to read back: p50 {ms(taken, 0.5)}, p99 {ms(taken, 0.99)}, most {ms(taken, 1)}")
    print(f"  p99 within the question under way and its own ({bound * 1e3:.1f} ms): {'yes' if p99 <= bound else 'NO'}")
    return p99 <= bound


def main() -> None:
    """Measure every speed asked for, and beside a meter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writes", type=int, default=100, help="at each speed")
    parser.add_argument("--baud", type=int, nargs="*", default=[9600, 115200])
    options = parser.parse_args()
    logging.disable()
    print(f"{UNITS} units of {REGISTERS} registers and one coil, polled faster than the line can")
    kept = [asyncio.run(measure(baud, options.writes)) for baud in options.baud]
    kept.append(asyncio.run(beside_meter(options.writes)))
    sys.exit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
