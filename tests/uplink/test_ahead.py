"""What is read ahead follows without a hole, and goes when it no longer fits."""

import asyncio
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract import CommandError
from gateway.uplink.ahead import Ahead
from tests.uplink.stand_in import MemoryStore


def sequences(json_array: bytes) -> list[int]:
    return [int(event["sequence"]) for event in json.loads(json_array)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 2000), st.integers(0, 5)), max_size=40))
def test_a_stream_comes_in_order_whatever_the_sizes(turns: list[tuple[int, int, int]]) -> None:
    async def work() -> None:
        store = MemoryStore()
        await store.fill("perception", 60)
        ahead, after = Ahead(store, "perception"), 0
        for limit, size, back in turns:
            after = max(0, after - back)  # a connection that broke
            run = await ahead.next(after, limit, size, store.bounds("perception")[1])
            assert (run is None) == (after == 60)
            if run is None:
                break
            assert sequences(run.json) == list(range(after + 1, run.last + 1))
            assert run.records == 1 or (run.records <= limit and len(run.json) <= size + run.records + 2)
            after = run.last
        await ahead.stop()

    asyncio.run(work())


async def test_a_store_that_cannot_be_read_is_told_and_tried_again() -> None:
    store = MemoryStore()
    await store.fill("perception", 50)
    ahead = Ahead(store, "perception")
    first = await ahead.next(0, 2, 10_000, 50)
    assert first is not None
    store.broken = True
    after, told = first.last, 0
    while not told:
        try:
            run = await ahead.next(after, 2, 10_000, 50)
            assert run is not None
            after = run.last
        except CommandError:
            told += 1
    store.broken = False
    run = await ahead.next(after, 2, 10_000, 50)
    assert run is not None
    assert sequences(run.json) == [after + 1, after + 2]
    await ahead.stop()


async def test_what_was_erased_meanwhile_is_not_given_out() -> None:
    store = MemoryStore()
    await store.fill("perception", 50)
    ahead = Ahead(store, "perception")
    first = await ahead.next(0, 5, 10_000, 50)
    assert first is not None
    store.streams["perception"] = [record for record in store.streams["perception"] if record.sequence != 7]
    store.erasures += 1
    second = await ahead.next(first.last, 5, 10_000, 50)
    assert second is not None
    assert sequences(second.json) == [6, 8, 9, 10, 11]
    await ahead.stop()
