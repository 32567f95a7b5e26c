"""The uplink against a fake broker that refuses, delays, forgets and hangs up."""

from typing import Any

import pytest

from gateway.uplink import outbox as outbox_module
from tests.uplink.fake_broker import FakeBroker, connack
from tests.uplink.stand_in import MemoryStore
from tests.uplink.test_mqtt import make, running, until


def numbers(broker: FakeBroker, stream: str) -> list[int]:
    return [int(event["sequence"]) for name, events in broker.published if name == stream for event in events]


async def test_a_quota_holds_the_stream_and_is_retried() -> None:
    store, count = MemoryStore(), 0

    def judge(stream: str, events: list[dict[str, Any]]) -> int:
        nonlocal count
        count += stream == "perception"
        return 0x97 if stream == "perception" and count < 3 else 0

    async with FakeBroker() as fake, running(make(store, fake.url)) as uplink:
        fake.judge = judge
        await store.fill("perception", 5)
        await until(lambda: store.position("mqtt", "perception") == 5)
        assert numbers(fake, "perception") == [1, 2, 3, 4, 5] * 3
        assert uplink.view()["state"] == "online"
        assert [notice["meaning"] for notice in store.told("linli.uplink.refused.v1")] == ["Quota exceeded"]


async def test_a_payload_the_broker_calls_invalid_is_parked_and_stays_pullable() -> None:
    store = MemoryStore()
    async with FakeBroker() as fake, running(make(store, fake.url)):
        fake.judge = lambda stream, events: 0x99 if any(int(event["sequence"]) == 3 for event in events) else 0
        await store.fill("alarm", 5)
        await until(lambda: store.position("mqtt", "alarm") == 5)
        notice = store.told("linli.uplink.refused.v1")[0]
        assert notice["code"] == "0x99"
        assert len(await store.records("alarm", 2, 1)) == 1


async def test_late_answers_in_any_order_move_the_cursor_only_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "BATCH_RECORDS", 1)
    store = MemoryStore()
    async with FakeBroker() as fake, running(make(store, fake.url, window=8)):
        fake.judge = lambda stream, events: "late"
        await store.fill("perception", 40)
        for end in range(6, 41, 6):
            await until(lambda end=end: len(numbers(fake, "perception")) >= min(40, end))
            fake.release()
        await until(lambda: store.position("mqtt", "perception") >= 36)
        assert fake.most_unanswered <= 8
        assert numbers(fake, "perception")[:36] == list(range(1, 37))


@pytest.mark.parametrize("end", ["drop", "kick 0x8B"])
async def test_what_was_in_flight_when_the_connection_broke_goes_again_with_the_same_ids(end: str) -> None:
    store, broken = MemoryStore(), False

    def judge(stream: str, events: list[dict[str, Any]]) -> int | str:
        nonlocal broken
        if stream == "perception" and not broken:
            broken = True
            return end
        return 0

    async with FakeBroker() as fake, running(make(store, fake.url)):
        fake.judge = judge
        await store.fill("perception", 5)
        await until(lambda: store.position("mqtt", "perception") == 5)
        first, second = [events for stream, events in fake.published if stream == "perception"]
        assert first == second
        assert len(fake.connects) == 2


async def test_a_broker_that_hangs_up_with_packet_too_large_finds_the_culprit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.uplink.pause.FIRST_RETRY", 0.01)
    monkeypatch.setattr("gateway.uplink.pause.SHORT_RETRY", 0.02)
    store = MemoryStore()

    def judge(stream: str, events: list[dict[str, Any]]) -> int | str:
        large = stream == "perception" and any(len(event["data"]["pad"]) > 500 for event in events)
        return "kick 0x95" if large else 0

    async with FakeBroker() as fake, running(make(store, fake.url)) as uplink:
        fake.judge = judge
        await store.fill("perception", 10)
        await store.fill("perception", 1, size=1000)
        await store.fill("perception", 10)
        await until(lambda: store.position("mqtt", "perception") == 21)
        assert uplink.view()["parked"] == 1
        assert store.told("linli.uplink.refused.v1")[0]["records"][0]["sequence"].endswith("11")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (connack(0x87), "allow this gateway on the broker"),
        (connack(0x86), "password_file"),
        (connack(0x85), "client identifier"),
        (connack(0x9A), "retained"),
        (connack(0x84), "MQTT 5"),
        (b"\x00\x01", "MQTT 5"),  # a broker of MQTT 3.1.1
        (connack(0, maximum_qos=0), "QoS 1"),
        (connack(0xEE), "MQTT 5|reason|operator"),
    ],
)
async def test_a_refused_connection_is_one_clear_sentence_and_one_record(body: bytes, word: str) -> None:
    store = MemoryStore()
    async with FakeBroker() as fake:
        fake.connack = body
        async with running(make(store, fake.url)) as uplink:
            await until(lambda: len(fake.connects) >= 3)
            view = uplink.view()
            assert view["state"] == "offline"
            assert any(part in view["reason"] for part in word.split("|")), view["reason"]
            assert "\n" not in view["reason"]
            assert len(store.told("linli.uplink.refused.v1")) <= 1
            fake.connack = connack()
            await until(lambda: uplink.view()["state"] == "online")


async def test_receive_maximum_and_packet_size_of_the_broker_are_kept() -> None:
    store = MemoryStore()
    async with FakeBroker() as fake:
        fake.connack = connack(receive_maximum=4, maximum_packet_size=3000)
        fake.judge = lambda stream, events: "late"
        async with running(make(store, fake.url)):
            await store.fill("perception", 100, size=300)
            await until(lambda: len(fake.published) >= 1)
            while store.position("mqtt", "perception") < 100:
                fake.release()
                await until(lambda: bool(fake._late) or store.position("mqtt", "perception") == 100)
        assert fake.most_unanswered <= 4
        assert max(len(str(events)) for _, events in fake.published) < 3500


async def test_a_receive_maximum_of_one_works() -> None:
    store = MemoryStore()
    async with FakeBroker() as fake:
        fake.connack = connack(receive_maximum=1)
        async with running(make(store, fake.url)) as uplink:
            await store.fill("perception", 3000, size=300)
            await until(lambda: store.position("mqtt", "perception") == 3000)
            assert fake.most_unanswered == 1
            await uplink.flush(2)


async def test_another_client_with_our_id_does_not_make_a_storm() -> None:
    store = MemoryStore()
    async with FakeBroker() as fake:
        fake.judge = lambda stream, events: "kick 0x8E"
        await store.fill("alarm", 1)
        async with running(make(store, fake.url)) as uplink:
            await until(lambda: uplink.view()["state"] == "offline" and len(fake.connects) >= 3)
            assert "another client uses this gateway's id" in uplink.view()["reason"]
