"""When the store writes: at once for what is urgent, by the window for the rest, and again and again on a bad disk."""

import asyncio
import logging
import math
import sqlite3
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from gateway.contract import SEND_ORDER, STREAMS, Clock, LinliError, Stream
from gateway.metrics import COMMIT_SECONDS, DROPPED
from gateway.store.bell import Bell
from gateway.store.database import NOTHING, SQLITE_TROUBLE, Committed, Database, Expiry, is_damage
from gateway.store.early import LOOK_EVERY, RELEASE, Hold
from gateway.store.envelope import AT_ONCE, Waiting, waiting
from gateway.store.notices import gateway_state
from gateway.store.opening import DiskError, Opened, Opener
from gateway.store.queue import Batch, Queue
from gateway.words import many

log = logging.getLogger("linli.store")

URGENT_ORDER: tuple[Stream, ...] = tuple(stream for stream in SEND_ORDER if stream in AT_ONCE)
FIRST_WINDOW = 0.05  # after a start nobody should wait half a second for the first reading
CURSOR_IDLE = 5.0  # seconds that a position waits for a commit to ride with when no data flow
BEHIND = 1.0  # seconds between commits that delete what is too old, while there is more: an alarm goes between
RETRY = (0.5, 10.0)  # seconds between tries on a disk that does not take it, first and longest
REST = "rest"  # facts and media entries, counted beside the streams
DISK_CODES = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
    }
)


class Committer:
    """Owns the queue and the one task that empties it into the database.

    ``failing`` is a sentence while the disk does not take everything; ``done`` rings after every commit and loss;
    ``held`` counts the records that wait for the clock.
    """

    def __init__(
        self,
        opened: Opened,
        opener: Opener,
        writer: ThreadPoolExecutor,
        clock: Clock,
        window: float,
        chores_every: float,
        expiry: Callable[[], Expiry],
        committed: Callable[[Committed], None],
        reopen: Callable[[], Awaitable[Opened]],
        hold: Hold,
    ) -> None:
        self.queue = Queue()
        self.done = Bell(clock)
        self.failing: str | None = None
        self._database = opened.database
        self._why = opened.why
        self._opener = opener
        self._writer = writer
        self._reserve = opener.reserve
        self._clock = clock
        self._window = window
        self._chores_every = chores_every
        self._expiry = expiry
        self._committed = committed
        self._reopen = reopen
        self._hold = hold
        self.held = opened.known.held
        self._look_at = -math.inf if self.held else math.inf  # monotonic: when to look whether they may go
        self._wake = Bell(clock)
        self._put: Counter[str] = Counter()
        self._settled: Counter[str] = Counter()
        self._lost: Counter[Stream] = Counter()
        self._urgent = self._closing = self._ended = False
        self._fatal: LinliError | None = None
        self._waits_since = self._cursors_since = math.inf  # monotonic
        self._chores_at = clock.monotonic() + 1.0  # what is long overdue must not hold up the start
        self._retry_at = self._restore_at = math.inf
        self._retry_after = RETRY[0]
        self._takes = 0.0  # seconds of a usual commit
        self._on_reserve = False
        self._fresh = True  # no reading was written since the start

    # ------------------------------------------------------------------------------------------------ what comes in

    async def room(self) -> None:
        """Wait while too much perception and management waits; on a failing disk it is shed instead."""
        while self.queue.full() and self.failing is None:
            self.check()
            await self.done.wait()

    def add(self, items: Collection[Waiting], facts: Mapping[str, bytes | None], *, urgent: bool) -> None:
        """Take drafts and facts into the queue."""
        if self._closing and self._fatal is None:
            raise LinliError("the store is closing and takes no more records")
        self.check()
        self.queue.add(items, facts)
        for item in items:
            self._put[item.draft.stream] += 1
        if self.failing is not None:
            self._shed()
        self.touch(urgent=urgent)

    def touch(self, *, urgent: bool) -> None:
        """Say that something was put into the queue."""
        self._put[REST] += 1
        self._waits_since = min(self._waits_since, self._clock.monotonic())
        self._urgent = self._urgent or urgent
        self._wake.ring()

    def touch_cursor(self) -> None:
        """Say that a position has moved: it rides with the next commit, or goes alone when there is none for long."""
        if self._cursors_since == math.inf:
            self._cursors_since = self._clock.monotonic()
            self._wake.ring()

    async def settled(self, streams: Collection[Stream] = STREAMS) -> None:
        """Return when what was put so far into these streams is on disk, or was given up; raises as ``check``."""
        self.check()
        names = [*streams, REST] if len(streams) == len(STREAMS) else [*streams]
        goal = {name: self._put[name] for name in names}
        if any(self._settled[name] < count for name, count in goal.items()):
            self._urgent = True
            self._wake.ring()
        while any(self._settled[name] < count for name, count in goal.items()):
            self.check()
            await self.done.wait()

    def unsettled(self, stream: Stream) -> int:
        """Count the drafts of a stream that are not on disk."""
        return self._put[stream] - self._settled[stream]

    def check(self) -> None:
        """Raise what ended the writing, if anything did."""
        if self._fatal is not None:
            raise self._fatal
        if self._ended:
            raise LinliError("the store is closed")

    # ------------------------------------------------------------------------------------------------- what goes out

    def prepare(self) -> None:
        """Take the reserve's room before the first commit; without it, only what is urgent is written."""
        if self._database is None:
            self._wait_for_disk(self._why)
        elif not self._reserve.restore():
            self._live_on_reserve("the disk was full at start")

    async def run(self) -> None:
        """Commit until closed; then once more what waits. Ends with LinliError when the database is damaged."""
        try:
            while not self._closing and self._fatal is None:
                due = self._due()
                if due > (now := self._clock.monotonic()):
                    await self._wake.wait(due - now)
                    continue
                await self._commit()
            await self._last_commits()
        finally:
            self._closing = self._ended = True
            self.done.ring()
        if self._fatal is not None:
            raise self._fatal

    async def _last_commits(self) -> None:
        while self._something_to_write() or self.queue.cursors:
            self._restore_at = -math.inf
            if not await self._commit():
                break
        count = sum(self.queue.waiting(stream) for stream in STREAMS)
        if not self.queue.empty() and self._fatal is not None and self.failing is None:
            batch = self.queue.take(sys.maxsize)
            try:
                self._opener.leave(batch)
            except OSError as error:
                log.error("what the damaged store did not take cannot be kept either: %s", error)
            else:
                return
        if count:
            DROPPED.labels(where="store", cause="disk").inc(count)
            log.error("closed with %s that the disk did not take", many(count, "record"))

    def _something_to_write(self) -> bool:
        return self.queue.has(URGENT_ORDER) if self._on_reserve else not self.queue.empty()

    def close(self) -> None:
        """Have ``run`` write what waits and end."""
        self._closing = True
        self._wake.ring()

    def die(self, error: LinliError) -> None:
        """End the writing after what waits, for a reason that only a restart can mend."""
        self._fatal = self._fatal or error
        self._wake.ring()
        self.done.ring()

    def _due(self) -> float:
        """When to commit next."""
        if self._retry_at != math.inf:
            return self._retry_at
        due = min(self._chores_at, self._cursors_since + CURSOR_IDLE, self._restore_at, self._look_at)
        if self._something_to_write():
            # On a slow card the commit begins earlier, so that it ends within the window.
            wait = max(self._window - 2 * self._takes, self._window / 2)
            wait = min(wait, FIRST_WINDOW) if self._fresh else wait
            due = min(due, -math.inf if self._urgent else self._waits_since + wait)
        return due

    async def _commit(self) -> bool:
        """Write one batch; False when the disk did not take it."""
        database = self._database or await self._land()
        if database is None:
            return False
        now = self._clock.monotonic()
        if now >= self._restore_at:
            self._on_reserve = not self._reserve.restore()
            self._restore_at = now + RETRY[1] if self._on_reserve else math.inf
        expiry = NOTHING
        if now >= self._chores_at:
            expiry = self._expiry() if self._hold.steady() else NOTHING
            self._chores_at = now + self._chores_every
        stamp = self._hold.stamp()
        # What waited for the clock goes before what came later, so that a stream stays in the order of time.
        release = self.held and not stamp.hold and not self._on_reserve
        order = URGENT_ORDER if self._on_reserve or release else SEND_ORDER
        batch = self.queue.take(self._opener.budget.transaction, order)
        rest = 0 if self.queue.facts else self._put[REST]
        self._urgent = self._urgent and not self.queue.empty()
        # What does not fit into this batch has waited already, so it goes at once; what comes meanwhile begins to wait.
        self._waits_since = math.inf if self.queue.empty() else -math.inf
        loop = asyncio.get_running_loop()
        try:
            freed = min(RELEASE, self._opener.budget.transaction) if release else 0
            done = await loop.run_in_executor(self._writer, database.commit, batch, stamp, expiry, freed)
        except SQLITE_TROUBLE as error:
            self.queue.restore(batch)
            self._waits_since = -math.inf
            self._trouble(error)
            return False
        if batch.erasures:
            await loop.run_in_executor(self._writer, database.scrub)
        self.held, self._hold.bytes = done.held, done.held_bytes
        look_at = -math.inf if release else self._clock.monotonic() + LOOK_EVERY
        self._look_at = look_at if done.held else math.inf
        self._note(batch, done, rest, self._clock.monotonic() - now)
        if database.log_is_long() and not self._urgent:
            await loop.run_in_executor(self._writer, database.checkpoint)
        return True

    async def _land(self) -> Database | None:
        """Open the store that could not be opened at the start; None when the disk still does not let us."""
        try:
            opened = await self._reopen()
        except DiskError as error:
            self._wait_for_disk(str(error))
            return None
        except LinliError as error:
            self.die(error)
            return None
        self._database, self._retry_at = opened.database, math.inf
        if not self._reserve.restore():
            self._live_on_reserve("there is no room for the reserve")
        return opened.database

    def _note(self, batch: Batch, done: Committed, rest: int, took: float) -> None:
        """Account for a commit that succeeded."""
        for stream, items in batch.drafts.items():
            self._settled[stream] += len(items)
        self._settled[REST] = max(self._settled[REST], rest)
        self._takes += (took - self._takes) / 8
        self._fresh = self._fresh and not batch.drafts.get("perception")
        COMMIT_SECONDS.set(took)
        self._cursors_since = math.inf if not self.queue.cursors else self._clock.monotonic()
        self._retry_at, self._retry_after = math.inf, RETRY[0]
        if done.again or done.behind:
            self._chores_at = self._clock.monotonic() + (0.0 if done.again else BEHIND)
        self._committed(done)
        if self.failing is not None and not self._on_reserve:
            self._recovered()
        self.done.ring()

    # -------------------------------------------------------------------------------------------------- trouble

    def _trouble(self, error: sqlite3.DatabaseError | UnicodeDecodeError) -> None:
        if is_damage(error):
            self.die(LinliError(f"the store is damaged ({error}): it is set aside at the next start"))
            return
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        if code not in DISK_CODES:
            raise error
        full = code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and self._reserve.is_needed())
        if full and not self._on_reserve:
            self._live_on_reserve(str(error))
            return
        self._wait_for_disk(str(error))

    def _wait_for_disk(self, reason: str) -> None:
        self._fail(
            f"the disk does not take records ({reason}): check the card, its room, and whether it is mounted read-only"
        )
        self._retry_at = self._clock.monotonic() + self._retry_after
        self._retry_after = min(2 * self._retry_after, RETRY[1])
        self._shed()

    def _live_on_reserve(self, reason: str) -> None:
        self._reserve.release()
        self._on_reserve = True
        self._restore_at = self._clock.monotonic() + RETRY[1]
        self._fail(f"the disk is full ({reason}): only alarms and disposals are written; make room or lower the quotas")
        self._shed()

    def _fail(self, sentence: str) -> None:
        if self.failing is None:
            log.error("%s", sentence)
        self.failing = sentence
        self.done.ring()  # those who wait for room now shed

    def _shed(self) -> None:
        lost = self.queue.shed()
        for stream, count in lost.items():
            DROPPED.labels(where="store", cause="disk").inc(count)
            self._settled[stream] += count
        self._lost += lost
        if lost:
            self.done.ring()

    def _recovered(self) -> None:
        self.failing = None
        lost, self._lost = dict(self._lost), Counter()
        told = ", ".join(f"{count} of {stream}" for stream, count in lost.items()) or "none"
        log.warning("the disk takes records again; drafts lost meanwhile: %s", told)
        wall = self._clock.wall()
        sentence = f"The disk takes records again; records lost meanwhile: {told}."
        draft = gateway_state(self._opener.gateway, wall, "disk_recovered", sentence, lost=lost)
        if not self._closing and self._fatal is None:
            self.add([waiting(draft, self._clock.quality())], {}, urgent=False)
