"""Joins the spans of points into the fewest requests that a device takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from drivers.modbus.address import MAX_BITS, MAX_REGISTERS, Span, Table

DEFAULT_GAP = 8  # registers; a request costs 13 bytes and a turnaround, 8 unwanted registers cost 16 bytes
BITS_PER_REGISTER = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What one device takes. ``registers`` and ``bits`` in one request; ``gap`` in registers read along unwanted."""

    registers: int = MAX_REGISTERS
    bits: int = MAX_BITS
    gap: int = DEFAULT_GAP

    def most(self, table: Table) -> int:
        """Most registers or bits in one request."""
        return self.bits if table.of_bits else self.registers

    def widest_gap(self, table: Table) -> int:
        """Most unwanted registers or bits between two wanted ones."""
        return self.gap * BITS_PER_REGISTER if table.of_bits else self.gap


@dataclass(frozen=True, slots=True)
class Block:
    """One stretch of a table read for some spans: by one request, or by several when one span alone is too long."""

    span: Span
    wanted: tuple[Span, ...]
    requests: tuple[Span, ...]


def plan_blocks(spans: Iterable[Span], limits: Limits, cuts: Collection[tuple[Table, int]] = ()) -> list[Block]:
    """Join spans, left to right. ``cuts`` (table, address): no request may reach across that address.

    Greedy is optimal here: some request must cover the leftmost span, and none that does reaches further than this one.
    """
    blocks: list[Block] = []
    group: list[Span] = []
    end = 0
    for span in sorted(set(spans), key=lambda span: (span.table, span.start, -span.size)):
        if group:
            first = group[0]
            joins = (
                span.table is first.table
                and span.start - end <= limits.widest_gap(span.table)
                and max(end, span.end) - first.start <= limits.most(span.table)
                and not any(table is span.table and end <= cut <= span.start for table, cut in cuts)
            )
            if joins or (span.table is first.table and span.end <= end):
                group.append(span)
                end = max(end, span.end)
                continue
            blocks.append(_block(group, end, limits))
        group, end = [span], span.end
    if group:
        blocks.append(_block(group, end, limits))
    return blocks


def cut_of(block: Block) -> tuple[Table, int] | None:
    """Where to divide a block that the device refuses: at its widest gap, else in the middle; None when it cannot be.

    Halving finds one bad register among n in about log2(n) further requests and leaves the good ones joined.
    """
    edges: list[tuple[int, int]] = []  # (gap before, start) of every span that begins at or behind all before it
    end = block.wanted[0].end
    for span in block.wanted[1:]:
        if span.start >= end:
            edges.append((span.start - end, span.start))
        end = max(end, span.end)
    if not edges:
        return None
    widest = max(gap for gap, _ in edges)
    starts = [start for gap, start in edges if gap == widest]
    return block.span.table, starts[len(starts) // 2]


def _block(group: list[Span], end: int, limits: Limits) -> Block:
    table, start = group[0].table, group[0].start
    most = limits.most(table)
    requests = tuple(Span(table, at, min(most, end - at)) for at in range(start, end, most))
    return Block(Span(table, start, end - start), tuple(group), requests)
