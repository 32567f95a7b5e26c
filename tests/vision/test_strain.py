"""Whether a machine keeps up: what is late is looked at more seldom, and overload begins and ends once."""

import pytest

from gateway.vision.strain import BEATS, BEHIND, Strain


def test_a_machine_that_is_too_slow_says_so_and_when_it_is_over() -> None:
    strain = Strain()
    strain.beat(20, 30)
    reason, sentence = strain.trouble
    assert reason == "overload"
    assert "20 of 50" in sentence
    for _ in range(BEATS - 1):
        strain.beat(25, 0)
        assert strain.trouble == (reason, sentence)
    strain.beat(25, 0)
    assert strain.trouble == ("", "")


def test_what_is_far_behind_says_so_before_anything_is_dropped() -> None:
    strain = Strain()

    def beats(count: int, late: float) -> None:
        for _ in range(count):
            strain.late(late)
            assert strain.beat(25, 0) == late

    beats(BEATS - 1, BEHIND + 5)
    assert strain.trouble == ("", "")  # a moment is no sign of a slow machine
    beats(1, BEHIND + 5)
    reason, sentence = strain.trouble
    assert reason == "overload"
    assert "250 of 250 frames" in sentence
    assert "9 s late" in sentence
    beats(BEATS, 2.0)  # it catches up, but has not yet: the state does not come and go
    assert strain.trouble == (reason, sentence)
    beats(BEATS, 0.1)
    assert strain.trouble == ("", "")


@pytest.mark.parametrize("lag", [0.1, 2.0])
def test_what_is_late_is_looked_at_more_seldom(lag: float) -> None:
    strain = Strain()
    looked = sum(strain.in_time(index / 25, lag, may_skip=True) for index in range(100))
    assert looked == (100 if lag < 1 else 25)
    assert strain.skipped == 100 - looked


def test_where_every_frame_counts_none_is_skipped() -> None:
    strain = Strain()
    assert all(strain.in_time(index / 25, 9.0, may_skip=False) for index in range(100))


def test_what_came_before_the_first_look_is_caught_up_with_whole() -> None:
    strain = Strain()
    strain.begin()
    assert all(strain.in_time(index / 25, 2.0, may_skip=True) for index in range(50))
    assert strain.in_time(2.0, 0.1, may_skip=True)
    assert not strain.in_time(2.04, 2.0, may_skip=True)
    strain.begin()  # times begin anew with the stream
    strain.in_time(0.0, 0.1, may_skip=True)
    assert strain.skipped == 0
