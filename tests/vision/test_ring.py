"""The ring of packets: whole groups, bounded by seconds and bytes."""

from dataclasses import replace

from gateway.vision.ring import PacketRing
from tests.vision.coded import SECOND, coded


def filled(ring: PacketRing, count: int, group: int = 25, size: int = 1000) -> PacketRing:
    for index in range(count):
        ring.add(coded(index, size, key=index % group == 0))
    return ring


def test_a_clip_begins_with_the_key_frame_before_it() -> None:
    ring = filled(PacketRing(60.0), 200)
    found = ring.between(round(3.3 * SECOND), round(5.0 * SECOND))
    assert (found[0].index, found[0].key, found[-1].index) == (75, True, 125)


def test_what_is_older_than_the_ring_is_not_there_and_the_rest_begins_whole() -> None:
    ring = filled(PacketRing(2.0), 500)
    found = ring.between(0, 100 * SECOND)
    assert found[0].key
    assert 2.0 <= found[-1].time - found[0].time < 3.1


def test_a_high_bit_rate_shortens_the_ring() -> None:
    ring = filled(PacketRing(60.0, most_bytes=40_000), 500)
    found = ring.between(0, 100 * SECOND)
    assert found[0].key
    assert sum(one.size for one in found) <= 40_000


def test_one_group_larger_than_the_ring_is_not_kept_at_all() -> None:
    ring = filled(PacketRing(60.0, most_bytes=10_000), 100, group=1000)
    assert all(not one.key for one in ring.between(0, 100 * SECOND))


def test_without_a_key_frame_there_is_nothing_to_show() -> None:
    ring = PacketRing(60.0)
    for index in range(1, 50):
        ring.add(coded(index))
    assert ring.between(0, 100 * SECOND) == []
    ring.clear()
    assert ring.newest is None


def test_where_no_clip_may_be_made_nothing_is_kept() -> None:
    ring = filled(PacketRing(60.0), 50)
    ring.keep(on=True)
    assert ring.newest is not None
    ring.keep(on=False)
    assert filled(ring, 50).newest is None
    ring.keep(on=True)
    assert filled(ring, 50).newest is not None


def test_who_is_behind_finds_what_was_there_before() -> None:
    ring = PacketRing(2.0)
    ring.late = 4.0
    found = filled(ring, 500).between(0, 100 * SECOND)
    assert 6.0 <= found[-1].time - found[0].time < 7.1
    ring.late = 0.0
    ring.add(coded(500, key=True))
    assert ring.between(0, 100 * SECOND)[0].time > 16.9


def test_a_clock_that_is_set_back_leaves_no_group_without_its_key_frame() -> None:
    ring = PacketRing(60.0)
    for index in range(100):
        packet = coded(index, key=index % 25 == 0)
        ring.add(replace(packet, wall=packet.wall + (3600 * SECOND if index < 60 else 0)))
    found = ring.between(0, 100 * SECOND)
    assert [found[0].index, found[-1].index] == [75, 99]


def test_what_is_forgotten_is_gone_and_the_rest_stays() -> None:
    ring = filled(PacketRing(60.0), 100)
    ring.forget(60)
    assert [one.index for one in ring.between(0, 100 * SECOND)] == list(range(75, 100))
