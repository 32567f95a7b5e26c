"""How fast the poller is: Modbus TCP beside raw loops and pymodbus's client, RTU beside the wire's own limit.

TCP: 50 connections, 20 registers a request, as fast as it goes, one process each against the same farm of slaves.
RTU: a slave in its own process on a pseudo-terminal gives every byte its time on the wire; the limit is (bytes of
question and answer) x bits of a character / speed + 3.5 characters of silence (1.75 ms above 19,200) + the slave's
turnaround.
"""

import argparse
import asyncio
import json
import os
import pty
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import uvloop

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from baselines import ANSWER_BYTES, REQUEST  # noqa: E402 - found by the path above

CONNECTIONS, REGISTERS = 50, 20
WARM = 2000  # requests
QUESTION_BYTES, RTU_ANSWER_BYTES = 8, 5 + 2 * REGISTERS
BARS = {9600: 0.95, 115200: 0.85}
TCP_BAR = 0.6
TURNAROUND = {9600: 0.005, 115200: 0.002}  # of the simulated slave, seconds
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def character_seconds(baud: int) -> float:
    """8N1: ten bits."""
    return 10 / baud


def shortest(baud: int) -> float:
    """Seconds that one transaction takes at least."""
    silence = 3.5 * character_seconds(baud) if baud <= 19200 else 0.00175
    return (QUESTION_BYTES + RTU_ANSWER_BYTES) * character_seconds(baud) + silence + TURNAROUND[baud]


# ------------------------------------------------------------------------------------------------- who is measured


class Counter:
    """How many requests have been answered so far."""

    value = 0


async def raw_streams(ports: list[int], count: Counter) -> None:
    """Write a request, read exactly its answer, and do nothing with it: asyncio's streams."""

    async def one(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            writer.write(REQUEST)
            await reader.readexactly(ANSWER_BYTES)
            count.value += 1

    await asyncio.gather(*(one(port) for port in ports))


async def pymodbus_client(ports: list[int], count: Counter) -> None:
    """pymodbus's own client: registers as a list of integers, nothing more."""
    from pymodbus.client import AsyncModbusTcpClient

    async def one(port: int) -> None:
        client = AsyncModbusTcpClient("127.0.0.1", port=port)
        await client.connect()
        while True:
            answer = await client.read_holding_registers(0, count=REGISTERS, device_id=100)
            assert len(answer.registers) == REGISTERS
            count.value += 1

    await asyncio.gather(*(one(port) for port in ports))


def _source(name: str, line: Any, settings: Any, put: Any, address: int) -> Any:  # noqa: ANN401 - the gateway's own
    from drivers.modbus import make
    from gateway.clock import SystemClock
    from gateway.settings import DeviceSettings
    from gateway.settings.resolve import resolve_device
    from gateway.sources import Source

    points = {f"r{number}": {"at": f"holding:{number}"} for number in range(REGISTERS)}
    device = DeviceSettings(name=name, line=settings.name, driver="modbus", points=points, address=address)
    # Faster than it can be: every poll is due when the one before has ended.
    resolved = replace(resolve_device(device, settings, None), every=1e-5)
    return Source(resolved, make(resolved.spec), line, SystemClock(), put)


async def _run(lines: list[Any], sources: list[Any], seconds: float) -> float:
    """Run until the time is up, set up as the daemon is; returns the seconds since everything was open."""
    from gateway.daemon.thrift import give_back

    tasks = [asyncio.create_task(line.run()) for line in lines]
    while any(line.state != "open" for line in lines):  # noqa: ASYNC110 - fifty of them
        await asyncio.sleep(0.01)
    began = time.monotonic()
    tasks += [asyncio.create_task(source.run()) for source in sources]
    give_back()
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return took


async def gateway(ports: list[int], count: Counter) -> None:
    """Our whole poller: lines, sources with pace, drivers; every value decoded, judged and stamped."""
    from gateway.clock import SystemClock
    from gateway.contract import Reading
    from gateway.links import Line
    from gateway.settings import LineSettings

    async def put(item: object) -> None:
        if isinstance(item, Reading):
            assert item.points["r2"].quality == "good", item
            count.value += 1

    lines, sources = [], []
    for number, port in enumerate(ports):
        settings = LineSettings(name=f"line-{number}", tcp=f"127.0.0.1:{port}")
        lines.append(Line(settings, SystemClock()))
        sources.append(_source(f"dev-{number}", lines[-1], settings, put, 100))
    await _run(lines, sources, 1e6)


async def rtu(path: str, baud: int, seconds: float) -> dict[str, float]:
    """Our whole poller on a serial line; returns transactions a second beside the limit."""
    from gateway.clock import SystemClock
    from gateway.contract import Reading
    from gateway.links import Line
    from gateway.settings import LineSettings

    ends: list[float] = []

    async def put(item: object) -> None:
        if isinstance(item, Reading):
            assert item.points["r2"].quality == "good", item
            ends.append(time.monotonic())

    settings = LineSettings(name="bus", serial=Path(path), baud=baud)
    line = Line(settings, SystemClock())
    sources = [_source(f"dev-{unit}", line, settings, put, unit) for unit in (1, 2, 3)]
    await _run([line], sources, seconds)
    gaps = [after - before for before, after in pairwise(ends[5:])]
    return {
        "transactions_s": (len(ends) - 6) / (ends[-1] - ends[5]),
        # A machine that does other things, too, holds either side back now and then: what its quiet moments show.
        "quick_s": 1 / statistics.quantiles(gaps, n=10)[0],
        "errors": line.view()["errors"],
    }


# ------------------------------------------------------------------------------------------------ the slave on a pty


def slave(baud: int) -> None:
    """Answer on a new pseudo-terminal, every byte in its time; prints the path. Ends with its parent."""
    from tests.modbus_farm import crc16

    master, port = pty.openpty()
    import tty

    tty.setraw(port)
    print(os.ttyname(port), flush=True)
    character = character_seconds(baud)
    body = bytes(range(2 * REGISTERS))
    answers = {unit: bytes((unit, 3, 2 * REGISTERS)) + body for unit in range(1, 9)}
    frames = {unit: frame + crc16(frame) for unit, frame in answers.items()}
    while True:
        question = b""
        while len(question) < QUESTION_BYTES:
            question += os.read(master, 64)
        asked = time.monotonic()  # the pty gives them at once; on the wire they take their time from now on
        due = asked + QUESTION_BYTES * character + TURNAROUND[baud]
        frame = frames[question[0]]
        # An adapter hands over what came about once a millisecond.
        step = max(1, round(0.001 / character))
        for at in range(0, len(frame), step):
            piece = frame[at : at + step]
            due += len(piece) * character
            _wait_until(due)
            os.write(master, piece)


def _wait_until(due: float) -> None:
    left = due - time.monotonic()
    if left > 0.002:
        time.sleep(left - 0.001)
    while time.monotonic() < due:
        pass


# ---------------------------------------------------------------------------------------------------------- running

CONTENDERS = {
    "raw": raw_streams,
    "pymodbus": pymodbus_client,
    "gateway": gateway,
}


def contender(name: str, loop: str, ports: str, seconds: str) -> None:
    """Run one contender in this process; print its figures as JSON."""
    import logging

    logging.disable(logging.WARNING)  # polls faster than possible: that the line is too slow is the point
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(_measured(CONTENDERS[name], json.loads(ports), float(seconds)))


async def _measured(
    work: Callable[[list[int], Counter], Coroutine[Any, Any, None]], ports: list[int], seconds: float
) -> None:
    """Let it run warm, then look at the count and the CPU twice: setting up costs nobody anything."""
    count = Counter()
    task = asyncio.create_task(work(ports, count))
    while count.value < WARM and not task.done():  # noqa: ASYNC110 - nobody may pay for telling
        await asyncio.sleep(0.05)
    before, began, used = count.value, time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    answered, took, used = count.value - before, time.monotonic() - began, time.process_time() - used
    if task.done():
        await task
    print(json.dumps({"requests_s": answered / took, "cpu_us": 1e6 * used / max(answered, 1)}), flush=True)
    os._exit(0)  # pymodbus takes no cancelling, and nobody needs fifty connections closed one by one


def one_rtu(path: str, baud: str, seconds: str) -> None:
    """Run the RTU measurement in this process; print its figures as JSON."""
    import logging

    logging.disable(logging.WARNING)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(rtu(path, int(baud), float(seconds)))), flush=True)


def ask(*words: str) -> dict[str, float]:
    """Run this file as another process and read its figures."""
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench_poll: {' '.join(words)} failed:\n{done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def bench_tcp(rounds: int, seconds: float) -> bool:
    """All contenders in turn, several times; the median counts."""
    farm = subprocess.Popen(
        [sys.executable, HERE / "farm.py", str(CONNECTIONS), "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert farm.stdout is not None
    ports = json.dumps(json.loads(farm.stdout.readline()))
    sides = [
        ("raw", "asyncio"),
        ("raw", "uvloop"),
        ("gateway", "uvloop"),
        ("gateway", "asyncio"),
        ("pymodbus", "asyncio"),
        ("pymodbus", "uvloop"),
    ]
    found: dict[tuple[str, str], list[dict[str, float]]] = {side: [] for side in sides}
    try:
        for _ in range(rounds):
            for side in sides:
                found[side].append(ask("contender", *side, ports, str(seconds)))
    finally:
        farm.kill()
        farm.wait()
    base = statistics.median(figures["requests_s"] for figures in found["raw", "asyncio"])
    print(f"\nModbus TCP, {CONNECTIONS} connections x {REGISTERS} registers, as fast as it goes; median of {rounds}\n")
    print("| who | loop | readings/s | CPU a request | rate beside raw asyncio |")
    print("|---|---|---:|---:|---:|")
    names = {"raw": "raw asyncio streams", "gateway": "our poller", "pymodbus": "pymodbus's client"}
    for side in sides:
        rate = statistics.median(figures["requests_s"] for figures in found[side])
        cpu = statistics.median(figures["cpu_us"] for figures in found[side])
        print(f"| {names[side[0]]} | {side[1]} | {rate * REGISTERS:,.0f} | {cpu:.0f} µs | {rate / base:.2f} |")
    ours = statistics.median(figures["requests_s"] for figures in found["gateway", "uvloop"]) / base
    print(f"\nto be passed: {TCP_BAR} of raw asyncio; {'passed' if ours >= TCP_BAR else 'NOT PASSED'} with {ours:.2f}")
    return ours >= TCP_BAR


def bench_rtu(rounds: int, seconds: float) -> bool:
    """Each speed with a fresh slave; the best round counts, for a busy machine only ever takes time."""
    print("\nModbus RTU, three units, 20 registers each, on a line with the time of every byte\n")
    print("| baud | at best/s | ours/s | line use, best round (median) | quickest tenth | to be passed | errors |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    passed = True
    for baud, bar in BARS.items():
        rates, quick, errors = [], [], 0.0
        for _ in range(rounds):
            side = subprocess.Popen([sys.executable, __file__, "slave", str(baud)], stdout=subprocess.PIPE, text=True)
            assert side.stdout is not None
            try:
                figures = ask("rtu", side.stdout.readline().strip(), str(baud), str(seconds))
            finally:
                side.kill()
                side.wait()
            rates.append(figures["transactions_s"])
            quick.append(figures["quick_s"] / (1 / shortest(baud)))
            errors += figures["errors"]
        best = 1 / shortest(baud)
        use = max(rates) / best
        middle = statistics.median(rates) / best
        passed = passed and use >= bar
        quiet = statistics.median(quick)
        print(
            f"| {baud} | {best:.1f} | {max(rates):.1f} | {use:.1%} ({middle:.1%}) | {quiet:.1%} | {bar:.0%} "
            f"| {errors:.0f} |"
        )
    return passed


def main() -> None:
    """Parse the options, run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each time (default: 5)")
    parser.add_argument("--only", choices=("tcp", "rtu"), help="only this half")
    options = parser.parse_args()
    passed = [
        half(options.rounds, options.seconds)
        for name, half in (("tcp", bench_tcp), ("rtu", bench_rtu))
        if options.only in (None, name)
    ]
    print(
        f"\n{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}: beside other work, every figure is too low"
    )
    raise SystemExit(not all(passed))


if __name__ == "__main__":
    if sys.argv[1:2] == ["contender"]:
        contender(*sys.argv[2:])
    elif sys.argv[1:2] == ["rtu"]:
        one_rtu(*sys.argv[2:])
    elif sys.argv[1:2] == ["slave"]:
        slave(int(sys.argv[2]))
    else:
        main()
