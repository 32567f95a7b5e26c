"""The outbox against a fake wire: windows, order, cursors, and what each reason code does."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.contract import Stream
from gateway.metrics import REGISTRY
from gateway.uplink import outbox as outbox_module
from gateway.uplink.answers import Ack
from gateway.uplink.dial import ConnectionFailedError
from gateway.uplink.outbox import Outbox
from gateway.uplink.reasons import MqttWords
from tests.conftest import FakeClock
from tests.uplink.stand_in import MemoryStore

ALL: tuple[Stream, ...] = ("perception", "management", "alarm", "disposal")


class FakeWire:
    """A fake connection: keeps what is published; the test answers."""

    def __init__(self, window: int = 10, room: int = 1 << 20) -> None:
        self.window, self._room = window, room
        self.out: list[tuple[Stream, list[dict[str, Any]], str, Callable[[Ack], None]]] = []
        self.sequences: list[tuple[str, list[int]]] = []
        self.judge: Callable[[Stream, list[int]], int | None] = lambda stream, sequences: None

    def room(self, stream: Stream) -> int:
        return self._room

    def publish(self, stream: Stream, payload: bytes, cursor: str, done: Callable[[Ack], None]) -> int:
        if len(payload) > self._room:
            return 0
        events = json.loads(payload)
        numbers = [int(event["sequence"]) for event in events]
        assert cursor == f"e1.{stream}.{numbers[-1]}"
        self.sequences.append((stream, numbers))
        code = self.judge(stream, numbers)
        if code is None:
            self.out.append((stream, events, cursor, done))
        else:
            asyncio.get_running_loop().call_soon(done, Ack(code, "said so"))
        return len(payload)

    def answer(self, index: int = 0, code: int = 0) -> None:
        self.out.pop(index)[3](Ack(code, ""))

    def sent(self, stream: Stream) -> list[int]:
        return [number for name, numbers in self.sequences if name == stream for number in numbers]


@asynccontextmanager
async def pumping(outbox: Outbox, wire: FakeWire) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.ensure_future(outbox.pump(wire))
    await turn()
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def turn() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


def make(store: MemoryStore, clock: FakeClock) -> Outbox:
    return Outbox("mqtt", store, MqttWords("gw"), ALL, clock)


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"uplink": "mqtt", **labels}) or 0.0


async def test_streams_go_in_order_and_the_cursor_follows_the_acknowledgements(fake_clock: FakeClock) -> None:
    store, wire = MemoryStore(), FakeWire()
    for stream in ALL:
        await store.fill(stream, 3)
    outbox = make(store, fake_clock)
    async with pumping(outbox, wire):
        assert [stream for stream, _ in wire.sequences] == ["alarm", "disposal", "management", "perception"]
        assert store.positions == {}
        assert outbox.backlog() == dict.fromkeys(("alarm", "disposal", "management", "perception"), 3)
        wire.answer(3)
        await turn()
        assert store.positions == {("mqtt", "perception"): 3}
        for _ in range(3):
            wire.answer()
        await turn()
        assert set(store.positions.values()) == {3}
        assert outbox.idle()


async def test_a_late_answer_holds_the_cursor_though_later_batches_are_confirmed(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "BATCH_RECORDS", 2)
    store, wire = MemoryStore(), FakeWire()
    await store.fill("perception", 6)
    async with pumping(make(store, fake_clock), wire):
        assert [numbers for _, numbers in wire.sequences] == [[1, 2], [3, 4], [5, 6]]
        wire.answer(2)
        wire.answer(1)
        await turn()
        assert store.positions == {}
        wire.answer(0)
        await turn()
        assert store.position("mqtt", "perception") == 6


async def test_an_alarm_passes_a_backlog_with_a_full_window(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "BATCH_RECORDS", 1)
    store, wire = MemoryStore(), FakeWire(window=4)
    await store.fill("perception", 50)
    async with pumping(make(store, fake_clock), wire):
        assert wire.sent("perception") == [1, 2, 3], "the lower streams leave a place free"
        await store.fill("alarm", 1)
        await turn()
        assert wire.sent("alarm") == [1]
        await store.fill("disposal", 1)
        await turn()
        assert wire.sent("disposal") == [], "the broker's window is never exceeded"
        wire.answer(0)
        await turn()
        assert wire.sent("disposal") == [1]
        assert len(wire.out) == 4


async def test_a_window_of_one_still_moves_everything(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "BATCH_RECORDS", 1)
    store, wire = MemoryStore(), FakeWire(window=1)
    wire.judge = lambda stream, sequences: 0
    for stream in ALL:
        await store.fill(stream, 5)
    outbox = make(store, fake_clock)
    async with pumping(outbox, wire):
        assert outbox.idle()


def flying(wire: FakeWire, *streams: str) -> int:
    return sum(len(json.dumps(events)) for stream, events, _, _ in wire.out if stream in streams)


async def test_a_good_link_fills_up_and_a_slow_one_gets_little(fake_clock: FakeClock) -> None:
    store, wire = MemoryStore(), FakeWire(window=1000)
    await store.fill("perception", 5000, size=1000)
    outbox = make(store, fake_clock)
    async with pumping(outbox, wire):
        sizes = []
        for seconds in [0.05] * 8 + [2.0] * 10:
            sizes.append(flying(wire, "perception"))
            await fake_clock.advance(seconds, seconds)
            for _ in range(len(wire.out)):
                wire.answer()
            await turn()
        assert sizes[0] < 140_000, "carefully at first"
        assert max(sizes) > 400_000
        assert flying(wire, "perception") < 12_000, "so that an alarm waits no more than a second"
        await store.fill("alarm", 1)
        await turn()
        assert wire.sent("alarm") == [1]


async def test_a_connection_lost_with_publishes_unanswered_is_tried_with_less(fake_clock: FakeClock) -> None:
    store = MemoryStore()
    await store.fill("perception", 1000, size=1000)
    outbox = make(store, fake_clock)
    sizes = []
    for _ in range(6):
        wire = FakeWire(window=1000)
        async with pumping(outbox, wire):
            sizes.append(flying(wire, "perception"))
        await outbox.lost(None)
    assert sizes[-1] < 12_000 < sizes[0]


async def test_many_alarms_do_not_flood_a_slow_link_either(fake_clock: FakeClock) -> None:
    store, wire = MemoryStore(), FakeWire(window=1000)
    await store.fill("alarm", 5000, size=1000)
    async with pumping(make(store, fake_clock), wire):
        assert flying(wire, "alarm") < 140_000


@pytest.mark.parametrize("code", [0x87, 0x90, 0x97, 0x80, 0x83])
async def test_a_refused_stream_is_held_retried_and_told_once(fake_clock: FakeClock, code: int) -> None:
    store, wire = MemoryStore(), FakeWire()
    refusing = True
    wire.judge = lambda stream, sequences: code if stream == "perception" and refusing else 0
    await store.fill("perception", 2)
    outbox = make(store, fake_clock)
    before = metric("linli_refused_total", stream="perception", code=f"0x{code:02X}")
    async with pumping(outbox, wire):
        assert list(outbox.held()) == ["perception"]
        await store.fill("alarm", 1)
        await turn()
        assert store.position("mqtt", "alarm") == 1, "the other streams go on"
        await fake_clock.advance(60, 0.25)
        await turn()
        tries = len([stream for stream, _ in wire.sequences if stream == "perception"])
        assert 6 <= tries <= 25, "retried with growing back-off to 10 s"
        assert metric("linli_refused_total", stream="perception", code=f"0x{code:02X}") == before + tries
        told = store.told("linli.uplink.refused.v1")
        assert len(told) == 1
        assert told[0]["uplink"] == "mqtt"
        assert told[0]["stream"] == "perception"
        assert told[0]["code"] == f"0x{code:02X}"
        assert told[0]["meaning"]
        assert "said so" in told[0]["text"]
        assert store.position("mqtt", "perception") == 0
        refusing = False
        await fake_clock.advance(11, 0.25)
        assert store.position("mqtt", "perception") == 2
        assert outbox.held() == {}
        await fake_clock.advance(61, 0.5)
        assert len(store.told("linli.uplink.accepted.v1")) == 1


async def test_a_quota_that_flaps_is_told_once(fake_clock: FakeClock) -> None:
    store, wire = MemoryStore(), FakeWire()
    count = 0

    def judge(stream: Stream, sequences: list[int]) -> int:
        nonlocal count
        count += stream == "perception"
        return 0x97 if stream == "perception" and count % 2 else 0

    wire.judge = judge
    async with pumping(make(store, fake_clock), wire):
        for _ in range(20):
            await store.fill("perception", 1)
            await fake_clock.advance(2, 0.25)
        assert len(store.told("linli.uplink.refused.v1")) == 1


@pytest.mark.parametrize("code", [0x95, 0x99])
async def test_the_culprit_of_a_batch_is_found_parked_and_named(fake_clock: FakeClock, code: int) -> None:
    store, wire = MemoryStore(), FakeWire()
    await store.fill("perception", 100)
    wire.judge = lambda stream, sequences: code if stream == "perception" and 37 in sequences else 0
    outbox = make(store, fake_clock)
    async with pumping(outbox, wire):
        assert store.position("mqtt", "perception") == 100
        assert outbox.parked == 1
        told = store.told("linli.uplink.refused.v1")
        assert len(told) == 1
        assert told[0]["effect"] == "parked"
        assert told[0]["code"] == f"0x{code:02X}"
        bad = json.loads(store.streams["perception"][36].json)
        assert told[0]["records"] == [{"id": bad["id"], "sequence": "00000000000000000037", "type": "linli.reading.v1"}]
        accepted = [number for stream, numbers in wire.sequences if stream == "perception" and 37 not in numbers
                    for number in numbers]  # fmt: skip
        assert sorted(accepted) == [*range(1, 37), *range(38, 101)], "everything else went exactly once"


async def test_a_record_larger_than_the_brokers_packets_is_parked_without_being_sent(fake_clock: FakeClock) -> None:
    store, wire = MemoryStore(), FakeWire(room=2000)
    await store.fill("perception", 3, size=100)
    await store.fill("perception", 1, size=5000)
    await store.fill("perception", 3, size=100)
    wire.judge = lambda stream, sequences: 0
    async with pumping(make(store, fake_clock), wire):
        assert sorted(wire.sent("perception")) == [1, 2, 3, 5, 6, 7]
        assert store.position("mqtt", "perception") == 7
        assert store.told("linli.uplink.refused.v1")[0]["records"][0]["sequence"].endswith("4")


async def test_a_broker_that_refuses_every_record_is_held_after_some(fake_clock: FakeClock) -> None:
    store, wire = MemoryStore(), FakeWire()
    refusing = True
    wire.judge = lambda stream, sequences: 0x99 if stream == "perception" and refusing else 0
    await store.fill("perception", 300)
    outbox = make(store, fake_clock)
    async with pumping(outbox, wire):
        await fake_clock.advance(60, 0.25)
        assert outbox.parked == outbox_module.MOST_PARKED_IN_A_ROW
        assert store.position("mqtt", "perception") <= outbox_module.MOST_PARKED_IN_A_ROW
        assert "0x99" in outbox.held()["perception"]
        refusing = False
        await fake_clock.advance(11, 0.25)
        assert store.position("mqtt", "perception") == 300
        assert sorted(set(wire.sent("perception"))) == list(range(1, 301))


async def test_refused_notices_do_not_breed(fake_clock: FakeClock) -> None:
    store, wire = MemoryStore(), FakeWire()
    wire.judge = lambda stream, sequences: 0x99 if stream == "management" else 0
    await store.fill("management", 3)
    async with pumping(make(store, fake_clock), wire):
        await fake_clock.advance(60, 0.5)
        assert store.bounds("management")[1] <= 6
        assert store.position("mqtt", "management") == store.bounds("management")[1]


async def test_unheard_publishes_count_as_delivered(fake_clock: FakeClock) -> None:
    store, wire = MemoryStore(), FakeWire()
    wire.judge = lambda stream, sequences: 0x10
    heard, delivered = metric("linli_unheard_total", stream="alarm"), metric("linli_delivered_total", stream="alarm")
    await store.fill("alarm", 5)
    async with pumping(make(store, fake_clock), wire):
        assert store.position("mqtt", "alarm") == 5
        assert metric("linli_unheard_total", stream="alarm") == heard + 1
        assert metric("linli_delivered_total", stream="alarm") == delivered + 5


async def test_what_was_not_acknowledged_is_sent_again_and_what_was_is_not(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "BATCH_RECORDS", 2)
    store, wire = MemoryStore(), FakeWire()
    await store.fill("perception", 6)
    outbox = make(store, fake_clock)
    async with pumping(outbox, wire):
        wire.answer(1)
        await turn()
    await outbox.lost(None)
    first, second = [events for _, events, _, _ in wire.out]
    again = FakeWire()
    again.judge = lambda stream, sequences: 0
    async with pumping(outbox, again):
        assert again.sequences == [("perception", [1, 2]), ("perception", [5, 6])]
        assert store.position("mqtt", "perception") == 6
    assert [event["sequence"] for event in first + second] == [f"{number:020d}" for number in (1, 2, 5, 6)]


async def test_answers_that_came_with_the_end_of_a_connection_still_count(fake_clock: FakeClock) -> None:
    store, wire = MemoryStore(), FakeWire()
    await store.fill("perception", 2)
    outbox = make(store, fake_clock)
    async with pumping(outbox, wire):
        pass
    wire.answer()
    await outbox.lost(None)
    assert store.position("mqtt", "perception") == 2


async def test_a_broker_that_hangs_up_on_a_record_gets_them_one_by_one_until_it_is_found(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "BATCH_RECORDS", 4)
    store = MemoryStore()
    await store.fill("perception", 20)
    outbox = make(store, fake_clock)
    for _ in range(12):  # connections
        wire = FakeWire()
        bad = False

        def judge(stream: Stream, sequences: list[int]) -> int | None:
            nonlocal bad
            bad = bad or (stream == "perception" and 7 in sequences)
            return None if bad else 0

        wire.judge = judge
        async with pumping(outbox, wire):
            if not bad:
                break
        await outbox.lost(0x95)
    assert store.position("mqtt", "perception") == 20
    assert [notice["records"][0]["sequence"][-2:] for notice in store.told("linli.uplink.refused.v1")] == ["07"]


async def test_a_broker_that_never_answers_is_left_after_a_while(fake_clock: FakeClock) -> None:
    store, wire = MemoryStore(), FakeWire()
    await store.fill("perception", 2)
    async with pumping(make(store, fake_clock), wire) as pump:
        await fake_clock.advance(29, 0.5)
        assert not pump.done()
        await fake_clock.advance(3, 0.5)
        assert pump.done()
        with pytest.raises(ConnectionFailedError, match="acknowledges nothing"):
            pump.result()


async def test_records_evicted_before_they_were_sent_are_passed_over(fake_clock: FakeClock) -> None:
    store, wire = MemoryStore(), FakeWire()
    await store.fill("perception", 10)
    outbox = make(store, fake_clock)
    async with pumping(outbox, wire):
        pass
    await outbox.lost(None)
    await store.fill("perception", 5)
    store.evict("perception", 12)
    assert outbox.backlog()["perception"] == 3
    again = FakeWire()
    again.judge = lambda stream, sequences: 0
    async with pumping(outbox, again):
        assert again.sent("perception") == [13, 14, 15]
        assert store.position("mqtt", "perception") == 15


async def test_a_store_that_cannot_be_read_now_is_asked_again(fake_clock: FakeClock, caplog: Any) -> None:
    store, wire = MemoryStore(), FakeWire()
    wire.judge = lambda stream, sequences: 0
    await store.fill("perception", 3)
    outbox = make(store, fake_clock)
    store.broken = True
    async with pumping(outbox, wire):
        await fake_clock.advance(10, 0.25)
        assert "cannot be read" in outbox.unreadable
        assert len(caplog.records) == 1, "said once, not per try"
        store.broken = False
        await fake_clock.advance(2, 0.25)
        assert store.position("mqtt", "perception") == 3
        assert outbox.unreadable == ""


async def test_only_the_configured_streams_go(fake_clock: FakeClock) -> None:
    store, wire = MemoryStore(), FakeWire()
    await store.fill("perception", 1)
    await store.fill("alarm", 1)
    async with pumping(Outbox("mqtt", store, MqttWords("gw"), ("alarm",), fake_clock), wire):
        assert [stream for stream, _ in wire.sequences] == ["alarm"]


async def test_a_metered_link_keeps_to_its_rate_and_alarms_do_not_wait_for_it(fake_clock: FakeClock) -> None:
    store, wire = MemoryStore(), FakeWire(window=100)
    wire.judge = lambda stream, sequences: 0
    await store.fill("perception", 2000, size=300)
    outbox = Outbox("mqtt", store, MqttWords("gw"), ALL, fake_clock, rate=10_000)
    async with pumping(outbox, wire):
        await fake_clock.advance(20, 0.1)
        size = sum(len(record.json) for record in store.streams["perception"][: len(wire.sent("perception"))])
        assert 180_000 < size < 235_000, "20 s at 10 kB a second, and a burst of one at first"
        await store.fill("alarm", 1, size=5000)
        await turn()
        assert wire.sent("alarm") == [1]
