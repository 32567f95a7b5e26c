"""`linli camera droptest` hears that its test is over, whoever ended it, before it asks for another throw."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from gateway.cli.camera.droptest import OverError, _Test

UNTIL = "2026-01-05T08:05:00.000Z"


class Answering:
    """A gateway with records of tests, one page for each question."""

    def __init__(self, *pages: list[dict[str, Any]], testing: bool = True) -> None:
        self.pages, self.testing = list(pages), testing

    def records(self, stream: str, after: str, limit: int) -> Any:
        page = self.pages.pop(0) if self.pages else []
        rows = [msgspec.json.encode({"type": "linli.disposal.droptest.v1", "data": data}) for data in page]
        return SimpleNamespace(records=rows, next=after)

    def ask(self, verb: str) -> dict[str, Any]:
        return {"cameras": [{"name": "tower", "testing": self.testing}, {"name": "gate", "testing": False}]}


def said(state: str, by: str = "uid:7", camera: str = "tower", **more: str) -> dict[str, Any]:
    return {"camera": camera, "state": state, "by": by, **more}


def over(daemon: Any) -> OverError:
    test = _Test(daemon, "tower", "e.perception.1", UNTIL)
    test.check()
    with pytest.raises(OverError) as raised:
        test.check()
    return raised.value


MINE = [said("began", "uid:6", until="2026-01-05T08:01:00.000Z"), said("ended", "uid:6"), said("began", until=UNTIL)]


def test_another_has_ended_it() -> None:
    error = over(Answering(MINE, [said("ended", "uid:8")]))
    assert "was ended by uid:8; throw nothing more" in str(error)
    assert not error.another


def test_another_has_ended_it_and_begun_his_own_which_is_left_alone() -> None:
    theirs = said("began", "uid:8", until="2026-01-05T08:09:00.000Z")
    error = over(Answering(MINE, [said("ended", "uid:8"), theirs]))
    assert error.another
    assert "was ended by uid:8" in str(error)
    assert over(Answering(MINE, [theirs])).another


def test_the_gateway_knows_nothing_of_it_any_more() -> None:
    daemon: Any = Answering(MINE)
    test = _Test(daemon, "tower", "e.perception.1", UNTIL)
    test.check()
    daemon.testing = False
    with pytest.raises(OverError, match="restarted"):
        test.check()


def test_what_befalls_another_camera_is_nothing() -> None:
    daemon: Any = Answering(MINE, [said("ended", camera="gate")])
    test = _Test(daemon, "tower", "e.perception.1", UNTIL)
    for _ in range(3):
        test.check()
