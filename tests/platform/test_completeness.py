"""The proof: no false alarm on anything that a gateway may do, and every defect found."""

import copy
import random
from collections.abc import Sequence
from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.completeness import MalformedError, Place, Verdict, entry, prove
from tests.platform.histories import History, Record, gap, identity, record, resent

PLACE = Place("sh-1", "k3f9", "perception")
seeds = st.integers(0, 2**32)


def judge(records: Sequence[Record], ends: dict[Place, int] | None = None) -> list[Verdict]:
    return list(prove(sorted((entry(one) for one in records), key=lambda one: (one.place, one.sequence)), ends))


def findings(records: Sequence[Record], ends: dict[Place, int] | None = None) -> list[tuple[str, int, int]]:
    return [(one.kind, one.first, one.last) for verdict in judge(records, ends) for one in verdict.findings]


def numbers(records: Sequence[Record]) -> set[int]:
    return {int(one["sequence"]) for one in records}


def explained(records: Sequence[Record]) -> set[int]:
    told = [one["data"] for one in records if one["type"] == "linli.gap.v1"]
    return {number for data in told for number in range(data["first"], data["last"] + 1)}


@given(seeds, st.integers(0, 40))
@settings(max_examples=300, deadline=None)
def test_no_false_alarm(seed: int, steps: int) -> None:
    rng = random.Random(seed)
    histories = [History(rng, gateway, epoch, "perception", steps) for gateway in "ab" for epoch in ("e1", "e2")]
    received = [one for history in histories for one in history.received.values()]
    ends = {Place(*history.place): history.last for history in histories}
    copies = resent(rng, received)
    verdicts = judge(copies, ends)
    assert [finding for verdict in verdicts for finding in verdict.findings] == []
    assert sum(verdict.records for verdict in verdicts) == len(received)
    assert sum(verdict.resent for verdict in verdicts) == len(copies) - len(received)
    for history in histories:
        of_it = [verdict for verdict in verdicts if verdict.place == Place(*history.place)]
        assert len(of_it) == (history.last > 0)
        for verdict in of_it:
            assert verdict.records + verdict.explained == verdict.last == history.last


@given(seeds, st.integers(2, 40), st.data())
@settings(max_examples=300, deadline=None)
def test_every_lost_record_is_found(seed: int, steps: int, data: st.DataObject) -> None:
    history = History(random.Random(seed), *PLACE, steps)
    received = list(history.received.values())
    keep = data.draw(st.lists(st.booleans(), min_size=len(received), max_size=len(received)))
    left = [one for one, kept in zip(received, keep, strict=True) if kept]
    expected = set(range(1, history.last + 1)) - numbers(left) - explained(left)
    found = findings(left, {PLACE: history.last})
    assert {kind for kind, _, _ in found} <= {"missing"}
    ranges = [(first, last) for _, first, last in found]
    assert {number for first, last in ranges for number in range(first, last + 1)} == expected
    assert ranges == sorted(ranges)
    assert all(one[1] + 1 < two[0] for one, two in pairwise(ranges)), "ranges are as wide as can be"


@given(seeds, st.integers(2, 40), st.data())
@settings(max_examples=200, deadline=None)
def test_every_other_defect_is_found(seed: int, steps: int, data: st.DataObject) -> None:
    rng = random.Random(seed)
    history = History(rng, *PLACE, steps)
    received = list(history.received.values())
    if not received:
        return
    victim = data.draw(st.sampled_from(received))
    number = int(victim["sequence"])
    other = copy.deepcopy(victim)
    how = data.draw(st.sampled_from(["value", "id", "gap"]))
    if how == "value":
        other["timequality"] = "unknown"
    elif how == "id":
        other["id"] = identity(rng)
    else:
        other = gap(rng, *PLACE, number, 1, max(1, number - 1))
    assert ("changed", number, number) in findings(resent(rng, [*received, other]))


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 12)), max_size=8))
@settings(max_examples=400, deadline=None)
def test_gaps_that_cross_are_found_and_nested_ones_are_not(spans: list[tuple[int, int]]) -> None:
    rng = random.Random(0)
    ranges = [(first, first + more) for first, more in spans]
    records = [record(rng, *PLACE, number, 0.0) for number in range(1, 51)]
    records += [gap(rng, *PLACE, 51 + index, first, last) for index, (first, last) in enumerate(ranges)]
    crossing = any(one[0] < two[0] <= one[1] < two[1] for one, two in permutations(ranges, 2))
    found = findings(records)
    assert {kind for kind, _, _ in found} == ({"overlap"} if crossing else set())


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 12)), max_size=6), st.sets(st.integers(1, 60)))
@settings(max_examples=400, deadline=None)
def test_missing_is_what_neither_a_record_nor_a_gap_accounts_for(
    spans: list[tuple[int, int]], present: set[int]
) -> None:
    rng = random.Random(1)
    records = [record(rng, *PLACE, number, 0.0) for number in present]
    records += [gap(rng, *PLACE, 61 + index, first, first + more) for index, (first, more) in enumerate(spans)]
    last = 60 + len(spans)
    expected = set(range(1, last + 1)) - numbers(records) - explained(records)
    missing = [(first, until) for kind, first, until in findings(records, {PLACE: last}) if kind == "missing"]
    assert {number for first, until in missing for number in range(first, until + 1)} == expected
    (verdict,) = judge(records, {PLACE: last})
    assert verdict.records + verdict.explained + len(expected) == last


BAD_GAPS = {
    "reversed": {"first": 3, "last": 2, "count": 0},
    "a wrong count": {"first": 2, "last": 3, "count": 3},
    "a small count": {"first": 2, "last": 3, "count": 1},
    "no count": {"first": 2, "last": 3},
    "from zero": {"first": 0, "last": 3, "count": 4},
    "itself": {"first": 2, "last": 4, "count": 3},
    "the future": {"first": 2, "last": 9, "count": 8},
    "text": {"first": "2", "last": "3", "count": 2},
    "fractions": {"first": 2.0, "last": 3.0, "count": 2},
    "booleans": {"first": True, "last": True, "count": True},
    "another stream": {"first": 2, "last": 3, "count": 2, "stream": "alarm"},
    "nothing": {},
}


@pytest.mark.parametrize("data", BAD_GAPS.values(), ids=list(BAD_GAPS))
def test_a_bad_gap_is_named_and_explains_nothing(data: dict[str, object]) -> None:
    rng = random.Random(2)
    told = {**gap(rng, *PLACE, 4, 2, 3), "data": {"stream": "perception", **data} if data else {}}
    assert findings([record(rng, *PLACE, 1, 0.0), told]) == [("bad gap", 4, 4), ("missing", 2, 3)]


def test_the_end_and_a_silent_stream_are_missed_only_when_the_gateway_names_its_end() -> None:
    rng = random.Random(3)
    records = [record(rng, *PLACE, number, 0.0) for number in (1, 2)]
    assert findings(records) == []
    silent = PLACE._replace(stream="alarm")
    assert findings(records, {PLACE: 4, silent: 7}) == [("missing", 3, 4), ("missing", 1, 7)]
    assert findings(records, {PLACE: 1, silent: 0}) == []
    assert [verdict.last for verdict in judge(records, {PLACE: 4, silent: 7})] == [4, 7]


def test_a_gap_as_wide_as_the_sea_costs_nothing() -> None:
    rng = random.Random(4)
    (verdict,) = judge([gap(rng, *PLACE, 10**18, 1, 10**18 - 5)])
    assert verdict.explained == 10**18 - 5
    assert [(one.first, one.last) for one in verdict.findings] == [(10**18 - 4, 10**18 - 1)]


WHOLE = record(random.Random(5), *PLACE, 1, 0.0)


@pytest.mark.parametrize(
    "broken",
    [
        None, [], "text", {}, {**WHOLE, "sequence": 1}, {**WHOLE, "sequence": "0"}, {**WHOLE, "sequence": "-1"},
        {**WHOLE, "sequence": "9" * 21}, {**WHOLE, "sequence": "１"}, {**WHOLE, "id": None},
        {**WHOLE, "source": "/x/y"},
        {**WHOLE, "source": "/gateways/"}, {**WHOLE, "epoch": ""}, {**WHOLE, "stream": ["a"]},
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused(broken: object) -> None:
    with pytest.raises(MalformedError):
        entry(broken)
