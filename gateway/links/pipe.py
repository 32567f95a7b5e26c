"""A byte stream lent for one transaction: buffer, answer timeout, byte counts; TCP and serial pipes build on it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

from gateway.contract import Clock, DeviceSilentError, LinkError
from gateway.settings import SerialSettings

BUFFER_LIMIT = 65536  # a device that babbles must not eat the memory
BYTE_GAP = 0.25  # serial servers and USB adapters deliver an answer in pieces up to this far apart
LONGEST_LATE = 0.3  # seconds that an answer nobody waits for may hold back the next question
SETTLE = 0.03  # seconds
EXTENSION_LIMIT = 3.0  # a babbling device may stretch its timeout by this much, not more

Tap = Callable[[str, bytes, float], None]  # "out" or "in", bytes, monotonic seconds
Measures = tuple[float, bool, tuple[int, int], int]


class StreamPipe(ABC):
    """What every pipe shares. The answer timeout restarts with each question (``write``).

    Timeouts run on the event loop's timer and not on ``Clock``: the far side lives in real time, and a loop timer
    costs a microsecond where a sleeping task costs thirty.
    """

    def __init__(self, address: str, turnaround: float, clock: Clock) -> None:
        self.address = address
        self.bytes_in = 0
        self.bytes_out = 0
        self.counted = (0, 0)  # of them, those that are in the books of the line
        self.error: LinkError | None = None
        self.on_lost: Callable[[], None] | None = None
        self.on_frame: Tap | None = None
        # Called before every question but a transaction's first; returns whether the pipe was in other hands.
        self.on_next: Callable[[], Awaitable[bool]] | None = None
        self._turnaround = turnaround
        self._own_turnaround = self._asked_turnaround = turnaround
        self._quiet_since = 0.0
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._unasked = b""  # what came between two transactions; only who asks for it sees it
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.latency = 0.0  # of this transaction: most seconds from a question to its first byte; 0: nothing came
        self.echoed = False  # the last question came back word for word
        self.strays = (0, 0)  # bytes that came unasked: since the transaction before, and between our own questions
        self.questions = 0
        self.missed = False  # the time was up behind the last question
        self._asked_at = 0.0
        self._echo = b""  # what of the question has not come back yet
        self._timeout = 1.0
        self._deadline = 0.0
        self._last_deadline = 0.0

    async def begin(self, timeout: float, serial: SerialSettings | None, turnaround: float = 0.0) -> None:
        """Start a transaction: forget stale input; answer timeout and the device's own turnaround in seconds."""
        self._timeout = timeout
        # The device before this one hears the next question, too, and may need its silence.
        self._turnaround = max(turnaround, self._asked_turnaround, self._own_turnaround)
        self._asked_turnaround = turnaround
        self.latency = 0.0
        self.echoed = False
        self.strays = (len(self._buffer), 0)
        self.questions = 0
        self.missed = False
        self._arm(self._loop.time(), timeout)
        self._unasked, self._buffer = self._buffer, b""

    @property
    def awaits(self) -> bool:
        """Whether not even the first byte of an answer to the last question has come."""
        return self.questions > 0 and self._asked_at > 0

    @property
    def measures(self) -> Measures:
        """What this transaction has seen so far; set again when it goes on behind another one."""
        return self.latency, self.echoed, self.strays, self.questions

    @measures.setter
    def measures(self, measures: Measures) -> None:
        """Go on with what was seen before."""
        self.latency, self.echoed, self.strays, self.questions = measures

    async def settle(self) -> None:  # noqa: B027 - a network has nothing to let pass
        """After a missed answer: let a late one pass before the next question."""

    async def write(self, data: bytes) -> None:
        """Send; LinkError when the pipe is broken."""
        if self.error is not None:
            raise self.error
        wait = self._still_to_keep_quiet()
        if wait > 0:
            await self._keep_quiet(wait)
        while self.questions and self.on_next is not None and await self.on_next():
            await self._keep_quiet(self._still_to_keep_quiet())
        self.missed = False
        self.questions += 1
        self.bytes_out += len(data)
        if self.on_frame is not None:
            self.on_frame("out", data, self._clock.monotonic())
        wire_seconds = await self._send(data)
        self._quiet_since = self._asked_at = now = self._loop.time() + wire_seconds
        self._echo = data
        self._arm(now, self._timeout)

    async def read(self, at_most: int = 4096) -> bytes:
        """Return the bytes that are there, waiting for the first; DeviceSilentError when the time is up."""
        while not self._buffer:
            if self.error is not None:
                raise self.error
            if self._loop.time() >= self._deadline:
                self.missed = True
                raise DeviceSilentError(f"no answer within {round(self._timeout, 2):g} s on {self.address}")
            waiter = self._waiter = self._loop.create_future()
            if self._timer is None:
                self._timer = self._loop.call_at(self._deadline, self._time_up)
            try:
                await waiter
            finally:
                self._waiter = None
        data = self._buffer
        self._buffer = b""
        if len(data) > at_most:
            data, self._buffer = data[:at_most], data[at_most:]
        return data

    async def drain_input(self) -> bytes:
        """Throw away, and return, what came unasked."""
        data = self._unasked + self._buffer
        if self.questions:
            before, within = self.strays
            self.strays = (before, within + len(self._buffer))
        self._unasked = self._buffer = b""
        return data

    @abstractmethod
    def close(self) -> None:
        """Give the port or socket back."""

    @abstractmethod
    async def _send(self, data: bytes) -> float:
        """Hand the bytes to the system; return the seconds they will take on the wire."""

    def _look(self) -> None:  # noqa: B027 - nor anything that waits unseen
        """Take what has come although the loop had no time yet to say so."""

    def _silence(self) -> float:
        """Seconds of silence that separate two frames; a network needs none."""
        return 0.0

    def _still_to_keep_quiet(self) -> float:
        return self._quiet_since + self._silence() + self._turnaround - self._loop.time()

    async def _keep_quiet(self, wait: float) -> None:
        """Let the line be silent for as long as it must; who still speaks is let finish, within limits."""
        limit = self._loop.time() + wait + LONGEST_LATE
        while wait > 0 and self._loop.time() < limit:
            await self._clock.sleep(wait)
            self._look()
            wait = self._still_to_keep_quiet()
        before, within = self.strays
        late = len(self._buffer)
        self.strays = (before, within + late) if self.questions else (before + late, within)
        self._buffer = b""

    def _time_up(self) -> None:
        """One timer serves many questions: it is made anew only when it ends, not at each answer."""
        self._timer = None
        if self._waiter is None:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._time_up)
        else:
            self._wake()

    def _arm(self, now: float, seconds: float) -> None:
        deadline = now + seconds
        if deadline < self._deadline and self._timer is not None:
            self._timer.cancel()  # it would ring too late
            self._timer = None
        self._deadline = deadline
        self._last_deadline = deadline + EXTENSION_LIMIT

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _received(self, data: bytes) -> None:
        self.bytes_in += len(data)
        if self.on_frame is not None:
            self.on_frame("in", data, self._clock.monotonic())
        self._buffer += data
        if len(self._buffer) > BUFFER_LIMIT:
            self._buffer = self._buffer[-BUFFER_LIMIT // 2 :]  # who listens to a talking device needs the newest
        self._quiet_since = now = self._loop.time()
        if self._asked_at:
            self._first(data, now)
        if now + BYTE_GAP > self._deadline:
            # An answer on its way may finish: at 1200 baud a long one takes more than the timeout alone.
            self._deadline = min(now + BYTE_GAP, self._last_deadline)
        self._wake()

    def _first(self, data: bytes, now: float) -> None:
        """The first bytes behind a question: its echo, or the answer, which tells how long the device takes."""
        echo, self._echo = self._echo, b""
        if echo and data.startswith(echo):
            self.echoed = True
            if len(data) == len(echo):
                return
        elif echo and echo.startswith(data):
            self._echo = echo[len(data) :]
            return
        self.latency = max(self.latency, now - self._asked_at, 1e-6)
        self._asked_at = 0.0

    def _lost(self, error: LinkError) -> None:
        if self.error is None:
            self.error = error
            if self.on_lost is not None:
                self.on_lost()
        self._wake()
