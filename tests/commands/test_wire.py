"""Lending a line to a search, and showing what is on it: reads only, between polls, tapped only while watched."""

import asyncio
import contextlib
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.commands.exchange import exchange
from gateway.commands.frames import Frames
from gateway.contract import CommandError
from gateway.links import Line
from gateway.scan.modbus import Spot, question
from gateway.settings import LineSettings
from tests.meters.slaves import modbus_ear
from tests.modbus_farm import Slave, crc16
from tests.scan.crowd import Crowd, crowd

ASK = question("rtu", 3, Spot(3, 3, 2)).hex()
WANTED = {"line": "bus", "send": ASK, "wait_ms": 300, "baud": None, "format": None}


@asynccontextmanager
async def open_line(bus: Crowd) -> AsyncIterator[Line]:
    line = Line(LineSettings(name="bus", serial=Path(bus.path)), SystemClock())
    owner = asyncio.create_task(line.run())
    try:
        async with asyncio.timeout(5):
            while line.state != "open":
                await line.changed()
        yield line
    finally:
        owner.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await owner


async def ask(bus_line: Line, /, **values: object) -> dict[str, Any]:
    return await exchange([bus_line], SystemClock(), {**WANTED, **values})


async def test_one_read_goes_out_and_the_answer_comes_back() -> None:
    with crowd((termios.B9600, modbus_ear(3, Slave({3: 2, 4: 182})))) as bus:
        async with open_line(bus) as line:
            answer = bytes.fromhex((await ask(line))["heard"])
            assert answer[:-2] == bytes.fromhex("0303040002 00b6")
            assert crc16(answer[:-2]) == answer[-2:]
            assert await ask(line, baud=4800, format="8N1", wait_ms=100) == {"heard": "", "first_ms": None}
            assert line.view()["errors"] == 0, "silence in a search is no fault of the line"
    assert [(speed, sent.hex()) for speed, sent in bus.heard] == [(termios.B9600, ASK), (termios.B4800, ASK)]


def rtu(body: str) -> str:
    raw = bytes.fromhex(body)
    return (raw + crc16(raw)).hex()


@pytest.mark.parametrize(
    "send",
    [
        rtu("03 06 0000 0001"), rtu("03 05 0000 FF00"), rtu("03 10 0000 0001"), "03030003000235e8", "00", "", "zz",
        "68AAAAAAAAAAAA6814008016", "3a303330363030303030303031463630d0a", "1053010154016", ASK + ASK,
    ],
)  # fmt: skip
async def test_nothing_else_ever_goes_out(send: str) -> None:
    with crowd() as bus:
        async with open_line(bus) as line:
            with pytest.raises(CommandError):
                await ask(line, send=send)
    assert bus.heard == []


@pytest.mark.parametrize(
    ("values", "status"),
    [({"line": "bsu"}, 404), ({"baud": 9601, "format": "8Z1"}, 400), ({"baud": 1}, 400)],
)
async def test_what_is_refused(values: dict[str, object], status: int) -> None:
    with crowd() as bus:
        async with open_line(bus) as line:
            with pytest.raises(CommandError) as error:
                await ask(line, **values)
    assert error.value.status == status


async def test_polls_that_are_due_go_first() -> None:
    with crowd((termios.B9600, modbus_ear(3, Slave({3: 2, 4: 182})))) as bus:
        async with open_line(bus) as line:
            order: list[str] = []

            async def poll(name: str) -> None:
                async def work(pipe: object) -> None:
                    await asyncio.sleep(0.02)
                    order.append(name)

                await line.transact(work, deadline=SystemClock().monotonic() + 0.5, timeout=0.2)

            async def borrow() -> None:
                await ask(line)
                order.append("search")

            async with asyncio.TaskGroup() as group:
                group.create_task(poll("first"))
                await asyncio.sleep(0)
                group.create_task(borrow())
                await asyncio.sleep(0)
                group.create_task(poll("second"))
                group.create_task(poll("third"))
    assert order == ["first", "second", "third", "search"]


async def test_an_answer_is_timed_without_the_wait_for_its_turn() -> None:
    with crowd((termios.B9600, modbus_ear(3, Slave({3: 2, 4: 182})))) as bus:
        async with open_line(bus) as line:
            held, over = asyncio.Event(), asyncio.Event()

            async def hold(_pipe: object) -> None:
                held.set()
                await over.wait()

            poll = asyncio.create_task(line.transact(hold, deadline=0.0, timeout=0.2))
            await held.wait()
            began = SystemClock().monotonic()
            asking = asyncio.create_task(ask(line))
            await asyncio.sleep(0.2)
            waited = SystemClock().monotonic() - began
            over.set()
            answer = await asking
            all_of_it = SystemClock().monotonic() - began
            await poll
    assert answer["heard"]
    assert 0 < answer["first_ms"] / 1000 < all_of_it - waited + 0.001


async def test_frames_are_seen_only_while_somebody_looks() -> None:
    with crowd((termios.B9600, modbus_ear(3, Slave({3: 2, 4: 182})))) as bus:
        async with open_line(bus) as line:
            frames = Frames([line], SystemClock())
            await ask(line)
            with frames.during("bus") as rows:
                await ask(line)
            assert [(row.direction, len(row.data)) for row in rows] == [("out", 8), ("in", 9)]
            assert rows[0].monotonic < rows[1].monotonic
            assert line._tap is None
            begin = (await frames.recent(None, None, 0))["next"]
            looking = asyncio.create_task(frames.recent("bus", begin, 5))
            await ask(line)
            seen = await looking
            assert seen["frames"][0]["data"] == ASK
            more = await frames.recent("bus", seen["next"], 0.5)
            assert [row["direction"] for row in (*seen["frames"], *more["frames"])] == ["out", "in"]
            frames._forget()
            frames._watching = None
            assert line._tap is None
            assert frames._rows == frames._rows.__class__()
    with pytest.raises(CommandError):
        await frames.recent("bsu", None, 0)


async def test_frames_that_nobody_fetches_do_not_grow() -> None:
    with crowd() as bus:
        async with open_line(bus) as line:
            frames = Frames([line], SystemClock())
            with frames.during("bus") as rows:
                for _ in range(50):
                    line._tap("in", bytes(60_000), 0.0)
            assert 10 < len(rows) < 20
