"""A salvage that is stopped between what it has brought and what it notes of it, while one damage follows another."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from gateway.contract import STREAMS
from gateway.store.commits import Committer
from tests.store.desk import opened, prove_all
from tests.store.test_salvage import REQUIRED, is_sound, plain, salvaged, sorted_by_id, suspect, written

# Where a salvage stands still: a method of the committer, the streams it is called for, and the how manieth call.
ONE_STEP_NOTED = ("room", None, 2)  # nothing of the second step is added yet
FIRST_STEP_COMMITTED = ("settled", 1, 1)  # and its place not saved
SECOND_STEP_COMMITTED = ("settled", 1, 2)
MOVE_NOTED = ("settled", len(STREAMS), 1)  # and nothing brought yet


@asynccontextmanager
async def stopped(monkeypatch, path, method, streams, calls):
    original, reached, left = getattr(Committer, method), asyncio.Event(), calls

    async def stand_still(self, *asked):
        nonlocal left
        await original(self, *asked)
        if streams in (None, len(*asked) if asked else len(STREAMS)):
            left -= 1
            if left == 0:
                reached.set()
                await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(Committer, method, stand_still)
        async with opened(path, required=REQUIRED) as store:
            async with asyncio.timeout(20):
                await reached.wait()
            yield store


@pytest.mark.parametrize(
    ("first", "second"), [(ONE_STEP_NOTED, FIRST_STEP_COMMITTED), (SECOND_STEP_COMMITTED, MOVE_NOTED)]
)
async def test_a_third_damage_doubles_and_loses_nothing(tmp_path, monkeypatch, first, second):
    _, before = await written(tmp_path, 1700)
    epochs = set()
    for place in (first, second):
        suspect(tmp_path)
        async with stopped(monkeypatch, tmp_path, *place) as store:
            epochs.add(store.epoch)
            assert store.view()["damage"]["state"] == "salvaging"
    suspect(tmp_path)
    async with opened(tmp_path, required=REQUIRED) as store:
        epochs.add(store.epoch)
        await salvaged(store)
        await asyncio.wait([store._salvaging])
        events = await prove_all(store)  # finds what is doubled
    assert len(epochs) == 3
    for stream in STREAMS:
        ids = {event["id"] for event in before[stream]}
        assert plain(sorted_by_id(e for e in events[stream] if e["id"] in ids)) == plain(sorted_by_id(before[stream]))
    is_sound(tmp_path)
