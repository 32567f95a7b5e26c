"""A session as the outbox sees it: topics, properties and, if asked for, compression."""

from collections.abc import Callable

from gateway.contract import Stream
from gateway.settings.core import MqttSettings
from gateway.uplink import frames
from gateway.uplink.answers import Ack
from gateway.uplink.session import SIDE_PLACES, Session
from gateway.uplink.topics import BATCH_TYPE, topic

# Bytes of a PUBLISH beside topic and payload: headers, content type and user properties, generously.
HEAD_BYTES = 300
CONTENT = frames.CONTENT_TYPE + frames.text(BATCH_TYPE) + frames.USER_PROPERTY + frames.text("cursor")
ZSTD = frames.USER_PROPERTY + frames.text("encoding") + frames.text("zstd")


class SessionWire:
    """Publishes batches of one gateway's streams over one session."""

    def __init__(self, session: Session, gateway: str, settings: MqttSettings) -> None:
        self.window = min(settings.window, max(1, session.receive_maximum - SIDE_PLACES))
        self._session, self._gateway = session, gateway
        self._compress = _compressor() if settings.zstd else None

    def room(self, stream: Stream) -> int:
        """Largest payload in bytes that the broker takes on this stream's topic."""
        return self._session.largest_packet - len(topic(self._gateway, stream)) - HEAD_BYTES

    def publish(self, stream: Stream, payload: bytes, cursor: str, done: Callable[[Ack], None]) -> int:
        """Send; returns the payload's bytes on the wire, 0 when it is too large to be sent."""
        about = CONTENT + frames.text(cursor)
        if self._compress is not None:
            payload = self._compress(payload)
            about += ZSTD
        if len(payload) > self.room(stream):
            return 0
        self._session.send(topic(self._gateway, stream), payload, done, about=frames.length(len(about)) + about)
        return len(payload)


def _compressor() -> Callable[[bytes], bytes]:
    import zstandard  # needs memory only where it is asked for

    compress: Callable[[bytes], bytes] = zstandard.ZstdCompressor(level=3).compress
    return compress
