"""The heart: takes every item off the bus, lets the rules judge it, and hands records to the store."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from gateway.contract import BusItem, Clock, DeviceEvent, Draft, Reading, VisionEvent
from gateway.daemon.drafts import draft_of, event_draft, vision_draft, wills
from gateway.metrics import ALARMS_ACTIVE, DROPPED
from gateway.rules import Rules, Transition
from gateway.store import Store

BUS_ITEMS = 2000
TAKE = 200
# An alarm's local action may not wait longer than this for the disk, so neither may the reading before it.
DISK_PATIENCE = 0.2
# Pictures are judged by the rules at once and filed beside the core: a slow card may take its time for them.
PICTURES = 64
PICTURE_PATIENCE = 10.0
TICK = 0.25
STUCK = 15.0
SLOW_DISK = "the disk is too slow"

log = logging.getLogger("linli.core")


class Counts(Protocol):
    """What is counted from what comes by."""

    def take(self, item: BusItem) -> tuple[list[Draft], dict[str, bytes | None]]:
        """Records and facts to be stored together with the item's own record."""


class Core:
    """One bounded queue in; transitions and records out."""

    def __init__(self, rules: Rules, store: Store, clock: Clock, act: Callable[[Transition], None]) -> None:
        self._rules, self._store, self._clock, self._act = rules, store, clock, act
        self._bus: asyncio.Queue[BusItem | None] = asyncio.Queue(BUS_ITEMS)
        self._pictures: asyncio.Queue[VisionEvent] = asyncio.Queue(PICTURES)
        self._owing: dict[str, bool] = {}  # what those in the queue owe, and whether that was settled meanwhile
        self.turned = clock.monotonic()
        self.counts: Counts | None = None
        self.clips: Callable[[Transition], Sequence[Draft]] | None = None  # asks for them; what of them is never made
        self.lost: Callable[[str, str], None] | None = None  # of a camera: a picture or clip not stored, and why
        self.opens: Callable[[VisionEvent], None] | None = None  # hears of a plate before it has gone through

    async def put(self, item: BusItem) -> None:
        """Give one item to the bus; waits while it is full."""
        await self._bus.put(item)

    async def drained(self) -> None:
        """Return when everything that was put has been judged and handed to the store."""
        await self._bus.join()
        await self._pictures.join()

    def trouble(self) -> str | None:
        """A sentence when nothing has passed through for too long, else None."""
        still = self._clock.monotonic() - self.turned
        return f"the core has not turned for {still:.0f} s; restart the gateway" if still > STUCK else None

    async def run(self) -> None:
        """Take items for ever."""
        while True:
            items = [await self._bus.get()]
            while len(items) < TAKE and not self._bus.empty():
                items.append(self._bus.get_nowait())
            try:
                await self._take(items)
            finally:
                for _ in items:
                    self._bus.task_done()
            self.turned = self._clock.monotonic()

    async def tick(self) -> None:
        """Let time pass for the rules, and prove through the bus that the core turns."""
        while True:
            due = self._rules.next_tick()
            now = self._clock.monotonic()
            await self._clock.sleep(min(TICK, max(0.01, due - now)) if due is not None else TICK)
            for transition in self._rules.tick(self._clock.monotonic(), self._clock.wall()):
                await self.apply(transition)
            if self._bus.empty():
                self._bus.put_nowait(None)

    async def file(self) -> None:
        """Store pictures, then the records that name them, for ever."""
        while True:
            event = await self._pictures.get()
            try:
                media = {}
                for key, (data, content_type, suffix) in event.media.items():
                    try:
                        async with asyncio.timeout(PICTURE_PATIENCE):
                            media[key] = await self._store.put_media(data, content_type, suffix, event.kept)
                    except (OSError, TimeoutError) as error:
                        what, why = "picture" if key else "clip", error.strerror or str(error) or SLOW_DISK
                        self._lose(event.camera, why)
                        log.warning("%s of %s not stored: %s", what, event.camera, why)
                drafts, facts = self._beside(event)
                # A gate, a desk and a platform wait for this one; there are few of them.
                await self._store_within([vision_draft(event, media), *drafts], facts, urgent=True)
            finally:
                self._pictures.task_done()

    async def apply(self, transition: Transition) -> None:
        """Act on an alarm's transition first, then have it written at once."""
        self._act(transition)
        lost = self.clips(transition) if self.clips is not None else ()
        self._count_alarms()
        await self._store.put([*transition.drafts, *lost], urgent=True, facts=transition.facts)

    async def _take(self, items: Sequence[BusItem | None]) -> None:
        drafts: list[Draft] = []
        facts: dict[str, bytes | None] = {}
        seen = False
        for item in items:
            if item is None:
                continue
            for transition in self._rules.feed(item):
                await self.apply(transition)
            if isinstance(item, VisionEvent) and not item.type:
                await self._tell_early(item)
                continue
            # What settles something goes behind the record that owes it, which may wait for its picture.
            if isinstance(item, VisionEvent) and (item.media or item.settles) and await self._handed_over(item):
                continue
            if isinstance(item, DeviceEvent) and item.alarm:
                await self._store.put([event_draft(item)], urgent=True)
            elif not isinstance(item, Reading) or item.record:
                drafts.append(draft_of(item))
                seen = seen or isinstance(item, VisionEvent)
                if not isinstance(item, Reading):
                    counted, remembered = self._beside(item)
                    drafts += counted
                    facts |= remembered
        if drafts:
            await self._store_within(drafts, facts, urgent=seen)

    def _beside(self, item: BusItem) -> tuple[list[Draft], dict[str, bytes | None]]:
        """Records and facts that are stored together with an item's own record."""
        drafts, facts = self.counts.take(item) if self.counts is not None else ([], {})
        return drafts, {**facts, **self._wills(item)} if isinstance(item, VisionEvent) else facts

    def _wills(self, event: VisionEvent) -> dict[str, bytes | None]:
        """As ``wills``, but nothing is owed that was settled while the event waited for its picture."""
        if event.settles in self._owing:
            self._owing[event.settles] = True
        if event.owes is not None and self._owing.pop(event.owes.id, False):
            event = replace(event, owes=None)
        return wills(event, self._clock.quality())

    async def _handed_over(self, event: VisionEvent) -> bool:
        """Hand over an event with pictures; False when a disk that hangs has too many, and it is told without."""
        try:
            async with asyncio.timeout(DISK_PATIENCE):
                await self._pictures.put(event)
        except TimeoutError:
            for _ in event.media:
                self._lose(event.camera, SLOW_DISK)
            return False
        if event.owes is not None:
            self._owing[event.owes.id] = False
        return True

    def _lose(self, camera: str, why: str) -> None:
        DROPPED.labels("media", "disk").inc()
        if self.lost is not None:
            self.lost(camera, why)

    async def _tell_early(self, event: VisionEvent) -> None:
        """An early word for the rules and the gates; its record follows, or a power cut leaves what it owes."""
        if self.opens is not None:
            self.opens(event)
        if facts := self._wills(event):
            await self._store_within([], facts, urgent=True)

    async def _store_within(
        self, drafts: Sequence[Draft], facts: Mapping[str, bytes | None], *, urgent: bool = False
    ) -> None:
        try:
            async with asyncio.timeout(DISK_PATIENCE):
                await self._store.put(drafts, facts=facts)
                if urgent:
                    await self._store.put([], urgent=True)
        except TimeoutError:
            DROPPED.labels("store", "overload").inc(len(drafts))

    def _count_alarms(self) -> None:
        counts: dict[str, int] = {}
        for state in self._rules.states():
            if state.active:
                counts[state.severity] = counts.get(state.severity, 0) + 1
        for severity in ("warning", "minor", "major", "critical"):
            ALARMS_ACTIVE.labels(severity).set(counts.get(severity, 0))
