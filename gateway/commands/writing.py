"""Sets points of devices for whoever may: checks, has it done, and records it in ``disposal``, refusals too."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal

from gateway.contract import (
    Clock,
    CommandError,
    DeviceError,
    Draft,
    LinkError,
    PointValue,
    Scalar,
    Stream,
    Written,
    record_id,
)
from gateway.settings.nearest import did_you_mean

if TYPE_CHECKING:
    from gateway.sources import AnySource
    from gateway.store import Store

Outcome = Literal["done", "refused", "failed", "mismatch", "unverified"]

AUDIT_PATIENCE = 5.0  # seconds that an answer waits for its record to be on disk
FAILING_PATIENCE = 0.2  # seconds, on a disk that is known to take nothing
AUDIT: tuple[Stream, ...] = ("disposal",)
UNSURE = frozenset({"timeout", "damaged", "crc", "unverified"})  # the device may have done it all the same
REFUSALS, REFUSALS_SECONDS = 60, 60.0  # so many refused attempts are recorded in so many seconds
WORDS = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}

log = logging.getLogger("linli.commands")


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants which point to be what. ``why`` is what an alarm adds to the record."""

    device: str
    point: str
    value: Scalar
    by: str
    why: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a wish; ``reason`` is a short code and ``text`` a sentence, both empty when it was done."""

    wish: Wish
    outcome: Outcome
    asked_at: int
    done_at: int
    reason: str = ""
    text: str = ""
    before: PointValue | None = None
    after: PointValue | None = None
    unit: str = ""
    unreached: bool = False  # the line was down: nobody was asked

    @property
    def done(self) -> bool:
        """Whether the device has the value now, and says so."""
        return self.outcome == "done"


class Writes:
    """The only way to a device that changes anything."""

    def __init__(self, sources: Mapping[str, "AnySource"], store: "Store", clock: Clock) -> None:
        self._sources, self._store, self._clock = sources, store, clock
        self._refused: list[float] = []
        self._underway: set[asyncio.Task[tuple[Result, bool]]] = set()

    async def command(
        self, device: str, point: str, value: Scalar, by: str, *, spelled: bool = False
    ) -> dict[str, Any]:
        """Set a point for a person or platform; answers once the record is on disk.

        ``spelled``: the value is a text as somebody typed it. CommandError: 404 no such point, 403 not allowed, 400
        not this value, 409 the device holds another value, 503 it could not be reached or refused.
        """
        source = self._sources.get(device)
        if source is None:
            raise CommandError(f'no device "{device[:80]}"; {did_you_mean(device, self._sources)}', 404)
        wish = Wish(device, point, value, by)
        try:
            if spelled and isinstance(value, str):
                wish = Wish(device, point, understood(value, source.shape(point)), by)
            source.may_write(point, wish.value)
        except CommandError as error:
            if error.status != 404:
                await self.refused(wish, error)
            raise
        log.info("%s sets %s.%s%s", _way(by), device, point, _to(wish.value))
        # Whoever asks may be gone before the device is: what was begun is ended, and on record.
        doing = asyncio.create_task(self._carried_out(wish), name=f"write {device}.{point}")
        self._underway.add(doing)
        doing.add_done_callback(self._underway.discard)
        result, stored = await asyncio.shield(doing)
        shown = self.shown(result)
        if result.done:
            return {**shown, "stored": stored}
        status = 409 if result.outcome == "mismatch" else 503
        raise CommandError(result.text, status, **{**shown, "stored": stored})

    async def _carried_out(self, wish: Wish) -> tuple[Result, bool]:
        result = await self.attempt(wish)
        return result, await self.record(result)

    async def attempt(self, wish: Wish) -> Result:
        """Have the device set, once; nothing is recorded. CommandError when it may not be."""
        source, asked = self._sources[wish.device], self._clock.wall()
        unit = source.unit(wish.point)
        try:
            written = await source.write(wish.point, wish.value)
        except (DeviceError, LinkError) as error:
            text = f"{wish.device}.{wish.point} was not written: {error}"
            down = isinstance(error, LinkError)
            return Result(wish, "failed", asked, self._clock.wall(), error.reason, text, unit=unit, unreached=down)
        outcome, reason, text = _judged(wish, written, unit)
        return Result(wish, outcome, asked, self._clock.wall(), reason, text, written.before, written.after, unit)

    async def refused(self, wish: Wish, error: CommandError) -> None:
        """Record an attempt that was not allowed; of very many, only some."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        self._refused = [at for at in self._refused if at > now - REFUSALS_SECONDS]
        reason = {403: "not_allowed", 409: "used_before"}.get(error.status, "invalid")
        log.warning("%s may not set %s.%s: %s", _way(wish.by), wish.device, wish.point, reason)
        if len(self._refused) < REFUSALS:
            self._refused.append(now)
            await self.record(Result(wish, "refused", wall, wall, reason, str(error)))

    async def record(
        self, result: Result, *, facts: Mapping[str, bytes | None] | None = None, wait: bool = True
    ) -> bool:
        """Write it down; with ``wait`` returns once it is on disk, or after some seconds: False when it is not."""
        await self._store.put([self.draft(result)], urgent=True, facts=facts or {})
        if not wait:
            return False
        try:
            async with asyncio.timeout(AUDIT_PATIENCE if self._store.failing is None else FAILING_PATIENCE):
                await self._store.committed(AUDIT)
        except TimeoutError:
            return False
        return not self._store.unstored("disposal")

    def draft(self, result: Result) -> Draft:
        """The ``linli.disposal.command.v1`` record of a result."""
        data = {"command": "write", **self.shown(result)}
        device, wall = result.wish.device, result.done_at
        return Draft("disposal", "linli.disposal.command.v1", device, device, wall, data, record_id(wall))

    def shown(self, result: Result) -> dict[str, Any]:
        """Everything about a result, ready for JSON."""
        wish, stamp = result.wish, self._clock.rfc3339
        return {
            "by": wish.by,
            "device": wish.device,
            "point": wish.point,
            "value": wish.value,
            "unit": result.unit,
            "before": _shown(result.before, result.unit),
            "after": _shown(result.after, result.unit),
            "outcome": result.outcome,
            "reason": result.reason or None,
            "text": result.text or None,
            "asked_at": stamp(result.asked_at),
            "done_at": stamp(result.done_at),
            **wish.why,
        }


def _judged(wish: Wish, written: Written, unit: str) -> tuple[Outcome, str, str]:
    name, fault, after = f"{wish.device}.{wish.point}", written.fault, written.after
    if fault is not None and fault.reason in UNSURE and after.quality == "bad":
        return "unverified", fault.reason, f"{name} may have been set, but that could not be read back: {fault}"
    if fault is not None:
        state = f"; it is {_text(after, unit)}" if after.quality != "bad" else ""
        return "failed", fault.reason, f"{name} was not set to {_plain(wish.value, unit)}: {fault}{state}"
    if after.quality == "bad" or after.value != wish.value:
        text = f"{name} was set to {_plain(wish.value, unit)}, but the device now says {_text(after, unit)}"
        return "mismatch", "mismatch", f"{text}; see whether it is in local or manual mode, or switches back by itself"
    return "done", "", ""


def understood(text: str, kind: Literal["bool", "number", "text"]) -> Scalar:
    """Read a value as somebody typed it, for a point of this kind; CommandError when it cannot be one."""
    if kind == "bool":
        if text.strip().lower() not in WORDS:
            raise CommandError(f"{text[:80]!r} is no state of a switch: write true or false (or on, off)")
        return WORDS[text.strip().lower()]
    if kind == "text":
        return text
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or abs(number) > 10**30:
        raise CommandError(f"{text[:80]!r} is no number: write for example 21.5")
    return int(number) if number == number.to_integral_value() else float(number)


def _shown(value: PointValue | None, unit: str) -> dict[str, Any] | None:
    if value is None:
        return None
    shown: dict[str, Any] = {"value": value.value, "unit": unit, "quality": value.quality}
    return shown if value.reason is None else {**shown, "reason": value.reason}


def _plain(value: Scalar | None, unit: str) -> str:
    return f"{str(value).lower() if isinstance(value, bool) else value} {unit}".rstrip()


def _text(value: PointValue, unit: str) -> str:
    return f"bad ({value.reason})" if value.quality == "bad" else _plain(value.value, unit)


def _way(by: str) -> str:
    """By which way somebody asks: what a platform calls its people stays out of the log, the record has it."""
    way, _, name = by.partition(":")
    return by if way == "uid" or not name else way


def _to(value: Scalar) -> str:
    """The value for the log; a text may be a plate on a display."""
    return "" if isinstance(value, str) else f" to {value}"
