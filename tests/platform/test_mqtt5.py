"""The packets of the simulated fleet: read back by paho's own code, and taken from it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers

import tests.platform.conftest  # noqa: F401 - puts the fleet's programs on the path

mqtt5 = pytest.importorskip("mqtt5")

words = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40)


@given(st.integers(0, 268_435_455))
def test_variable_byte_integers_are_those_of_paho(number: int) -> None:
    assert mqtt5.varint(number) == VariableByteIntegers.encode(number)


@given(words.filter(bool), st.binary(max_size=300), st.integers(1, 65535), words, st.binary(max_size=40), words)
def test_a_publish_comes_back_whatever_the_cuts(
    topic: str, payload: bytes, mid: int, user: str, correlation: bytes, response: str
) -> None:
    sent = mqtt5.publish(
        topic, payload, mid, content_type="application/json", user=(("cursor", user),), response=response,
        correlation=correlation,
    )  # fmt: skip
    incoming = mqtt5.Incoming()
    packets = [packet for byte in sent + mqtt5.puback(7) for packet in incoming.feed(bytes((byte,)))]
    assert [packet.kind for packet in packets] == [mqtt5.PUBLISH, mqtt5.PUBACK]
    message = mqtt5.message(packets[0].flags, packets[0].body)
    assert message == (topic, mid, payload, {"cursor": user}, response, correlation)
    assert mqtt5.answer(packets[1].body) == (7, 0)


def test_properties_are_read_by_paho_and_pahos_by_us() -> None:
    ours = mqtt5.publish("a/b", b"x", 1, content_type="t", user=(("k", "v"),), response="r", correlation=b"c")
    (packet,) = mqtt5.Incoming().feed(ours)
    read: Any = Properties(PacketTypes.PUBLISH)
    read.unpack(packet.body[2 + 3 + 2 :])
    assert (read.ContentType, read.UserProperty, read.ResponseTopic, read.CorrelationData) == (
        "t",
        [("k", "v")],
        "r",
        b"c",
    )
    theirs: Any = Properties(PacketTypes.PUBLISH)
    theirs.PayloadFormatIndicator, theirs.MessageExpiryInterval, theirs.TopicAlias = 1, 60, 3
    theirs.SubscriptionIdentifier = 300
    theirs.UserProperty = [("cursor", "e.alarm.1")]
    theirs.ResponseTopic = "answers"
    body = mqtt5.text("a/b") + theirs.pack() + b"payload"
    message = mqtt5.message(0, body)
    assert message == ("a/b", 0, b"payload", {"cursor": "e.alarm.1"}, "answers", b"")
