"""A wire in memory for searches: slaves at their own speeds, answers that destroy each other, counted time."""

from collections.abc import Awaitable, Callable

from gateway.contract import DeviceSilentError, LineKind, Pipe
from gateway.scan.wire import ReadOnly
from gateway.settings import SerialSettings
from tests.scan.crowd import Hear, overlaid

DELAY = 0.02  # seconds until a slave answers
CHARACTER = 11  # bits


class StillWire:
    """A Wire and a Clock. ``spoil`` turns (question, answer) into the chunks that arrive; ``unasked``: who speaks."""

    def __init__(self, *ears: tuple[int | None, Hear], kind: LineKind = LineKind.SERIAL) -> None:
        self.kind = kind
        self.ears = ears
        self.spoil: Callable[[bytes, bytes], list[bytes]] = lambda _question, answer: [answer]
        self.unasked: Callable[[int | None], bytes] = lambda _baud: b""
        self.heard: list[tuple[int | None, bytes]] = []
        self.now = 1000.0
        self.baud: int | None = None
        self.timeout = 0.0
        self.turn = 0.0  # seconds until a question's turn comes
        self.chunks: list[bytes] = []
        self.refuses: Callable[[SerialSettings | None], None] = lambda _serial: None

    def monotonic(self) -> float:
        return self.now

    async def lend(
        self, work: Callable[[Pipe], Awaitable[object]], *, timeout: float, serial: SerialSettings | None = None
    ) -> object:
        self.refuses(serial)
        self.now += self.turn
        self.baud, self.timeout = serial.baud if serial else None, timeout
        talk = self.unasked(self.baud)
        self.chunks = [talk] if talk else []
        return await work(ReadOnly(self))

    def close(self) -> None:
        self.chunks = []

    async def write(self, data: bytes) -> None:
        self.heard.append((self.baud, data))
        self._spend(data)
        answers = [said for baud, ear in self.ears if baud in (None, self.baud) and (said := ear(data))]
        self.chunks = [chunk for chunk in self.spoil(data, overlaid(answers)) if chunk]
        if self.chunks:
            self.now += DELAY

    async def read(self, at_most: int = 4096) -> bytes:
        if not self.chunks:
            self.now += self.timeout
            raise DeviceSilentError("silence")
        chunk = self.chunks.pop(0)
        self._spend(chunk)
        return chunk

    async def drain_input(self) -> bytes:
        return b""

    def _spend(self, data: bytes) -> None:
        self.now += len(data) * CHARACTER / self.baud if self.baud else 0.0
