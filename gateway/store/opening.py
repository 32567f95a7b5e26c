"""Opens a state directory: nobody else in it, a database that is sound and of this version, or a fresh one."""

import contextlib
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
from gateway.store import migrate
from gateway.store.database import Database, is_damage
from gateway.store.packing import DamagedError
from gateway.store.reader import Reader
from gateway.store.reserve import Reserve
from gateway.store.retention import Budget
from gateway.store.wal import log_trouble
from gateway.store.wreck import DATABASE, MARK, asides, rescue

log = logging.getLogger("linli.store")

SUSPECT = "records.suspect"  # left behind by a run that met damage: the next one starts with a new file
MIGRATION_TIMEOUT = 600.0


@dataclass(slots=True)
class Opened:
    """What opening gave."""

    database: Database
    reader: Reader


class Lock:
    """Keeps a second daemon out of a state directory."""

    def __init__(self, state: Path) -> None:
        try:
            state.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
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


def open_database(
    state: Path, reserve: Reserve, gateway: str, budget: Budget, media_quota: int, clock: Clock, boot: str
) -> Opened:
    """Open or make ``<state>/records.db``; a damaged one is set aside. LinliError, with what to do, if it cannot."""
    path = state / DATABASE

    def connected(trouble: str) -> tuple[Database, Reader]:
        if _version(path) < migrate.VERSION:
            _migrate(path)
        for aside in asides(state)[-1:]:
            rescue(path, aside, trouble)
        return Database(path, gateway, budget, media_quota, clock.rfc3339, boot), Reader(path)

    def ready() -> Opened:
        try:
            return _sound_or_fresh(path, connected, clock)
        except sqlite3.Error as error:
            raise LinliError(f"{path}: cannot be opened: {error}; check that the disk can be written") from error

    try:
        return ready()
    except LinliError:
        if not reserve.is_needed():
            raise
    log.warning("%s: the disk is full; opening it with the room of the reserve", path)
    reserve.release()
    return ready()


def _sound_or_fresh(path: Path, connected: Callable[[str], tuple[Database, Reader]], clock: Clock) -> Opened:
    trouble = _read_suspect(path.parent) or (_examine(path) if path.exists() else None)
    if trouble is None:
        try:
            return Opened(*connected("found set aside"))
        except DamagedError as error:
            trouble = str(error)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            trouble = str(error)
    _set_aside(path, clock.rfc3339(clock.wall()))
    (path.parent / SUSPECT).unlink(missing_ok=True)
    return Opened(*connected(trouble))


def mark_suspect(state: Path, reason: str) -> None:
    """Have the next start set the database aside; a disk that takes not even this will be found out again."""
    with contextlib.suppress(OSError):
        (state / SUSPECT).write_text(reason, encoding="utf-8")


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
        reader = Reader(path)
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return str(error)
        raise LinliError(f"{path}: cannot be opened: {error}; check the disk and the file's owner") from error
    try:
        return reader.trouble(newest=version == migrate.VERSION)
    finally:
        reader.close()


def _version(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return version


def _has_tables(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _set_aside(path: Path, now: str) -> None:
    label = "".join(letter for letter in now[:19] if letter.isalnum())
    target = path.with_name(f"{path.name}{MARK}{label}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}{MARK}{label}-{number}")
    # The log first: alone it is nothing, but a database without its log has lost records.
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    log.error("%s was damaged and is set aside as %s; a new epoch begins", path, target.name)


def _migrate(path: Path) -> None:
    """Run the migration in a child of its own, by file: it needs nothing of ours."""
    command = [sys.executable, "-I", migrate.__file__, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MIGRATION_TIMEOUT, check=False)  # noqa: S603
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise LinliError(f"{path}: cannot be brought to schema {migrate.VERSION}: {reason[0]}")
