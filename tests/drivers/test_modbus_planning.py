"""Request planning against a brute-force optimum, and its limits."""

from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import drivers
from drivers.modbus import _limits
from drivers.modbus.address import Span, Table, locate
from drivers.modbus.planning import Limits, cut_of, plan_blocks
from tests.drivers.test_vectors import PROFILES, address_of, spec_of

SPANS = st.lists(
    st.builds(Span, st.just(Table.HOLDING), st.integers(0, 24), st.integers(1, 4)), min_size=1, max_size=7, unique=True
)


def fewest(spans: list[Span], limits: Limits) -> int:
    """The optimum by trying every set of address ranges that the limits allow."""
    needed = {at for span in spans for at in range(span.start, span.end)}
    ends = sorted({span.end for span in spans})
    ranges = []
    for start in {span.start for span in spans}:
        for end in ends:
            inside = sorted(at for at in needed if start <= at < end)
            narrow = all(after - before - 1 <= limits.gap for before, after in pairwise(inside))
            if start < end and end - start <= limits.registers and inside and narrow:
                ranges.append(frozenset(span for span in spans if start <= span.start and span.end <= end))
    everything, done, count = frozenset(spans), {frozenset()}, 0
    while everything not in done:
        count += 1
        done = {have | more for have in done for more in ranges}
    return count


@settings(max_examples=150, deadline=None)
@given(SPANS, st.integers(0, 5), st.integers(4, 16))
def test_requests_are_as_few_as_can_be(spans, gap, most):
    limits = Limits(registers=most, gap=gap)
    blocks = plan_blocks(spans, limits)
    assert len(blocks) == fewest(spans, limits)
    assert sorted(span for block in blocks for span in block.wanted) == sorted(spans)
    for block in blocks:
        assert len(block.requests) == 1
        assert block.requests[0].size <= most
        assert all(block.span.start <= span.start and span.end <= block.span.end for span in block.wanted)


def optimum(spans: list[Span], limits: Limits) -> int:
    """The fewest requests for spans of one table, by trying every first request for what is left (memoised)."""
    ordered = sorted(set(spans))

    @cache
    def rest(done: int) -> int:
        if done == len(ordered):
            return 0
        best, end = len(ordered), ordered[done].start
        for last in range(done, len(ordered)):
            span = ordered[last]
            if span.start - end > limits.widest_gap(span.table):
                break
            end = max(end, span.end)
            size = end - ordered[done].start
            if last > done and size > limits.most(span.table):
                break
            best = min(best, -(-size // limits.most(span.table)) + rest(last + 1))
        return best

    return rest(0)


@settings(max_examples=100, deadline=None)
@given(SPANS, st.integers(0, 5), st.integers(4, 16))
def test_the_optimum_of_the_test_is_the_optimum(spans, gap, most):
    limits = Limits(registers=most, gap=gap)
    assert optimum(spans, limits) == fewest(spans, limits)


@pytest.mark.parametrize("name", [name for name, profile in PROFILES.items() if profile.driver == "modbus"])
def test_no_profile_takes_more_requests_than_it_must(name):
    spec = spec_of(PROFILES[name], address_of(PROFILES[name].vector[0]))
    device = drivers.find("modbus").make(spec)
    spans = [locate(point) for point in spec.points.values()]
    limits = _limits(spec)
    best = sum(optimum([span for span in spans if span.table is table], limits) for table in Table)
    assert len(device.requests(spec.points)) <= best


def test_a_value_is_split_only_when_it_alone_is_too_long():
    long, near = Span(Table.HOLDING, 0, 25), Span(Table.HOLDING, 26, 1)
    first, second = plan_blocks([near, long], Limits(registers=10))
    assert [str(request) for request in first.requests] == ["holding:0-9", "holding:10-19", "holding:20-24"]
    assert second.wanted == (near,)
    nested = plan_blocks([long, Span(Table.HOLDING, 24, 1)], Limits(registers=10))
    assert len(nested) == 1


def test_tables_are_never_joined_and_bits_have_limits_of_their_own():
    spans = [Span(table, at, 1) for table in Table for at in (0, 1)]
    assert [block.span.size for block in plan_blocks(spans, Limits())] == [2, 2, 2, 2]
    far = [Span(Table.COIL, 0, 1), Span(Table.COIL, 100, 1), Span(Table.COIL, 1999, 1)]
    assert len(plan_blocks(far, Limits())) == 2
    assert len(plan_blocks(far, Limits(gap=125))) == 1


@settings(max_examples=100, deadline=None)
@given(SPANS)
def test_cutting_ends_with_single_values(spans):
    """However a device refuses, dividing block by block comes to an end, and loses nothing."""
    cuts: set[tuple[Table, int]] = set()
    while True:
        blocks = plan_blocks(spans, Limits(), cuts)
        divisible = [cut for block in blocks if (cut := cut_of(block)) is not None]
        assert sorted(span for block in blocks for span in block.wanted) == sorted(spans)
        if not divisible:
            break
        assert divisible[0] not in cuts
        cuts.add(divisible[0])
    for block in blocks:
        for number, span in enumerate(block.wanted[1:], 1):
            assert span.start < max(before.end for before in block.wanted[:number])
