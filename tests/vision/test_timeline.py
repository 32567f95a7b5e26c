"""The clock of a stream: stamps that lie never turn time back, and the true ones are kept."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from gateway.vision.timeline import Timeline


def placed(stamps: Sequence[float | None], arrivals: list[float] | None = None) -> list[float]:
    timeline = Timeline(0.04)
    return [timeline.place(stamp, arrivals[place] if arrivals else None) for place, stamp in enumerate(stamps)]


def test_true_stamps_are_kept_from_the_first_one_on() -> None:
    assert placed([100.0, 100.04, 100.12, 100.08]) == pytest.approx([0.0, 0.04, 0.12, 0.08])


def test_missing_stamps_go_on_at_the_usual_pace() -> None:
    assert placed([0.0, None, None, 0.12]) == pytest.approx([0.0, 0.04, 0.08, 0.12])


def test_a_stray_stamp_is_passed_over() -> None:
    assert placed([0.0, 0.04, -300.0, 0.12, 9e6, 0.2]) == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16, 0.2])


def test_a_clock_that_was_set_back_goes_on_where_it_was() -> None:
    times = placed([50.0, 50.04, 10.0, 10.04, 10.08, 10.12])
    assert times == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16, 0.2])


def test_a_recording_with_a_hole_keeps_its_hole() -> None:
    times = placed([0.0, 0.04, 60.0, 60.04, 60.08])
    assert times[-2:] == pytest.approx([60.04, 60.08])


def test_a_live_clock_that_leaps_is_held_to_what_has_passed() -> None:
    arrivals = [7.0, 7.04, 7.08, 7.12, 7.16]
    times = placed([0.0, 0.04, 3600.0, 3600.04, 3600.08], arrivals)
    assert times == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16])


def test_a_live_stall_is_real_time() -> None:
    times = placed([0.0, 0.04, 20.0, 20.04], [7.0, 7.04, 27.0, 27.04])
    assert times == pytest.approx([0.0, 0.04, 20.0, 20.04])


def test_live_without_stamps_time_is_the_arrival() -> None:
    assert placed([None, None, None], [7.0, 7.5, 9.0]) == pytest.approx([0.0, 0.5, 2.0])


def test_a_clock_that_stands_still_is_no_clock() -> None:
    arrivals = [7.0 + 0.04 * index for index in range(50)]
    assert placed([0.0] * 50, arrivals)[-1] == pytest.approx(49 * 0.04, abs=0.3)
    assert placed([0.0] * 50)[-1] == pytest.approx(49 * 0.04, abs=0.3)
    later = placed(
        [0.0] * 50 + [5.0 + 0.04 * index for index in range(5)], [*arrivals, *(9.0 + 0.04 * i for i in range(5))]
    )
    assert all(0.0 < two - one < 0.3 for one, two in pairwise(later[10:]))
