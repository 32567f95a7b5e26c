"""What a lane keeps of vehicles that have gone: no pictures, and nothing for ever."""

import math
from typing import Any, cast

from gateway.vision.capture import Frame
from gateway.vision.lanes import Place
from gateway.vision.lists import PlateLists
from gateway.vision.passages import PICTURED, RESTS, PassageBook
from gateway.vision.shapes import Box
from gateway.vision.track import MotionTrack

BOX = Box(0, 0, 300, 200)


def gone_at(time: float, number: int = 1) -> MotionTrack:
    path = [Place(time - 1 + step / 10, 100 + 20 * step, 100, 200) for step in range(11)]
    return MotionTrack(number, path, [BOX] * len(path), best=(1.0, cast(Frame, object()), 0, BOX))


def test_what_was_told_is_known_for_a_while_without_its_picture() -> None:
    book = PassageBook("gate", (), PlateLists({}))
    told, silent = gone_at(10.0), gone_at(10.0, 2)
    state: Any = book
    state._resting.append((told, "in"))
    state._ended.append(silent)
    book.take(10.0 + PICTURED / 2, [])
    assert told.best is not None
    assert silent.best is not None
    book.take(10.1 + PICTURED, [])
    assert told.best is None
    assert silent.best is None
    assert state._resting == [(told, "in")]
    book.take(10.1 + RESTS, [])
    assert state._resting == []


def test_what_may_still_become_a_passage_keeps_its_picture() -> None:
    book = PassageBook("gate", (), PlateLists({}))
    motion = gone_at(10.0)
    book.motion_ended(motion, (640, 480))
    state: Any = book
    state._waiting = [motion]
    state._forget_pictures(20.0)
    assert motion.best is not None


def test_when_a_film_is_over_all_is_forgotten() -> None:
    book = PassageBook("gate", (), PlateLists({}))
    state: Any = book
    state._resting.append((gone_at(10.0), "in"))
    book.take(math.inf, [])
    assert state._resting == []
