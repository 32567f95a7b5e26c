"""Clips that could not be made: counted for a day, and news once for each reason."""

from gateway.vision.unmade import REMEMBERED, Unmade
from tests.conftest import FakeClock

WALL = 1_795_300_000_000_000_000


def test_they_are_counted_and_are_news_once(fake_clock: FakeClock) -> None:
    unmade = Unmade(fake_clock)
    assert unmade.view(str) is None
    news = []
    for seconds, why in ((0, "too many"), (5, "too many"), (5, "too large"), (5, "too large")):
        fake_clock.now += seconds
        fake_clock.wall_ns += seconds * 10**9
        news.append(unmade.add(why))
    assert news == [True, False, True, False]
    last = str(WALL + 15 * 10**9)
    assert unmade.view(str) == {"count": 4, "since": str(WALL), "last": last, "text": "too large"}


def test_a_day_without_another_one_they_are_forgotten(fake_clock: FakeClock) -> None:
    unmade = Unmade(fake_clock)
    unmade.add("too many")
    fake_clock.now += REMEMBERED
    assert unmade.view(str) is not None
    fake_clock.now += 1
    assert unmade.view(str) is None
    assert unmade.add("too many")
    view = unmade.view(str)
    assert view is not None
    assert view["count"] == 1
