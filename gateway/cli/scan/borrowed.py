"""A line that the running gateway owns, borrowed question by question between its polls."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.cli.client import Daemon, Refusal
from gateway.clock import SystemClock
from gateway.contract import DeviceSilentError, LineKind, LinkError, Pipe
from gateway.scan.wire import ReadOnly
from gateway.settings import LineSettings, SerialSettings

T = TypeVar("T")
SETTINGS_REFUSED = "does not take"


class LineTime(SystemClock):
    """The clock that answers on a borrowed line are timed by: it stands still while a question waits for its turn."""

    def __init__(self) -> None:
        super().__init__()
        self._stood = 0.0

    def monotonic(self) -> float:
        """Seconds that never step back."""
        return super().monotonic() - self._stood

    def answered(self, began: float, seconds: float) -> None:
        """Let what began then have taken only so many seconds."""
        self._stood += max(0.0, self.monotonic() - began - seconds)


class BorrowedWire:
    """A Wire (see gateway.scan) at the other end of the gateway's local socket."""

    def __init__(self, daemon: Daemon, line: LineSettings, time: LineTime) -> None:
        self.kind: LineKind = line.kind
        self._daemon, self._time = daemon, time

    async def lend(
        self, work: Callable[[Pipe], Awaitable[T]], *, timeout: float, serial: SerialSettings | None = None
    ) -> T:
        """As ``Wire.lend``. The gateway itself refuses what does not read."""
        return await work(ReadOnly(_BorrowedPipe(self._daemon, self._time, timeout, serial)))

    def close(self) -> None:
        """Nothing is held between two questions."""


class _BorrowedPipe:
    def __init__(self, daemon: Daemon, time: LineTime, timeout: float, serial: SerialSettings | None) -> None:
        self._daemon, self._time, self._timeout, self._serial = daemon, time, timeout, serial
        self._question = b""
        self._answer = b""

    async def write(self, data: bytes) -> None:
        self._question, self._answer = data, b""

    async def read(self, at_most: int = 4096) -> bytes:
        if self._question:
            question, self._question = self._question, b""
            self._answer = await asyncio.to_thread(self._exchange, question)
        if not self._answer:
            raise DeviceSilentError(f"no answer within {round(self._timeout, 2):g} s")
        data, self._answer = self._answer[:at_most], self._answer[at_most:]
        return data

    async def drain_input(self) -> bytes:
        return b""

    def _exchange(self, question: bytes) -> bytes:
        serial = self._serial
        began = self._time.monotonic()
        try:
            answer = self._daemon.ask(
                "exchange",
                line=self._daemon.line,
                send=question.hex(),
                wait_ms=max(1, round(self._timeout * 1000)),
                baud=serial.baud if serial else None,
                format=serial.format if serial else None,
            )
        except Refusal as error:
            reason = "settings" if SETTINGS_REFUSED in error.message else "borrowed"
            raise LinkError(error.message, reason) from None
        if answer["first_ms"] is not None:
            self._time.answered(began, answer["first_ms"] / 1000)
        return bytes.fromhex(answer["heard"])
