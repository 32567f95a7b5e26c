"""One batch of inputs against one target: makes them, runs the decoder, judges what comes out."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from mutate import damaged, noise, pieces
from targets import Target, is_good

from gateway.contract import DeviceError, DeviceSilentError, Driver, PointValue

FRESH = 100  # reads of one device, until it is made anew; every fourth batch has one device for all
SLOW = 1.0  # seconds that no input may take
HANGS = 120.0
SHOWN = 5
MOST_SHOWN = 900


class HangsError(BaseException):
    """The batch does not come to its end."""


class Wire:
    """The pipe: says what it was given, then is silent. ``spoil`` works on the answer to each question."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.chunks: list[bytes] = []
        self.spoil: Any = None
        self.told: list[tuple[bytes, bytes]] = []  # the true answer and what was said instead

    async def write(self, data: bytes) -> None:
        """Answer a question."""
        answer = self._target.answer(data)
        chunks = [answer] if self.spoil is None else self.spoil(answer)
        self.told.append((answer, b"".join(chunks)))
        self.chunks += [chunk for chunk in chunks if chunk]

    async def read(self, at_most: int = 4096) -> bytes:
        """Return the next piece."""
        if not self.chunks:
            raise DeviceSilentError("silence")
        return self.chunks.pop(0)[:at_most]

    async def drain_input(self) -> bytes:
        """Nothing comes unasked."""
        if not self._target.speaks:
            self.chunks.clear()
        return b""


def finish(work: Coroutine[Any, Any, Mapping[str, PointValue]]) -> Mapping[str, PointValue]:
    """Run a read to its end without a loop: it never waits for anything but its pipe."""
    try:
        work.send(None)
    except StopIteration as done:
        result: Mapping[str, PointValue] = done.value
        return result
    work.close()
    raise AssertionError("the driver waited for something else than its pipe")


@dataclass
class Count:
    """What became of the inputs of a target."""

    inputs: int = 0
    refused: int = 0
    good: int = 0
    passed: int = 0  # the checksum of a damaged frame was right by chance
    slowest: float = 0.0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, other: Count) -> None:
        """Sum up."""
        self.inputs += other.inputs
        self.refused += other.refused
        self.good += other.good
        self.passed += other.passed
        self.slowest = max(self.slowest, other.slowest)
        self.seconds += other.seconds
        self.failures = (self.failures + other.failures)[:SHOWN]


class Attack:
    """One batch against one target; the same seed, target and number make the same inputs."""

    def __init__(self, target: Target, seed: int, number: int) -> None:
        self._target = target
        self._dice = random.Random(f"{seed}/{target.name}/{number}")
        self._lasting = number % 4 == 3
        self._where = f"--seed {seed} --target {target.name!r} --batch {number}"
        self.count = Count()
        self._before = b""
        self._pool = target.seeds
        self._truth: Mapping[str, PointValue] = {}
        self._allowed: dict[str, list[PointValue]] = {}

    def run(self, inputs: int) -> Count:
        """Do it."""
        began = time.perf_counter()
        signal.signal(signal.SIGALRM, _give_up)
        signal.setitimer(signal.ITIMER_REAL, HANGS)
        try:
            if self._target.decode is not None:
                self._decode(inputs)
            else:
                self._read(inputs)
        except HangsError:
            self._fail("hangs")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        self.count.seconds = time.perf_counter() - began
        return self.count

    def _decode(self, inputs: int) -> None:
        target, dice = self._target, self._dice
        assert target.decode is not None
        for _ in range(inputs):
            data = self._spoilt(dice.choice(target.seeds))
            self.count.inputs += 1
            began = time.process_time()
            try:
                target.decode(data)
                self.count.good += 1
            except DeviceError:
                self.count.refused += 1
            except Exception as error:
                self._fail(f"{type(error).__name__}: {error} for {data.hex(' ')}")
            self._clock(began)

    def _read(self, inputs: int) -> None:
        target = self._target
        assert target.make is not None
        device = target.make()
        self._learn(device)
        for number in range(inputs):
            if number % FRESH == 0 and not self._lasting:
                device, self._before = target.make(), b""
            self._one(device)

    def _learn(self, device: Driver) -> None:
        """Read once undisturbed: what is true, and the frames to spoil."""
        wire = Wire(self._target)
        if self._target.speaks:
            wire.chunks = self._target.seeds * 2
        self._truth = finish(device.read(wire, self._target.points))
        assert any(is_good(value) for value in self._truth.values()), f"{self._target.name} reads nothing"
        assert self._target.make is not None
        self._allowed = {name: [value] for name, value in self._truth.items()}
        for seed in self._target.seeds if self._target.speaks else ():
            # Which of its messages are heard decides which of them counts.
            alone = Wire(self._target)
            alone.chunks = [seed] * 12
            with contextlib.suppress(DeviceError):
                for name, value in finish(self._target.make().read(alone, self._target.points)).items():
                    self._allowed[name].append(value)
        self._pool = [answer for answer, _ in wire.told if answer] or self._target.seeds

    def _one(self, device: Driver) -> None:
        target, dice = self._target, self._dice
        sealed = target.seal is not None and dice.random() < 0.3
        wire = Wire(target)
        if target.speaks:
            few = dice.random()
            frames = [
                self._spoilt(frame, sealed=sealed) if dice.random() < few else frame for frame in target.seeds * 2
            ]
            wire.chunks = pieces(b"".join(frames), dice)
            wire.told = [(b"".join(target.seeds), self._before + b"".join(frames))]
        else:
            wire.spoil = lambda answer: pieces(self._spoilt(answer, sealed=sealed) if answer else b"", dice)
        self.count.inputs += 1
        began = time.process_time()
        try:
            values = finish(device.read(wire, target.points))
        except DeviceError:
            self.count.refused += 1
        except Exception as error:
            self._fail(f"{type(error).__name__}: {str(error)[:200]} after {_shown(wire)}")
        else:
            self._judge(values, wire, sealed=sealed)
        self._clock(began)
        self._before = wire.told[-1][1][-512:] if target.speaks else b""

    def _judge(self, values: Mapping[str, PointValue], wire: Wire, *, sealed: bool) -> None:
        if values.keys() != self._target.points:
            self._fail(f"asked for {sorted(self._target.points)}, got {sorted(values)}")
        self.count.good += any(is_good(value) for value in values.values())
        if sealed or self._target.sound is None:
            return
        wrong = [name for name, value in values.items() if is_good(value) and value not in self._allowed[name]]
        if not wrong:
            return
        if any(set(self._target.sound(said)) - set(self._target.sound(true)) for true, said in wire.told):
            self.count.passed += 1
        else:
            self._fail(f"{wrong[0]} is {values[wrong[0]]}, true is {self._truth[wrong[0]]}; heard {_shown(wire)}")

    def _spoilt(self, frame: bytes, *, sealed: bool = False) -> bytes:
        dice = self._dice
        if sealed and self._target.seal is not None:
            return self._target.seal(damaged(frame, dice, self._pool))
        chance = dice.random()
        if chance < 0.7:
            return damaged(frame, dice, self._pool)
        if chance < 0.85:
            return noise(dice, self._pool)
        return noise(dice, self._pool) + frame + noise(dice, self._pool)

    def _clock(self, began: float) -> None:
        took = time.process_time() - began  # a busy machine is not the decoder's fault
        if took > self.count.slowest:
            self.count.slowest = took
            if took > SLOW:
                self._fail(f"took {took:.1f} s")

    def _fail(self, what: str) -> None:
        self.count.failures.append(f"{self._target.name}: {what} ({self._where}, input {self.count.inputs})")


def _shown(wire: Wire) -> str:
    return " | ".join(said.hex(" ") for _, said in wire.told)[:MOST_SHOWN]


def _give_up(_signal: int, _frame: FrameType | None) -> None:
    raise HangsError
