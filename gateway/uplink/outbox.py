"""The outbox: which records go next, how many publishes are in flight, and what each answer means."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn, Protocol

from gateway.contract import SEND_ORDER, Clock, CommandError, Cursor, Draft, Run, Stream
from gateway.metrics import DELIVERED, REFUSED, UNHEARD
from gateway.uplink import notices
from gateway.uplink.ahead import Ahead, Runs
from gateway.uplink.answers import SPLITS, Ack, Verdict, Words
from gateway.uplink.dial import ConnectionFailedError
from gateway.uplink.flow import Flow
from gateway.uplink.kept import Kept
from gateway.uplink.lane import QUIET_SECONDS, Batch, BatchState, Hold, Lane
from gateway.uplink.progress import Progress
from gateway.uplink.standby import Standby
from gateway.words import many

BATCH_RECORDS = 500
BATCH_BYTES = 64 * 1024
SMALLEST_BATCH_BYTES = 4 * 1024
ANSWER_SECONDS = 30.0
PAUSE_SECONDS = 1.0
SENDS_AT_ONCE = 4
# So many refused one after the other are no bad records but a far end that takes none: to park them all would empty
# the stream into the void.
MOST_PARKED_IN_A_ROW = 20

log = logging.getLogger("linli.uplink")


class Records(Runs, Kept, Protocol):
    """What the outbox needs of the store."""

    @property
    def epoch(self) -> str:
        """This incarnation of the store."""


class Wire(Protocol):
    """A connection as the outbox sees it. ``window``: publishes in flight."""

    window: int

    def room(self, stream: Stream) -> int:
        """Largest payload in bytes that is taken of this stream."""

    def publish(self, stream: Stream, payload: bytes, cursor: str, done: Callable[[Ack], None]) -> int:
        """Send; returns the payload's bytes on the wire, 0 when it is too large to be sent."""


class Outbox:
    """One cursor per stream over the store; the cursor moves in order and only on the far end's word.

    ``rate``: bytes a second that are not urgent, None for as fast as the link carries. ``awaits``: batches of a stream
    that may wait for the platform's own word, 0 when the answer to a batch counts as delivery.
    """

    def __init__(
        self,
        name: str,
        store: Records,
        words: Words,
        streams: Collection[Stream],
        clock: Clock,
        *,
        rate: int | None = None,
        awaits: int = 0,
    ) -> None:
        self._name, self._store, self._words, self._clock = name, store, words, clock
        self.lanes = [Lane(stream, store.position(name, stream), awaits) for stream in SEND_ORDER if stream in streams]
        self._ahead = {lane.stream: Ahead(store, lane.stream) for lane in self.lanes}
        self._wake = asyncio.Event()
        self.flow, self._progress = Flow(rate), Progress()
        self._batch_bytes = BATCH_BYTES
        self._careful = 0
        self.taken = 0
        self.unanswered = False
        self.parked, self.parked_at = 0, 0.0
        self.unreadable = ""

    # ------------------------------------------------------------------------------------------------ outside

    def backlog(self) -> dict[Stream, int]:
        """Records not yet confirmed, per stream."""
        counts: dict[Stream, int] = {}
        for lane in self.lanes:
            first, last = self._store.bounds(lane.stream)
            counts[lane.stream] = max(0, last - max(lane.confirmed, first - 1))
        return counts

    def in_flight(self) -> int:
        """Publishes without an answer."""
        return sum(lane.flight.sent for lane in self.lanes)

    def held(self) -> dict[Stream, str]:
        """Streams that are refused, each with a sentence."""
        return {lane.stream: lane.held.sentence for lane in self.lanes if lane.held is not None}

    def progress(self) -> dict[str, Any]:
        """``rate``, records confirmed a second, and ``eta_s``, seconds until nothing waits."""
        return self._progress.view()

    def unsaid(self) -> dict[Stream, float]:
        """Streams of which the platform has not acknowledged all that was sent, and since when (monotonic)."""
        return {lane.stream: lane.word.said_at for lane in self.lanes if lane.unsaid()}

    def acknowledge(self, stream: Stream, sequence: int) -> bool:
        """Take the platform's word up to a sequence; False when that was never sent."""
        now = self._clock.monotonic()
        self._wake.set()
        return any(lane.acknowledge(sequence, now) for lane in self.lanes if lane.stream == stream)

    async def pump(self, wire: Wire, round_trip: float = 0.0) -> NoReturn:
        """Send for ever over one connection; ConnectionFailedError when the far end stops answering.

        ``round_trip``: seconds that an exchange of next to nothing took on it, 0 when not known.
        """
        self._batch_bytes = BATCH_BYTES
        self.flow.begin(round_trip)
        self._progress.begin()
        for lane in self.lanes:
            lane.word.reconnected(self._clock.monotonic())
        self._wake.set()
        async with Standby(self._store, self._clock, self._wake) as standby:
            for turn in itertools.count():
                if self._wake.is_set():
                    self._wake.clear()
                    await self._settle()
                following = self._next_lane(wire)
                if following is None:
                    await self._rest(standby)
                    continue
                await self._send(following, wire)
                if turn % SENDS_AT_ONCE == 0:  # what was read ahead is sent without a pause: let answers in
                    await asyncio.sleep(0)
        raise AssertionError("never ends by itself")

    def idle(self) -> bool:
        """Whether the far end has everything that it will take."""
        ends = {lane.stream: self._store.bounds(lane.stream)[1] for lane in self.lanes}
        return all(lane.held is not None or _handed_over(lane, ends[lane.stream]) for lane in self.lanes)

    async def lost(self, code: int | None) -> None:
        """The connection ended. Ended because of what we sent, the culprit is looked for one by one."""
        sent = [batch for lane in self.lanes for batch in lane.flight if batch.state is BatchState.SENT]
        unanswered = [batch for batch in sent if batch.ack is None]
        at_fault = code is not None and self._words.verdict(code) in SPLITS
        if at_fault and code is not None and len(unanswered) == 1:
            unanswered[0].ack = Ack(code, "")
            next(lane for lane in self.lanes if unanswered[0] in lane.flight).answered.append(unanswered[0])
        elif at_fault:
            self._careful = len(unanswered)
        self.unanswered = bool(unanswered)
        self.flow.lost(unanswered=self.unanswered)
        for lane in self.lanes:
            lane.lost()
            await self._ahead[lane.stream].stop()
        await self._settle()

    # ------------------------------------------------------------------------------------------------ answers

    async def _settle(self) -> None:
        """Judge the answers that came, move the cursors, and tell the platform what was refused."""
        drafts: list[Draft] = []
        now = self._clock.monotonic()
        for lane in self.lanes:
            parked: dict[int, list[Batch]] = {}
            answered, lane.answered = lane.answered, []
            for batch in answered:
                drafts += self._judge(lane, batch, now, parked)
            drafts += self._park(lane, parked)
            drafts += self._end_of_hold(lane, now)
            if again := lane.overdue(now):
                late = many(again, "batch")
                log.info("%s: the platform has not acknowledged %s of %s", self._name, late, lane.stream)
        if drafts:
            # Before the cursor: a parked record must be named in the same commit that passes over it, or an earlier.
            await self._store.put(drafts)
        for lane in self.lanes:
            before = lane.confirmed
            if said := lane.advance():
                DELIVERED.labels(self._name, lane.stream).inc(said)
            if lane.confirmed > before:
                self._store.confirm(self._name, lane.stream, lane.confirmed)
        if self._progress.wants(now):
            confirmed = sum(lane.confirmed for lane in self.lanes)
            self._progress.note(now, confirmed, sum(self.backlog().values()))

    def _judge(self, lane: Lane, batch: Batch, now: float, parked: dict[int, list[Batch]]) -> list[Draft]:
        ack = batch.ack or Ack(0, "")
        batch.ack = None
        lane.flight.land(batch)
        verdict = self._words.verdict(ack.code)
        if verdict in (Verdict.TAKEN, Verdict.UNHEARD):
            self._taken(lane, batch, verdict, now)
            return []
        REFUSED.labels(self._name, lane.stream, self._words.name(ack.code)).inc()
        batch.offered = False
        if verdict in SPLITS and batch.count > 1:
            lane.flight.again(batch)
            batch.limit = batch.count // 2
            if verdict is Verdict.TOO_LARGE:
                self._batch_bytes = max(SMALLEST_BATCH_BYTES, min(self._batch_bytes, batch.size // 2))
            return []
        if verdict in SPLITS and lane.parked_in_a_row < MOST_PARKED_IN_A_ROW:
            batch.state = BatchState.DONE
            lane.parked_in_a_row += 1
            parked.setdefault(ack.code, []).append(batch)
            return []
        lane.flight.again(batch)
        return self._refuse(lane, ack, verdict, now)

    def _taken(self, lane: Lane, batch: Batch, verdict: Verdict, now: float) -> None:
        lane.taken(batch, now)
        lane.parked_in_a_row = 0
        self.taken += 1
        if batch.state is BatchState.DONE:
            DELIVERED.labels(self._name, lane.stream).inc(batch.count)
        if verdict is Verdict.UNHEARD:
            UNHEARD.labels(self._name, lane.stream).inc()
        if lane.hold is not None:
            lane.hold.accepted(now)
        self._careful = max(0, self._careful - 1)
        self.flow.answered(batch.sent_at, batch.answered_at, batch.size, batch.load)

    def _refuse(self, lane: Lane, ack: Ack, verdict: Verdict, now: float) -> list[Draft]:
        sentence = self._words.refusal(ack.code, lane.stream, ack.text)
        drafts = []
        if lane.hold is None or lane.hold.code != ack.code:
            told = lane.hold.told if lane.hold is not None else frozenset()
            log.warning("%s: %s", self._name, self._words.refusal(ack.code, lane.stream))
            if verdict is not Verdict.LATER and ack.code not in told:
                told |= {ack.code}
                clock, name = self._clock, self._name
                drafts = [notices.refused(clock, name, lane.stream, ack.code, sentence, self._words, effect="held")]
            lane.hold = Hold(ack.code, sentence, told)
        lane.hold.refused(now, ack.wait)
        return drafts

    def _park(self, lane: Lane, parked: Mapping[int, Sequence[Batch]]) -> list[Draft]:
        drafts = []
        for code, batches in parked.items():
            self.parked, self.parked_at = self.parked + len(batches), self._clock.monotonic()
            self._careful = max(0, self._careful - len(batches))
            sentence = self._words.refusal(code, lane.stream)
            log.warning("%s: parked %d of %s: %s", self._name, len(batches), lane.stream, sentence)
            records = [batch.only[1] for batch in batches if batch.only is not None]
            records = [record for record in records if not notices.is_own(record)]
            if records:
                drafts.append(
                    notices.parked(self._clock, self._name, lane.stream, code, sentence, self._words, records)
                )
        return drafts

    def _end_of_hold(self, lane: Lane, now: float) -> list[Draft]:
        quiet = lane.hold.quiet_since if lane.hold is not None else None
        if quiet is None or now < quiet + QUIET_SECONDS:
            return []
        told, lane.hold = lane.hold is not None and lane.hold.told, None
        sentence = self._words.taken_again(lane.stream)
        log.info("%s: %s", self._name, sentence)
        return [notices.accepted(self._clock, self._name, lane.stream, sentence)] if told else []

    # ------------------------------------------------------------------------------------------------ sending

    def _next_lane(self, wire: Wire) -> Lane | None:
        now = self._clock.monotonic()
        for lane in self.lanes:
            if lane.wants(self._store.bounds(lane.stream)[1], now) and self._may_send(lane, wire):
                return lane
        return None

    def _may_send(self, lane: Lane, wire: Wire) -> bool:
        flying = sum(other.flight.sent for other in self.lanes)
        if self._careful:
            return not flying
        kept_free = 0 if lane.urgent or wire.window == 1 else min(8, max(1, wire.window // 4))
        if flying >= wire.window - kept_free:
            return False
        if not lane.urgent and self._clock.monotonic() < self.flow.free_at():
            return False
        return self._load(lane) < self.flow.budget

    def _load(self, lane: Lane) -> int:
        """Bytes in flight that share a budget with this stream."""
        return sum(other.flight.bytes for other in self.lanes if other.urgent == lane.urgent)

    async def _send(self, lane: Lane, wire: Wire) -> None:
        room = wire.room(lane.stream)
        size = min(self._batch_bytes, self.flow.largest(), room)
        batch = lane.flight.due()
        try:
            if batch is not None:
                run = await self._few(lane, batch.after, batch.limit, size, room, batch.last)
            else:
                end = self._store.bounds(lane.stream)[1]
                run = await self._ahead[lane.stream].next(lane.read_to, BATCH_RECORDS, size, end)
                if run is not None and run.records > 1 and len(run.json) > room:
                    run = await self._few(lane, lane.read_to, BATCH_RECORDS, size, room, run.last)
        except CommandError as error:
            self._cannot_read(lane, str(error))
            return
        self.unreadable = ""
        if run is None:
            if batch is not None:  # evicted since it was sent first: a gap record accounts for it
                batch.state = BatchState.DONE
            else:
                lane.paused_until = self._clock.monotonic() + PAUSE_SECONDS
            return
        if batch is None:
            batch = Batch(run.after, run.last, BATCH_RECORDS)
            lane.add(batch)
        lane.cut(batch, run.last)
        self._publish(lane, batch, run, wire)

    async def _few(self, lane: Lane, after: int, limit: int, size: int, room: int, last: int) -> Run | None:
        """Read records one by one: so few that they fit into ``room``, unless that is a single one."""
        records = await self._store.records(lane.stream, after, limit, size)
        records = [record for record in records if record.sequence <= last]
        while len(records) > 1 and sum(len(record.json) + 1 for record in records) + 1 > room:
            records = records[: len(records) // 2]
        return Run.of(after, records) if records else None

    def _cannot_read(self, lane: Lane, sentence: str) -> None:
        if sentence != self.unreadable:
            log.warning("%s: %s", self._name, sentence)
        self.unreadable = sentence
        lane.paused_until = self._clock.monotonic() + PAUSE_SECONDS

    def _publish(self, lane: Lane, batch: Batch, run: Run, wire: Wire) -> None:
        def done(ack: Ack) -> None:
            batch.ack, batch.answered_at = ack, self._clock.monotonic()
            lane.answered.append(batch)
            self._wake.set()

        cursor = str(Cursor(self._store.epoch, lane.stream, batch.last))
        now = self._clock.monotonic()
        batch.count, batch.sent_at = run.records, now
        batch.only = (run.last, run.json[1:-1]) if run.records == 1 else None
        size = wire.publish(lane.stream, run.json, cursor, done)
        lane.flight.launch(batch, size or len(run.json))
        if not size:
            done(Ack(self._words.too_large, ""))
            return
        batch.offered, batch.load = True, self._load(lane)
        self.flow.spend(size, now)

    async def _rest(self, standby: Standby) -> None:
        """Sleep until an answer comes, a new record is committed, or something is due by time."""
        now = self._clock.monotonic()
        ends = {lane.stream: self._store.bounds(lane.stream)[1] for lane in self.lanes}
        drained = {lane.stream: lane.read_to for lane in self.lanes if ends[lane.stream] <= lane.read_to}
        times = [lane.wakes_at(ends[lane.stream]) for lane in self.lanes]
        times += [lane.word.again_at for lane in self.lanes if lane.unsaid()]
        times.append(self.flow.free_at())
        times += [lane.hold.quiet_since + QUIET_SECONDS for lane in self.lanes if lane.hold and lane.hold.quiet_since]
        sent = (batch.sent_at for lane in self.lanes for batch in lane.flight if batch.state is BatchState.SENT)
        oldest = min(sent, default=now)
        if now - oldest > ANSWER_SECONDS:
            raise ConnectionFailedError(self._words.silence)
        times.append(oldest + ANSWER_SECONDS + 0.1)
        await standby.wait(min(time for time in times if time is not None and time > now), drained)


def _handed_over(lane: Lane, last: int) -> bool:
    """Whether the far end has everything up to ``last``, the end of the stream."""
    unsent = lane.flight.due() is not None or lane.flight.sent > 0 or lane.read_to < last
    return lane.confirmed >= last or (bool(lane.awaits) and not unsent)
