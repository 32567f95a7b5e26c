"""Flips bytes of a store's files at random; the real Store has to notice, salvage and go on, and never say wrong."""

import asyncio
import random
import shutil
import time
from pathlib import Path

import msgspec
from report import Row, is_sound

from gateway.clock import SystemClock
from gateway.contract import STREAMS, CommandError, Draft, LinliError, Stream, record_id
from gateway.settings import StoreSettings
from gateway.store import Store

PLACE = ("epoch", "sequence", "recordedtime", "formerepoch", "formersequence")
LAST_COMMIT = 4  # records of the commit that a copy of the running store ends with
REQUIRED: dict[str, frozenset[Stream]] = {"platform": frozenset(STREAMS)}


def drafts(clock: SystemClock, count: int) -> list[Draft]:
    """A mixed batch: readings that vary, and one of each other stream."""
    now = clock.wall()

    def one(stream: Stream, kind: str, data: dict[str, object]) -> Draft:
        return Draft(stream, kind, "", "campaign", now, data, record_id(now))

    points = [
        {f"p{n}": {"value": random.randint(0, 65535), "unit": "V", "quality": "good"} for n in range(8)}
        for _ in range(count)
    ]
    state = {"state": "online", "reason": "answered", "text": "it answers again"}
    return [one("perception", "linli.reading.v1", {"points": each}) for each in points] + [
        one("management", "linli.device.state.v1", state),
        one("alarm", "linli.alarm.raised.v1", {"text": {"en": "high"}}),
        one("disposal", "linli.disposal.acknowledged.v1", {"by": "uid:0"}),
    ]


async def opened(state: Path, clock: SystemClock) -> Store:
    """Open with a short commit window and a quota that nothing here reaches."""
    settings = StoreSettings.model_validate({"records": "64MiB", "commit": "20ms"})
    return await Store.open(settings, state, "campaign", clock, REQUIRED)


async def write(state: Path, clock: SystemClock) -> None:
    """Make a store; a copy taken while it is open keeps its log."""
    store = await opened(state, clock)
    for _ in range(60):
        await store.put(drafts(clock, 40), facts={"alarm/high": b"{}"})
        await store.committed()
    store.confirm("platform", "perception", 200)
    await store.put(drafts(clock, 1))
    await store.committed()
    shutil.copytree(state, state.with_name("crashed"))
    await store.close()


async def read_all(store: Store) -> dict[str, dict[str, object]]:
    """All records by id, without what belongs to their place."""
    found = {}
    for stream in STREAMS:
        after = 0
        while records := await store.records(stream, after, 1000):
            after = records[-1].sequence
            for record in records:
                event = msgspec.json.decode(record.json)
                found[event["id"]] = {name: value for name, value in event.items() if name not in PLACE}
    return found


class Trial:
    """Counts over all trials."""

    def __init__(self) -> None:
        self.harmless = self.at_start = self.at_read = self.salvaged = self.lost_with_word = self.last_commit = 0
        self.wrong: list[str] = []
        self.corrupt: list[str] = []
        self.longest = 0.0


async def attempt(
    state: Path, clock: SystemClock, truth: dict[str, dict[str, object]], epoch: str, trial: Trial
) -> None:
    """Open as systemd would: again after an end, until the store stays up and everything was read."""
    begun = time.monotonic()
    for start in range(4):
        try:
            store = await opened(state, clock)
        except LinliError as error:
            trial.corrupt.append(f"it does not open: {error}")
            return
        try:
            if store.epoch != epoch:
                while (store.view()["damage"] or {}).get("state") != "done":
                    await clock.sleep(0.01)
            found = await read_all(store)
            await store.put(drafts(clock, 3))
            await store.committed()
        except (CommandError, LinliError):
            trial.at_read += start == 0
            continue
        finally:
            await store.close()
        fresh = store.epoch != epoch
        trial.at_start += fresh and start == 0
        trial.harmless += not fresh
        trial.longest = max(trial.longest, time.monotonic() - begun)
        changed = [each for each, event in found.items() if each in truth and truth[each] != event]
        missing = [each for each in truth if each not in found]
        if changed:
            trial.wrong.append(f"{len(changed)} records were given out changed")
        if missing and not fresh and len(missing) <= LAST_COMMIT:
            trial.last_commit += 1
        elif missing and not fresh:
            trial.wrong.append(f"{len(missing)} records are missing and nobody says so")
        if fresh:
            trial.salvaged += len(truth) - len(missing)
            trial.lost_with_word += len(missing)
        return
    trial.corrupt.append("four starts were not enough")


def campaign(folder: Path, times: int) -> Row:
    """Run it; the row says what came of it."""
    clock, trial, seed = SystemClock(), Trial(), folder / "seed"
    asyncio.run(write(seed, clock))
    crashed = folder / "crashed"
    truths = {}
    for each in (seed, crashed):
        copy = folder / "copy"
        shutil.copytree(each, copy)

        async def look(copy: Path = copy) -> tuple[dict[str, dict[str, object]], str]:
            store = await opened(copy, clock)
            try:
                return await read_all(store), store.epoch
            finally:
                await store.close()

        truths[each] = asyncio.run(look())
        shutil.rmtree(copy)
    for number in range(1, times + 1):
        source = random.choice((seed, crashed))
        state = folder / "state"
        shutil.copytree(source, state)
        file = random.choice([path for path in state.glob("records.db*") if not path.name.endswith("-shm")])
        content = bytearray(file.read_bytes())
        for _ in range(random.choice((1, 1, 4, 32)) if content else 0):
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        file.write_bytes(content)
        truth, epoch = truths[source]
        before = len(trial.wrong) + len(trial.corrupt)
        asyncio.run(attempt(state, clock, truth, epoch, trial))
        trial.corrupt += [f"trial {number}: {finding}" for finding in is_sound(state)]
        if len(trial.wrong) + len(trial.corrupt) > before:
            state.rename(folder / f"trial-{number}-{file.name}")
        else:
            shutil.rmtree(state)
        if number % 20 == 0:
            print(f"flips: {number} of {times}, wrong {len(trial.wrong)}, corrupt {len(trial.corrupt)}", flush=True)
    note = (
        f"{trial.last_commit} fell into the very last commit of the log and passed for a power cut,"
        f" {trial.at_start} found at start, {trial.at_read} when read, {trial.harmless} changed nothing; of the"
        f" unconfirmed and confirmed records in new epochs {trial.salvaged} came back, {trial.lost_with_word} did not"
        " (confirmed, or unreadable and told)"
    )
    return Row("bytes flipped in the database or its log", times, 0, trial.wrong, trial.corrupt, trial.longest, note)
