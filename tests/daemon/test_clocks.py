"""The time for meters: only if asked for, once a day, by a clock that is right, as the standard has it, on record."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from drivers import dlt645
from gateway.clock import SystemClock
from gateway.commands.writing import Writes
from gateway.contract import DeviceError, LinkError
from gateway.daemon.clocks import MeterClocks, wires
from gateway.links import Line
from gateway.plan import load_plan
from gateway.settings import DeviceSettings, LineSettings
from gateway.settings.resolve import ResolvedDevice, resolve_device
from gateway.sources import Source
from gateway.store.types import schema
from tests.conftest import FakeClock
from tests.daemon.test_actions import Kept
from tests.meters.slaves import DltMeter

ADDRESS = "202312345678"
ENERGY = {"at": "00-01-00-00", "type": "bcd", "length": 4}
BUS = LineSettings(name="bus", tcp="10.0.0.1:502")


def meter(name: str = "house-4", address: str = ADDRESS, line: LineSettings = BUS, **more: Any) -> ResolvedDevice:
    settings = DeviceSettings.model_validate(
        {"name": name, "line": line.name, "driver": "dlt645", "address": address, "points": {"e": ENERGY}, **more}
    )
    return resolve_device(settings, line, None)


class Told:
    """Stands for a Source (a fake: no line); ``fault`` is what the line does."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.times, self.fault = clock, [], None

    async def set_clocks(self, now: Callable[[], datetime]) -> datetime:
        self.times.append(now())
        if self.fault is not None:
            raise self.fault
        return self.times[-1]


class Site:
    """One wire with two meters that ask for the time; the clock stands at ``at`` of 22 November 2026, UTC."""

    def __init__(self, at: str, store: Kept | None = None) -> None:
        self.clock, self.store = FakeClock(), store or Kept()
        self.clock.wall_ns = int(datetime.fromisoformat(f"2026-11-22T{at}+00:00").timestamp() * 1e9)
        self.source = Told(self.clock)
        devices = [meter(), meter("house-5", "202312345679")]
        sources: Any = {"house-4": self.source}
        writes = Writes(sources, self.store, self.clock)  # type: ignore[arg-type]
        self.clocks = MeterClocks(wires(devices), sources, self.store, self.clock, writes)  # type: ignore[arg-type]

    async def live(self, seconds: float, step: float = 1.0) -> None:
        running = asyncio.create_task(self.clocks.run())
        try:
            for _ in range(5):
                await asyncio.sleep(0)
            await self.clock.advance(seconds, step)
            assert not running.done()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_once_a_day_away_from_midnight_and_from_every_quarter_of_an_hour() -> None:
    site = Site("00:00:30")
    await site.live(3 * 86_400, step=10.0)
    assert len(site.source.times) == 3
    assert {time.date().day for time in site.source.times} == {22, 23, 24}
    for time in site.source.times:
        assert time.hour == 3
        assert 5 < time.minute % 15 < 10


async def test_the_record_says_who_what_when_and_that_nothing_could_be_read_back() -> None:
    site = Site("03:07:30")
    await site.live(60)
    (draft,) = site.store.drafts
    assert (draft.stream, draft.type, draft.source) == ("disposal", "linli.disposal.command.v1", "house-4")
    Draft202012Validator(schema(draft.type)["properties"]["data"]).validate(draft.data)
    data = draft.data
    assert (data["command"], data["by"], data["point"]) == ("set_clock", "schedule:set_clock", "clock")
    assert (data["line"], data["devices"]) == ("bus", ["house-4", "house-5"])
    assert data["value"] == "2026-11-22T03:08:00.000+00:00"
    assert (data["outcome"], data["reason"], data["before"], data["after"]) == ("unverified", "broadcast", None, None)
    assert "nothing could be read back" in data["text"]


@pytest.mark.parametrize("trust", ["holdover", "unknown"])
async def test_a_clock_that_may_be_wrong_sets_nobody(trust: str) -> None:
    site = Site("03:07:30")
    site.clock.trust = trust
    await site.live(60)
    assert site.source.times == []
    assert [(draft.data["outcome"], draft.data["reason"]) for draft in site.store.drafts] == [("refused", "clock")]
    assert f"not synchronised ({trust})" in site.store.drafts[0].data["text"]


@pytest.mark.parametrize("fault", [LinkError("line bus is down", "refused"), DeviceError("a bug", "driver_bug")])
async def test_what_did_not_leave_is_not_tried_again_that_day(fault: Exception) -> None:
    site = Site("03:07:30")
    site.source.fault = fault
    await site.live(3600)
    assert len(site.source.times) == 1
    (draft,) = site.store.drafts
    assert (draft.data["outcome"], draft.data["reason"]) == ("failed", fault.reason)
    assert "tomorrow" in draft.data["text"]


async def test_a_restart_within_the_minute_does_not_say_it_twice() -> None:
    first = Site("03:07:55")
    await first.live(20)
    again = Site("03:08:20", first.store)
    await again.live(3600)
    assert (len(first.source.times), len(again.source.times)) == (1, 0)


async def test_who_starts_later_waits_for_the_next_day() -> None:
    site = Site("03:12:00")
    await site.live(3600)
    assert site.source.times == []
    assert site.store.drafts == []


async def test_a_wall_clock_that_steps_over_the_minute_is_seen() -> None:
    site = Site("00:00:30")
    await site.live(60)
    site.clock.wall_ns = int(datetime(2026, 11, 22, 3, 0, tzinfo=UTC).timestamp() * 1e9)
    await site.live(600)
    assert len(site.source.times) == 1


def test_one_broadcast_for_all_that_hear_it() -> None:
    wire = LineSettings(name="riser", serial=Path("/dev/ttyUSB0"), baud=2400, format="8E1")
    fast: dict[str, Any] = {"serial": {"baud": 9600, "format": "8E1"}}
    same: dict[str, Any] = {"serial": {"baud": 2400, "format": "8E1"}}
    devices = [meter("a", line=wire), meter("b", line=wire, **fast), meter("c", line=wire, **same)]
    assert [(one.key, one.devices) for one in wires(devices)] == [
        ("riser/2400-8E1", ("a", "c")),
        ("riser/9600-8E1", ("b",)),
    ]
    # A serial server has its own settings: whatever a profile says, there is one wire behind it.
    assert [one.devices for one in wires([meter("a", **fast), meter("b", **same)])] == [("a", "b")]


@asynccontextmanager
async def wired(one: DltMeter) -> AsyncIterator[tuple[LineSettings, bytearray]]:
    """A meter behind a TCP serial server, and what it heard."""
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(256):
            heard.extend(data)
            writer.write(one.hear(data))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield LineSettings(name="bus", tcp=f"127.0.0.1:{server.sockets[0].getsockname()[1]}"), heard
    finally:
        server.close()


async def test_on_a_real_line_and_polling_goes_on() -> None:
    one = DltMeter(ADDRESS, {"00010000": bytes.fromhex("78563412")})
    clock = SystemClock()
    async with wired(one) as (settings, heard):
        about = meter(line=settings, options={"set_clock": True})
        line = Line(settings, clock)

        async def drop(_item: object) -> None:
            return

        source = Source(about, dlt645.make(about.spec), line, clock, drop)
        running = asyncio.create_task(line.run())
        try:
            while line.state != "open":
                await line.changed()
            assert (await source.read_now()).points["e"].value == 12345678
            assert b"\x99" * 6 not in heard, "polling tells nobody the time"
            await source.set_clocks(lambda: datetime(2026, 11, 22, 3, 8, tzinfo=UTC))
            assert (await source.read_now()).points["e"].value == 12345678
            assert one.told == "261122030800"
            assert one.forbidden == 0
            assert source.view()["errors"] == 0
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


HEAD = """
[gateway]
id = "test-gate"
[[line]]
name = "riser"
tcp = "192.0.2.1:502"
"""


def device(name: str, address: int, more: str = "") -> str:
    return (
        f'[[device]]\nname = "{name}"\ndriver = "dlt645"\nline = "riser"\naddress = "{address:012}"\n{more}\n'
        'points.e = { at = "00010000", type = "bcd", length = 4 }\n'
    )


def test_check_says_who_else_hears_it(tmp_path: Path) -> None:
    path = tmp_path / "linli.toml"
    asking = "options = { set_clock = true }"
    path.write_text(HEAD + device("a", 1, asking) + device("b", 2) + device("c", 3), encoding="utf-8")
    (warning,) = load_plan(path).warnings
    assert warning.startswith(f"{path}:12: device.a.options.set_clock: is a broadcast, which sets b, c on its line")
    path.write_text(HEAD + device("a", 1, asking) + device("b", 2, asking), encoding="utf-8")
    assert load_plan(path).warnings == ()
    path.write_text(HEAD + device("a", 1) + device("b", 2), encoding="utf-8")
    assert load_plan(path).warnings == ()
