"""Writes go between the questions of a read: order, what is never parted, and what the parted read keeps."""

import asyncio

import pytest

from gateway.contract import DeviceSilentError, LinkError, Pipe
from gateway.links import Line
from gateway.links.turns import READ_NOW, WRITE
from gateway.settings import LineSettings, SerialSettings
from tests.links.test_line import EchoPipe, echo_line, running

SLOW = SerialSettings(baud=2400, format="8E1")


def poll(clock, *questions: bytes, seconds: float = 0.5):
    """A driver's read: one question after the other, each answered after some time."""

    async def work(pipe: Pipe) -> list[bytes]:
        answers = []
        for question in questions:
            await pipe.drain_input()
            await pipe.write(question)
            await clock.sleep(seconds)
            answers.append(await pipe.read())
        return answers

    return work


async def start(line: Line, work, device: str, deadline: float, **more) -> asyncio.Task:
    task = asyncio.create_task(line.transact(work, deadline=deadline, timeout=1, device=device, **more))
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_a_write_goes_between_two_questions_of_another_devices_read(fake_clock):
    line, pipes = echo_line(fake_clock)
    async with running(line):
        read = await start(line, poll(fake_clock, b"1", b"2", b"3"), "meter", 5.0)
        other = await start(line, poll(fake_clock, b"other"), "other", 1.0)
        now = await start(line, poll(fake_clock, b"now"), "other", READ_NOW)
        write = await start(line, poll(fake_clock, b"w1", b"w2"), "output", WRITE)
        second = await start(line, poll(fake_clock, b"x1", b"x2"), "valve", WRITE)
        await fake_clock.advance(6.0)
        assert await read == [b"1", b"2", b"3"]
        await asyncio.gather(other, now, write, second)
    # A write is never parted, not even by a write; then the read goes on, before all others.
    assert pipes[0].said == [b"1", b"w1", b"w2", b"x1", b"x2", b"2", b"3", b"now", b"other"]


async def test_a_read_for_a_command_is_parted_by_a_write_too(fake_clock):
    line, pipes = echo_line(fake_clock)
    async with running(line):
        read = await start(line, poll(fake_clock, b"1", b"2"), "meter", READ_NOW)
        write = await start(line, poll(fake_clock, b"w"), "output", WRITE)
        await fake_clock.advance(3.0)
        await asyncio.gather(read, write)
    assert pipes[0].said == [b"1", b"w", b"2"]


async def test_a_write_to_the_device_that_is_read_waits_although_another_one_parted_the_read(fake_clock):
    line, pipes = echo_line(fake_clock)
    async with running(line):
        read = await start(line, poll(fake_clock, b"1", b"2"), "meter", 1e9)
        writes = [
            await start(line, poll(fake_clock, name.encode()), name, WRITE) for name in ("output", "meter", "valve")
        ]
        await fake_clock.advance(4.0)
        await asyncio.gather(read, *writes)
    assert pipes[0].said == [b"1", b"output", b"valve", b"2", b"meter"]


async def test_a_read_parted_and_cancelled_leaves_no_trace(fake_clock):
    line, pipes = echo_line(fake_clock)
    async with running(line):
        read = await start(line, poll(fake_clock, b"1", b"2"), "meter", 1e9)
        writes = [await start(line, poll(fake_clock, name.encode()), name, WRITE) for name in ("output", "meter")]
        await fake_clock.advance(0.7)
        read.cancel()
        await fake_clock.advance(2.0)
        await asyncio.gather(*writes)
    assert pipes[0].said == [b"1", b"output", b"meter"]


async def test_the_answer_to_a_question_that_nobody_waits_for_any_more_is_let_pass(fake_clock):
    line, pipes = switched_line(fake_clock)
    tally = line.attach("meter")
    for _ in range(20):
        tally.add("", 0.6, 0.6)
    async with running(line):
        given_up = await start(line, poll(fake_clock, b"silent", seconds=50.0), "meter", 0.0)
        given_up.cancel()
        following = await start(line, _at_once(b"next"), "other", 0.0)
        await fake_clock.advance(0.5)
        assert pipes[0].said == [b"silent"]
        await fake_clock.advance(0.3)
        assert await following == b"next"
        assert pipes[0].settled == 1
        # One whose first byte had come is no danger: the pipe waits until all is said.
        given_up = await start(line, poll(fake_clock, b"heard", seconds=50.0), "meter", 0.0)
        pipes[0]._received(b"no echo")
        given_up.cancel()
        following = await start(line, _at_once(b"again"), "other", 0.0)
        await fake_clock.advance(0.1)
        assert following.done()


@pytest.mark.parametrize(("device", "deadline"), [("meter", WRITE), ("output", READ_NOW), ("output", 0.0)])
async def test_nothing_else_parts_a_read(fake_clock, device, deadline):
    """A write to the device that is read waits: what was read before it must not be told after it."""
    line, pipes = echo_line(fake_clock)
    async with running(line):
        read = await start(line, poll(fake_clock, b"1", b"2"), "meter", 1e9)
        write = await start(line, poll(fake_clock, b"w"), device, deadline)
        await fake_clock.advance(3.0)
        await asyncio.gather(read, write)
    assert pipes[0].said == [b"1", b"2", b"w"]


class Switched(EchoPipe):
    """Notes for whom the pipe was made ready."""

    def __init__(self, clock) -> None:
        super().__init__(clock)
        self.begun: list[SerialSettings | None] = []
        self.settled = 0

    async def begin(self, timeout: float, serial: SerialSettings | None, turnaround: float = 0.0) -> None:
        self.begun.append(serial)
        await super().begin(timeout, serial, turnaround)

    async def settle(self) -> None:
        self.settled += 1


def switched_line(clock) -> tuple[Line, list[Switched]]:
    pipes: list[Switched] = []

    async def opener() -> Switched:
        pipes.append(Switched(clock))
        return pipes[-1]

    return Line(LineSettings(name="echo", tcp="10.0.0.1:502"), clock, opener), pipes


async def test_a_parted_read_gets_its_settings_back_and_pays_for_its_own_time_only(fake_clock):
    line, pipes = switched_line(fake_clock)
    tally = line.attach("meter", 1)
    async with running(line):
        read = await start(line, poll(fake_clock, b"1", b"2"), "meter", 5.0, serial=SLOW)
        write = await start(line, poll(fake_clock, b"w", seconds=3.0), "output", WRITE)
        await fake_clock.advance(5.0)
        await asyncio.gather(read, write)
    assert pipes[0].begun == [SLOW, None, SLOW]
    view = tally.view()
    assert view["transactions"] == 1
    assert 1000 <= view["worst_ms"] < 1300
    assert pipes[0].questions == 2


async def test_silence_behind_a_write_is_charged_without_the_write(fake_clock):
    line, _ = echo_line(fake_clock)
    for name in ("meter", "output"):
        line.attach(name)
    async with running(line):
        read = await start(line, poll(fake_clock, b"1", b"silent", seconds=0.1), "meter", 5.0)
        write = await start(line, poll(fake_clock, b"w", seconds=30.0), "output", WRITE)
        await fake_clock.advance(40.0)
        await write
        with pytest.raises(DeviceSilentError):
            await read
        assert line._budget.wait(fake_clock.monotonic()) < 60.0  # some 2 s at 3 %, and not 32


async def test_a_late_answer_is_let_pass_before_the_write(fake_clock):
    line, pipes = switched_line(fake_clock)

    async def half_silent(pipe: Pipe) -> None:
        await pipe.write(b"1")
        await fake_clock.sleep(0.5)
        pipe.missed = True  # as a real pipe says when the time is up
        await pipe.write(b"2")
        await pipe.read()

    async with running(line):
        read = await start(line, half_silent, "meter", 5.0)
        write = await start(line, poll(fake_clock, b"w"), "output", WRITE)
        await fake_clock.advance(2.0)
        await asyncio.gather(read, write)
    assert pipes[0].settled == 1


async def test_a_second_answer_before_the_write_is_its_own_devices(fake_clock):
    line, pipes = echo_line(fake_clock)
    tallies = {name: line.attach(name) for name in ("innocent", "meter", "output")}
    async with running(line):
        await line.transact(_at_once(b"0"), deadline=0, timeout=1, device="innocent")
        await line.transact(_at_once(b"0"), deadline=0, timeout=1, device="meter")
        await line.transact(_at_once(b"0"), deadline=0, timeout=1, device="innocent")

        async def work(pipe: Pipe) -> None:
            await pipe.write(b"1")
            await fake_clock.sleep(0.5)
            await pipe.read()
            pipes[0]._received(b"a second answer")
            await pipe.write(b"2")

        read = await start(line, work, "meter", 5.0)
        write = await start(line, _at_once(b"w"), "output", WRITE)
        await fake_clock.advance(2.0)
        await asyncio.gather(read, write)
    assert {name: tally.flaws for name, tally in tallies.items()} == {"innocent": 0, "meter": 1, "output": 0}


def _at_once(question: bytes):
    async def work(pipe: Pipe) -> bytes:
        await pipe.write(question)
        return await pipe.read()

    return work


async def test_a_read_that_is_cancelled_while_a_write_goes_first_leaves_the_line_to_it(fake_clock):
    line, pipes = echo_line(fake_clock)
    async with running(line):
        read = await start(line, poll(fake_clock, b"1", b"2"), "meter", 5.0)
        write = await start(line, poll(fake_clock, b"w1", b"w2"), "output", WRITE)
        last = await start(line, poll(fake_clock, b"last"), "last", 1.0)
        await fake_clock.advance(0.7)
        read.cancel()
        await fake_clock.advance(3.0)
        await asyncio.gather(write, last)
        assert read.cancelled()
    assert pipes[0].said == [b"1", b"w1", b"w2", b"last"]


async def test_a_line_that_breaks_under_the_write_ends_the_read_too(fake_clock):
    line, pipes = echo_line(fake_clock)
    async with running(line):
        read = await start(line, poll(fake_clock, b"1", b"2"), "meter", 5.0)
        write = await start(line, poll(fake_clock, b"w1", b"w2"), "output", WRITE)
        await fake_clock.advance(0.7)
        assert pipes[0].said == [b"1", b"w1"]
        pipes[0]._lost(LinkError("the adapter is gone", "unplugged"))
        await fake_clock.advance(1.0)
        for task in (read, write):
            with pytest.raises(LinkError):
                await task
        await fake_clock.advance(2.0)
        assert await line.transact(_at_once(b"again"), deadline=0, timeout=1) == b"again"
    assert pipes[1].said == [b"again"]
