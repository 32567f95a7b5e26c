"""Hostile input over MQTT, by hypothesis: every command gets one refusal or answer, and nothing grows or breaks."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract import STREAMS
from gateway.uplink.inbox import REMEMBERED, Inbox
from gateway.uplink.outbox import Outbox
from gateway.uplink.reasons import MqttWords
from gateway.uplink.receipts import Receipts
from tests.conftest import FakeClock
from tests.uplink.stand_in import EchoCommands, MemoryStore

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
CURSORS = st.one_of(
    st.text(max_size=60),
    st.builds(
        lambda epoch, stream, number: f"{epoch}.{stream}.{number}",
        st.sampled_from(["e1", "e2", "", "é", "E1 "]),
        st.sampled_from([*STREAMS, "state", ""]),
        st.integers(-5, 2**70) | st.text("0123456789٣e+- ", max_size=25),
    ),
)
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "by": JSON | st.just("desk"),
        "time": JSON | st.just("2026-11-21T22:26:40+00:00"),
        "stream": JSON | st.sampled_from(STREAMS),
        "after": JSON | CURSORS,
        "limit": JSON | st.integers(-1, 2000),
        "device": JSON,
        "point": JSON,
    },
)
PAYLOADS = (
    st.binary(max_size=300)
    | JSON.map(lambda value: json.dumps(value).encode())
    | ARGUMENTS.map(lambda value: json.dumps(value).encode())
)


class FakeSession:
    """Takes answers, sends nothing."""

    largest_packet = 100_000

    def __init__(self) -> None:
        self.answers: list[tuple[str, bytes]] = []

    async def deliver(self, topic: str, payload: bytes, *, about: Any, retain: bool = False) -> None:
        about.pack()  # must fit into a packet
        self.answers.append((topic, payload))


def message(verb: str, payload: bytes, response: str | None, correlation: bytes | None, retain: bool) -> Any:
    about = SimpleNamespace()
    if response is not None:
        about.ResponseTopic = response
    if correlation is not None:
        about.CorrelationData = correlation
    return SimpleNamespace(topic=f"linli/v1/gw/cmd/{verb}", payload=payload, retain=retain, properties=about)


class Strict(EchoCommands):
    """As the echo, but checks arguments as the real commands do."""

    async def execute(self, verb: str, arguments: Any, actor: str) -> Any:
        from gateway.commands import VERBS
        from gateway.commands.arguments import checked

        values = {key: value for key, value in checked(verb, VERBS[verb], arguments).items() if value is not None}
        if verb == "replay":
            values.setdefault("stream", "perception")
        return await super().execute(verb, values, actor)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(["status", "read", "replay", "write", "ack", "", "../../x", "é"]),
    PAYLOADS,
    st.none() | st.text(max_size=20) | st.sampled_from(["answers/1", "linli/v1/gw/alarm", "linli/v1/gw/ack", "$SYS/x"]),
    st.none() | st.binary(max_size=300),
    st.booleans(),
)
def test_a_command_is_answered_once_or_has_nowhere_to_answer_to(
    verb: str, payload: bytes, response: str | None, correlation: bytes | None, retain: bool
) -> None:
    async def work() -> None:
        store, session = MemoryStore(), FakeSession()
        await store.fill("perception", 5)
        inbox = Inbox("mqtt", "gw", Strict(store), FakeClock())
        sent = message(verb, payload, response, correlation, retain)
        await inbox._serve(session, sent)  # type: ignore[arg-type]
        assert len(session.answers) <= 1
        for topic, answer in session.answers:
            assert topic == response
            assert not topic.startswith(("$", "linli/v1/gw/"))
            told = msgspec.json.decode(answer)
            if isinstance(told, dict) and told["ok"] is False:
                assert told["error"]
                assert 400 <= told["status"] < 500
        assert store.positions == {}, "a command moves no cursor"

    asyncio.run(work())


@settings(max_examples=400, deadline=None)
@given(st.lists(PAYLOADS | st.builds(lambda stream, cursor: json.dumps({"stream": stream, "cursor": cursor}).encode(),
                                     JSON | st.sampled_from(STREAMS), JSON | CURSORS), max_size=8))  # fmt: skip
def test_an_acknowledgement_moves_nothing_that_was_not_sent(payloads: list[bytes]) -> None:
    store, clock = MemoryStore(), FakeClock()
    outbox = Outbox("mqtt", store, MqttWords("gw"), STREAMS, clock, awaits=10)  # nothing was sent yet
    receipts = Receipts("mqtt", lambda: store.epoch, outbox.acknowledge, clock)
    for payload in payloads:
        receipts.take(payload)
    assert all(lane.word.said == lane.confirmed == 0 for lane in outbox.lanes)
    assert len(receipts.problem()) < 400


async def test_a_flood_of_commands_takes_no_more_memory_than_it_may(fake_clock: FakeClock) -> None:
    store, session = MemoryStore(), FakeSession()
    inbox = Inbox("mqtt", "gw", EchoCommands(store), fake_clock)
    body = json.dumps({"by": "desk", "time": fake_clock.rfc3339(fake_clock.wall_ns)}).encode()
    for number in range(REMEMBERED + 500):
        await inbox._serve(session, message("status", body, "a", number.to_bytes(4, "big"), False))  # type: ignore[arg-type]
    assert len(inbox._seen) == REMEMBERED
    assert json.loads(session.answers[-1][1])["status"] == 429
    fake_clock.now += 301
    await inbox._serve(session, message("status", body, "a", b"later", False))  # type: ignore[arg-type]
    assert len(inbox._seen) == 1
