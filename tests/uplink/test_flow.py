"""How much may be on the wire, the metered rate, and the time left."""

from gateway.uplink.flow import BUDGET, FIRST_BUDGET, SMALLEST_BUDGET, Flow
from gateway.uplink.progress import Progress


def exchange(flow: Flow, now: float, took: float, size: int = 8192) -> float:
    """One answer on a full link; returns the time after it."""
    flow.answered(now, now + took, size, flow.budget)
    return now + took


def test_a_long_way_is_no_reason_to_send_less() -> None:
    flow, now = Flow(), 0.0
    flow.begin(1.2)
    for _ in range(5000):
        now = exchange(flow, now, 1.25)
    assert flow.budget == BUDGET


def test_the_delay_that_we_cause_is() -> None:
    flow, now = Flow(), 0.0
    flow.begin(0.05)
    for _ in range(200):
        now = exchange(flow, now, took := 0.05 + flow.budget / 10_000, flow.budget)
        assert took < 1.7, "so long an alarm may wait on 10 kB/s, and only at first"
    assert SMALLEST_BUDGET <= flow.budget <= 3 * SMALLEST_BUDGET


def test_one_stall_halves_once_however_many_answers_it_delays() -> None:
    flow = Flow()
    flow.begin(0.05)
    for _ in range(100):
        exchange(flow, 0.0, 0.05)
    before = flow.budget
    for number in range(30):
        flow.answered(0.05, 5.0 + number / 100, 8192, before)
    assert flow.budget == before // 2


def test_an_idle_link_grows_no_burst_for_the_next_backlog() -> None:
    flow = Flow()
    flow.begin(0.05)
    for number in range(1000):
        flow.answered(number, number + 0.05, 500, 500)
    assert flow.budget == FIRST_BUDGET


def test_a_way_that_has_become_longer_is_found_out_once_next_to_nothing_is_on_it() -> None:
    flow, now = Flow(), 0.0
    flow.begin(0.05)
    for _ in range(200):
        now = exchange(flow, now, 1.5)
    assert flow.budget > 10 * SMALLEST_BUDGET


def test_the_rate_holds_what_is_not_urgent() -> None:
    flow, now, sent = Flow(10_000), 100.0, 0
    while now < 160.0:
        if now >= flow.free_at():
            flow.spend(5000, now)
            sent += 5000
        now += 0.01
    assert 590_000 <= sent <= 625_000
    assert flow.largest() == 10_000
    assert Flow().free_at() == 0.0


def test_progress_says_rate_and_time_left() -> None:
    progress = Progress()
    assert progress.view() == {"rate": 0.0, "eta_s": None}
    for second in range(11):
        if progress.wants(second):
            progress.note(second, confirmed=second * 500, waiting=10_000 - second * 400)
    assert progress.view() == {"rate": 500.0, "eta_s": 15}
    for second in range(11, 60):
        progress.note(second, confirmed=5000, waiting=6000 + second)
    assert progress.view()["eta_s"] is None
    progress.note(60, confirmed=5000, waiting=0)
    assert progress.view()["eta_s"] == 0
    progress.begin()
    assert progress.view()["eta_s"] is None
