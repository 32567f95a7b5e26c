"""Report policy, pace and back-off."""

from itertools import pairwise

from gateway.contract import PointValue
from gateway.settings import ReportSettings
from gateway.sources.pace import Backoff, Pace
from gateway.sources.report import ReportPolicy

BAD = PointValue(None, "bad", "timeout")


def recorded(
    report: ReportSettings, *steps: tuple[float, float | bool | str | None], every: float = 1.0
) -> list[float]:
    """Times at which a point is recorded, for (time, value); None is a bad value."""
    policy = ReportPolicy({"p": report}, every)
    times = []
    for now, value in steps:
        points = {"p": BAD if value is None else PointValue(value)}
        if policy.answered(points, now):
            times.append(now)
    return times


def test_always_records_every_answered_read():
    assert recorded(ReportSettings(), (0, 1), (1, 1), (2, 1)) == [0, 1, 2]


def test_on_change_records_changes_of_value_and_quality():
    report = ReportSettings(on="change")
    assert recorded(report, (0, 1), (1, 1), (2, 2), (3, None), (4, None), (5, 2), (6, 2)) == [0, 2, 3, 5]
    assert recorded(report, (0, True), (1, True), (2, False)) == [0, 2]
    assert recorded(report, (0, "a"), (1, "a"), (2, "b")) == [0, 2]


def test_a_deadband_counts_from_what_was_recorded():
    report = ReportSettings(on="change", deadband=0.5)
    assert recorded(report, (0, 1.0), (1, 1.3), (2, 1.5), (3, 1.1), (4, 1.0)) == [0, 2, 4]
    assert recorded(ReportSettings(on="change", deadband=0.1), (0, 0.2), (1, 0.3)) == [0, 1]


def test_at_least_is_a_heartbeat():
    report = ReportSettings(on="change", at_least="10s")
    assert recorded(report, *((float(now), 1) for now in range(31))) == [0, 10, 20, 30]
    assert recorded(report, *((now * 1.01, 1) for now in range(31)), every=1.01) == [0, 10 * 1.01, 20 * 1.01, 30 * 1.01]


def test_a_failure_is_recorded_once_then_on_change_and_as_heartbeat():
    policy = ReportPolicy({"a": ReportSettings(), "b": ReportSettings(on="change", at_least="10s")}, 1.0)
    both, bad = frozenset("ab"), {"a": BAD, "b": BAD}
    assert policy.answered({"a": PointValue(1), "b": PointValue(1)}, 0) == both
    assert not policy.failing
    assert policy.failed(bad, "timeout", 1) == both
    assert policy.failing
    assert policy.failed(bad, "timeout", 2) == frozenset()
    assert policy.failed(bad, "crc", 3) == both
    assert policy.next_overdue(4) == 9
    assert policy.failed(bad, "crc", 14) == {"b"}
    assert policy.overdue(15) == frozenset()
    assert policy.answered({"a": PointValue(1), "b": PointValue(1)}, 16) == both


def test_a_period_shorter_than_a_timers_grain_is_due_at_once():
    pace = Pace(1e-5, 0)
    pace.start(100.0)
    assert pace.due(100.001) <= 100.001


def test_slots_are_aligned_and_missed_ones_are_counted():
    pace = Pace(1.0, 0)
    assert pace.due(100.3) == 100.3
    assert pace.start(100.3) == 0
    assert pace.due(100.4) == 101.0
    assert pace.start(101.0) == 0
    assert pace.due(103.5) == 102.0
    assert pace.start(103.5) == 1
    assert pace.due(103.6) == 104.0
    pace.restart()
    assert pace.due(200.0) == 200.0
    assert pace.start(200.0) == 0


def test_phases_spread_over_the_period():
    dues = []
    for place in range(50):
        pace = Pace(10.0, place)
        pace.start(100.0)
        dues.append(pace.due(100.0))
    dues.sort()
    assert max(after - before for before, after in pairwise(dues)) < 0.5


def test_backoff_grows_to_its_limit_and_starts_again():
    backoff = Backoff(1.0, 30.0)
    waits = [backoff.wait() for _ in range(10)]
    assert all(0.75 * 2**step <= wait <= 2**step for step, wait in enumerate(waits[:5]))
    assert all(22.5 <= wait <= 30 for wait in waits[5:])
    backoff.reset()
    assert backoff.wait() <= 1.0
