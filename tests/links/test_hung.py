"""Connections that hang or break: what counts as a sign of life, and what a read that was parted makes of it."""

import asyncio

import pytest

from gateway.clock import SystemClock
from gateway.contract import DeviceError, DeviceSilentError, LinkError, Pipe
from gateway.links import Line
from gateway.links.pipe import SETTLE
from gateway.links.turns import WRITE
from gateway.metrics import LINE_BYTES
from gateway.settings import LineSettings
from tests.links.test_line import echo_line, hang_up, question, running
from tests.links.test_turns import poll, start
from tests.modbus_farm import Slave, TcpFarm


async def in_vain(line: Line, clock, seconds: float = 9.0) -> None:
    task = asyncio.create_task(line.transact(question(b"silent"), deadline=0, timeout=seconds))
    await clock.advance(seconds + 0.1)
    with pytest.raises(DeviceSilentError):
        await task


async def unheard(pipe: Pipe) -> None:
    """A search, or a broadcast: it asks, and does without an answer."""
    await pipe.write(b"silent")


async def refused(pipe: Pipe) -> None:
    await pipe.write(b"what?")
    await pipe.read()
    raise DeviceError("exception 02", "illegal_address")


async def test_a_search_or_broadcast_that_hears_nothing_is_no_sign_of_life(fake_clock):
    line, pipes = echo_line(fake_clock)
    async with running(line):
        for _ in range(4):
            await in_vain(line, fake_clock)
            await line.transact(unheard, deadline=0, timeout=1)
        assert await line.transact(question(b"hello"), deadline=0, timeout=1) == b"hello"
    assert len(pipes) == 2, "the connection hangs: it is made anew"


async def test_a_broadcast_is_no_answer_of_the_device_that_asked_for_it(fake_clock, caplog):
    caplog.set_level("INFO", "linli.links")
    line, _ = echo_line(fake_clock)
    tallies = [line.attach("a"), line.attach("b")]
    async with running(line):
        for device in ("a", "b"):
            task = asyncio.create_task(line.transact(question(b"silent"), deadline=0, timeout=1, device=device))
            await fake_clock.advance(1.1)
            await asyncio.gather(task, return_exceptions=True)
        assert [row["reason"] for row in line.view()["troubles"]] == ["silent"]
        await line.transact(unheard, deadline=WRITE, timeout=1, device="a")
        assert [row["reason"] for row in line.view()["troubles"]] == ["silent"]
        assert line.view()["transactions"] == 3
    assert [tally.misses for tally in tallies] == [1, 1]
    assert not [said for said in caplog.messages if "answers again" in said]


async def test_a_refusal_is_a_sign_of_life(fake_clock):
    line, pipes = echo_line(fake_clock)
    async with running(line):
        for _ in range(6):
            await in_vain(line, fake_clock)
            with pytest.raises(DeviceError):
                await line.transact(refused, deadline=0, timeout=1)
    assert len(pipes) == 1, "one device is silent, another one refuses: nothing hangs"


async def test_a_read_that_has_been_answered_keeps_its_connection_although_the_write_in_between_is_not(fake_clock):
    line, pipes = echo_line(fake_clock)
    async with running(line):
        for _ in range(4):
            await in_vain(line, fake_clock, 8.0)
            if line._unanswered == 2:
                break
        await fake_clock.advance(30.0)
        read = await start(line, poll(fake_clock, b"1", b"2"), "meter", 5.0)
        write = await start(line, question(b"silent"), "output", WRITE)
        await fake_clock.advance(4.0)
        with pytest.raises(DeviceSilentError):
            await write
        assert await read == [b"1", b"2"]
    assert len(pipes) == 1


async def test_the_books_are_right_when_a_parted_read_ends_behind_a_new_connection(fake_clock):
    line, pipes = echo_line(fake_clock)
    totals = [LINE_BYTES.labels("echo", way) for way in ("in", "out")]
    before = [total.value for total in totals]

    async def crossed(pipe: Pipe) -> None:
        """The peer hangs up just when the write would go."""
        if pipe is pipes[0]:
            hang_up(pipes[0])
        await pipe.write(b"w")
        await pipe.read()

    async with running(line):
        assert await line.transact(question(b"hello"), deadline=0, timeout=1) == b"hello"
        read = await start(line, poll(fake_clock, b"1", b"2"), "meter", 5.0)
        write = await start(line, crossed, "output", WRITE)
        await fake_clock.advance(2.0)
        with pytest.raises(LinkError):
            await read
        await write
    assert len(pipes) == 2
    moved = [sum(pipe.bytes_in for pipe in pipes), sum(pipe.bytes_out for pipe in pipes)]
    assert [total.value - old for total, old in zip(totals, before, strict=True)] == moved


class Napping(SystemClock):
    """The true clock, and what was slept by it."""

    def __init__(self) -> None:
        super().__init__()
        self.naps: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        await super().sleep(seconds)


async def test_behind_a_serial_server_a_missed_answer_is_let_pass_too():
    clock = Napping()
    async with TcpFarm({1: Slave()}) as farm:
        line = Line(LineSettings(name="server", tcp=f"127.0.0.1:{farm.port}"), clock)
        async with running(line):
            with pytest.raises(DeviceSilentError):
                await line.transact(question(b"\0"), deadline=0, timeout=0.02)
            assert SETTLE not in clock.naps
            with pytest.raises(DeviceSilentError):
                await line.transact(question(b"\0"), deadline=0, timeout=0.02)
    assert SETTLE in clock.naps
