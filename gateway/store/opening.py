"""Opens a state directory: nobody else in it, a database that is sound and of this version, or a fresh one."""

import contextlib
import errno
import fcntl
import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.contract import Clock, LinliError
from gateway.store import left, migrate
from gateway.store.database import SQLITE_TROUBLE, Database, Known, connect, is_damage
from gateway.store.envelope import Stamp
from gateway.store.media import MediaLimits
from gateway.store.packing import DamagedError
from gateway.store.queue import Batch
from gateway.store.reader import Reader
from gateway.store.reserve import Reserve
from gateway.store.retention import Budget
from gateway.store.seals import broken_seals
from gateway.store.wal import log_trouble
from gateway.store.wreck import DATABASE, asides, next_aside, rescue
from gateway.words import many

log = logging.getLogger("linli.store")

SUSPECT = "records.suspect"  # left behind by a run that met damage: the next one starts with a new file
RESERVE = "reserve"
MIGRATION_TIMEOUT = 600.0
PROBE = 256 << 10  # bytes; an empty store takes about half of it
DISK_ERRORS = frozenset({errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENXIO, errno.ENODEV, errno.EUCLEAN})


@dataclass(slots=True)
class Opened:
    """What opening gave. No ``database``: the disk cannot be written, and ``why``; no ``reader``: not even read."""

    known: Known
    database: Database | None
    reader: Reader | None
    why: str = ""


class DiskError(LinliError):
    """The disk does not let the store be opened now, and may do so later."""


class Lock:
    """Keeps a second daemon out of a state directory."""

    def __init__(self, state: Path) -> None:
        try:
            state.mkdir(parents=True, exist_ok=True)
            self._descriptor = _open_lock(state / "lock")
        except OSError as error:
            raise LinliError(
                f"{state}: cannot be used as the state directory: {error.strerror}; check its owner and the disk"
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise LinliError(
                f"{state}: another linli daemon is using this state directory; stop it, or set another [gateway] state"
            ) from None

    def release(self) -> None:
        """Let others in."""
        os.close(self._descriptor)


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        if error.errno != errno.EROFS or not path.exists():
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


class Opener:
    """Opens a state directory, at the start or as soon as the disk allows it. Lives in the writer thread."""

    def __init__(self, state: Path, gateway: str, budget: Budget, media: MediaLimits, clock: Clock, boot: str) -> None:
        self.gateway, self.boot, self.budget = gateway, boot, budget
        self.reserve = Reserve(state / RESERVE, budget.reserve)
        self._state, self._path, self._media, self._clock = state, state / DATABASE, media, clock
        self._lock: Lock | None = None
        self._epoch = ""  # that a database made later will have

    def open(self) -> Opened:
        """Open or make ``<state>/records.db``; a damaged one is set aside.

        DiskError while the disk cannot be written; LinliError, with what to do, for all that waiting does not mend.
        """
        self.check(probe=False)
        try:
            self._lock = self._lock or Lock(self._state)
            return self._opened()
        except LinliError as error:
            why = _refusal(self._state, error.__cause__)
            if why is None:
                raise
            raise DiskError(why) from error

    def check(self, *, probe: bool = True) -> None:
        """DiskError while the disk cannot be written, as far as that shows without opening anything."""
        why = (
            "it is mounted read-only" if _is_read_only(self._state) else _refusal(self._state, None) if probe else None
        )
        if why is not None:
            raise DiskError(why)

    def look(self, why: str) -> Opened:
        """Say what can be read of a disk that cannot be written; where nothing can, a new epoch is named already."""
        try:
            self._lock = self._lock or Lock(self._state)
        except LinliError as error:
            if not isinstance(error.__cause__, OSError):  # another daemon has it
                raise
        try:
            if self._path.exists() and _examine(self._path) is None and _version(self._path) == migrate.VERSION:
                database = self._database()
                known = database.known()
                database.close()
                return Opened(known, None, Reader(self._path), why)
        except (*SQLITE_TROUBLE, sqlite3.Error, LinliError, OSError) as error:
            log.warning("%s: cannot even be read: %s", self._path, error)
        self._epoch = migrate.new_epoch()
        return Opened(Known(self._epoch), None, None, why)

    def close(self) -> None:
        """Leave the directory."""
        if self._lock is not None:
            self._lock.release()

    def _opened(self) -> Opened:
        try:
            return self._ready()
        except LinliError:
            if not self.reserve.is_needed():
                raise
        log.warning("%s: the disk is full; opening it with the room of the reserve", self._path)
        self.reserve.release()
        return self._ready()

    def _ready(self) -> Opened:
        try:
            return _sound_or_fresh(self._path, self._connected, self._clock)
        except sqlite3.Error as error:
            raise LinliError(f"{self._path}: cannot be opened: {error}; check that the disk can be written") from error

    def _connected(self, trouble: str) -> Opened:
        if _version(self._path) < migrate.VERSION:
            _migrate(self._path, self._epoch)
        for aside in asides(self._state)[-1:]:
            rescue(self._path, aside, trouble)
        database = self._database()
        self._take_in(database)
        return Opened(database.known(), database, Reader(self._path))

    def leave(self, batch: Batch) -> None:
        """Keep for the next start what a damaged database does not take; OSError when the disk does not either."""
        left.leave(self._state, batch, self._clock.wall())

    def _take_in(self, database: Database) -> None:
        """Commit what the last run left, in one transaction, so that it comes once."""
        batch = left.found(self._state, database.known().facts.get(left.FACT))
        if batch is not None:
            clock = self._clock
            wall, quality = clock.wall(), clock.quality()
            hold = quality == "unknown"
            database.commit(batch, Stamp(wall, clock.rfc3339(wall), quality, clock.monotonic(), hold=hold))
            count = sum(map(len, batch.drafts.values()))
            log.warning("stored now: %s that the damaged store did not take", many(count, "record"))
        left.forget(self._state)

    def _database(self) -> Database:
        return Database(self._path, self.gateway, self.budget, self._media, self._clock.rfc3339, self.boot)


def _is_read_only(state: Path) -> bool:
    for there in (state, *state.absolute().parents):
        with contextlib.suppress(OSError):
            return bool(os.statvfs(there).f_flag & os.ST_RDONLY)
    return False


def _refusal(state: Path, cause: BaseException | None) -> str | None:
    """Say why the disk takes nothing; None when it does, or when it is the directory's owner who forbids it."""
    if isinstance(cause, OSError) and cause.errno in DISK_ERRORS:
        return cause.strerror
    probe = state / "probe"
    try:
        probe.write_bytes(bytes(PROBE))
    except OSError as error:
        return error.strerror if error.errno in DISK_ERRORS else None
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return None


def _sound_or_fresh(path: Path, connected: Callable[[str], Opened], clock: Clock) -> Opened:
    trouble = _read_suspect(path.parent) or (_examine(path) if path.exists() else None)
    if trouble is None:
        try:
            return connected("found set aside")
        except DamagedError as error:
            trouble = str(error)
        except SQLITE_TROUBLE as error:
            if not is_damage(error):
                raise
            trouble = str(error)
    mark_suspect(path.parent, trouble)  # a database that has lost its log on the way may look sound
    _set_aside(path, clock.rfc3339(clock.wall()))
    (path.parent / SUSPECT).unlink(missing_ok=True)
    return connected(trouble)


def mark_suspect(state: Path, reason: str) -> None:
    """Have the next start set the database aside; where a full disk has no room for the word, the reserve makes it."""
    for _ in range(2):
        with contextlib.suppress(OSError):
            (state / SUSPECT).write_text(reason, encoding="utf-8")
            return
        with contextlib.suppress(OSError):
            (state / RESERVE).unlink()


def _read_suspect(state: Path) -> str | None:
    mark = state / SUSPECT
    return (mark.read_text(encoding="utf-8") or "damaged") if mark.exists() else None


def _examine(path: Path) -> str | None:
    """Say what is wrong with an existing database; None when it can be used or migrated."""
    try:
        if trouble := log_trouble(path):
            return trouble
        version = _version(path)
        if version > migrate.VERSION:
            raise LinliError(
                f"{path}: was written by a newer linli (schema {version}, this one knows {migrate.VERSION});"
                " install that version again, or move the file away to start a new epoch"
            )
        if version == 0:
            return "not a database of linli" if _has_tables(path) else None
        with contextlib.closing(Reader(path)) as reader:
            trouble = reader.trouble(newest=version == migrate.VERSION)
        if trouble is None and version == migrate.VERSION:
            with contextlib.closing(connect(path)) as connection:
                trouble = next(broken_seals(connection), None)
    except SQLITE_TROUBLE as error:
        if is_damage(error):
            return str(error)
        raise LinliError(f"{path}: cannot be opened: {error}; check the disk and the file's owner") from error
    return trouble


def _version(path: Path) -> int:
    with contextlib.closing(connect(path)) as connection:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return version


def _has_tables(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _set_aside(path: Path, now: str) -> None:
    label = "".join(letter for letter in now[:19] if letter.isalnum())
    target = next_aside(path.parent, label)
    # The log first: alone it is nothing, but a database without its log has lost records.
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    log.error("%s was damaged and is set aside as %s; a new epoch begins", path, target.name)


def _migrate(path: Path, epoch: str) -> None:
    """Run the migration in a child of its own, by file: it needs nothing of ours."""
    command = [sys.executable, "-I", migrate.__file__, str(path), epoch]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MIGRATION_TIMEOUT, check=False)  # noqa: S603
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise LinliError(f"{path}: cannot be brought to schema {migrate.VERSION}: {reason[0]}")
