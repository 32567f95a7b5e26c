"""Rows give back the very bytes that went in, whatever those were."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import SystemClock
from gateway.contract import Draft, record_id
from gateway.store.envelope import Envelope, Stamp, waiting
from gateway.store.packing import EMPTY, DamagedError, Dictionary, Packer, take_apart, unpack

NOW = 1_795_300_000_000_000_000
CLOCK = SystemClock("Asia/Shanghai")
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()
DATA = st.dictionaries(
    st.text(),
    st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10),
    max_size=5,
)


def written(data, sequence, source="sump-level", time=NOW, extra=None):
    draft = Draft("perception", "linli.reading.v1", source, source, time, data, record_id(time), extra or {})
    stamp = Stamp(NOW, CLOCK.rfc3339(NOW), "synced")
    return Envelope("gw-1", "k3f9").json(waiting(draft, "synced"), CLOCK.rfc3339(time), sequence, stamp)


def round_trip(packer, records, first):
    number, dictionary = packer.dictionary.number, packer.dictionary
    payload = packer.pack(records, first)
    return unpack(payload, first, number, lambda wanted: dictionary if wanted else EMPTY)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(DATA, st.text(max_size=20), st.integers(0, 2**62)), min_size=1, max_size=4),
    st.integers(1, 10**19),
    st.dictionaries(st.text(alphabet="abc19", min_size=1), SCALARS, max_size=2),
)
def test_whatever_a_record_says_comes_back_byte_for_byte(rows, first, extra):
    records = [written(data, first + n, source, time, extra) for n, (data, source, time) in enumerate(rows)]
    assert all(json.loads(record)["specversion"] == "1.0" for record in records)
    assert round_trip(Packer(), records, first) == records


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(min_size=1).filter(lambda line: b"\n" not in line), min_size=1, max_size=5))
def test_lines_that_are_no_records_come_back_too(lines):
    assert round_trip(Packer(), lines, 1) == lines


def test_ours_are_taken_apart_and_others_are_not():
    assert take_apart(written({"points": {"a": {"value": 1}}}, 7), 7) is not None
    assert take_apart(written({"points": {"a": {"value": 1}}}, 7), 8) is None
    assert take_apart(written({}, 7).replace(b'"id":"0', b'"id":"x'), 7) is None
    assert take_apart(written({}, 7).replace(b'"id":"0', b'"id":"A'), 7) is None


def test_a_learned_dictionary_makes_rows_much_smaller_and_gives_the_same_bytes():
    packer = Packer()
    sizes = []
    for row in range(60):
        first = 1 + row * 20
        records = [
            written({"points": {f"p{i}": {"value": row * i, "unit": "V"} for i in range(20)}}, first + n, f"dev-{n}")
            for n in range(20)
        ]
        assert round_trip(packer, records, first) == records
        sizes.append(len(packer.pack(records, first)))
        content = packer.lesson()
        if content:
            packer = Packer(Dictionary(packer.dictionary.number + 1, content))
    assert packer.dictionary.number >= 1
    assert sizes[-1] < sizes[0] * 0.8


def test_new_words_make_a_new_dictionary_but_not_soon():
    packer = Packer(Dictionary(1, b"\x01\x01\x01\x01"))
    lessons = 0
    for row in range(120):
        first = 1 + row * 200
        packer.pack([written({"a": n}, first + n, f"dev-{row}") for n in range(200)], first)
        lessons += packer.lesson() is not None
    assert lessons == 1


@pytest.mark.parametrize("at", [0, 3, 4, 5, 10, 60, -1])
def test_a_flipped_byte_is_noticed(at):
    payload = bytearray(Packer().pack([written({"points": {"a": n}}, n) for n in range(1, 9)], 1))
    payload[at] ^= 0x40
    with pytest.raises(DamagedError):
        unpack(bytes(payload), 1, 0, lambda _: EMPTY)


@pytest.mark.parametrize("payload", [b"", b"abc", bytes(7), bytes(100)])
def test_what_is_no_payload_is_noticed(payload):
    with pytest.raises(DamagedError):
        unpack(payload, 1, 0, lambda _: EMPTY)


def test_a_payload_of_another_type_is_damage():
    with pytest.raises(DamagedError, match="no payload"):
        unpack(None, 1, 0, lambda _: EMPTY)
