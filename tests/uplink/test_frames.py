"""The packets that a drain speaks in, written as paho writes them and cut as they come."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes

from gateway.uplink import frames
from gateway.uplink.session import properties
from gateway.uplink.topics import BATCH_TYPE
from gateway.uplink.wire import SessionWire

PACKETS = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=6)


@settings(max_examples=150, deadline=None)
@given(PACKETS, st.lists(st.integers(1, 40), max_size=40))
def test_packets_are_whole_however_they_are_cut(packets: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = b"".join(bytes([kind]) + frames.length(len(body)) + body for kind, body in packets)
    cutter, found, at = frames.Frames(), [], 0
    for cut in [*cuts, len(data)]:
        found += cutter.feed(data[at : at + cut])
        at += cut
    assert found == packets


@pytest.mark.parametrize(("number", "text"), [(0, "00"), (127, "7f"), (128, "8001"), (16_384, "808001"),
                                              (268_435_455, "ffffff7f")])  # fmt: skip
def test_lengths_are_those_of_the_standard(number: int, text: str) -> None:
    assert frames.length(number).hex() == text


def test_what_is_no_length_and_no_answer_is_refused() -> None:
    with pytest.raises(frames.MalformedError):
        frames.Frames().feed(b"\x40\xff\xff\xff\xff\x01")
    with pytest.raises(frames.MalformedError):
        frames.acknowledged(b"\x01")


def test_an_answer_may_end_after_its_identifier_or_its_code() -> None:
    assert frames.acknowledged(b"\x01\x02") == (258, 0, b"")
    assert frames.acknowledged(b"\x01\x02\x87") == (258, 0x87, b"")
    assert frames.acknowledged(b"\x01\x02\x10\x00") == (258, 0x10, b"\x00")


@pytest.mark.parametrize("zstd", [False, True])
def test_properties_are_those_that_paho_writes(zstd: bool) -> None:
    sent = []
    session = SimpleNamespace(receive_maximum=100, largest_packet=10**6, send=lambda *words, about: sent.append(about))
    wire = SessionWire(session, "gw", SimpleNamespace(window=10, zstd=zstd))  # type: ignore[arg-type]
    assert wire.publish("alarm", b"[]", "e1.alarm.7", lambda ack: None)
    user = [("cursor", "e1.alarm.7"), *([("encoding", "zstd")] if zstd else [])]
    assert sent == [properties(PacketTypes.PUBLISH, ContentType=BATCH_TYPE, UserProperty=user).pack()]


def test_a_publish_is_that_of_the_standard() -> None:
    packet = frames.publish(frames.text("a/b"), 258, b"\x00", b"[1]", retain=True)
    assert packet.hex(" ") == "33 0b 00 03 61 2f 62 01 02 00 5b 31 5d"
