"""A camera that cannot be opened is tried again, ever more seldom, and with a fresh process in the end."""

from typing import Any

import pytest

from gateway.contract import LinkError
from gateway.vision import opening
from gateway.vision.capture import Capture
from gateway.vision.messages import Message, Shut
from gateway.vision.opening import opened


class Passing:
    """A clock that only waiting moves, and a camera that answers at ``there`` s."""

    def __init__(self, there: float, reason: str = "refused") -> None:
        self.now, self.there, self.reason = 0.0, there, reason
        self.tried: list[float] = []
        self.said: list[Message] = []

    def monotonic(self) -> float:
        return self.now

    def wait(self, until: float) -> None:
        assert until > self.now
        self.now = until

    def open(self) -> Any:
        self.tried.append(self.now)
        if self.now < self.there:
            raise LinkError("the camera refuses", self.reason)
        return "capture"


def open_late(monkeypatch: pytest.MonkeyPatch, passing: Passing) -> Capture:
    monkeypatch.setattr(opening, "time", passing)
    return opened(passing.open, passing.said.append, passing.wait)


def test_every_failure_is_said_and_the_pauses_grow_to_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    passing = Passing(100.0)
    assert open_late(monkeypatch, passing) == "capture"
    pauses = [after - before for before, after in zip(passing.tried, passing.tried[1:], strict=False)]
    assert pauses[0] <= 0.5
    assert all(8.0 <= pause <= 10.0 for pause in pauses[5:])
    assert passing.said == [Shut("refused", "the camera refuses")] * len(pauses)


@pytest.mark.parametrize(("reason", "patience"), [("timeout", 600.0), ("unauthorized", 60.0)])
def test_in_the_end_a_fresh_process_has_a_try(reason: str, patience: float, monkeypatch: pytest.MonkeyPatch) -> None:
    passing = Passing(1e9, reason)
    with pytest.raises(LinkError) as failed:
        open_late(monkeypatch, passing)
    assert failed.value.reason == reason
    assert patience < passing.now <= patience + 10


def test_what_is_there_is_opened_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    passing = Passing(0.0)
    assert open_late(monkeypatch, passing) == "capture"
    assert (passing.tried, passing.said) == ([0.0], [])
