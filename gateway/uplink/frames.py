"""The packets of MQTT 5 that a drain sends and receives by the thousand: PUBLISH out, PUBACK in."""

from struct import Struct

PUBLISH, PUBACK = 0x30, 0x40
CONTENT_TYPE, USER_PROPERTY = b"\x03", b"\x26"  # MQTT 5.0, 2.2.2.2
LONGEST_LENGTH = 4  # bytes of a Variable Byte Integer (1.5.5)

_SHORT = Struct("!H")


class MalformedError(Exception):
    """What came is no MQTT."""


def text(value: str) -> bytes:
    """A UTF-8 encoded string (1.5.4)."""
    data = value.encode()
    return _SHORT.pack(len(data)) + data


def length(number: int) -> bytes:
    """A Variable Byte Integer (1.5.5)."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def publish(topic: bytes, number: int, about: bytes, payload: bytes, *, retain: bool = False) -> bytes:
    """A PUBLISH (3.3) with QoS 1; ``topic`` as by ``text``, ``about``: its properties with their length."""
    head = b"%b%b%b" % (topic, _SHORT.pack(number), about)
    kind = PUBLISH | 0x02 | (0x01 if retain else 0)
    return b"%c%b%b%b" % (kind, length(len(head) + len(payload)), head, payload)


def acknowledged(body: bytes) -> tuple[int, int, bytes]:
    """Packet identifier, reason code and properties of a PUBACK (3.4), whose code and properties may be missing."""
    if len(body) < 2:
        raise MalformedError(f"a PUBACK of {len(body)} bytes")
    return _SHORT.unpack_from(body)[0], body[2] if len(body) > 2 else 0, body[3:]


class Frames:
    """Cuts what arrives into packets, however it was cut on the way."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return the packets that are whole by now: first byte, and what follows the length."""
        data = self._rest + data if self._rest else data
        found, at, end = [], 0, len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size > 0x7F:
                size, start = _length(data, at + 1)
            if not start or start + size > end:
                break
            found.append((data[at], data[start : start + size]))
            at = start + size
        self._rest = data[at:]
        return found


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Read a Variable Byte Integer and say where it ends; 0 when it is not all there."""
    number = 0
    for place, byte in enumerate(data[at : at + LONGEST_LENGTH]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, at + place + 1
    if len(data) - at >= LONGEST_LENGTH:
        raise MalformedError("a length of more than four bytes")
    return 0, 0
