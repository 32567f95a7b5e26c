"""One Modbus device: plans requests once per set of points, learns what the device refuses, decodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drivers._points import Raw, finisher, others
from drivers.modbus.address import Span
from drivers.modbus.batch import Batch, batch_of
from drivers.modbus.framing import Framing, RefusalError
from drivers.modbus.learning import Learned
from drivers.modbus.planning import Block, Limits, plan_blocks
from drivers.modbus.values import Decode, Extract, decoder, extractor
from gateway.contract import DeviceError, DeviceSilentError, Pipe, Point, PointValue, Scalar, Written

if TYPE_CHECKING:
    from drivers.modbus.writing import Setter

WRONG_SHAPE = (2, 3)  # exception codes by which devices refuse a block that is too long or has a hole
UNREACHED = "gateway_target"  # exception 0B: a gateway has waited for the device in vain, as long as it likes to
LONGEST_PAUSE = 64  # reads
MOST_DECIMALS = 9


@dataclass(frozen=True, slots=True)
class _Part:
    """A block and how to read values out of it: plain points, and points that need another point's value."""

    block: Block
    batch: Batch | None
    plain: tuple[tuple[str, Decode], ...]
    joint: tuple[tuple[str, Extract], ...]


@dataclass(slots=True)
class _Pause:
    """A block without any answer on a device that answers elsewhere: asked again after ``left`` reads."""

    left: int
    length: int


class _Outcome:
    """One read as far as it has come."""

    __slots__ = ("answered", "failure", "fetched", "gave_up", "raws", "values")

    def __init__(self) -> None:
        self.values: dict[str, PointValue] = {}
        self.raws: dict[str, Raw] = {}
        self.failure: DeviceError | None = None
        self.answered = self.fetched = self.gave_up = False

    def fail(self, part: _Part, error: DeviceError) -> None:
        """A block could not be read."""
        self.failure = error
        self.spoil(part, error.reason)

    def spoil(self, part: _Part, reason: str) -> None:
        """Mark the points of a block as bad."""
        bad = PointValue(None, "bad", reason)
        self.values.update((name, bad) for name in _names(part))


class ModbusDevice:
    """A Driver (see contract) for one unit."""

    def __init__(
        self, points: Mapping[str, Point], spans: Mapping[str, Span], limits: Limits, framing: Framing
    ) -> None:
        self._points = points
        self._spans = spans
        self._limits = limits
        self._framing = framing
        self._finishers = {name: finisher(point) for name, point in points.items()}
        self._learned = Learned(limits)
        self._plans: dict[frozenset[str], tuple[_Part, ...]] = {}
        self._pauses: dict[Span, _Pause] = {}
        self._doubtful: set[Span] = set()
        self._setter: Setter | None = None

    def requests(self, points: Iterable[str]) -> list[Span]:
        """Return the requests that one read of these points sends now."""
        return [request for part in self._plan(frozenset(points)) for request in part.block.requests]

    async def read(self, pipe: Pipe, points: frozenset[str]) -> Mapping[str, PointValue]:
        """Read these points once; a point that alone cannot be read comes back bad, DeviceError if none can."""
        outcome = _Outcome()
        waiting = list(reversed(self._plan(points)))
        if self._doubtful:
            # What was silent last time goes last: a device that ignores one block must not look dead.
            waiting.sort(key=lambda part: part.block.span not in self._doubtful)
        while waiting:
            part = waiting.pop()
            if outcome.gave_up or (self._pauses and self._is_paused(part.block.span)):
                outcome.spoil(part, "timeout")
                continue
            requests = part.block.requests
            try:
                data = await self._framing.ask(pipe, requests[0])
                for request in requests[1:]:
                    data += await self._framing.ask(pipe, request)
            except DeviceError as error:
                waiting.extend(reversed(self._failed(part, error, outcome)))
            else:
                self._fetched(part, data, outcome)
        self._end(outcome)
        if len(outcome.values) == len(points):
            return outcome.values
        return {name: outcome.values[name] for name in points}

    def learned(self) -> Mapping[str, Any]:
        """As ``Learner.learned``: what the device refused, so that it need not refuse it again."""
        return self._learned.tell()

    def recall(self, known: Mapping[str, Any]) -> None:
        """As ``Learner.recall``."""
        self._learned.recall(known)
        self._plans.clear()

    def check(self, point: str, value: Scalar) -> None:
        """As ``Writer.check``."""
        from drivers.modbus.writing import raw_for  # a device that is only read needs none

        raw_for(self._points[point], self._spans[point], value)

    async def write(self, pipe: Pipe, point: str, value: Scalar) -> Written:
        """As ``Writer.write``; one bit of a register only by function 22."""
        if self._setter is None:
            from drivers.modbus.writing import Setter  # as above

            self._setter = Setter(self._framing, self._limits)
        return await self._setter.write(pipe, self._points[point], self._spans[point], value)

    def _fetched(self, part: _Part, data: bytes, outcome: _Outcome) -> None:
        """A block was read: take it apart."""
        outcome.answered = outcome.fetched = True
        self._learned.read(part.block)
        if self._doubtful or self._pauses:
            self._doubtful.discard(part.block.span)
            self._pauses.pop(part.block.span, None)
        if part.batch is not None:
            part.batch.read(data, outcome.values)
        for name, decode in part.plain:
            outcome.values[name] = decode(data)
        for name, extract in part.joint:
            outcome.raws[name] = extract(data)

    def _failed(self, part: _Part, error: DeviceError, outcome: _Outcome) -> tuple[_Part, ...]:
        """A block was not read: return the smaller blocks to try instead when the device refused this one."""
        if isinstance(error, DeviceSilentError) or error.reason == UNREACHED:
            self._learned.doubt()
            self._doubtful.add(part.block.span)
            if not outcome.answered:
                raise error
            # It answers elsewhere: some devices ignore what they do not know. One wait a read is enough.
            outcome.gave_up = True
            self._pause(part.block.span)
        else:
            outcome.answered = True
            if not isinstance(error, RefusalError):
                self._learned.doubt()
            elif error.code in WRONG_SHAPE and self._divide(part.block):
                return self._compile_names(_names(part))
        outcome.fail(part, error)
        return ()

    def _end(self, outcome: _Outcome) -> None:
        """All blocks are read that can be: judge what was learned and what the values mean together."""
        if self._learned.settle():
            self._plans.clear()
        if outcome.failure is not None and not outcome.fetched:
            raise outcome.failure
        if outcome.raws:
            self._join(outcome.values, outcome.raws)

    def _divide(self, block: Block) -> bool:
        """Remember not to read across the middle of a refused block; False when it is one point's alone."""
        divided = self._learned.divide(block)
        self._plans.clear()
        return divided

    def _join(self, values: dict[str, PointValue], raws: Mapping[str, Raw]) -> None:
        """Finish the points that need another point's value for their decimals or ratio."""
        for name, raw in raws.items():
            point = self._points[name]
            ratio: float = 1
            decimals = 0
            if isinstance(point.ratio, str):
                number = values[point.ratio].value
                if not isinstance(number, int | float):
                    values[name] = PointValue(None, "bad", "ratio_unavailable")
                    continue
                ratio = number
            if point.decimals is not None:
                number = values[point.decimals].value
                if not isinstance(number, int) or not 0 <= number <= MOST_DECIMALS:
                    values[name] = PointValue(None, "bad", "decimals_unavailable")
                    continue
                decimals = number
            values[name] = self._finishers[name](raw, ratio, decimals)

    def _plan(self, points: frozenset[str]) -> tuple[_Part, ...]:
        plan = self._plans.get(points)
        if plan is None:
            needed = set(points)
            for name in points:
                needed.update(others(self._points[name]))
            plan = self._plans[points] = self._compile_names(needed)
            shapes = [(request.table, request.size) for part in plan for request in part.block.requests]
            self._framing.lookalikes |= len(set(shapes)) < len(shapes)
        return plan

    def _compile_names(self, names: Iterable[str]) -> tuple[_Part, ...]:
        by_span: dict[Span, list[str]] = {}
        for name in sorted(names):
            by_span.setdefault(self._spans[name], []).append(name)
        return tuple(
            self._compile(block, by_span) for block in plan_blocks(by_span, self._learned.limits, self._learned.cuts)
        )

    def _compile(self, block: Block, by_span: Mapping[Span, list[str]]) -> _Part:
        plain, joint = [], []
        base = block.span.start
        members = [(name, self._points[name], span) for span in block.wanted for name in by_span[span]]
        simple = [(*member, self._finishers[member[0]]) for member in members if not others(member[1])]
        batch = batch_of(base, simple)
        for name, point, span in members:
            if batch is not None and name in batch.names:
                continue
            extract = extractor(point, span, base)
            if others(point):
                joint.append((name, extract))
            else:
                plain.append((name, decoder(extract, self._finishers[name])))
        return _Part(block, batch, tuple(plain), tuple(joint))

    def _is_paused(self, span: Span) -> bool:
        pause = self._pauses.get(span)
        if pause is None or pause.left == 0:
            return False
        pause.left -= 1
        return True

    def _pause(self, span: Span) -> None:
        before = self._pauses.get(span)
        length = min(2 * before.length, LONGEST_PAUSE) if before else 1
        self._pauses[span] = _Pause(length, length)


def _names(part: _Part) -> list[str]:
    batched = part.batch.names if part.batch is not None else ()
    return [*batched, *(name for name, _ in (*part.plain, *part.joint))]
