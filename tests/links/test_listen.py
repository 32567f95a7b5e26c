"""Listening lines over real TCP: who may call, what a caller may cost, and that it never hurts the line."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from gateway.clock import SystemClock
from gateway.links import listen
from gateway.links.calls import Call
from gateway.links.listen import ListenLine
from gateway.links.refusals import MOST, Refusals
from gateway.settings import LineSettings
from tests.drivers.station_frames import calling
from tests.links.test_line import warnings


class WordEars:
    """A protocol for tests: lines such as ``fire one hello`` (protocol, station, words); ``!`` begins a damaged one."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.rest = b""

    def feed(self, data: bytes) -> list[Call]:
        *lines, self.rest = (self.rest + data).split(b"\n")
        self.rest = self.rest[-100:]
        words = [line.removeprefix(b"!").split(b" ", 2) for line in lines]
        return [
            Call(word[1].decode("ascii", "replace"), line, "crc" if line[:1] == b"!" else "")
            for word, line in zip(words, lines, strict=True)
            if len(word) == 3 and word[0] == self.protocol.encode()
        ]


class Echo:
    """A station that answers with what it was told, once ``open`` allows it."""

    def __init__(self, name: str, protocol: str = "fire") -> None:
        self.station = (protocol, name)
        self.heard: list[bytes] = []
        self.open = asyncio.Event()
        self.open.set()
        self.answer: Callable[[bytes], bytes] = lambda frame: frame + b"\n"

    def ears(self) -> WordEars:
        return WordEars(self.station[0])

    async def take(self, call: Call) -> bytes:
        await self.open.wait()
        self.heard.append(call.frame)
        return self.answer(call.frame)


@asynccontextmanager
async def listening(
    *stations: Echo, clock=None, allow: tuple[str, ...] = ("127.0.0.1/32",), address: str = "127.0.0.1:1"
) -> AsyncIterator[ListenLine]:
    line = ListenLine(LineSettings(name="stations", listen=address, allow=allow), clock or SystemClock())
    line.address = address.rpartition(":")[0] + ":0"
    for station in stations:
        line.admit(station, 60.0)
    task = asyncio.create_task(line.run())
    while line.state == "opening":
        await line.changed()
    try:
        yield line
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.005)


async def test_a_station_is_heard_and_answered():
    one, two = Echo("one"), Echo("two")
    async with listening(one, two) as line, calling(line.port) as caller:
        await caller.say(b"fire one hello\nfire two ")
        assert await caller.line() == b"fire one hello\n"
        await caller.say(b"there\n")
        assert await caller.line() == b"fire two there\n"
        view = line.view()
        assert (view["state"], view["transactions"], view["errors"]) == ("open", 2, 0)
        assert (view["kind"], view["connections"], view["refused"]) == ("listen", ["127.0.0.1"], {"count": 0})
        await caller.say(b"!fire one hello\n")
        await until(lambda: line.view()["errors"] == 1)
    assert one.heard == [b"fire one hello", b"!fire one hello"]


async def test_messages_and_replies_are_shown_to_whoever_watches():
    one, seen = Echo("one"), []
    async with listening(one) as line, calling(line.port) as caller:
        line.tap(lambda direction, data, _at: seen.append((direction, data)))
        await caller.say(b"fire one hello\nfire stranger hello\nfire one ag")
        assert await caller.line() == b"fire one hello\n"
        await until(lambda: line.view()["refused"]["count"])
        line.tap(None)
        await caller.say(b"ain\n")
        assert await caller.line() == b"fire one again\n"
    hello, stranger = b"fire one hello", b"fire stranger hello"
    assert seen == [("in", hello), ("out", hello + b"\n"), ("in", stranger)]


async def test_two_protocols_share_a_line():
    fire, dust = Echo("one"), Echo("one", "dust")
    async with listening(fire, dust) as line, calling(line.port) as first, calling(line.port) as second:
        await first.say(b"dust one a\n")
        await second.say(b"fire one b\n")
        assert (await first.line(), await second.line()) == (b"dust one a\n", b"fire one b\n")
    assert (fire.heard, dust.heard) == ([b"fire one b"], [b"dust one a"])


async def test_a_reply_waits_until_what_was_said_is_taken():
    one = Echo("one")
    one.open.clear()
    async with listening(one) as line, calling(line.port) as caller:
        await caller.say(b"fire one hello\n")
        reply = asyncio.create_task(caller.line())
        await until(lambda: line.view()["transactions"])
        assert not reply.done()
        one.open.set()
        assert await reply == b"fire one hello\n"


async def test_another_network_is_hung_up_on_and_named_once(caplog):
    one = Echo("one")
    async with listening(one, allow=("192.0.2.0/24", "2001:db8::/32")) as line:
        for _ in range(3):
            async with calling(line.port) as caller:
                assert await caller.is_hung_up_on()
        assert line.view()["refused"]["count"] == 3
        assert line.view()["refused"]["peer"] == "127.0.0.1"
        assert line.view()["connections"] == []
    assert one.heard == []
    (said,) = warnings(caplog)
    assert "refused 127.0.0.1: it is in no network of allow" in said


async def test_a_station_that_nobody_configured_is_not_answered_and_named(caplog):
    async with listening(Echo("one")) as line, calling(line.port) as caller:
        await caller.say(b"fire stranger hello\n" * 5 + b"fire one hello\n")
        assert await caller.line() == b"fire one hello\n"
        assert line.view()["refused"]["count"] == 5
    (said,) = warnings(caplog)
    assert 'no device of this line has address = "stranger"' in said


@pytest.mark.parametrize("rubbish", [b"\0" * 1000, b"!fire one x\n" * 80, b"fire stranger hello\n" * 50, b"\n" * 1000])
async def test_bytes_without_a_message_of_ours_end_a_connection(rubbish, caplog):
    one = Echo("one")
    one.answer = lambda _frame: b""
    async with listening(one) as line, calling(line.port) as caller, calling(line.port) as other:
        with pytest.raises(ConnectionError):  # noqa: PT012 - whichever of the two notices
            while True:
                await caller.say(rubbish)
                if caller.reader.at_eof():
                    raise ConnectionError
                await asyncio.sleep(0)
        one.answer = lambda frame: frame + b"\n"
        await other.say(b"fire one hello\n")
        assert await other.line() == b"fire one hello\n"
        await until(lambda: len(line.view()["connections"]) == 1)
    assert any("bytes without a message of a configured station" in said for said in warnings(caplog))


async def test_who_says_nothing_for_a_minute_is_hung_up_on_and_who_spoke_once_much_later(fake_clock):
    one = Echo("one")
    async with listening(one, clock=fake_clock) as line, calling(line.port) as silent, calling(line.port) as spoke:
        await spoke.say(b"fire one hello\n")
        await spoke.line()
        await until(lambda: len(line.view()["connections"]) == 2)
        await fake_clock.advance(listen.FIRST_CALL_WITHIN + listen.SWEEP, step=1.0)
        assert await silent.is_hung_up_on()
        await spoke.say(b"fire one again\n")
        assert await spoke.line() == b"fire one again\n"
        await fake_clock.advance(listen.IDLE + listen.SWEEP, step=5.0)
        assert await spoke.is_hung_up_on()
        assert line.view()["refused"]["count"] == 1


async def test_a_station_gone_mad_is_slowed_down_and_loses_nothing(fake_clock):
    one, other = Echo("one"), Echo("other")
    one.answer = lambda _frame: b""
    async with listening(one, other, clock=fake_clock) as line, calling(line.port) as mad, calling(line.port) as calm:
        await mad.say(b"fire one x\n" * 350)
        await until(lambda: len(one.heard) == listen.MOST_CALLS)
        await calm.say(b"fire other x\n")
        assert await calm.line() == b"fire other x\n"
        assert len(one.heard) == listen.MOST_CALLS
        await fake_clock.advance(4.0)
        await until(lambda: len(one.heard) == 350)


async def test_connections_are_bounded_and_the_quietest_of_a_peer_goes(fake_clock, monkeypatch):
    monkeypatch.setattr(listen, "MOST_OF_ONE_PEER", 3)
    one = Echo("one")
    async with listening(one, clock=fake_clock) as line, AsyncExitStack() as stack:
        callers = []
        for number in range(5):
            fake_clock.now += 1
            callers.append(await stack.enter_async_context(calling(line.port)))
            if number == 0:
                await callers[0].say(b"fire one hello\n")
                await callers[0].line()
                fake_clock.now += 100  # it spoke last of all, by the others' time
            await until(lambda number=number: len(line.view()["connections"]) == min(number + 1, 3))
        assert await callers[0].is_hung_up_on()
        assert await callers[1].is_hung_up_on()
        await callers[4].say(b"fire one hello\n")
        assert await callers[4].line() == b"fire one hello\n"


async def test_all_connections_together_are_bounded(monkeypatch):
    monkeypatch.setattr(listen, "MOST_CONNECTIONS", 2)
    async with listening(Echo("one")) as line, AsyncExitStack() as stack:
        for _ in range(2):
            caller = await stack.enter_async_context(calling(line.port))
            await caller.say(b"fire one hello\n")
            await caller.line()
        async with calling(line.port) as crowd:
            assert await crowd.is_hung_up_on()
        assert line.view()["refused"]["sentence"] == "2 connections are open already"
        assert len(line.view()["connections"]) == 2


async def test_who_says_nothing_keeps_no_station_out(monkeypatch):
    monkeypatch.setattr(listen, "MOST_CONNECTIONS", 2)
    async with listening(Echo("one"), allow=("127.0.0.0/8",)) as line, AsyncExitStack() as stack:
        station = await stack.enter_async_context(calling(line.port))
        await station.say(b"fire one hello\n")
        await station.line()
        idle = await stack.enter_async_context(calling(line.port))
        await until(lambda: len(line.view()["connections"]) == 2)
        other = await stack.enter_async_context(calling(line.port))
        assert await idle.is_hung_up_on()
        for caller in (station, other):
            await caller.say(b"fire one again\n")
            assert await caller.line() == b"fire one again\n"


async def test_a_burst_of_callers_is_bounded_from_the_first_moment():
    async with listening(Echo("one")) as line:
        make_room, most = line._make_room, 0

        def counted(peer: str) -> bool:
            nonlocal most
            may = make_room(peer)
            most = max(most, len(line._connections))
            return may

        line._make_room = counted
        callers = [socket.socket() for _ in range(100)]
        try:
            for caller in callers:
                caller.setblocking(False)
                caller.connect_ex(("127.0.0.1", line.port))
            await until(lambda: most == listen.MOST_OF_ONE_PEER - 1)
            await asyncio.sleep(0.05)
            assert most < listen.MOST_OF_ONE_PEER
            assert len(line.view()["connections"]) <= listen.MOST_OF_ONE_PEER
        finally:
            for caller in callers:
                caller.close()


async def test_a_stranger_forges_no_line_of_the_log(caplog):
    async with listening(Echo("one")) as line, calling(line.port) as caller:
        await caller.say(b"fire two\x1b[2J\r<1>fake hello\n")
        await until(lambda: line.view()["refused"]["count"])
    (said,) = warnings(caplog)
    assert said.isprintable()


async def test_who_reads_no_reply_is_hung_up_on():
    one = Echo("one")
    one.answer = lambda _frame: b"x" * 60_000
    async with listening(one) as line, calling(line.port) as caller:
        caller.writer.transport.pause_reading()
        with pytest.raises(ConnectionError):  # noqa: PT012 - some time or other
            while True:
                await caller.say(b"fire one hello\n" * 10)
                await asyncio.sleep(0)
        await until(lambda: not line.view()["connections"])


async def test_a_port_that_is_taken_is_told_once_and_taken_when_it_is_free(fake_clock, caplog):
    async with listening(Echo("one")) as first:
        address = f"127.0.0.1:{first.port}"
        line = ListenLine(LineSettings(name="second", listen=address, allow=("127.0.0.0/8",)), fake_clock)
        task = asyncio.create_task(line.run())
        await until(lambda: line.state == "down")
        await fake_clock.advance(30.0, step=1.0)
        assert (line.state, line.reason) == ("down", "listen")
        assert "the port free" in line.sentence
    assert len(warnings(caplog)) == 1
    await until(lambda: True)
    await fake_clock.advance(11.0, step=1.0)
    await until(lambda: line.state == "open")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (line.state, line.reason) == ("down", "stopped")


async def test_stopping_ends_every_conversation():
    one = Echo("one")
    one.open.clear()
    async with listening(one) as line, calling(line.port) as caller:
        await caller.say(b"fire one hello\n")
        await until(lambda: line.view()["transactions"])
    assert line.view()["connections"] == []


def test_strangers_are_remembered_within_bounds(caplog):
    refusals = Refusals("stations")
    for number in range(10 * MOST):
        refusals.note(f"192.0.2.{number}", "network", "go away", number, 0.0)
    assert len(refusals._seen) == MOST
    assert refusals.count == 10 * MOST
    assert len(warnings(caplog)) == MOST + 1
    refusals.note("192.0.2.1", "network", "go away", 0, 4000.0)
    assert len(warnings(caplog)) == MOST + 2
    refusals.welcome("192.0.2.1")
    refusals.note("192.0.2.1", "network", "go away", 0, 4001.0)
    assert len(warnings(caplog)) == MOST + 3
