"""``ack = "platform"``: the cursor waits for the platform's word, and believes no other."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.contract import STREAMS
from gateway.metrics import REGISTRY
from gateway.uplink import outbox as outbox_module
from gateway.uplink.lane import FIRST_AGAIN, GRACE_SECONDS
from gateway.uplink.outbox import Outbox
from gateway.uplink.reasons import MqttWords
from gateway.uplink.receipts import Receipts
from tests.broker import Mosquitto, broker
from tests.conftest import FakeClock
from tests.uplink.platform import Platform
from tests.uplink.stand_in import MemoryStore
from tests.uplink.test_mqtt import make, running, until
from tests.uplink.test_outbox import FakeWire, metric, pumping, turn

__all__ = ["broker"]


@pytest.fixture(autouse=True)
def single(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "BATCH_RECORDS", 2)


class Site:
    """An outbox that waits for the platform, a wire whose broker takes everything, and receipts."""

    def __init__(self, clock: FakeClock, awaits: int = 10) -> None:
        self.store, self.wire, self.clock = MemoryStore(), FakeWire(window=100), clock
        self.wire.judge = lambda stream, sequences: 0
        self.outbox = Outbox("mqtt", self.store, MqttWords("gw"), STREAMS, clock, awaits=awaits)
        self.receipts = Receipts("mqtt", lambda: self.store.epoch, self.outbox.acknowledge, clock)

    async def say(self, sequence: int, stream: str = "perception", epoch: str = "e1") -> None:
        self.receipts.take(json.dumps({"stream": stream, "cursor": f"{epoch}.{stream}.{sequence}"}).encode())
        await turn()

    def position(self) -> int:
        return self.store.position("mqtt", "perception")


async def test_the_cursor_waits_for_the_platform_and_then_follows_it_within_a_batch(fake_clock: FakeClock) -> None:
    site = Site(fake_clock)
    await site.store.fill("perception", 6)
    before = metric("linli_delivered_total", stream="perception")
    async with pumping(site.outbox, site.wire):
        assert site.wire.sent("perception") == [1, 2, 3, 4, 5, 6]
        assert site.position() == 0, "the broker's word alone does not count"
        assert site.outbox.backlog()["perception"] == 6
        assert site.outbox.idle(), "at a stop nothing more can be done"
        await site.say(3)
        assert site.position() == 3
        await site.say(2)
        assert site.position() == 3, "going back changes nothing"
        await site.say(6)
        assert site.position() == 6
        assert metric("linli_delivered_total", stream="perception") == before + 6
        assert site.receipts.refused == 0


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        (b'{"stream": "perception", "cursor": "e1.perception.7"}', "ahead"),
        (b'{"stream": "perception", "cursor": "e1.perception.99999999999999999999"}', "ahead"),
        (b'{"stream": "perception", "cursor": "e2.perception.2"}', "foreign_epoch"),
        (b'{"stream": "alarm", "cursor": "e1.perception.2"}', "malformed"),
        (b'{"stream": "perception", "cursor": "e1.perception.-1"}', "malformed"),
        (b'{"stream": "perception", "cursor": 2}', "malformed"),
        (b'{"cursor": "e1.perception.2"}', "malformed"),
        (b"[]", "malformed"),
        (b"", "malformed"),
        (b"\xff\xfe{", "malformed"),
        (b"[" * 4000, "malformed"),
        (b'{"stream": "perception", "cursor": "e1.perception.2", "pad": "' + b"x" * 5000 + b'"}', "malformed"),
    ],
)
async def test_what_is_no_acknowledgement_of_ours_is_refused_and_counted(
    fake_clock: FakeClock, payload: bytes, cause: str
) -> None:
    site = Site(fake_clock)
    await site.store.fill("perception", 6)
    labels = {"uplink": "mqtt", "cause": cause}
    before = REGISTRY.get_sample_value("linli_ack_refused_total", labels) or 0.0
    async with pumping(site.outbox, site.wire):
        site.receipts.take(payload)
        await turn()
        assert site.position() == 0
        assert site.receipts.refused == 1
        assert REGISTRY.get_sample_value("linli_ack_refused_total", labels) == before + 1
        await site.say(6)
        assert site.position() == 6, "and does no harm"


async def test_an_acknowledgement_cannot_pass_what_the_broker_refused(fake_clock: FakeClock) -> None:
    site = Site(fake_clock)
    site.wire.judge = lambda stream, sequences: 0x97 if stream == "perception" and 3 in sequences else 0
    await site.store.fill("perception", 6)
    async with pumping(site.outbox, site.wire):
        await site.say(6)
        assert (site.position(), site.receipts.refused) == (0, 1), "3 and 4 cannot be with the platform"
        await site.say(2)
        assert site.position() == 2
        site.wire.judge = lambda stream, sequences: 0
        await fake_clock.advance(11, 0.25)
        await site.say(6)
        assert site.position() == 6


async def test_a_parked_record_is_passed_with_what_follows_it(fake_clock: FakeClock) -> None:
    site = Site(fake_clock)
    site.wire.judge = lambda stream, sequences: 0x99 if stream == "perception" and 3 in sequences else 0
    await site.store.fill("perception", 6)
    async with pumping(site.outbox, site.wire):
        assert site.position() == 0
        await site.say(2)
        assert site.position() == 3, "the platform never gets it, so it cannot say so"
        await site.say(6)
        assert site.position() == 6


async def test_so_much_waits_for_the_platform_and_no_more(fake_clock: FakeClock) -> None:
    site = Site(fake_clock, awaits=3)
    await site.store.fill("perception", 50)
    async with pumping(site.outbox, site.wire):
        assert site.wire.sent("perception") == [1, 2, 3, 4, 5, 6]
        await site.store.fill("alarm", 1)
        await turn()
        assert site.wire.sent("alarm") == [1], "each stream has its own window"
        await site.say(4)
        assert site.wire.sent("perception") == list(range(1, 11))


async def test_without_a_word_it_goes_again_later_and_later(fake_clock: FakeClock) -> None:
    site = Site(fake_clock)
    await site.store.fill("perception", 4)
    async with pumping(site.outbox, site.wire):
        await fake_clock.advance(FIRST_AGAIN - 1, 0.5)
        assert len(site.wire.sequences) == 2
        await fake_clock.advance(2, 0.5)
        assert site.wire.sequences == [("perception", [1, 2]), ("perception", [3, 4])] * 2
        await fake_clock.advance(3600, 1.0)
        assert 6 <= len(site.wire.sequences) / 2 <= 10, "a platform away for weeks does not find a flood"
        assert site.outbox.unsaid()
        await site.say(4)
        assert site.position() == 4
        assert not site.outbox.unsaid()


async def test_after_a_reconnect_it_goes_again_unless_the_word_comes(fake_clock: FakeClock) -> None:
    site = Site(fake_clock)
    await site.store.fill("perception", 4)
    async with pumping(site.outbox, site.wire):
        pass
    await site.outbox.lost(None)
    async with pumping(site.outbox, site.wire):
        assert len(site.wire.sequences) == 2, "the platform may have it, and say so in a moment"
        await site.say(2)
        assert site.position() == 2
    await site.outbox.lost(None)
    async with pumping(site.outbox, site.wire):
        await fake_clock.advance(GRACE_SECONDS + 1, 0.5)
        assert site.wire.sequences[2:] == [("perception", [3, 4])], "what the broker lost goes again"
        await site.say(4)
        assert site.position() == 4


async def test_a_publish_without_puback_keeps_its_place_in_the_window(fake_clock: FakeClock) -> None:
    site = Site(fake_clock)
    site.wire.judge, site.wire.window = lambda stream, sequences: None, 3
    await site.store.fill("perception", 20)
    async with pumping(site.outbox, site.wire):
        assert len(site.wire.out) == 2
        await site.say(4)  # the platform was faster than the broker's PUBACK
        assert len(site.wire.out) == 2, "the broker still counts them"
        assert site.position() == 4, "though the platform's word counts"
        site.wire.answer()
        await turn()
        assert site.wire.sequences[2:] == [("perception", [5, 6])]


class Acknowledging(Platform):
    """A platform that says its cursor after every batch it stored in order."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.stored: dict[str, int] = {}
        self.deaf: Callable[[], bool] = lambda: False

    async def _collect(self) -> None:
        async for message in self._client.messages:
            stream = str(message.topic).rsplit("/", 1)[1]
            if stream in ("state", "ack") or self.deaf():
                continue
            for event in json.loads(message.payload):
                sequence = int(event["sequence"])
                self.events.setdefault(stream, []).append(event)
                if sequence == self.stored.get(stream, 0) + 1:
                    self.stored[stream] = sequence
            answer = {"stream": stream, "cursor": f"e1.{stream}.{self.stored.get(stream, 0)}"}
            await self._client.publish("linli/v1/gw/ack", json.dumps(answer), qos=1)
            self._arrived.set()


async def test_through_a_real_broker(broker: Mosquitto) -> None:
    store = MemoryStore()
    async with Acknowledging(broker.port) as platform, running(make(store, broker.url, ack="platform")) as uplink:
        for stream in STREAMS:
            await store.fill(stream, 40)
        await until(lambda: all(store.position("mqtt", stream) == 40 for stream in STREAMS))
        for stream in STREAMS:
            assert platform.sequences(stream) == list(range(1, 41))
        assert uplink.view()["acks_refused"] == 0
        assert uplink.view()["problems"] == []


async def test_a_broker_that_confirms_and_forgets_loses_nothing(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.uplink.lane.GRACE_SECONDS", 0.3)
    store = MemoryStore()
    async with running(make(store, broker.url, ack="platform")) as uplink:
        await store.fill("perception", 50)
        await until(lambda: uplink.view()["in_flight"] == 0 and uplink._outbox.taken == 25)
        assert store.position("mqtt", "perception") == 0
        await asyncio.to_thread(broker.kill)  # and with it all that it took
        await asyncio.to_thread(broker.start)
        async with Acknowledging(broker.port) as platform:
            await until(lambda: store.position("mqtt", "perception") == 50)
            assert platform.sequences("perception") == list(range(1, 51))


async def test_a_platform_that_says_nothing_is_a_problem(broker: Mosquitto, monkeypatch: Any) -> None:
    monkeypatch.setattr("gateway.uplink.mqtt.PLATFORM_LATE", 0.2)
    store = MemoryStore()
    async with running(make(store, broker.url, ack="platform")) as uplink:
        await store.fill("alarm", 1)
        await until(lambda: any("does not acknowledge alarm" in text for text in uplink.view()["problems"]))
