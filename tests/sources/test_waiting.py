"""Devices that are busy are asked again after a while, for what is missing only."""

import pytest

from gateway.contract import DeviceError, PointValue
from gateway.sources.waiting import WAITS, until_free

BUSY = PointValue(None, "bad", "busy")


class Device:
    """Gives its answers in turn; an answer that is an exception is raised. ``asked``: (time, points)."""

    def __init__(self, clock, *answers) -> None:
        self.clock, self.answers = clock, list(answers)
        self.asked: list[tuple[float, frozenset[str]]] = []

    async def ask(self, points):
        self.asked.append((self.clock.monotonic(), points))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Quick:
    """A clock whose sleeps pass at once."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def busy() -> DeviceError:
    return DeviceError("exception 06 (server device busy)", "busy")


AB = frozenset("ab")
GOOD = {"a": PointValue(1), "b": PointValue(2)}


async def test_a_busy_device_is_asked_again_later():
    device = Device(Quick(), busy(), busy(), GOOD)
    assert await until_free(device.ask, AB, 10.0, device.clock) == GOOD
    assert [time for time, _ in device.asked] == [0.0, WAITS[0], WAITS[0] + WAITS[1]]


async def test_only_what_is_missing_is_asked_again():
    device = Device(Quick(), {"a": PointValue(1), "b": BUSY}, {"b": PointValue(2)})
    assert await until_free(device.ask, AB, 10.0, device.clock) == GOOD
    assert device.asked[1][1] == frozenset("b")


@pytest.mark.parametrize(("every", "times"), [(0.05, 2), (0.8, 3), (60.0, 4)])
async def test_it_is_not_waited_for_beyond_its_period(every, times):
    device = Device(Quick(), *[busy()] * 9)
    with pytest.raises(DeviceError, match="busy"):
        await until_free(device.ask, AB, every, device.clock)
    assert len(device.asked) == times


async def test_what_was_read_stays_when_the_rest_stays_busy():
    device = Device(Quick(), {"a": PointValue(1), "b": BUSY}, *[busy()] * 9)
    assert await until_free(device.ask, AB, 60.0, device.clock) == {"a": PointValue(1), "b": BUSY}


async def test_another_error_is_no_reason_to_wait():
    device = Device(Quick(), DeviceError("wrong CRC", "crc"))
    with pytest.raises(DeviceError, match="CRC"):
        await until_free(device.ask, AB, 60.0, device.clock)
    assert len(device.asked) == 1
