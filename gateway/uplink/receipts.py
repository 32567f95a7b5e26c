"""The platform's own acknowledgements: ``{"stream", "cursor"}`` on the topic ``ack``, each checked before it counts."""

import logging
from collections.abc import Callable

import msgspec

from gateway.contract import Clock, CommandError, Cursor, Stream
from gateway.metrics import ACK_REFUSED

AHEAD = "ahead"
LARGEST_ACK = 4096
SHOWN_SECONDS = 600.0
LOGGED_EVERY = 60.0

log = logging.getLogger("linli.uplink")


class _Receipt(msgspec.Struct):
    stream: str
    cursor: str


class Receipts:
    """Lets the cursor follow the platform's word; what is malformed, foreign or ahead of what was sent is refused."""

    def __init__(
        self, name: str, epoch: Callable[[], str], acknowledge: Callable[[Stream, int], bool], clock: Clock
    ) -> None:
        self._name, self._epoch, self._acknowledge, self._clock = name, epoch, acknowledge, clock
        self.refused = 0
        self._problem, self._problem_at, self._logged_at = "", 0.0, float("-inf")

    def take(self, payload: bytes) -> None:
        """Take one acknowledgement; never raises, whatever it holds."""
        try:
            if len(payload) > LARGEST_ACK:
                raise _RefusedError("malformed", f"it has {len(payload)} bytes")
            receipt = msgspec.json.decode(payload, type=_Receipt)
            cursor = Cursor.parse(receipt.cursor)
            self._check(receipt, cursor)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            self._refuse("malformed", 'it is not {"stream": …, "cursor": …}')
        except CommandError as error:
            self._refuse("malformed", str(error))
        except _RefusedError as error:
            self._refuse(error.cause, str(error))

    def problem(self) -> str:
        """A sentence while acknowledgements are being refused."""
        return self._problem if self._clock.monotonic() - self._problem_at < SHOWN_SECONDS else ""

    def _check(self, receipt: _Receipt, cursor: Cursor) -> None:
        if receipt.stream != cursor.stream:
            raise _RefusedError("malformed", f"its cursor is not of stream {receipt.stream[:20]!r}")
        if cursor.epoch != self._epoch():
            raise _RefusedError("foreign_epoch", f"epoch {cursor.epoch[:40]} is not this store's {self._epoch()}")
        if not self._acknowledge(cursor.stream, cursor.sequence):
            raise _RefusedError(AHEAD, f"{cursor.stream} was not sent up to {cursor.sequence} since the last start")

    def _refuse(self, cause: str, why: str) -> None:
        self.refused += 1
        ACK_REFUSED.labels(self._name, cause).inc()
        now = self._clock.monotonic()
        sentence = f"an acknowledgement of the platform was refused: {why}"
        if cause != AHEAD:  # one of before a restart comes late, and is nobody's mistake
            self._problem, self._problem_at = sentence, now
        if now - self._logged_at >= LOGGED_EVERY:
            self._logged_at = now
            log.warning(
                "%s: an acknowledgement of the platform was refused (%s); linli status says why", self._name, cause
            )


class _RefusedError(Exception):
    """An acknowledgement that does not count. ``cause`` is the metric's label."""

    def __init__(self, cause: str, why: str) -> None:
        super().__init__(why)
        self.cause = cause
