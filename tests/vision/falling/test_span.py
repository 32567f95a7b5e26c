"""How much of the time around a fall its clip shows, and that so much is kept."""

from pathlib import Path

from gateway.vision.messages import Fall
from gateway.vision.watchers import LONGEST_FALL, FallWatcher, seconds_kept
from tests.vision.falling.drawn import START, camera

SECOND = 1_000_000_000
UNSEEN = 3.0  # seconds after the release in which a thing may be hidden or too slow to be seen


def fall(seconds: float) -> Fall:
    way = tuple((START + round(at * SECOND), 200.0, 100.0 + 400.0 * at / seconds) for at in (0.0, seconds / 2, seconds))
    return Fall(1, way[0][0], way, 6.0, None, None, None, 9.8, 20.0, 0.99, None)


def test_a_clip_has_five_seconds_before_the_release_and_the_impact(tmp_path: Path) -> None:
    begin, end = FallWatcher(camera(), tmp_path).clip(fall(2.0))
    assert (START - begin) / SECOND >= 5.0 + UNSEEN
    assert end >= START + 2 * SECOND


def test_all_that_the_clip_of_the_longest_fall_shows_is_still_there_when_it_ends(tmp_path: Path) -> None:
    begin, end = FallWatcher(camera(), tmp_path).clip(fall(LONGEST_FALL))
    assert seconds_kept(camera(), 0.0) >= (end - begin) / SECOND
