"""A drop test is over when somebody ends it, whatever is said of its throws."""

from typing import Any

import pytest

from gateway.commands.droptest import DropTests
from gateway.contract import CommandError
from tests.commands.test_falling import CLOCK, fall, falls_of
from tests.store.desk import everything, opened


class Tower:
    """A camera whose test runs until it is ended."""

    def __init__(self) -> None:
        self.runs = False

    async def drop_test(self, seconds: float) -> bool:
        before, self.runs = self.runs, seconds > 0
        return before


@pytest.mark.parametrize("throws", ["ten=", "3", "7=1234567890", "=a " * 21, "7=of-no-test"])
async def test_it_ends_also_when_its_throws_are_refused(tmp_path: Any, throws: str) -> None:
    async with opened(tmp_path) as store:
        one = fall(CLOCK.wall() - 10**9)
        await store.put([one])
        await store.committed()
        tests, tower = DropTests(store, CLOCK, falls_of(store)), Tower()
        await tests.begin("tower", tower, 600, "uid:7")
        with pytest.raises(CommandError):
            await tests.end("tower", tower, throws.replace("of-no-test", one.id), "uid:7")
        assert not tower.runs
        assert not tests.last()
        await store.committed()
        began, ended = [event["data"] for event in await everything(store, "disposal")]
        assert (began["state"], ended["state"], ended["throws"], ended["told"]) == ("began", "ended", [], 0)
        assert (await tests.end("tower", tower, "7=", "uid:7"))["throws"] == [{"from": 7, "record": None}]
        with pytest.raises(CommandError, match="no drop test of camera tower runs"):
            await tests.end("tower", tower, "", "uid:7")
