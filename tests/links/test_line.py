"""Lines: order, silence budget, reopening; real sockets and pseudo-terminals where bytes flow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.contract import DeviceSilentError, LinkError, Pipe
from gateway.links import Line
from gateway.links.pipe import StreamPipe
from gateway.links.serial_port import open_serial
from gateway.settings import LineSettings, SerialSettings
from tests.modbus_farm import PtyBus, Slave, TcpFarm


@asynccontextmanager
async def running(line: Line) -> AsyncIterator[Line]:
    task = asyncio.create_task(line.run())
    await line.changed()
    try:
        yield line
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


class EchoPipe(StreamPipe):
    """A fake far side on the test's clock: answers ``b"silent"`` with silence, anything else with itself at once."""

    def __init__(self, clock) -> None:
        super().__init__("echo", 0.0, clock)
        self.said: list[bytes] = []
        self.was_closed = False

    async def _send(self, data: bytes) -> float:
        self.said.append(data)
        if data != b"silent":
            self._received(data)
        return 0.0

    async def read(self, at_most: int = 4096) -> bytes:
        if not self._buffer:
            await self._clock.sleep(self._timeout)
            raise DeviceSilentError("silence")
        return await super().read(at_most)

    def close(self) -> None:
        self.was_closed = True


def question(text: bytes, seconds: float = 0.0, clock=None):
    async def work(pipe: Pipe) -> bytes:
        await pipe.write(text)
        if seconds:
            await clock.sleep(seconds)
        return await pipe.read()

    return work


def echo_line(clock) -> tuple[Line, list[EchoPipe]]:
    pipes: list[EchoPipe] = []

    async def opener() -> EchoPipe:
        pipes.append(EchoPipe(clock))
        return pipes[-1]

    return Line(LineSettings(name="echo", tcp="10.0.0.1:502"), clock, opener), pipes


async def test_the_earliest_deadline_goes_first(fake_clock):
    line, pipes = echo_line(fake_clock)
    async with running(line):
        first = asyncio.create_task(line.transact(question(b"first", 1.0, fake_clock), deadline=0, timeout=1))
        await asyncio.sleep(0)
        others = [
            asyncio.create_task(line.transact(question(str(at).encode()), deadline=at, timeout=1))
            for at in (30, 10, 20)
        ]
        command = asyncio.create_task(line.transact(question(b"now"), deadline=float("-inf"), timeout=1))
        await asyncio.sleep(0)
        await fake_clock.advance(1.1)
        await asyncio.gather(first, *others, command)
    assert pipes[0].said == [b"first", b"now", b"10", b"20", b"30"]


async def test_a_cancelled_turn_is_passed_over(fake_clock):
    line, pipes = echo_line(fake_clock)
    async with running(line):
        first = asyncio.create_task(line.transact(question(b"first", 1.0, fake_clock), deadline=0, timeout=1))
        await asyncio.sleep(0)
        dropped = asyncio.create_task(line.transact(question(b"dropped"), deadline=1, timeout=1))
        last = asyncio.create_task(line.transact(question(b"last"), deadline=2, timeout=1))
        await asyncio.sleep(0)
        dropped.cancel()
        await fake_clock.advance(1.1)
        await asyncio.gather(first, last)
    assert pipes[0].said == [b"first", b"last"]


async def test_a_holder_that_is_cancelled_or_fails_gives_the_line_back(fake_clock):
    line, pipes = echo_line(fake_clock)

    async def broken(_pipe: Pipe) -> None:
        raise ZeroDivisionError

    async with running(line):
        held = asyncio.create_task(line.transact(question(b"held", 1e6, fake_clock), deadline=0, timeout=1))
        for _ in range(5):
            await asyncio.sleep(0)
        held.cancel()
        failing = asyncio.create_task(line.transact(broken, deadline=1, timeout=1))
        await fake_clock.advance(1.1)  # the answer that nobody waits for any more has its time
        with pytest.raises(ZeroDivisionError):
            await failing
        assert await line.transact(question(b"next"), deadline=2, timeout=1) == b"next"
    assert pipes[0].said == [b"held", b"next"]


async def test_stale_input_is_forgotten_before_a_question(fake_clock):
    line, pipes = echo_line(fake_clock)
    async with running(line):
        pipes[0]._received(b"late answer of another device")
        assert await line.transact(question(b"mine"), deadline=0, timeout=1) == b"mine"


async def silent_share(clock, silent: int, seconds: float) -> tuple[float, int]:
    """Run probes of silent devices against a saturated line; return their share of time and the answers of the rest."""
    line, _ = echo_line(clock)
    lost = 0.0
    answers = 0

    async def probe() -> None:
        nonlocal lost
        known = False
        while True:
            began = clock.monotonic()
            timeout = line.patience("", 1.0)

            async def work(pipe: Pipe) -> bytes:
                nonlocal began
                began = clock.monotonic()
                return await question(b"silent")(pipe)

            with pytest.raises(DeviceSilentError):
                await line.transact(work, deadline=clock.monotonic() + 1, timeout=timeout, probe=known)
            known = True
            lost += clock.monotonic() - began

    async def poll() -> None:
        nonlocal answers
        while True:
            await line.transact(question(b"hello", 0.05, clock), deadline=clock.monotonic() + 1, timeout=1)
            answers += 1

    for _ in range(50):
        line.attach()
    async with running(line):
        tasks = [asyncio.create_task(probe()) for _ in range(silent)] + [asyncio.create_task(poll()) for _ in range(3)]
        await clock.advance(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return lost / seconds, answers


@pytest.mark.parametrize(("silent", "most"), [(1, 0.05), (5, 0.10)])
async def test_silent_devices_cost_little_of_the_first_minute(fake_clock, silent, most):
    share, answers = await silent_share(fake_clock, silent, 60.0)
    assert 0 < share < most
    assert answers > 60 / 0.05 * (1 - most) * 0.9  # the fake clock moves in steps, which costs some


async def test_silent_devices_cost_three_per_cent_in_the_long_run(fake_clock):
    share, _ = await silent_share(fake_clock, 10, 600.0)
    assert 0.01 < share < 0.04


async def test_busy_ratio_and_counters(fake_clock):
    line, _ = echo_line(fake_clock)
    async with running(line):
        task = asyncio.create_task(line.transact(question(b"x", 2.0, fake_clock), deadline=0, timeout=9))
        await fake_clock.advance(4.0)
        await task
        view = line.view()
    assert view["transactions"] == 1
    assert view["errors"] == 0
    assert 0.4 < view["busy"] < 0.6


async def test_a_hung_connection_is_made_anew_without_a_word(fake_clock, caplog):
    line, pipes = echo_line(fake_clock)
    async with running(line):
        for _ in range(4):
            task = asyncio.create_task(line.transact(question(b"silent"), deadline=0, timeout=9))
            await fake_clock.advance(9.1)
            with pytest.raises(DeviceSilentError):
                await task
        assert await line.transact(question(b"hello"), deadline=0, timeout=1) == b"hello"
        assert line.state == "open"
    assert [pipe.said for pipe in pipes] == [[b"silent"] * 4, [b"hello"]]
    assert pipes[0].was_closed
    assert warnings(caplog) == []


def hang_up(pipe: EchoPipe) -> None:
    pipe._lost(LinkError("echo closed the connection", "closed"))


async def test_a_peer_that_hangs_up_on_an_idle_line_is_called_again_when_somebody_asks(fake_clock, caplog):
    line, pipes = echo_line(fake_clock)
    async with running(line):
        for number in range(3):
            assert await line.transact(question(b"hello"), deadline=0, timeout=1) == b"hello"
            hang_up(pipes[-1])
            await fake_clock.advance(60.0)
            assert len(pipes) == number + 1  # nobody asked: nobody calls
            assert line.state == "open"
    assert all(pipe.was_closed for pipe in pipes)
    assert warnings(caplog) == []


async def test_a_question_that_crosses_with_hanging_up_is_asked_once_more(fake_clock, caplog):
    line, pipes = echo_line(fake_clock)

    def late(pipe: EchoPipe):
        async def send(data: bytes) -> float:
            hang_up(pipe)
            raise pipe.error

        return send

    async with running(line):
        assert await line.transact(question(b"first"), deadline=0, timeout=1) == b"first"
        pipes[0]._send = late(pipes[0])
        assert await line.transact(question(b"second"), deadline=0, timeout=1) == b"second"
        assert [pipe.said for pipe in pipes] == [[b"first"], [b"second"]]
        assert line.state == "open"
    assert warnings(caplog) == []


async def test_a_peer_that_hangs_up_on_every_question_is_down(fake_clock, caplog):
    line, pipes = echo_line(fake_clock)

    async def ask(pipe: EchoPipe) -> None:
        hang_up(pipe)
        raise pipe.error

    async with running(line):
        assert await line.transact(question(b"first"), deadline=0, timeout=1) == b"first"
        with pytest.raises(LinkError, match="closed the connection"):
            await line.transact(ask, deadline=0, timeout=1)
        await asyncio.sleep(0)
        assert (line.state, len(pipes)) == ("down", 2)
    assert len(warnings(caplog)) == 1


async def test_a_peer_that_hangs_up_before_it_ever_answered_is_down(fake_clock, caplog):
    line, pipes = echo_line(fake_clock)
    async with running(line):
        down = asyncio.create_task(line.changed())
        await asyncio.sleep(0)
        hang_up(pipes[0])
        await down
        assert (line.state, line.reason) == ("down", "closed")
    assert len(warnings(caplog)) == 1


async def test_a_peer_that_hung_up_and_is_gone_is_down_once_somebody_asks(caplog):
    async with TcpFarm({1: Slave()}) as farm:
        line = Line(LineSettings(name="tcp", tcp=f"127.0.0.1:{farm.port}"), SystemClock())
        ask = question(bytes.fromhex("0001 0000 0006 01 03 0000 0001"))
        async with running(line):
            await line.transact(ask, deadline=0, timeout=5)
            await farm.stop()
            assert line.state == "open"
            with pytest.raises(LinkError, match="refuses"):
                await line.transact(ask, deadline=0, timeout=5)
            assert (line.state, line.reason) == ("down", "refused")
            await farm.start()
    assert len(warnings(caplog)) == 1


async def test_a_line_that_is_not_open_says_why(fake_clock):
    line, _ = echo_line(fake_clock)
    with pytest.raises(LinkError, match="not open yet"):
        await line.transact(question(b"x"), deadline=0, timeout=1)


def test_a_line_on_which_stations_call_is_another_ones_to_serve(fake_clock):
    with pytest.raises(LinkError, match="use ListenLine") as caught:
        Line(LineSettings(name="stations", listen="0.0.0.0:1", allow=("10.0.0.0/8",)), fake_clock)
    assert caught.value.reason == "listen"


async def test_a_refused_connection_comes_up_later(caplog):
    farm = TcpFarm({})
    await farm.start()
    port = farm.port
    await farm.stop()
    line = Line(LineSettings(name="tcp", tcp=f"127.0.0.1:{port}"), SystemClock())
    async with running(line):
        assert (line.state, line.reason) == ("down", "refused")
        await farm.start()
        while line.state != "open":
            await line.changed()
        down = asyncio.create_task(line.changed())
        await farm.stop()
        await down
        assert line.state == "down"
    assert ["refuses" in message or "closed" in message for message in warnings(caplog)] == [True, True]


async def test_a_connection_that_breaks_in_a_transaction_is_a_link_error():
    async with TcpFarm({1: Slave()}) as farm:
        farm.slaves[1].silent = True
        line = Line(LineSettings(name="tcp", tcp=f"127.0.0.1:{farm.port}"), SystemClock())
        async with running(line):
            task = asyncio.create_task(
                line.transact(question(bytes.fromhex("0001 0000 0006 01 03 0000 0001")), deadline=0, timeout=5)
            )
            await asyncio.sleep(0.05)
            for writer in list(farm._writers):
                writer.transport.abort()
            with pytest.raises(LinkError):
                await task


async def test_an_unplugged_port_is_reported_once_and_comes_back(caplog, tmp_path):
    bus = PtyBus({})
    port = tmp_path / "port"
    port.symlink_to(bus.path)
    line = Line(LineSettings(name="bus", serial=port), SystemClock())
    async with running(line):
        assert line.state == "open"
        port.unlink()
        down = asyncio.create_task(line.changed())
        await asyncio.sleep(0)
        bus.unplug()
        await down
        assert line.state == "down"
        await asyncio.sleep(1.5)
        bus = PtyBus({})
        port.symlink_to(bus.path)
        while line.state != "open":
            await line.changed()
    bus.unplug()
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize(
    ("path", "reason"), [("/dev/linli-no-such-port", "not_found"), ("/dev/null", "open"), ("/", "open")]
)
async def test_a_port_that_cannot_be_opened_says_what_to_do(path, reason):
    line = Line(LineSettings(name="bus", serial=Path(path)), SystemClock())
    async with running(line):
        assert (line.state, line.reason) == ("down", reason)


async def test_a_port_in_use_is_named():
    bus = PtyBus({})
    settings = LineSettings(name="bus", serial=Path(bus.path))
    async with running(Line(settings, SystemClock())), running(Line(settings, SystemClock())) as second:
        assert second.reason == "in_use"
    bus.unplug()


async def test_each_device_has_its_own_speed_and_format():
    import termios

    bus = PtyBus({})
    line = Line(LineSettings(name="bus", serial=Path(bus.path)), SystemClock())
    speeds = []

    async def look(_pipe: Pipe) -> None:
        speeds.append(termios.tcgetattr(bus._slave)[5])

    async with running(line):
        for serial in (None, SerialSettings(baud=2400, format="8E1"), SerialSettings(baud=2400, format="8N1"), None):
            await line.transact(look, deadline=0, timeout=1, serial=serial)
    bus.unplug()
    assert speeds == [termios.B9600, termios.B2400, termios.B2400, termios.B9600]


async def test_a_long_answer_on_its_way_is_waited_for():
    """At 1200 baud an answer may take longer than the timeout: bytes that keep coming extend it."""
    bus = PtyBus({1: Slave()})
    bus.slaves[1].silent = True
    bus.spoil = lambda _request, _frame: [(0.05 * step, b"x") for step in range(1, 8)]
    line = Line(LineSettings(name="bus", serial=Path(bus.path)), SystemClock())

    async def work(pipe: Pipe) -> bytes:
        await pipe.write(bytes.fromhex("010300000001840a"))
        got = b""
        while len(got) < 7:
            got += await pipe.read()
        return got

    async with running(line):
        assert await line.transact(work, deadline=0, timeout=0.1) == b"x" * 7
    bus.unplug()


async def test_an_adapter_that_goes_before_its_speed_is_changed_is_unplugged_and_not_unfit():
    bus = PtyBus({})
    pipe = open_serial(bus.path, SerialSettings(baud=9600), 0.0, SystemClock())
    bus.unplug()
    with pytest.raises(LinkError) as caught:
        await pipe.begin(1.0, SerialSettings(baud=2400, format="8E1"))
    assert caught.value.reason == "unplugged"
    assert "plug the adapter in again" in str(caught.value)
    assert pipe.error is caught.value
    pipe.close()
