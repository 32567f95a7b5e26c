"""How a camera stands: every change is one record and one line of the log, and all that lessens it is shown."""

import pytest

from gateway.contract import BusItem, SourceState, StateChange
from gateway.vision.standing import Standing
from gateway.vision.troubles import Trouble
from tests.conftest import FakeClock

ON, LESS = SourceState.ONLINE, SourceState.DEGRADED
LIST, SLOW = ("list", "a.csv:3: left out; write it"), ("overload", "too slow; lower the rate")


class Told:
    """A standing, and what it put on record."""

    def __init__(self, clock: FakeClock) -> None:
        self.records: list[tuple[str, ...]] = []
        self.standing = Standing("gate", clock, self._put)
        self._clock = clock

    async def _put(self, item: BusItem) -> None:
        assert isinstance(item, StateChange)
        self.records.append((item.state.value, item.reason, *item.besides))

    async def less(self, *troubles: Trouble) -> None:
        self._clock.wall_ns += 1
        await self.standing.become(LESS, *troubles[0], besides=troubles[1:])

    def shown(self) -> list[tuple[str, str]]:
        first = self._clock.wall_ns
        view = self.standing.view(lambda at: str(first - at))
        return [(trouble["reason"], trouble["since"]) for trouble in view["troubles"]]


async def test_all_that_holds_is_shown_with_its_own_since_and_is_on_record(
    fake_clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told(fake_clock)
    await told.less(LIST)
    await told.less(SLOW, LIST)
    assert told.shown() == [("overload", "0"), ("list", "1")]
    await told.less(SLOW, LIST)
    await told.less(SLOW, ("list", "a.csv:9: left out; write it"))
    assert told.shown() == [("overload", "2"), ("list", "3")]
    await told.less(SLOW)
    assert told.shown() == [("overload", "3")]
    await told.standing.become(ON, "open", "it gives pictures")
    assert told.shown() == []
    assert told.records == [
        ("degraded", "list"),
        ("degraded", "overload", "list"),
        ("degraded", "overload"),
        ("online", "open"),
    ]
    view = told.standing.view(str)
    assert (view["state"], view["reason"], view["text"]) == ("online", "open", "it gives pictures")


async def test_what_comes_besides_is_logged_once(fake_clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    told = Told(fake_clock)
    await told.less(SLOW)
    for _ in range(3):
        await told.less(SLOW, LIST)
    assert caplog.messages == [f"camera gate is degraded: {SLOW[1]}", f"camera gate besides: {LIST[1]}"]


async def test_two_of_one_kind_have_one_since(fake_clock: FakeClock) -> None:
    told = Told(fake_clock)
    one, other = ("models_missing", "no reader"), ("models_missing", "no detector")
    await told.less(one)
    await told.less(one, other)
    assert [since for _, since in told.shown()] == ["1", "1"]  # by its kind, as its sentence may change
    assert told.records == [("degraded", "models_missing")]


async def test_a_lost_camera_has_no_troubles_but_that(fake_clock: FakeClock) -> None:
    told = Told(fake_clock)
    await told.less(SLOW, LIST)
    await told.standing.become(SourceState.OFFLINE, "closed", "it hung up")
    assert told.shown() == []
    assert told.records[-1] == ("offline", "closed")
    assert not told.standing.gives
