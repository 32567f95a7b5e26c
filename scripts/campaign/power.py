"""Cuts the power: records every write and sync of the real Store, then makes what the disk may hold at any instant.

SQLite writes through a VFS of APSW that keeps a journal of what reached each file. A cut at some instant keeps all
that was synced; of each write since, whole or torn at 512 bytes, nothing is certain. The Store itself then starts on
the remains, with the SQLite that it always uses.
"""

import asyncio
import random
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import msgspec
from flips import drafts, opened
from report import Row, is_sound

from gateway.clock import SystemClock
from gateway.contract import STREAMS
from gateway.store import database, reader
from gateway.store.media import MediaFolder

SECTOR = 512
ROUNDS = 400


class Step(NamedTuple):
    """One thing that happened to a file: ``write`` (offset, data), ``sync``, ``truncate`` (offset) or ``delete``."""

    what: str
    name: str
    offset: int = 0
    data: bytes = b""


class Promise(NamedTuple):
    """At this length of the journal, the store had said that these records (id by stream and number) are on disk."""

    at: int
    last: dict[str, int]
    position: int


JOURNAL: list[Step] = []


def recording() -> None:
    """Register the VFS that writes the journal; APSW is needed only here."""
    import apsw

    class File(apsw.VFSFile):
        def __init__(self, name: Any, flags: list[int]) -> None:  # noqa: ANN401 - APSW's own
            super().__init__("", name, flags)
            self._name = Path(name if isinstance(name, str) else name.filename()).name

        def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
            JOURNAL.append(Step("write", self._name, offset, bytes(data)))
            super().xWrite(data, offset)

        def xSync(self, flags: int) -> None:  # noqa: N802
            super().xSync(flags)
            JOURNAL.append(Step("sync", self._name))

        def xTruncate(self, size: int) -> None:  # noqa: N802
            JOURNAL.append(Step("truncate", self._name, size))
            super().xTruncate(size)

    class Recorder(apsw.VFS):
        def __init__(self) -> None:
            super().__init__("recorder", "")

        def xOpen(self, name: Any, flags: list[int]) -> File:  # noqa: N802, ANN401
            return File(name, flags)

        def xDelete(self, name: str, sync: bool) -> None:  # noqa: N802
            JOURNAL.append(Step("delete", Path(name).name))
            super().xDelete(name, sync)

    global _vfs
    _vfs = Recorder()


class Rows:
    """What the store uses of a sqlite3.Cursor."""

    def __init__(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._rows = iter(list(rows))

    def fetchone(self) -> tuple[Any, ...] | None:
        return next(self._rows, None)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return list(self._rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._rows

    def close(self) -> None:
        self._rows = iter(())


class Connection:
    """What the store uses of a sqlite3.Connection, over APSW and the recording VFS."""

    def __init__(self, path: Path) -> None:
        import apsw

        self._connection = apsw.Connection(str(path), vfs="recorder")
        self._connection.set_busy_timeout(5000)
        for pragma in ("cache_size = -512", "secure_delete = OFF", "temp_store = MEMORY"):
            self._connection.execute(f"PRAGMA {pragma}")

    def execute(self, query: str, values: tuple[Any, ...] = ()) -> Rows:
        return Rows(self._connection.execute(query, values))

    def executemany(self, query: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._connection.executemany(query, rows)

    @property
    def in_transaction(self) -> bool:
        return bool(self._connection.in_transaction)

    def close(self) -> None:
        self._connection.close()


async def record(state: Path, clock: SystemClock) -> tuple[list[Promise], dict[str, dict[int, str]], str]:
    """Run the real Store for a while; returns what it promised when, all ids, and the epoch."""
    promises: list[Promise] = []
    store = await opened(state, clock)
    for _ in range(ROUNDS):
        await store.put(drafts(clock, random.randint(1, 60)), facts={"alarm/high": random.randbytes(20)})
        await store.committed()
        last = {stream: store.bounds(stream).last for stream in STREAMS}
        promises.append(Promise(len(JOURNAL), last, 0))
        if random.random() < 0.3:
            store.confirm("platform", "perception", last["perception"])
    ids: dict[str, dict[int, str]] = {stream: await read_ids(store, stream) for stream in STREAMS}
    epoch = store.epoch
    await store.close()
    return promises, ids, epoch


async def read_ids(store: Any, stream: Any) -> dict[int, str]:  # noqa: ANN401
    """Ids of a stream by number."""
    found: dict[int, str] = {}
    after = 0
    while records := await store.records(stream, after, 1000):
        after = records[-1].sequence
        found.update((record.sequence, msgspec.json.decode(record.json)["id"]) for record in records)
    return found


def remains(base: dict[str, bytes], until: int) -> dict[str, bytes]:
    """The files as a power cut after ``until`` steps may leave them."""
    files = {name: bytearray(content) for name, content in base.items()}
    unsure: dict[str, list[Step]] = defaultdict(list)
    for step in JOURNAL[:until]:
        if step.what == "sync":
            for each in unsure.pop(step.name, []):
                apply(files, each)
        elif step.what == "delete":
            files.pop(step.name, None)
            unsure.pop(step.name, None)
        else:
            unsure[step.name].append(step)
    for steps in unsure.values():
        how = random.choice(("none", "all", "some", "torn"))
        for step in steps:
            if how == "all" or (how != "none" and random.random() < 0.5):
                apply(files, torn(step) if how == "torn" else step)
    return {name: bytes(content) for name, content in files.items()}


def torn(step: Step) -> Step:
    """A write of which only some leading or trailing part reached the disk, cut at a sector or anywhere."""
    if step.what != "write" or len(step.data) < 2:
        return step
    at = random.randrange(1, len(step.data))
    at = max(1, at - (step.offset + at) % SECTOR) if random.random() < 0.5 else at
    if random.random() < 0.5:
        return step._replace(data=step.data[:at])
    return step._replace(offset=step.offset + at, data=step.data[at:])


def apply(files: dict[str, bytearray], step: Step) -> None:
    """Do one step for good."""
    content = files.setdefault(step.name, bytearray())
    if step.what == "truncate":
        del content[step.offset :]
        return
    if len(content) < step.offset:
        content.extend(bytes(step.offset - len(content)))
    content[step.offset : step.offset + len(step.data)] = step.data


async def start(
    state: Path, clock: SystemClock, epoch: str, promise: Promise, ids: dict[str, dict[int, str]]
) -> tuple[int, list[str], list[str]]:
    """Start the Store on the remains: committed records lost, what is wrong, corrupt starts."""
    store = await opened(state, clock)
    try:
        if store.epoch != epoch:
            return 0, [], [f"a new epoch: {store.view()['damage']}"]
        lost, wrong = 0, []
        for stream in STREAMS:
            found = await read_ids(store, stream)
            lost += sum(number not in found for number in range(1, promise.last[stream] + 1))
            changed = sum(ids[stream].get(number) != each for number, each in found.items())
            if changed:
                wrong.append(f"{changed} {stream} records are not what was written")
        await store.put(drafts(clock, 5))
        await store.committed()
        return lost, wrong, []
    finally:
        await store.close()


def campaign(folder: Path, times: int) -> Row:
    """Run it; the row says what came of it."""
    recording()
    clock, state = SystemClock(), folder / "recorded"

    async def make() -> None:
        store = await opened(state, clock)
        await store.close()

    asyncio.run(make())
    base = {path.name: path.read_bytes() for path in state.glob("records.db*")}
    # POSIX locks belong to the process: no second SQLite may open the file meanwhile.
    patches = (
        mock.patch.object(database, "connect", Connection),
        mock.patch.object(reader, "connect", Connection),
        mock.patch.object(MediaFolder, "sweep", return_value=None),
    )
    for patch in patches:
        patch.start()
    promises, ids, epoch = asyncio.run(record(state, clock))
    for patch in patches:
        patch.stop()
    lost, longest = 0, 0.0
    wrong: list[str] = []
    corrupt: list[str] = []
    for number in range(1, times + 1):
        until = random.randrange(promises[0].at, len(JOURNAL))
        promise = [each for each in promises if each.at <= until][-1]
        target = folder / "cut"
        target.mkdir()
        for name, content in remains(base, until).items():
            (target / name).write_bytes(content)
        begun = time.monotonic()
        gone, changed, broken = asyncio.run(start(target, clock, epoch, promise, ids))
        longest = max(longest, time.monotonic() - begun)
        lost += gone
        wrong += changed
        corrupt += [f"cut {number} after step {until}: {each}" for each in broken + is_sound(target)]
        if gone or changed or broken:
            target.rename(folder / f"cut-{number}")
        else:
            shutil.rmtree(target)
        if number % 20 == 0:
            print(f"power: {number} of {times}, lost {lost}, corrupt {len(corrupt)}", flush=True)
    syncs = sum(step.what == "sync" for step in JOURNAL)
    note = f"{len(JOURNAL)} steps recorded, {syncs} of them syncs; unsynced writes kept, dropped or torn"
    return Row("power cut", times, lost, wrong, corrupt, longest, note)
