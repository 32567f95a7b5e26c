"""What the reason codes of MQTT 5 mean, in words a technician can act on."""

from gateway.contract import Stream
from gateway.uplink.answers import Verdict
from gateway.uplink.topics import topic

PACKET_TOO_LARGE, PAYLOAD_INVALID = 0x95, 0x99
NO_SUBSCRIBERS = 0x10
TAKEN_OVER = 0x8E
# The publish itself is at fault: sending it again as it is can only fail again.
AT_FAULT = frozenset({PACKET_TOO_LARGE, PAYLOAD_INVALID})

# MQTT 5.0, 2.4 "Reason Code"
MEANINGS = {
    0x80: "Unspecified error",
    0x81: "Malformed packet",
    0x82: "Protocol error",
    0x83: "Implementation specific error",
    0x84: "Unsupported protocol version",
    0x85: "Client identifier not valid",
    0x86: "Bad user name or password",
    0x87: "Not authorized",
    0x88: "Server unavailable",
    0x89: "Server busy",
    0x8A: "Banned",
    0x8B: "Server shutting down",
    0x8C: "Bad authentication method",
    0x8D: "Keep alive timeout",
    0x8E: "Session taken over",
    0x90: "Topic name invalid",
    0x91: "Packet identifier in use",
    0x93: "Receive maximum exceeded",
    0x94: "Topic alias invalid",
    0x95: "Packet too large",
    0x96: "Message rate too high",
    0x97: "Quota exceeded",
    0x98: "Administrative action",
    0x99: "Payload format invalid",
    0x9A: "Retain not supported",
    0x9B: "QoS not supported",
    0x9C: "Use another server",
    0x9D: "Server moved",
    0x9F: "Connection rate exceeded",
    0xA0: "Maximum connect time",
}

_CONNECT_FIX = {
    0x84: "the broker does not speak MQTT 5; use one that does",
    0x85: "the broker does not take the gateway's id as client identifier; allow it there or change [gateway] id",
    0x86: "check user and password_file in [uplink.mqtt]",
    0x87: "allow this gateway on the broker, or check user, password_file and the client certificate",
    0x88: "the broker is up but does not serve; it is tried again",
    0x89: "the broker is busy; it is tried again",
    0x8A: "the broker has banned this gateway; ask its operator",
    0x95: "the broker's maximum packet size is too small for a CONNECT",
    0x9A: "the broker keeps no retained messages, so nobody could see whether this gateway is online; allow them",
    0x9B: "the broker takes no QoS 1, so it cannot confirm what it received; allow QoS 1",
    0x9C: "the broker sends us to another server; put its address into [uplink.mqtt] url",
    0x9D: "the broker has moved; put its new address into [uplink.mqtt] url",
    0x9F: "the broker limits how often clients connect; it is tried again",
}
_PUBLISH_FIX = {
    0x87: "allow this gateway to publish on {topic}",
    0x90: "the broker does not take the topic {topic}; check its topic rules",
    0x97: "the broker's quota for this gateway is used up; raise it or wait",
    0x95: "the record is larger than the broker takes; raise its maximum packet size and pull the record",
    0x99: "the broker does not take the record's form; check its validation rules and pull the record",
}


class MqttWords:
    """The reason codes of a PUBACK, as the outbox asks for them."""

    too_large = PACKET_TOO_LARGE
    silence = "the broker acknowledges nothing any more, though the connection stands"

    def __init__(self, gateway: str) -> None:
        self._gateway = gateway

    def verdict(self, code: int) -> Verdict:
        """Say what a code means."""
        if code < 0x80:
            return Verdict.UNHEARD if code == NO_SUBSCRIBERS else Verdict.TAKEN
        if code in AT_FAULT:
            return Verdict.TOO_LARGE if code == PACKET_TOO_LARGE else Verdict.AT_FAULT
        return Verdict.HELD

    def name(self, code: int) -> str:
        """Write the code as it is written everywhere: ``0x87``."""
        return name(code)

    def meaning(self, code: int) -> str:
        """Return the standard's name of a reason code."""
        return meaning(code)

    def refusal(self, code: int, stream: Stream, text: str = "") -> str:
        """Say why a publish was refused and what to do."""
        return publish_sentence(code, topic(self._gateway, stream), text)

    def taken_again(self, stream: Stream) -> str:
        """Say that the broker takes a stream again."""
        return f"the broker takes {topic(self._gateway, stream)} again"


def name(code: int) -> str:
    """Return the code as it is written everywhere: ``0x87``."""
    return f"0x{code:02X}"


def meaning(code: int) -> str:
    """Return the standard's name of a reason code."""
    return MEANINGS.get(code, "Unknown reason")


def connect_sentence(code: int, text: str = "") -> str:
    """Say why a connection was refused and what to do."""
    said = f' and says "{text}"' if text else ""
    fix = _CONNECT_FIX.get(code, "ask the broker's operator")
    return f"the broker refuses the connection with {name(code)} {meaning(code)}{said}: {fix}"


def publish_sentence(code: int, topic: str, text: str = "") -> str:
    """Say why a publish was refused and what to do."""
    said = f' and says "{text}"' if text else ""
    fix = _PUBLISH_FIX.get(code, "ask the broker's operator").format(topic=topic)
    return f"the broker refuses {topic} with {name(code)} {meaning(code)}{said}: {fix}"


def subscribe_sentence(code: int, topic: str) -> str:
    """Say why commands, or the platform's acknowledgements, cannot come and what to do."""
    said = f"{name(code)} {meaning(code)}"
    what = "acknowledgements" if topic.endswith("/ack") else "commands"
    return f"{what} cannot come: the broker refuses to subscribe to {topic} with {said}; allow this gateway to"


def clean(text: str) -> str:
    """Make a broker's reason string fit for a log and a record: one line, printable, at most 200 characters."""
    return "".join(character if character.isprintable() else " " for character in text)[:200]
