"""Writes on real lines: slaves of our own with faults, and pymodbus' server, in every framing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.modbus import make
from gateway.clock import SystemClock
from gateway.contract import CommandError, DeviceError, DeviceSilentError, LinkError
from gateway.links import Line
from gateway.settings import LineSettings
from gateway.sources import Source
from tests.modbus_farm import PtyBus, Slave, TcpFarm
from tests.sources.test_source import resolved

POINTS = {
    "output": {"at": "coil:0", "type": "bool", "write": True},
    "level": {"at": "holding:10", "scale": 0.1, "unit": "dB", "valid": [0, 100], "write": True},
    "total": {"at": "holding:20", "type": "float32", "valid": [0, 1e6], "write": True},
    "bit": {"at": "holding:10", "type": "bool", "bit": 3, "write": True},
    "other": {"at": "holding:11"},
}


def slave() -> Slave:
    return Slave({10: 0x8000, 11: 7, 20: 0, 21: 0}, {0: False})


@asynccontextmanager
async def device(settings: LineSettings, **more) -> AsyncIterator[Source]:
    """A device on an open line that nobody polls."""
    clock = SystemClock()
    line = Line(settings, clock)
    about = resolved(POINTS, line=settings, **{"timeout": "150ms", **more})

    async def drop(_item: object) -> None:
        return

    source = Source(about, make(about.spec), line, clock, drop)
    running = asyncio.create_task(line.run())
    try:
        while line.state != "open":
            await line.changed()
        yield source
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def farmed(one: Slave, framing: str = "tcp", **more) -> AsyncIterator[Source]:
    farm = TcpFarm({1: one}, framing=framing)
    await farm.start()
    try:
        async with device(LineSettings(name="l", tcp=f"127.0.0.1:{farm.port}"), framing=framing, **more) as source:
            yield source
    finally:
        await farm.stop()


async def until(what: Callable[[], object]) -> None:
    for _ in range(8000):  # the limit only ends a test that hangs: a busy machine takes its time
        if what():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came true")


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
async def test_written_exactly_and_read_back(framing: str) -> None:
    one = slave()
    async with farmed(one, framing) as source:
        written = await source.write("output", True)
        assert (written.before.value, written.after.value, written.fault) == (False, True, None)
        assert (await source.write("level", 85.5)).after.value == 85.5
        assert (await source.write("total", 1234.5)).after.value == 1234.5
        assert (await source.write("bit", True)).after.value is True
        assert (one.bits[0], one.registers[10], one.registers[11]) == (True, 855 | 8, 7)
        assert [pdu[0] for pdu in one.written] == [5, 6, 16, 22]
        assert source.view()["last"]["level"]["value"] == 85.5
        assert source.view()["writable"] == ["bit", "level", "output", "total"]


@pytest.mark.parametrize("framing", [FramerType.SOCKET, FramerType.RTU, FramerType.ASCII])
async def test_a_server_that_is_not_ours(framing: FramerType) -> None:
    block = [SimData(0, values=[0] * 32, datatype=DataType.REGISTERS)]
    coils = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    server = ModbusTcpServer(
        SimDevice(1, simdata=(coils, coils, block, block)), framer=framing, address=("127.0.0.1", 0)
    )
    serving = asyncio.create_task(server.serve_forever())
    await until(lambda: server.transport is not None)
    port = server.transport.sockets[0].getsockname()[1]
    words = {FramerType.SOCKET: "tcp", FramerType.RTU: "rtu", FramerType.ASCII: "ascii"}
    try:
        async with device(
            LineSettings(name="l", tcp=f"127.0.0.1:{port}"), framing=words[framing], timeout="1s"
        ) as source:
            for name, value in (
                ("output", True),
                ("level", 85.5),
                ("total", 1234.5),
                ("bit", False),
                ("output", False),
            ):
                written = await source.write(name, value)
                assert (written.after.value, written.fault) == (value, None)
    finally:
        await server.shutdown()
        await asyncio.gather(serving, return_exceptions=True)


async def test_a_device_that_lacks_the_functions_for_one_gets_those_for_several() -> None:
    one = slave()
    one.refused = {5: 1, 6: 1}
    async with farmed(one) as source:
        assert (await source.write("output", True)).after.value is True
        assert (await source.write("level", 1.5)).after.value == 1.5
        assert [pdu[0] for pdu in one.written] == [15, 16]


async def test_a_device_without_function_22_has_no_bit_set_and_says_why() -> None:
    one = slave()
    one.refused = {22: 1}
    async with farmed(one) as source:
        written = await source.write("bit", True)
        assert "function 22" in str(written.fault)
        assert (one.written, one.registers[10]) == ([], 0x8000)


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
async def test_the_devices_own_refusal_keeps_what_was_there(framing: str) -> None:
    one = slave()
    one.refused = {5: 4}
    async with farmed(one, framing) as source:
        written = await source.write("output", True)
        assert written.fault is not None
        assert written.fault.reason == "device_failure"
        assert (written.before.value, written.after.value) == (False, False)
        assert (await source.write("output", False)).fault is not None, "a refusal stays one, whatever is there"


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
async def test_a_lost_answer_is_no_failure_when_the_value_is_there(framing: str) -> None:
    one = slave()
    one.mute = {5}
    async with farmed(one, framing) as source:
        written = await source.write("output", True)
        assert (written.after.value, written.fault) == (True, None)


async def test_a_value_that_does_not_stick_is_looked_at_again_and_told() -> None:
    one = slave()
    one.stuck = True
    async with farmed(one) as source:
        written = await source.write("output", True)
        assert (written.before.value, written.after.value, written.fault) == (False, False, None)
        looks = sum(function == 1 for function, _, _ in one.asked)
        assert looks == 4  # before, after, and twice more


async def test_an_output_that_takes_its_time_is_done() -> None:
    one = slave()
    one.stuck = True
    async with farmed(one) as source:
        asking = asyncio.create_task(source.write("output", True))
        await until(lambda: len(one.asked) == 2)
        one.bits[0] = True
        assert (await asking).after.value is True


async def test_nothing_is_sent_to_a_silent_device() -> None:
    one = slave()
    one.silent = True
    async with farmed(one) as source:
        with pytest.raises(DeviceSilentError):
            await source.write("output", True)
        assert one.written == []


async def test_a_register_that_cannot_be_read_is_written_and_says_so() -> None:
    one = slave()
    one.refused = {1: 2}
    async with farmed(one) as source:
        written = await source.write("output", True)
        assert one.bits[0] is True
        assert written.before.reason == "illegal_address"
        assert written.fault is not None
        assert written.fault.reason == "unverified"


@pytest.mark.parametrize("echo", [False, True])
async def test_a_line_that_repeats_what_is_sent(echo: bool) -> None:
    one = slave()
    bus = PtyBus({1: one})
    if echo:
        bus.spoil = lambda request, frame: [(0.0, request), (0.01, frame)]
    async with device(LineSettings(name="bus", serial=Path(bus.path)), timeout="300ms") as source:
        for value in (True, False):
            written = await source.write("output", value)
            assert (written.after.value, written.fault) == (value, None)
        assert (await source.write("level", 3.5)).after.value == 3.5
    bus.unplug()
    assert [pdu[0] for pdu in one.written] == [5, 5, 6]


async def test_an_echo_alone_is_no_answer() -> None:
    one = slave()
    bus = PtyBus({1: one})
    bus.spoil = lambda request, frame: [(0.0, request), (0.01, b"" if request[1] == 5 else frame)]
    one.stuck = True
    async with device(LineSettings(name="bus", serial=Path(bus.path)), timeout="150ms") as source:
        written = await source.write("output", True)
    bus.unplug()
    assert (written.fault and written.fault.reason, written.after.value) == ("timeout", False)


async def test_a_damaged_answer_is_judged_by_reading_back() -> None:
    one = slave()
    bus = PtyBus({1: one})
    bus.spoil = lambda request, frame: [(0.0, frame[:-1] + b"\0" if request[1] == 5 else frame)]
    async with device(LineSettings(name="bus", serial=Path(bus.path)), timeout="150ms") as source:
        written = await source.write("output", True)
    bus.unplug()
    assert (written.fault, written.after.value) == (None, True)


async def test_refused_before_anything_is_sent() -> None:
    one = slave()
    async with farmed(one) as source:
        for point, value, status, words in (
            ("other", 1, 403, "add write = true to this point"),
            ("nothing", 1, 404, "has no point 'nothing'; expected one of bit, level, other, output, total"),
            ("levle", 1, 404, 'did you mean "level"'),
            ("level", 100.1, 400, "0 to 100 dB"),
            ("output", 1, 400, "true or false"),
        ):
            with pytest.raises(CommandError, match=words) as refused:
                await source.write(point, value)
            assert refused.value.status == status
        assert (one.written, one.asked) == ([], [])


@pytest.mark.parametrize(("ends_at", "sent"), [(0, []), (1, [5]), (2, [5])])
async def test_a_line_that_breaks_behind_the_write_leaves_it_unverified(ends_at: int, sent: list[int]) -> None:
    """Not "failed, it is as it was": a gate that may have opened has to be set back."""
    one = slave()
    bus = PtyBus({1: one})

    def spoil(_request: bytes, frame: bytes) -> list[tuple[float, bytes]]:
        if len(bus.requests) > ends_at:
            bus.unplug()
            return []
        return [(0.0, frame)]

    bus.spoil = spoil
    async with device(LineSettings(name="bus", serial=Path(bus.path)), timeout="1s") as source:
        if not sent:
            with pytest.raises(LinkError):
                await source.write("output", True)
        else:
            written = await source.write("output", True)
            assert (written.fault and written.fault.reason, written.after.value) == ("unverified", None)
            assert written.before.value is False
    assert [pdu[0] for pdu in one.written] == sent


async def test_a_line_that_is_down_says_so() -> None:
    about = resolved(POINTS, line=LineSettings(name="l", tcp="127.0.0.1:1"))
    source = Source(about, make(about.spec), Line(about.line, SystemClock()), SystemClock(), None)  # type: ignore[arg-type]
    with pytest.raises(LinkError):
        await source.write("output", True)


async def test_a_bug_in_a_driver_is_the_devices_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async with farmed(slave()) as source:

        async def broken(*_: object) -> None:
            raise KeyError("oops")

        monkeypatch.setattr(source._driver, "write", broken)
        with pytest.raises(DeviceError, match="has an error") as failed:
            await source.write("output", True)
        assert failed.value.reason == "driver_bug"


async def test_a_write_goes_before_polls_that_wait() -> None:
    one = slave()
    async with farmed(one) as source:
        order: list[str] = []

        async def poll(name: str) -> None:
            async def work(_pipe: object) -> None:
                order.append(name)
                await asyncio.sleep(0.01)

            await source._line.transact(work, deadline=0.0, timeout=0.1)

        polls = [asyncio.create_task(poll(f"poll {number}")) for number in range(5)]
        await until(lambda: order)
        await source.write("output", True)
        order.append("write")
        await asyncio.gather(*polls)
    assert order.index("write") == 1, "only the transaction under way is waited for"
