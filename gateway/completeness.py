"""Proves or disproves that the records of gateways are complete; standard library only, for platforms to take along.

The promise: within an epoch, every sequence number of a stream from 1 on is a record or lies in the range of a
``linli.gap.v1`` of that stream. Feed records in any form to ``entry``, sort, and ``prove``. Memory does not grow with
the number of records, only with holes and gaps.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal, NamedTuple

GAP = "linli.gap.v1"
SHOWN = 80

Kind = Literal["missing", "changed", "bad gap", "overlap", "same id"]
Range = tuple[int, int]


class MalformedError(ValueError):
    """This is no record: its place in a stream cannot be told."""


class Place(NamedTuple):
    """One stream of one incarnation of one gateway's store: what has a numbering of its own."""

    gateway: str
    epoch: str
    stream: str


class Entry(NamedTuple):
    """What the proof needs of a record. ``gap`` is the ``data`` of a gap record, None for every other record."""

    place: Place
    sequence: int
    id: str
    digest: bytes
    gap: Mapping[str, Any] | None = None


class Finding(NamedTuple):
    """One defect: numbers ``first`` to ``last`` of a stream, and what is wrong with them."""

    kind: Kind
    place: Place
    first: int
    last: int
    text: str


class Verdict(NamedTuple):
    """The outcome for one place. ``records`` are different numbers, ``resent`` identical copies beyond the first,
    ``explained`` numbers that only gap records account for, ``last`` the highest number that is known."""

    place: Place
    records: int
    resent: int
    explained: int
    last: int
    findings: tuple[Finding, ...]


def entry(record: object) -> Entry:
    """Take from a record (parsed JSON) what the proof needs; MalformedError says what is missing."""
    if not isinstance(record, Mapping):
        raise MalformedError(f"a record is a JSON object, not {str(record)[:SHOWN]!r}")
    words = [record.get(name) for name in ("id", "source", "epoch", "stream", "sequence", "type")]
    for name, word in zip(("id", "source", "epoch", "stream", "sequence", "type"), words, strict=True):
        if not isinstance(word, str) or not word:
            raise MalformedError(f"{name} is {str(word)[:SHOWN]!r} and should be text, in record {record.get('id')!r}")
    identity, source, epoch, stream, sequence, kind = (str(word) for word in words)
    parts = source.split("/")
    if parts[:2] != ["", "gateways"] or len(parts) < 3 or not parts[2]:
        raise MalformedError(f"source is {source[:SHOWN]!r} and should be /gateways/GATEWAY/…")
    if not (sequence.isascii() and sequence.isdecimal() and len(sequence) <= 20) or int(sequence) < 1:
        raise MalformedError(f"sequence is {sequence[:SHOWN]!r} and should be a number from 1")
    gap = record.get("data") if kind == GAP else None
    if kind == GAP and not isinstance(gap, Mapping):
        gap = {}
    return Entry(Place(parts[2], epoch, stream), int(sequence), identity, digest(record), gap)


def digest(record: object) -> bytes:
    """Return 16 bytes that are equal for equal JSON, whatever the order of its members."""
    text = json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def prove(entries: Iterable[Entry], ends: Mapping[Place, int] | None = None) -> Iterator[Verdict]:
    """Judge every place. ``entries`` are sorted by place and sequence; copies may stand in any order.

    ``ends`` is the highest number that each gateway itself names (``streams.*.last`` of its status). Without it nobody
    can notice what is missing at the very end of a stream, or a stream of which nothing came.
    """
    left = dict(ends or {})
    for place, group in groupby(entries, key=lambda one: one.place):
        yield _judge(place, group, left.pop(place, 0))
    for place, end in sorted(left.items()):
        if end > 0:
            yield _judge(place, (), end)


def _judge(place: Place, entries: Iterable[Entry], end: int) -> Verdict:
    findings: list[Finding] = []
    holes: list[Range] = []
    gaps: list[tuple[int, int, int]] = []
    records = resent = last = 0
    for sequence, group in groupby(entries, key=lambda one: one.sequence):
        copies = list(group)
        if sequence > last + 1:
            holes.append((last + 1, sequence - 1))
        last = sequence
        records += 1
        resent += len(copies) - 1
        different = {(copy.id, copy.digest) for copy in copies}
        if len(different) > 1:
            ids = sorted({copy.id for copy in copies})
            text = f"{len(different)} different records with this number, ids {', '.join(ids[:3])}"
            findings.append(Finding("changed", place, sequence, sequence, text))
        for data in {copy.digest: copy.gap for copy in copies if copy.gap is not None}.values():
            problem = bad_gap(place.stream, sequence, data)
            if problem:
                findings.append(Finding("bad gap", place, sequence, sequence, problem))
            else:
                gaps.append((data["first"], data["last"], sequence))
    if end > last:
        holes.append((last + 1, end))
    findings += _overlaps(place, gaps)
    told = _union(gaps)
    missing = list(_subtract(holes, told))
    for first, until in missing:
        count = until - first + 1
        # A platform takes this file along without any other of the gateway's.
        text = f"{count} number{'s'[: count != 1]} neither received nor explained by a gap record"
        findings.append(Finding("missing", place, first, until, text))
    explained = _length(holes) - _length(missing)
    return Verdict(place, records, resent, explained, max(last, end), tuple(findings))


def bad_gap(stream: str, sequence: int, data: Mapping[str, Any]) -> str:
    """Say what is wrong with a gap record, "" if nothing; a bad one explains nothing."""
    first, last, count = (data.get(name) for name in ("first", "last", "count"))
    if not all(type(number) is int for number in (first, last, count)):
        return "first, last and count should be whole numbers"
    assert isinstance(first, int) and isinstance(last, int)  # noqa: S101, PT018 - said to the type checker
    if data.get("stream") != stream:
        return f"it speaks of the stream {str(data.get('stream'))[:SHOWN]!r}"
    if not 1 <= first <= last:
        return f"its range is {first} to {last}"
    if count != last - first + 1:
        return f"its count is {count}, its range {first} to {last} has {last - first + 1}"
    if last >= sequence:
        return f"it explains up to {last}, but only what stood before itself can be gone"
    return ""


def _overlaps(place: Place, gaps: Iterable[tuple[int, int, int]]) -> Iterator[Finding]:
    """Find gaps that share numbers with another without one containing the other."""
    open_ends: list[int] = []
    for first, last, sequence in sorted(gaps, key=lambda gap: (gap[0], -gap[1])):
        while open_ends and open_ends[0] < first:
            heapq.heappop(open_ends)
        # Of the gaps that began earlier and reach this one, the shortest is the one that may end inside it.
        if open_ends and open_ends[0] < last:
            text = f"the gap record {sequence} ({first} to {last}) overlaps one that ends at {open_ends[0]}"
            yield Finding("overlap", place, first, open_ends[0], text)
        heapq.heappush(open_ends, last)


def _union(gaps: Iterable[tuple[int, int, int]]) -> list[Range]:
    joined: list[Range] = []
    for first, last, _ in sorted(gaps):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def _subtract(holes: Sequence[Range], told: Sequence[Range]) -> Iterator[Range]:
    """What of ascending ranges lies outside other ascending ranges."""
    at = 0
    for first, last in holes:
        while at < len(told) and told[at][1] < first:
            at += 1
        start, index = first, at
        while index < len(told) and told[index][0] <= last:
            if told[index][0] > start:
                yield start, told[index][0] - 1
            start = told[index][1] + 1
            index += 1
        if start <= last:
            yield start, last


def _length(ranges: Iterable[Range]) -> int:
    return sum(last - first + 1 for first, last in ranges)
