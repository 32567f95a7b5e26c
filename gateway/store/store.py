"""The store as the other parts see it: put, read, wait, confirm."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self, TypeVar

from gateway.clock import boot_id
from gateway.contract import STREAMS, Clock, CommandError, Cursor, Draft, Kept, LinliError, Record, Run, Stream
from gateway.metrics import BACKLOG, RECORDS, STORE_BYTES
from gateway.settings import StoreSettings
from gateway.store.asides import Asides
from gateway.store.commits import Committer
from gateway.store.database import SQLITE_TROUBLE, Committed, Database, Expiry, is_damage
from gateway.store.early import Hold, happened
from gateway.store.envelope import waiting
from gateway.store.erasure import Erased, Erasure
from gateway.store.gallery import Media
from gateway.store.media import MediaFolder, MediaLimits
from gateway.store.opening import DiskError, Opened, Opener, mark_suspect
from gateway.store.packing import DamagedError
from gateway.store.reader import Reader
from gateway.store.retention import Budget
from gateway.store.salvage import Salvage
from gateway.store.tail import Tail
from gateway.store.threads import Threads
from gateway.store.wreck import DATABASE

log = logging.getLogger("linli.store")
Found = TypeVar("Found")

NO_FACTS: Mapping[str, bytes | None] = MappingProxyType({})
CHORES = (1.0, 3600.0)  # seconds between looks at the age of records, shortest and longest
CHORES_PER_KEEP = 50
SECOND = 1_000_000_000


class Bounds(NamedTuple):
    """The first and the last record that a stream holds; both 0 before its first record."""

    first: int
    last: int


class Store:
    """Four streams of records, their consumers' positions, small facts and media, in one directory.

    ``epoch`` names this incarnation of the database, ``newest`` the last time known in it (ns; 0: none) when it was
    opened. ``media(sha256)`` finds a file and its content type; None when it is unknown or was evicted.
    ``await runs(stream, after, limit, max_bytes)`` reads like ``records``, but as some runs, each within the limits.
    ``await erase(erasure)`` erases for good and returns what was there; LinliError when nothing was. ``erasures``
    counts the commits that did: what was read before one may hold what is gone.
    """

    def __init__(
        self,
        settings: StoreSettings,
        clock: Clock,
        required: Mapping[str, frozenset[Stream]],
        state: Path,
        threads: Threads,
        opened: Opened,
        opener: Opener,
    ) -> None:
        known = opened.known
        self.epoch = known.epoch
        self._settings = settings
        self._clock = clock
        self._required = required
        self._state = state
        self._threads = threads
        self._opener = opener
        self._database = opened.database
        self._reader = opened.reader
        self._facts = known.facts
        self._positions = known.positions
        self._last: dict[Stream, int] = dict(known.last)
        self._firsts: dict[Stream, int] = known.firsts
        self._used = known.used
        self.newest = known.newest
        self._tail = Tail()
        keep = settings.keep
        self._keep = {stream: int(getattr(keep, stream) * SECOND) for stream in STREAMS}
        shortest = min(getattr(keep, stream) for stream in STREAMS)
        shortest = min(shortest, keep.unlisted_vehicles or shortest, *keep.of_media().values())
        self._commits = Committer(
            opened,
            opener,
            threads.writer,
            clock,
            settings.commit,
            min(max(shortest / CHORES_PER_KEEP, CHORES[0]), CHORES[1]),
            self._expiry,
            self._committed,
            self._reopen,
            Hold(clock, known.oldest_held, opener.budget.held),
        )
        self._media = Media(
            MediaFolder(state / "media"), settings.media, known.media_bytes, self._commits, threads.files
        )
        self.media: Callable[[str], tuple[Path, str] | None] = self._media.find
        self.runs = self._runs
        self.erase = self._erase
        self._salvage: Salvage | None = None
        self._salvaging: asyncio.Task[None] | None = None
        self.asides = Asides(state, threads.reader, lambda: self._salvaging is not None and not self._salvaging.done())
        self.erasures = 0
        self._estranged = False
        self._commits.prepare()
        self._task = asyncio.create_task(self._commits.run(), name="store-commits")
        self._task.add_done_callback(_log_bug)

    @classmethod
    async def open(
        cls,
        settings: StoreSettings,
        state: Path,
        gateway: str,
        clock: Clock,
        required: Mapping[str, frozenset[Stream]],
        boot: str = "",
    ) -> Self:
        """Open or make the store in ``state``; ``required`` consumers hold back retention by age.

        ``boot`` names what ``clock.monotonic`` counts from; without it, the kernel's id of this boot.
        On a disk that cannot be written it begins all the same, and opens what is there when it can: until then
        ``failing`` says so. LinliError when another daemon uses the directory, or it is not ours to use.
        """
        ages = {kept: int(age * SECOND) for kept, age in settings.keep.of_media().items()}
        media = MediaLimits(settings.media, ages)
        opener = Opener(state, gateway, Budget(settings.records), media, clock, boot or boot_id())
        threads = Threads.start()
        loop = asyncio.get_running_loop()
        try:
            try:
                opened = await loop.run_in_executor(threads.writer, opener.open)
            except DiskError as error:
                log.error("%s: the store cannot be opened: %s; alarms act without it", state, error)
                opened = await loop.run_in_executor(threads.writer, opener.look, str(error))
        except LinliError:
            opener.close()
            threads.stop()
            raise
        store = cls(settings, clock, required, state, threads, opened, opener)
        if opened.database is not None and opened.reader is not None:
            await loop.run_in_executor(threads.writer, opened.database.shrink)
            store._begin(opened.database, opened.reader)
        return store

    def _begin(self, database: Database, reader: Reader) -> None:
        # Not waited for: files are found without it, and a new one is written after it, in the same thread.
        self._threads.files.submit(MediaFolder(self._state / "media").sweep, self._state / DATABASE)
        commits, clock, thread = self._commits, self._clock, self._threads.reader
        parts = (self._state, database, reader, commits, clock, thread, self._required, self._facts)
        self._salvage = Salvage(*parts, lambda: self._settings.records - self._used)
        if self._salvage.tell():
            self._salvaging = asyncio.create_task(self._salvage.run(), name="store-salvage")
            self._salvaging.add_done_callback(_log_bug)

    async def _reopen(self) -> Opened:
        """The disk can be written at last: go on with what it holds, or begin anew if that was not known."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads.writer, self._opener.check)
        if self._reader is not None:  # SQLite would make the writer as read-only as this connection of the same process
            reader, self._reader = self._reader, None
            await loop.run_in_executor(self._threads.reader, reader.close)
        opened = await loop.run_in_executor(self._threads.writer, self._opener.open)
        self._database, self._reader = opened.database, opened.reader
        known = opened.known
        if (known.epoch, known.last) == (self.epoch, self._last) and known.facts.keys() <= self._facts.keys():
            if opened.database is not None and opened.reader is not None:
                self._begin(opened.database, opened.reader)
            return opened
        # Cursors and alarms of another epoch cannot be changed under those who run with ours.
        self._estranged = True
        sentence = "the disk can be written again and holds what could not be read at the start: beginning anew with it"
        self._commits.die(LinliError(sentence))
        return opened

    # ------------------------------------------------------------------------------------------------------ records

    async def put(
        self, drafts: Sequence[Draft], *, urgent: bool = False, facts: Mapping[str, bytes | None] = NO_FACTS
    ) -> None:
        """Queue drafts, and facts that hold from the same commit on (None forgets one).

        Waits only when too much perception and management waits already, and never when ``urgent``.
        LinliError when a draft cannot be JSON, or the store has ended.
        """
        quality, wall, now = self._clock.quality(), self._clock.wall(), self._clock.monotonic()
        items = [waiting(draft, quality, happened(draft, wall, now), self._opener.boot) for draft in drafts]
        if not urgent:
            await self._commits.room()
        self._commits.add(items, facts, urgent=urgent)
        for name, value in facts.items():
            if value is None:
                self._facts.pop(name, None)
            else:
                self._facts[name] = value

    async def committed(self, streams: Collection[Stream] = STREAMS) -> None:
        """Return when all that was put so far (into these streams) is on disk; hurries the commit."""
        await self._commits.settled(streams)

    def facts(self, prefix: str) -> dict[str, bytes]:
        """Return the facts whose names begin so, those of queued puts included."""
        return {name: value for name, value in self._facts.items() if name.startswith(prefix)}

    async def records(self, stream: Stream, after: int, limit: int, max_bytes: int | None = None) -> list[Record]:
        """Return committed records that follow ``after``: at most ``limit``, and ``max_bytes`` if more than one.

        CommandError 503 when they cannot be read now.
        """
        if after >= self._last[stream] or limit < 1:
            return []
        found = self._tail.after(stream, after, limit, max_bytes)
        if found is not None:
            return found
        last = self._last[stream]
        found = await self._read(Reader.records, stream, after, limit, max_bytes)
        # The reader may already see a commit that nobody here was told of.
        return [record for record in found if record.sequence <= last]

    async def _erase(self, erasure: Erasure) -> Erased:
        await self.committed()  # a clip that is just being filed, or a record on its way, is erased like any other
        self._commits.queue.erasures.append(erasure)
        self._commits.touch(urgent=True)
        await self.committed()
        # Files go in the one thread that writes them: what was submitted before is done then.
        await asyncio.get_running_loop().run_in_executor(self._threads.files, int)
        if erasure.done is None:
            raise LinliError(f"nothing was erased: {self.failing or 'the store has ended'}; try again")
        return erasure.done

    async def _runs(self, stream: Stream, after: int, limit: int, max_bytes: int) -> list[Run]:
        if after >= self._last[stream] or limit < 1:
            return []
        found = self._tail.after(stream, after, limit, max_bytes)
        if found is not None:
            return [Run.of(after, found)]
        return await self._read(Reader.runs, stream, after, self._last[stream], limit, max_bytes)

    async def _read(self, read: Callable[..., list[Found]], *how: object) -> list[Found]:
        if self._reader is None:
            raise CommandError("records cannot be read now: the disk is not there", status=503)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads.reader, read, self._reader, *how)
        except DamagedError as error:
            raise self._damaged(str(error)) from error
        except SQLITE_TROUBLE as error:
            if is_damage(error):
                raise self._damaged(str(error)) from error
            raise CommandError(f"records cannot be read now: {error}", status=503) from error

    def _damaged(self, trouble: str) -> CommandError:
        if self.failing is not None:  # nothing can be set aside now, and a restart would forget the alarms in memory
            return CommandError(f"stored records are damaged: {trouble}", status=503)
        mark_suspect(self._state, trouble)
        self._commits.die(LinliError(f"the store is damaged ({trouble}): it is set aside at the next start"))
        return CommandError(f"stored records are damaged: {trouble}", status=503)

    async def wait(self, streams: Stream | Collection[Stream], after: Mapping[Stream, int], timeout: float) -> bool:
        """Wait up to ``timeout`` seconds until one of the streams has a committed record beyond ``after``."""
        names: Collection[Stream] = (streams,) if isinstance(streams, str) else streams
        deadline = self._clock.monotonic() + timeout
        while not any(self._last[stream] > after.get(stream, 0) for stream in names):
            left = deadline - self._clock.monotonic()
            if left <= 0 or self._task.done():
                await asyncio.sleep(0)  # whoever asks again and again must not keep the others from ending
                return False
            await self._commits.done.wait(left)
        return True

    def bounds(self, stream: Stream) -> Bounds:
        """Return the first and the last record kept."""
        return Bounds(self._firsts[stream], self._last[stream])

    # ---------------------------------------------------------------------------------------------------- consumers

    def position(self, consumer: str, stream: Stream) -> int:
        """Return the last sequence that a consumer has confirmed, 0 at first."""
        return self._positions.get((consumer, stream), 0)

    def confirm(self, consumer: str, stream: Stream, sequence: int) -> None:
        """Move a consumer on; going back changes nothing. CommandError 400 beyond the end of the stream."""
        if sequence > self._last[stream]:
            raise CommandError(f"{stream} ends at {self._last[stream]}: {sequence} cannot be confirmed")
        if sequence > self.position(consumer, stream):
            self._positions[consumer, stream] = sequence
            self._commits.queue.cursors[consumer, stream] = sequence
            self._commits.touch_cursor()

    def check(self, cursor: Cursor) -> None:
        """CommandError 410 for a cursor of another epoch; ``cursor`` in it is where this epoch begins."""
        if cursor.epoch != self.epoch:
            raise CommandError(
                f"the cursor is of epoch {cursor.epoch[:40]}, the store is in epoch {self.epoch}: begin again with its"
                " first cursor",
                status=410,
                cursor=str(Cursor(self.epoch, cursor.stream, 0)),
            )

    # -------------------------------------------------------------------------------------------------------- media

    async def put_media(self, data: bytes, content_type: str, suffix: str, kept: Kept = "") -> dict[str, Any]:
        """File a picture or clip; returns ``sha256``, ``bytes``, ``content_type`` once it is on disk.

        ``kept`` says by which of the ages of ``keep`` it goes.
        OSError when it is larger than the quota or the disk does not take it, ValueError for an unknown type.
        """
        return await self._media.put(data, content_type, suffix, self._stamp_time(), kept)

    # ------------------------------------------------------------------------------------------------------- itself

    @property
    def failing(self) -> str | None:
        """A sentence while the disk does not take everything, else None."""
        return self._commits.failing

    def unstored(self, stream: Stream) -> int:
        """Count the drafts of a stream that are not on disk yet."""
        return self._commits.unsettled(stream)

    def view(self) -> dict[str, Any]:
        """Describe the store for status: sizes in bytes, first and last by stream."""
        return {
            "epoch": self.epoch,
            "bytes": self._used,
            "quota": self._settings.records,
            "media_bytes": self._media.bytes,
            "media_quota": self._settings.media,
            "failing": self.failing,
            "damage": self._salvage.now if self._salvage else None,
            "held": self._commits.held,
            "streams": {
                stream: {**self.bounds(stream)._asdict(), "unstored": self.unstored(stream)} for stream in STREAMS
            },
        }

    async def close(self) -> None:
        """Write what waits, and leave the directory; afterwards put and committed raise LinliError."""
        if self._salvaging is not None:  # goes on at the next start
            self._salvaging.cancel()
            await asyncio.wait([self._salvaging])
        self._commits.close()
        await asyncio.wait([self._task])
        loop = asyncio.get_running_loop()
        if self._reader is not None:
            await loop.run_in_executor(self._threads.reader, self._reader.close)
        if self._database is not None:
            await loop.run_in_executor(self._threads.writer, self._database.close)
        await loop.run_in_executor(None, self._threads.stop)
        self._opener.close()

    def _stamp_time(self) -> int:
        return 0 if self._clock.quality() == "unknown" else self._clock.wall()

    def _expiry(self) -> Expiry:
        """Say what age limits hold now; none while the time is not known."""
        if self._clock.quality() == "unknown":
            return Expiry()
        confirmed: dict[Stream, int | None] = {
            stream: min(
                (self.position(name, stream) for name, streams in self._required.items() if stream in streams),
                default=None,
            )
            for stream in STREAMS
        }
        limits = {stream: (keep, confirmed[stream]) for stream, keep in self._keep.items()}
        return Expiry(limits, True, int((self._settings.keep.unlisted_vehicles or 0) * SECOND))

    def _committed(self, done: Committed) -> None:
        if self._estranged:
            return
        self._used = done.used
        self._firsts = done.firsts
        for stream, records in done.records.items():
            self._last[stream] = records[-1].sequence
            RECORDS.labels(stream=stream).inc(len(records))
        self.erasures += bool(done.erased)
        for stream in done.erased:
            self._tail.forget(stream)
        for stream in STREAMS:
            self._tail.extend(stream, done.records.get(stream, ()), self._firsts[stream])
        self._media.committed(done)
        STORE_BYTES.labels(part="records").set(done.used)
        STORE_BYTES.labels(part="media").set(done.media_bytes)
        for (consumer, stream), sequence in self._positions.items():
            BACKLOG.labels(consumer=consumer, stream=stream).set(self._last[stream] - sequence)


def _log_bug(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, LinliError):
        log.critical("the store has stopped writing", exc_info=error)
