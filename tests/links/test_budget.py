"""The budget for silent devices, where a whole line falls silent at once."""

import pytest

from gateway.links.budget import NOBODY_AFTER, SHARE, SHARE_NOBODY, SilentBudget


def test_a_line_on_which_all_fell_silent_is_probed_soon_after_nobody_answers() -> None:
    budget = SilentBudget(0.0)
    for moment in range(15):
        budget.charge(1.0, float(moment))
    wait = budget.wait(15.0)
    # 15 s of debt would take 500 s at the share that protects others, and there are no others any more.
    assert wait == pytest.approx(NOBODY_AFTER - 15 + (15 - NOBODY_AFTER * SHARE) / SHARE_NOBODY)
    assert budget.wait(15.0 + wait) == pytest.approx(0.0, abs=1e-9)


def test_where_others_answer_the_debt_is_paid_slowly() -> None:
    budget = SilentBudget(0.0)
    budget.charge(0.3, 0.0)
    budget.answered(5.0)
    assert budget.wait(5.0) == pytest.approx(0.3 / SHARE - 5.0)
