"""Runs hold the very records that are read one by one, cut wherever the limits say, however the rows lie."""

import json
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.contract import Record
from gateway.store.assembly import LINE, assemble
from gateway.store.packing import EMPTY, Packer, take_apart, unpack_lines, write_text
from gateway.store.reader import Reader
from gateway.store.runs import RunWriter
from tests.store.desk import opened, reading
from tests.store.test_packing import NOW, written


def of_device(number: int, sequence: int, value: object, step: int = 0) -> bytes:
    """One reading; devices of an even number share a template."""
    points = {"level": {"value": value}} if number % 2 == 0 else {f"p{number}": {"value": value}, "on": {"value": True}}
    return written({"points": points}, sequence, f"device-{number}", NOW + step * 1_000_000)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([1, 1, 2.5, "on", None]), st.integers(-90_000, 90_000)),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 10**12) | st.integers(90, 1010),
)
def test_rows_of_one_and_of_several_templates_are_put_together_alike(rows: list, first: int) -> None:
    records = [of_device(device, first + at, value, step) for at, (device, value, step) in enumerate(rows)]
    parts = [take_apart(record, first + at) for at, record in enumerate(records)]
    assert None not in parts
    random = b"".join(part.random for part in parts)
    assert assemble(write_text(parts), random, first) == b"".join(record + LINE for record in records)


class Rows(Reader):
    """A reader of rows that are in memory."""

    def __init__(self, sizes: list[int], missing: int) -> None:
        self.records_of: dict[int, bytes] = {}
        self._made: list[tuple[int, int, bytes]] = []
        packer, first = Packer(), 1 + missing
        for size in sizes:
            row = [of_device(at % 2 * 2, first + at, at % 7) for at in range(size)]
            self.records_of |= {first + at: record for at, record in enumerate(row)}
            lines = unpack_lines(packer.pack(row, first), first, 0, lambda _: EMPTY)
            self._made.append((first, first + size - 1, lines))
            first += size

    def _rows_from(self, stream, sequence):
        start = max((first for first, _, _ in self._made if first <= sequence), default=0)
        return iter([row for row in self._made if row[0] >= start])


@example([2], 0, 0, 2, 2, 809)
@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=8), st.integers(0, 5), st.integers(0, 40), st.integers(1, 60),
    st.integers(1, 15), st.integers(1, 9000),
)  # fmt: skip
def test_runs_are_what_records_are(sizes, missing, after, last, limit, max_bytes) -> None:
    rows = Rows(sizes, missing)
    wanted = {sequence: record for sequence, record in rows.records_of.items() if after < sequence <= last}
    found: dict[int, bytes] = {}
    reached = after
    for run in rows.runs("perception", after, last, limit, max_bytes):
        events = json.loads(run.json)
        assert run.json == b"[" + b",".join(rows.records_of[int(event["sequence"])] for event in events) + b"]"
        assert (run.after, run.last, run.records) == (reached, int(events[-1]["sequence"]), len(events))
        assert run.records == 1 or (run.records <= limit and len(run.json) <= max_bytes + 1)
        found |= {int(event["sequence"]): b"" for event in events}
        reached = run.last
    assert list(found) == list(wanted)


def test_a_run_ends_with_what_was_added() -> None:
    writer = RunWriter(4)
    writer.add(b'{"a":1}\n{"a":2}\n', 6, 2)
    assert (writer.size, writer.count) == (16, 2)
    assert writer.finish() == (4, 6, 2, b'[{"a":1},{"a":2}]')
    writer.add(b'{"a":3}\n', 7, 1)
    assert writer.finish() == (6, 7, 1, b'[{"a":3}]')


async def test_a_backlog_on_disk_and_the_tail_in_memory_give_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for start in range(0, 60, 5):
            await store.put([reading(value=start + at) for at in range(5)])
            await store.committed()
        records: list[Record] = await store.records("perception", 0, 100)
        assert [run.json for run in await store.runs("perception", 0, 100, 10**6)] == [
            b"[" + b",".join(record.json for record in records) + b"]"
        ]
    async with opened(tmp_path) as store:  # nothing of it in memory any more
        runs = await store.runs("perception", 7, 12, 10**6)
        assert [(run.after, run.last) for run in runs] == [(7, 15), (15, 25), (25, 35), (35, 45), (45, 55), (55, 60)]
        assert b"".join(run.json[1:-1] + b"," for run in runs)[:-1] == b",".join(record.json for record in records[7:])
        assert await store.runs("perception", 60, 12, 10**6) == []
