"""One wire or socket: opens it, keeps it open, and lends it to one transaction at a time, earliest deadline first."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from gateway.contract import Clock, DeviceError, DeviceSilentError, LineKind, LinkError, Pipe
from gateway.links.budget import SilentBudget
from gateway.links.health import SILENCE, Tally, Trouble
from gateway.links.ledger import BROKEN, CANCELLED, UNHEARD, Ledger
from gateway.links.pipe import StreamPipe, Tap
from gateway.links.standing import Standing
from gateway.links.tcp import open_tcp
from gateway.links.turns import RESUMED, WRITE, Asker, Turn, Turns
from gateway.links.udp import open_udp
from gateway.settings import LineSettings, SerialSettings

log = logging.getLogger("linli.links")

T = TypeVar("T")
FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 10.0
HUNG_AFTER = 30.0  # a TCP connection on which nobody answers for so long is made anew
HUNG_MISSES = 3


class _HungUpError(LinkError):
    """The peer closed a connection that had served before, and nothing came back: it may never have heard us."""


class Line(Standing):
    """The owner of one line on which we ask; ``ListenLine`` is that of one on which we are called."""

    def __init__(
        self,
        settings: LineSettings,
        clock: Clock,
        opener: Callable[[], Awaitable[StreamPipe]] | None = None,
    ) -> None:
        super().__init__(settings.name, settings.kind, str(settings.serial or settings.tcp or settings.udp))
        if self.kind is LineKind.LISTEN:
            raise LinkError(f"line {self.name}: stations call on it, and nobody can be asked; use ListenLine", "listen")
        self._settings = settings
        self._serial = SerialSettings(baud=settings.baud, format=settings.format)
        self._clock = clock
        self._opener = opener or self._open
        self._pipe: StreamPipe | None = None
        self._tap: Tap | None = None
        self._turns = Turns()
        self._users = 0
        self._holder: Asker | None = None
        self._serving = False  # the pipe may be lent
        self._wake = asyncio.Event()
        self._missed = False
        self._awaited_until = 0.0
        self._sound = False  # this connection has carried an answer and did not break in the middle of a question
        self._unanswered = 0
        self._budget = SilentBudget(clock.monotonic())
        self._ledger = Ledger(self.name, clock, self.kind, self.address)

    def attach(self, device: str = "", address: object = "") -> Tally:
        """Count one more device on this line: silence costs nobody anything where there is one device only."""
        self._users += 1
        tally = self._ledger.attach(device)
        tally.address = str(address)
        return tally

    def tap(self, on_frame: Tap | None) -> None:
        """Show all bytes of this line to ``on_frame`` from now on, or to nobody."""
        self._tap = on_frame
        if self._pipe is not None:
            self._pipe.on_frame = on_frame

    def patience(self, device: str, timeout: float, *, doubtful: bool = False) -> float:
        """How many seconds to wait for a device; see ``SilentBudget.patience``. Alone on a line: the whole timeout."""
        if self._users < 2:
            return timeout
        learned = self._ledger.health.tally(device).learned
        return self._budget.patience(timeout, learned, self._clock.monotonic(), doubtful=doubtful)

    def trouble(self, device: str) -> Trouble | None:
        """Name the fault that the answers of a device show, if they show one."""
        return self._ledger.trouble(device)

    async def run(self) -> None:
        """Own the line until cancelled."""
        backoff = FIRST_BACKOFF
        try:
            while True:
                pipe = self._pipe = await self._keep_opening()
                opened = self._clock.monotonic()
                pipe.on_lost = self._wake.set
                pipe.on_next = self._make_way
                pipe.on_frame = self._tap
                if self.state != "open":
                    self._ledger.hush.reopened()
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

        Between two questions a write (deadline ``turns.WRITE``) to another device goes first; a write is never parted.
        ``timeout`` seconds is the wait for the answer to each question, ``turnaround`` the silence that ``device``
        needs before one. ``probe``: a try at a silent device; it waits until the line's budget for silent devices
        allows it. A question that crossed with the peer's hanging up, on a connection that had served before, is asked
        once more on a new one. Raises LinkError when the line is not open, DeviceError as the driver does,
        DeviceSilentError when nothing came back.
        """
        if self.state != "open":
            raise LinkError(self.sentence or f"line {self.name} is not open yet", self.reason or "opening")
        asker = Asker(device, deadline, timeout, serial, turnaround)
        again = True
        while True:
            pipe = self._pipe
            free = pipe is not None and self._serving and self._holder is None and not pipe.error
            try:
                if free and not probe and not self._turns.polls:
                    self._holder = asker  # nobody waits: no way round by the owner's task
                else:
                    await self._queue_up(asker, deadline, probe=probe)
                return await self._use(work, self._open_pipe(), asker)
            except _HungUpError:
                if not again:
                    raise
                again = False
            finally:
                if self._holder is asker:  # not if it was cancelled while it waited
                    self._give_back()

    async def _queue_up(self, asker: Asker, deadline: float, *, probe: bool = False) -> None:
        granted = self._turns.push(asker, deadline, probe=probe)
        if self._holder is asker:
            self._give_back()
        else:
            self._wake.set()
        await granted

    async def _make_way(self) -> bool:
        """Between two questions of a read: a write to another device goes first, and the read goes on behind it."""
        asker, pipe = self._holder, self._pipe
        if asker is None or pipe is None or asker.deadline == WRITE or not self._turns.has_write(asker.device):
            return False
        self._ledger.left(asker.device)
        left, measures = self._clock.monotonic(), pipe.measures
        if not pipe.missed:
            self._unanswered = 0  # the read has been answered so far: this connection does not hang
        self._missed = self._missed or pipe.missed
        self._turns.parted = asker.device
        try:
            await self._queue_up(asker, RESUMED)
            if pipe.error is not None:
                raise pipe.error
            if self._missed:
                await self._let_pass(pipe)
            await pipe.begin(asker.timeout, asker.serial, asker.turnaround)
        finally:
            self._turns.parted = None
            asker.away += self._clock.monotonic() - left
        pipe.measures = measures
        return True

    def _open_pipe(self) -> StreamPipe:
        if self._pipe is None:
            raise LinkError(f"line {self.name} is closed", "stopped")
        return self._pipe

    def _give_back(self) -> None:
        """End a transaction; the next one begins at once, without waiting for the owner's task."""
        self._holder = None
        pipe = self._pipe
        if pipe is None or pipe.error is not None or not self._serving or self._unanswered >= HUNG_MISSES:
            self._wake.set()
            return
        if self._turns.polls or self._turns.probes:
            self._lend()
            if self._holder is None:
                self._wake.set()  # the owner's task waits for the budget

    def _lend(self) -> float | None:
        """Give the line to the first who may have it; else return how long no probe may run (None: for ever)."""
        queue, wait = self._next()
        if queue is None:
            return wait
        turn = self._turns.pop(queue)
        self._holder = turn.asker
        turn.granted.set_result(None)
        return None

    def view(self) -> dict[str, Any]:
        """What status shows of this line."""
        return self._view() | self._ledger.view()

    async def _let_pass(self, pipe: StreamPipe) -> None:
        """The last answer was missed: it may still come. The one that nobody waited for will."""
        self._missed = False
        wait = self._awaited_until - self._clock.monotonic()
        if wait > 0:
            await self._clock.sleep(wait)
        await pipe.settle()

    def _abandon(self, pipe: StreamPipe, asker: Asker) -> None:
        """Whoever asked is gone, the question is not: the next one must not run into its answer."""
        if pipe.awaits and self._holder is asker:
            self._missed = True
            learned = self._ledger.health.tally(asker.device).learned
            self._awaited_until = self._clock.monotonic() + min(
                asker.timeout, asker.timeout if learned is None else learned
            )

    async def _use(self, work: Callable[[Pipe], Awaitable[T]], pipe: StreamPipe, asker: Asker) -> T:
        """Run one transaction and note what became of it."""
        if self._missed:
            await self._let_pass(pipe)
        await pipe.begin(asker.timeout, asker.serial, asker.turnaround)
        asker.away = 0.0
        began = self._clock.monotonic()
        heard = pipe.bytes_in
        kind = CANCELLED
        try:
            result = await work(pipe)
            kind = "" if pipe.bytes_in > heard else UNHEARD
        except LinkError as error:
            kind = BROKEN
            if self._sound and pipe.bytes_in == heard:
                raise _HungUpError(str(error), error.reason) from error
            self._sound = False
            raise
        except DeviceError as error:
            kind = error.reason
            if kind in SILENCE:
                now = self._clock.monotonic()
                self._budget.charge(now - began - asker.away, now)
            if isinstance(error, DeviceSilentError):
                self._unanswered += 1
            else:
                self._heard(pipe, heard, of_device=kind not in SILENCE)
            raise
        except asyncio.CancelledError:
            self._abandon(pipe, asker)
            raise
        finally:
            if pipe.missed:
                self._missed = True  # also where half an answer came, or one of several
            now = self._clock.monotonic()
            self._ledger.note(asker.device, kind, began + asker.away, now, pipe)
        self._sound = self.kind is LineKind.TCP and (self._sound or pipe.bytes_in > heard)
        self._heard(pipe, heard)
        return result

    def _heard(self, pipe: StreamPipe, before: int, *, of_device: bool = True) -> None:
        """A transaction ended without silence: note it if anything came, for a broadcast and a search bring nothing."""
        if pipe.bytes_in == before:
            return
        self._unanswered = 0
        if of_device:  # and not of a gateway that speaks for a silent one
            self._budget.answered(self._clock.monotonic())

    async def _serve(self, pipe: StreamPipe) -> None:
        """Lend the pipe, turn by turn, until it breaks or hangs."""
        self._unanswered = 0
        self._sound = False
        opened = self._clock.monotonic()
        self._serving = True
        try:
            while True:
                self._wake.clear()
                if self._holder is None:
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

    def _next(self) -> tuple[list[Turn] | None, float | None]:
        """Return the queue whose first turn is due, or say how long no probe may run (None: for ever)."""
        turns = self._turns
        turns.tidy()
        wait: float | None = None
        if turns.probes:
            now = self._clock.monotonic()
            if self._ledger.hush.whole:
                self._budget.give_up(now)
            wait = 0.0 if self._users < 2 else self._budget.wait(now)
            if wait <= 0 and (not turns.polls or turns.probes[0] < turns.polls[0]):
                return turns.probes, None
        return (turns.polls, None) if turns.polls else (None, wait)

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
        """The line is down, and nobody's turn comes."""
        super()._fall(error, quiet=quiet)
        self._turns.fail(self.sentence, self.reason)

    def _drop_pipe(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None


def _jitter() -> float:
    return random.uniform(0.7, 1.0)  # noqa: S311 - spreads reconnects, no secret
