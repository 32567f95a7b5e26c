"""One wire or socket: opens it, keeps it open, and lends it to one transaction at a time, earliest deadline first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from gateway.contract import Clock, DeviceError, DeviceSilentError, LineKind, LinkError, Pipe
from gateway.links.budget import SilentBudget
from gateway.links.health import Tally, Trouble
from gateway.links.ledger import BROKEN, CANCELLED, Ledger
from gateway.links.pipe import StreamPipe, Tap
from gateway.links.tcp import open_tcp
from gateway.links.udp import open_udp
from gateway.settings import LineSettings, SerialSettings

log = logging.getLogger("linli.links")

T = TypeVar("T")
FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 10.0
HUNG_AFTER = 30.0  # a TCP connection on which nobody answers for so long is made anew
HUNG_MISSES = 3
BUILT = (LineKind.SERIAL, LineKind.TCP, LineKind.UDP)


class _HungUpError(LinkError):
    """The peer closed a connection that had served before, and nothing came back: it may never have heard us."""


class _Turn(NamedTuple):
    """A place in the queue; heapq compares deadline, then order of arrival."""

    deadline: float
    order: int
    granted: asyncio.Future[None]


class _Asker(NamedTuple):
    """Who holds the line, and what it needs of it."""

    device: str
    timeout: float
    serial: SerialSettings | None
    turnaround: float


class Line:
    """The owner of one line. States: ``opening`` (first try), ``open``, ``down``."""

    def __init__(
        self,
        settings: LineSettings,
        clock: Clock,
        opener: Callable[[], Awaitable[StreamPipe]] | None = None,
    ) -> None:
        self.name = settings.name
        self.kind = settings.kind
        if self.kind not in BUILT:
            raise LinkError(
                f"line {self.name}: {self.kind} lines are not built yet; use serial, tcp or udp", "not_built"
            )
        self.address = str(settings.serial or settings.tcp or settings.udp)
        self.state = "opening"
        self.reason = ""
        self.sentence = ""
        self._settings = settings
        self._serial = SerialSettings(baud=settings.baud, format=settings.format)
        self._clock = clock
        self._opener = opener or self._open
        self._pipe: StreamPipe | None = None
        self._tap: Tap | None = None
        self._polls: list[_Turn] = []
        self._probes: list[_Turn] = []
        self._order = itertools.count()
        self._users = 0
        self._lent = False
        self._serving = False  # the pipe may be lent
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._missed = False
        self._sound = False  # this connection has carried an answer and did not break in the middle of a question
        self._unanswered = 0
        self._budget = SilentBudget(clock.monotonic())
        self._ledger = Ledger(self.name, clock)

    def attach(self, device: str = "", address: object = "") -> Tally:
        """Count one more device on this line: silence costs nobody anything where there is one device only."""
        self._users += 1
        tally = self._ledger.health.tally(device)
        tally.address = str(address)
        return tally

    def tap(self, on_frame: Tap | None) -> None:
        """Show all bytes of this line to ``on_frame`` from now on, or to nobody."""
        self._tap = on_frame
        if self._pipe is not None:
            self._pipe.on_frame = on_frame

    async def changed(self) -> None:
        """Wait for the next change of ``state``."""
        await self._changed.wait()

    def patience(self, device: str, timeout: float, *, doubtful: bool = False) -> float:
        """How many seconds to wait for a device; see ``SilentBudget.patience``. Alone on a line: the whole timeout."""
        if self._users < 2:
            return timeout
        learned = self._ledger.health.tally(device).learned
        return self._budget.patience(timeout, learned, self._clock.monotonic(), doubtful=doubtful)

    def trouble(self, device: str) -> Trouble | None:
        """Name the fault that the answers of a device show, if they show one."""
        return self._ledger.health.trouble(device)

    async def run(self) -> None:
        """Own the line until cancelled."""
        backoff = FIRST_BACKOFF
        try:
            while True:
                pipe = self._pipe = await self._keep_opening()
                opened = self._clock.monotonic()
                pipe.on_lost = self._wake.set
                pipe.on_frame = self._tap
                self._ledger.opened()
                if self.state != "open":
                    self._enter("open")
                    log.info("line %s: %s is open", self.name, self.address)
                await self._serve(pipe)
                self._drop_pipe()
                error = pipe.error
                if error is None:
                    continue  # hung: a new connection, without telling anyone unless that fails
                if self._sound:
                    # Many servers hang up on an idle master, some after every answer: no outage, unless a new
                    # connection fails, and no use for one before somebody asks.
                    await self._asked()
                    continue
                self._fall(error)
                stayed = self._clock.monotonic() - opened
                # A peer that accepts and hangs up at once must not be called twice a second for ever.
                backoff = FIRST_BACKOFF if stayed > LONGEST_BACKOFF else min(2 * backoff, LONGEST_BACKOFF)
                await self._clock.sleep(backoff * _jitter())
        finally:
            self._drop_pipe()
            self._fall(LinkError(f"line {self.name} is stopped", "stopped"), quiet=True)

    async def transact(
        self,
        work: Callable[[Pipe], Awaitable[T]],
        *,
        deadline: float,
        timeout: float,
        serial: SerialSettings | None = None,
        probe: bool = False,
        device: str = "",
        turnaround: float = 0.0,
    ) -> T:
        """Run ``work`` with the pipe when it is our turn; ``deadline`` (monotonic) orders the turns.

        ``timeout`` seconds is the wait for the answer to each question, ``turnaround`` the silence that ``device``
        needs before one. ``probe``: a try at a silent device; it waits until the line's budget for silent devices
        allows it. A question that crossed with the peer's hanging up, on a connection that had served before, is asked
        once more on a new one. Raises LinkError when the line is not open, DeviceError as the driver does,
        DeviceSilentError when nothing came back.
        """
        if self.state != "open":
            raise LinkError(self.sentence or f"line {self.name} is not open yet", self.reason or "opening")
        asker = _Asker(device, timeout, serial, turnaround)
        try:
            return await self._take_turn(work, deadline, asker, probe)
        except _HungUpError:
            return await self._take_turn(work, deadline, asker, probe)

    async def _take_turn(self, work: Callable[[Pipe], Awaitable[T]], deadline: float, asker: _Asker, probe: bool) -> T:
        pipe = self._pipe
        if pipe is not None and self._serving and not self._lent and not probe and not self._polls and not pipe.error:
            # Nobody waits: no way round by the owner's task.
            self._lent = True
            try:
                return await self._use(work, pipe, asker)
            finally:
                self._give_back()
        turn = _Turn(deadline, next(self._order), asyncio.get_running_loop().create_future())
        heapq.heappush(self._probes if probe else self._polls, turn)
        self._wake.set()
        try:
            await turn.granted
            return await self._use(work, self._open_pipe(), asker)
        finally:
            # Cancelled while it waited: there is nothing to give back.
            if not turn.granted.cancel() and not turn.granted.cancelled() and turn.granted.exception() is None:
                self._give_back()

    def _open_pipe(self) -> StreamPipe:
        if self._pipe is None:
            raise LinkError(f"line {self.name} is closed", "stopped")
        return self._pipe

    def _give_back(self) -> None:
        """End a transaction; the next one begins at once, without waiting for the owner's task."""
        self._lent = False
        pipe = self._pipe
        if pipe is None or pipe.error is not None or not self._serving or self._unanswered >= HUNG_MISSES:
            self._wake.set()
            return
        if self._polls or self._probes:
            self._lend()
            if not self._lent:
                self._wake.set()  # the owner's task waits for the budget

    def _lend(self) -> float | None:
        """Give the line to the first who may have it; else return how long no probe may run (None: for ever)."""
        queue, wait = self._next()
        if queue is None:
            return wait
        self._lent = True
        heapq.heappop(queue).granted.set_result(None)
        return None

    def view(self) -> dict[str, Any]:
        """What status shows of this line."""
        return {
            "name": self.name,
            "kind": self.kind.value,
            "address": self.address,
            "state": self.state,
            "reason": self.reason,
            "sentence": self.sentence,
            **self._ledger.view(),
        }

    async def _use(self, work: Callable[[Pipe], Awaitable[T]], pipe: StreamPipe, asker: _Asker) -> T:
        """Run one transaction and note what became of it."""
        if self._missed:
            self._missed = False
            await pipe.settle()
        await pipe.begin(asker.timeout, asker.serial, asker.turnaround)
        began = self._clock.monotonic()
        heard = pipe.bytes_in
        kind = CANCELLED
        try:
            result = await work(pipe)
            kind = ""
        except LinkError as error:
            kind = BROKEN
            if self._sound and pipe.bytes_in == heard:
                raise _HungUpError(str(error), error.reason) from error
            self._sound = False
            raise
        except DeviceSilentError as error:
            kind = error.reason
            self._missed = True
            self._unanswered += 1
            now = self._clock.monotonic()
            self._budget.charge(now - began, now)
            raise
        except DeviceError as error:
            kind = error.reason
            raise
        finally:
            self._ledger.note(asker.device, kind, began, pipe)
        self._unanswered = 0
        self._sound = self.kind is LineKind.TCP
        self._budget.answered(self._clock.monotonic())
        return result

    async def _serve(self, pipe: StreamPipe) -> None:
        """Lend the pipe, turn by turn, until it breaks or hangs."""
        self._unanswered = 0
        self._sound = False
        opened = self._clock.monotonic()
        self._serving = True
        try:
            while True:
                self._wake.clear()
                if not self._lent:
                    if pipe.error is not None or self._is_hung(opened):
                        return
                    await self._nap(self._lend())
                else:
                    await self._wake.wait()
        finally:
            self._serving = False

    def _is_hung(self, opened: float) -> bool:
        """Serial servers forget sessions without closing them; a serial port has no such state."""
        now = self._clock.monotonic()
        return (
            self.kind is LineKind.TCP
            and self._unanswered >= HUNG_MISSES
            and min(now - opened, self._budget.unheard(now)) >= HUNG_AFTER
        )

    def _next(self) -> tuple[list[_Turn] | None, float | None]:
        """Return the queue whose first turn is due, or say how long no probe may run (None: for ever)."""
        for queue in (self._polls, self._probes):
            while queue and queue[0].granted.done():
                heapq.heappop(queue)
        wait: float | None = None
        if self._probes:
            wait = 0.0 if self._users < 2 else self._budget.wait(self._clock.monotonic())
            if wait <= 0 and (not self._polls or self._probes[0] < self._polls[0]):
                return self._probes, None
        return (self._polls, None) if self._polls else (None, wait)

    async def _asked(self) -> None:
        """Wait until a turn is due."""
        while True:
            self._wake.clear()
            queue, wait = self._next()
            if queue is not None:
                return
            await self._nap(wait)

    async def _nap(self, seconds: float | None) -> None:
        """Wait for work, or until ``seconds`` have passed."""
        if seconds is None:
            await self._wake.wait()
            return
        sleeping = asyncio.ensure_future(self._clock.sleep(max(seconds, 0.001)))
        waking = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait({sleeping, waking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleeping, waking):
                task.cancel()
            await asyncio.gather(sleeping, waking, return_exceptions=True)

    async def _keep_opening(self) -> StreamPipe:
        backoff = FIRST_BACKOFF
        while True:
            try:
                return await self._opener()
            except LinkError as error:
                self._fall(error)
            await self._clock.sleep(backoff * _jitter())
            backoff = min(2 * backoff, LONGEST_BACKOFF)

    async def _open(self) -> StreamPipe:
        if self.kind is LineKind.SERIAL:
            from gateway.links.serial_port import open_serial  # a site without serial lines does not load pyserial

            return open_serial(self.address, self._serial, self._settings.turnaround, self._clock)
        if self.kind is LineKind.UDP:
            return await open_udp(self.address, self._settings.turnaround, self._clock)
        return await open_tcp(self.address, self._settings.turnaround, self._clock)

    def _fall(self, error: LinkError, *, quiet: bool = False) -> None:
        """The line is down: tell the log once an outage, and everyone who waits."""
        first = self.state != "down"
        if first and not quiet:
            log.warning("line %s: %s", self.name, error)
        self.reason, self.sentence = error.reason, str(error)
        for turn in (*self._polls, *self._probes):
            if not turn.granted.done():
                turn.granted.set_exception(LinkError(str(error), error.reason))
        self._polls.clear()
        self._probes.clear()
        if first:
            self._enter("down")

    def _enter(self, state: str) -> None:
        self.state = state
        if state == "open":
            self.reason = self.sentence = ""
        self._changed.set()
        self._changed = asyncio.Event()

    def _drop_pipe(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None


def _jitter() -> float:
    return random.uniform(0.7, 1.0)  # noqa: S311 - spreads reconnects, no secret
