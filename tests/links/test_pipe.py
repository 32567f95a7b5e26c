"""What a pipe keeps between transactions, and how much of it."""

from gateway.clock import SystemClock
from gateway.links.pipe import BUFFER_LIMIT, StreamPipe


class Ear(StreamPipe):
    """A pipe that only hears."""

    def __init__(self, clock) -> None:
        super().__init__("ear", 0.0, clock)

    def close(self) -> None:
        pass

    async def _send(self, _data: bytes) -> float:
        return 0.0


async def test_what_came_unasked_is_told_once_and_never_read(fake_clock):
    pipe = Ear(fake_clock)
    pipe._received(b"before")
    await pipe.begin(1.0, None)
    pipe._received(b" and after")
    assert await pipe.drain_input() == b"before and after"
    assert await pipe.drain_input() == b""
    pipe._received(b"new")
    assert await pipe.read() == b"new"


async def test_what_nobody_asked_for_is_forgotten_with_the_next_transaction(fake_clock):
    pipe = Ear(fake_clock)
    pipe._received(b"first")
    await pipe.begin(1.0, None)
    await pipe.begin(1.0, None)
    assert await pipe.drain_input() == b""


async def test_a_babbling_device_costs_little_memory_and_its_newest_bytes_stay(fake_clock):
    pipe = Ear(fake_clock)
    for number in range(100_000):
        pipe._received(number.to_bytes(4))
    assert len(pipe._buffer) <= BUFFER_LIMIT
    assert (await pipe.drain_input())[-4:] == (99_999).to_bytes(4)


class Speaking(Ear):
    """A pipe that notes when it was spoken into."""

    def __init__(self, clock) -> None:
        super().__init__(clock)
        self.spoken: list[float] = []

    async def _send(self, data: bytes) -> float:
        self.spoken.append(self._loop.time())
        return 0.0


async def test_the_silence_that_a_device_needs_is_kept_before_it_and_behind_it():
    pipe = Speaking(SystemClock())
    for turnaround in (0.0, 0.05, 0.0, 0.0):
        await pipe.begin(1.0, None, turnaround)
        await pipe.write(b"?")
        pipe._received(b"!")
    first, slow, behind, quick = pipe.spoken
    assert slow - first >= 0.045
    assert behind - slow >= 0.045  # the slow one hears the next question, too
    assert quick >= behind


async def test_the_time_to_the_first_byte_and_an_echo_are_told_apart():
    pipe = Speaking(SystemClock())
    await pipe.begin(1.0, None)
    await pipe.write(b"ask")
    pipe._received(b"as")
    assert (pipe.echoed, pipe.latency) == (False, 0.0)
    pipe._received(b"kanswer")
    assert pipe.echoed
    assert pipe.latency > 0
    await pipe.begin(1.0, None)
    await pipe.write(b"ask")
    pipe._received(b"answer")
    assert not pipe.echoed
    assert pipe.latency > 0
