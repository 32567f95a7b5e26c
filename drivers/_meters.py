"""What the meters' protocols share: frames closed by a byte sum and 16H, packed BCD, and reading request by request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from gateway.contract import DeviceError, DeviceSilentError, Pipe, PointValue

START, END, WAKE = 0x68, 0x16, 0xFE
LONGEST_PAUSE = 64  # reads
# A byte sum lets one in 256 multiply damaged answers pass: after a damaged one, a while of care.
NOISY = 0.5
NOISE_FADES = 0.95  # each answer; some 13 of them until the line counts as quiet again
LOOKS = 3  # at a value that the line makes doubtful
NOISE_HEARD = 3  # bytes; a wire that changes direction makes one or two of its own
HEADER = 12  # bytes that tell a frame's length, at most
KEPT = 512  # bytes of noise that an error shows at most
T = TypeVar("T")
Measure = Callable[[bytes], int]


class StrayError(DeviceError):
    """Our device answered, but not to this question: an answer come late, or a device that does not fit."""


class RefusedError(DeviceError):
    """The device refused in the protocol's own words."""


def close(body: bytes) -> bytes:
    """Append the byte sum and the end mark to everything from 68H on."""
    return body + bytes((sum(body) & 0xFF, END))


def packed(data: bytes, *, signed: bool = False) -> int | None:
    """Read packed BCD, low byte first; None for FFH anywhere or a digit above 9, by which meters say "no value"."""
    if 0xFF in data:
        return None
    number = bytearray(reversed(data))
    negative = signed and number[0] & 0x80
    if negative:
        number[0] &= 0x7F
    digits = number.hex()
    if not digits.isdecimal():
        return None
    return -int(digits) if negative else int(digits)


class Frames:
    """Finds whole frames among noise in what comes in. ``measure`` tells the length of the frame that begins so.

    ``measure`` sees some bytes from a 68H on: 0 when no frame begins there, else the frame's length as far as it shows.
    """

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self._open = b""
        self._noise = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes, return the frames that are complete now, without their wake-up bytes."""
        buffer = self._open + data
        frames: list[bytes] = []
        at = end = 0
        waiting = len(buffer)
        while (at := buffer.find(START, at)) >= 0:
            length = self._measure(buffer[at : at + HEADER])
            frame = buffer[at : at + length]
            if len(frame) < length:
                waiting = min(waiting, at)
            elif length and frame[-1] == END and frame[-2] == sum(frame[:-2]) & 0xFF:
                frames.append(frame)
                self._drop(buffer[end:at])
                end = at + length
                at, waiting = end, len(buffer)
                continue
            at += 1
        self._drop(buffer[end:waiting])
        self._open = buffer[waiting:]
        return frames

    def noise(self) -> bytes:
        """Return what was no frame, at most ``KEPT`` bytes of it."""
        return bytes(self._noise + self._open).replace(bytes((WAKE,)), b"")[:KEPT]

    def _drop(self, data: bytes) -> None:
        if len(self._noise) < KEPT:
            self._noise += data


def only_frame(data: bytes, measure: Measure) -> bytes:
    """Return the first sound frame, without wake-up bytes; DeviceError when there is none."""
    frames = Frames(measure).feed(data)
    if not frames:
        raise DeviceError("no frame with a right checksum", "damaged", data[:KEPT])
    return frames[0]


async def exchange(pipe: Pipe, question: bytes, measure: Measure, accept: Callable[[bytes], T | None], what: str) -> T:
    """Ask, and return the first answer that ``accept`` takes.

    ``accept`` gets every sound frame, an echo of the question among them: None passes it over, StrayError too, but
    that one is remembered and told when nothing better comes. DeviceError when the answer is damaged.
    """
    await pipe.drain_input()
    await pipe.write(question)
    frames = Frames(measure)
    stray: StrayError | None = None
    while True:
        try:
            data = await pipe.read()
        except DeviceSilentError:
            if stray is not None:
                raise stray from None
            noise = frames.noise()
            if len(noise) >= NOISE_HEARD:
                raise DeviceError(
                    f"{what}: the answer is cut short or damaged, or two devices with one address answer at once",
                    "damaged",
                    noise,
                ) from None
            raise
        for frame in frames.feed(data):
            try:
                answer = accept(frame)
            except StrayError as error:
                stray = error
                continue
            if answer is not None:
                return answer


class Named(Protocol):
    """One request and the points that its answer holds."""

    @property
    def names(self) -> tuple[str, ...]:
        """The points."""


P = TypeVar("P", bound=Named)


@dataclass(slots=True)
class _Pause:
    """A request that failed on a device that answers elsewhere: asked again after ``left`` reads."""

    left: int
    length: int
    error: DeviceError


class Rounds(Generic[P]):
    """Reads a device request by request; asks less and less for what it refuses or ignores.

    For a while after a damaged answer a value is good only when it was seen twice, or lies between two others.
    ``P`` must be hashable. ``smaller`` offers other requests instead of one that failed.
    """

    def __init__(
        self,
        ask: Callable[[Pipe, P], Awaitable[Mapping[str, PointValue]]],
        smaller: Callable[[P, DeviceError], list[P]] = lambda _part, _error: [],
    ) -> None:
        self._ask = ask
        self._smaller = smaller
        self._pauses: dict[P, _Pause] = {}
        self._ignored: set[P] = set()
        self._noise = 0.0  # damaged answers, the older ones counting less
        self._seen: dict[str, PointValue] = {}

    async def read(self, pipe: Pipe, parts: list[P]) -> dict[str, PointValue]:
        """Ask all parts once; DeviceError when none gives a value, else what failed is bad."""
        values: dict[str, PointValue] = {}
        failure: DeviceError | None = None
        heard = fetched = False
        resting = self._resting(parts)
        # What was silent last time goes last: a meter that ignores one question must not look dead.
        waiting = sorted(parts, key=lambda part: part in self._ignored)
        while waiting:
            part = waiting.pop(0)
            if part in resting:
                _spoil(values, part, resting[part])
                continue
            try:
                values.update(await self._ask_surely(pipe, part))
            except DeviceSilentError as error:
                self._ignored.add(part)
                if not heard:
                    raise
                # It answers elsewhere; one wait a read is enough.
                failure = error
                waiting[:0] = self._fallback(part, error, values, pause=True)
                resting.update(dict.fromkeys(waiting, error))
            except DeviceError as error:
                heard = True
                failure = error
                waiting[:0] = self._fallback(part, error, values, pause=isinstance(error, RefusedError))
            else:
                heard = fetched = True
                self._pauses.pop(part, None)
                self._ignored.discard(part)
        if failure is not None and not fetched:
            raise failure
        return values

    async def _ask_surely(self, pipe: Pipe, part: P) -> Mapping[str, PointValue]:
        values = dict(await self._ask_once(pipe, part))
        noisy = self._noise >= NOISY
        doubtful = [name for name in part.names if noisy and values[name] != self._seen.get(name)]
        looks = [dict(values)]
        while doubtful and len(looks) < LOOKS:
            try:
                looks.append(dict(await self._ask_once(pipe, part)))
            except DeviceError:
                break
            for name in doubtful[:]:
                surely = _surely([look[name] for look in looks])
                if surely is not None:
                    values[name] = surely
                    doubtful.remove(name)
        self._seen.update(looks[-1])
        if len(doubtful) == len(part.names):
            raise DeviceError("the line damages too many answers to believe what was heard only once", "damaged")
        return {**values, **dict.fromkeys(doubtful, PointValue(None, "bad", "damaged"))}

    async def _ask_once(self, pipe: Pipe, part: P) -> Mapping[str, PointValue]:
        self._noise *= NOISE_FADES
        try:
            return await self._ask(pipe, part)
        except DeviceError as error:
            self._noise += error.reason in ("damaged", "crc")
            raise

    def _fallback(self, part: P, error: DeviceError, values: dict[str, PointValue], *, pause: bool) -> list[P]:
        instead = self._smaller(part, error)
        if not instead:
            _spoil(values, part, error)
            if pause:
                before = self._pauses.get(part)
                length = min(2 * before.length, LONGEST_PAUSE) if before else 1
                self._pauses[part] = _Pause(length, length, error)
        return instead

    def _resting(self, parts: list[P]) -> dict[P, DeviceError]:
        """Which parts are not asked this time; never all of them."""
        pauses = {part: pause for part in parts if (pause := self._pauses.get(part)) and pause.left > 0}
        if len(pauses) == len(parts):
            return {}
        for pause in pauses.values():
            pause.left -= 1
        return {part: pause.error for part, pause in pauses.items()}


def _surely(looks: list[PointValue]) -> PointValue | None:
    """Return the value that two looks agree on, or the middle one of three numbers: only one of them is wrong."""
    for look in looks:
        if looks.count(look) > 1:
            return look
    numbers = [look for look in looks if isinstance(look.value, int | float) and not isinstance(look.value, bool)]
    if len(numbers) < LOOKS:
        return None
    return sorted(numbers, key=lambda look: float(look.value or 0))[LOOKS // 2]


def _spoil(values: dict[str, PointValue], part: Named, error: DeviceError) -> None:
    values.update(dict.fromkeys(part.names, PointValue(None, "bad", error.reason)))
