"""The few MQTT 5 packets that a simulated gateway and a platform need, to and from bytes; no sockets.

Clauses are those of the OASIS standard MQTT 5.0. A full client would cost ten times the CPU of what is measured here.
"""

from collections.abc import Iterator
from typing import NamedTuple

CONNACK, PUBLISH, PUBACK, DISCONNECTED = 2, 3, 4, 14
PING = b"\xc0\x00"

SESSION_EXPIRY, RECEIVE_MAXIMUM, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION, USER = 0x11, 0x21, 0x03, 0x08, 0x09, 0x26
SUBSCRIPTION = 0x0B  # the one property that is a variable byte integer
# Length of a property's value by its identifier (2.2.2.2); what is in none of these is text or binary with a length.
FIXED = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
}


class Packet(NamedTuple):
    """One control packet: type (2.1.2), flags, and everything after the fixed header."""

    kind: int
    flags: int
    body: bytes


class Message(NamedTuple):
    """A PUBLISH that was received; ``mid`` is 0 for QoS 0."""

    topic: str
    mid: int
    payload: bytes
    user: dict[str, str]
    response: str
    correlation: bytes


def varint(number: int) -> bytes:
    """Encode a variable byte integer (1.5.5)."""
    out = bytearray()
    while True:
        number, byte = number >> 7, number & 0x7F
        out.append(byte | 0x80 if number else byte)
        if not number:
            return bytes(out)


def text(value: str) -> bytes:
    """Encode a UTF-8 string with its length (1.5.4)."""
    return binary(value.encode())


def binary(value: bytes) -> bytes:
    """Encode binary data with its length (1.5.6)."""
    return len(value).to_bytes(2, "big") + value


def packet(kind: int, flags: int, body: bytes) -> bytes:
    """Put the fixed header (2.1) before a body."""
    return bytes((kind << 4 | flags,)) + varint(len(body)) + body


def connect(client: str, *, clean: bool, expiry: int, receive_maximum: int, keep_alive: int, will: str = "") -> bytes:
    """CONNECT (3.1); ``will`` is a topic for a retained will with an empty reason, sent 30 s after a loss."""
    flags = 0x02 if clean else 0
    properties = bytes((SESSION_EXPIRY,)) + expiry.to_bytes(4, "big")
    properties += bytes((RECEIVE_MAXIMUM,)) + receive_maximum.to_bytes(2, "big")
    payload = text(client)
    if will:
        flags |= 0x04 | 0x08 | 0x20
        delay = b"\x18" + (30).to_bytes(4, "big")
        payload += varint(len(delay)) + delay + text(will) + binary(b'{"state":"offline","reason":"lost"}')
    head = text("MQTT") + bytes((5, flags)) + keep_alive.to_bytes(2, "big")
    return packet(1, 0, head + varint(len(properties)) + properties + payload)


def subscribe(mid: int, topic: str) -> bytes:
    """SUBSCRIBE (3.8) to one filter with QoS 1, without retained messages."""
    return packet(8, 2, mid.to_bytes(2, "big") + b"\x00" + text(topic) + bytes((0x01 | 0x20,)))


def publish(
    topic: str,
    payload: bytes,
    mid: int,
    *,
    content_type: str = "",
    user: tuple[tuple[str, str], ...] = (),
    response: str = "",
    correlation: bytes = b"",
    retain: bool = False,
) -> bytes:
    """PUBLISH (3.3) with QoS 1."""
    properties = bytes((CONTENT_TYPE,)) + text(content_type) if content_type else b""
    properties += bytes((RESPONSE_TOPIC,)) + text(response) if response else b""
    properties += bytes((CORRELATION,)) + binary(correlation) if correlation else b""
    for name, value in user:
        properties += bytes((USER,)) + text(name) + text(value)
    head = text(topic) + mid.to_bytes(2, "big") + varint(len(properties)) + properties
    return packet(PUBLISH, 0x02 | retain, head + payload)


def puback(mid: int) -> bytes:
    """PUBACK (3.4) with reason code 0."""
    return b"\x40\x02" + mid.to_bytes(2, "big")


class Incoming:
    """Cuts a stream of bytes into packets."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Take bytes as they come; yield the packets that are whole."""
        rest = self._rest
        rest += data
        at = 0
        while len(rest) >= at + 2:
            length, shift, index = 0, 0, at + 1
            while index < len(rest):
                byte = rest[index]
                length |= (byte & 0x7F) << shift
                index, shift = index + 1, shift + 7
                if byte < 0x80:
                    break
            else:
                break
            if len(rest) < index + length:
                break
            yield Packet(rest[at] >> 4, rest[at] & 0x0F, bytes(rest[index : index + length]))
            at = index + length
        del rest[:at]


def answer(body: bytes) -> tuple[int, int]:
    """Packet identifier and reason code of a PUBACK; the code may be left out if it is 0 (3.4.2.1)."""
    return int.from_bytes(body[:2], "big"), body[2] if len(body) > 2 else 0


def message(flags: int, body: bytes) -> Message:
    """Read a PUBLISH."""
    end = 2 + int.from_bytes(body[:2], "big")
    topic, mid = body[2:end].decode(), 0
    if flags & 0x06:
        mid, end = int.from_bytes(body[end : end + 2], "big"), end + 2
    length, at = _number(body, end)
    end = at + length
    user: dict[str, str] = {}
    response, correlation = "", b""
    while at < end:
        name = body[at]
        at += 1
        if name in FIXED:
            at += FIXED[name]
        elif name == SUBSCRIPTION:
            _, at = _number(body, at)
        else:
            value, at = _take(body, at)
            if name == USER:
                worth, at = _take(body, at)
                user[value.decode()] = worth.decode()
            elif name == RESPONSE_TOPIC:
                response = value.decode()
            elif name == CORRELATION:
                correlation = value
    return Message(topic, mid, body[end:], user, response, correlation)


def _number(body: bytes, at: int) -> tuple[int, int]:
    number, shift = 0, 0
    while True:
        byte = body[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def _take(body: bytes, at: int) -> tuple[bytes, int]:
    length = int.from_bytes(body[at : at + 2], "big")
    return body[at + 2 : at + 2 + length], at + 2 + length
