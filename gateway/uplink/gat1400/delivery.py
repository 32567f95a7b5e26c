"""Passages on their way to a view library: which go next, what became of each, and how far all are settled."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from gateway.contract import Clock, CommandError, Record, Stream
from gateway.metrics import DELIVERED, REFUSED
from gateway.settings.core import Gat1400Settings
from gateway.uplink import notices
from gateway.uplink.answers import SPLITS, Verdict
from gateway.uplink.gat1400 import codes
from gateway.uplink.gat1400.picture import JPEG, Image, load
from gateway.uplink.gat1400.session import Session
from gateway.uplink.gat1400.statuses import Status, read_statuses
from gateway.uplink.gat1400.vehicle import (
    ID_DIGITS,
    Passage,
    UnsendableError,
    camera_of,
    is_passage,
    motor_vehicle,
    plate_no,
    read_passage,
)
from gateway.uplink.http.connection import Answer
from gateway.uplink.http.wire import acknowledgement
from gateway.uplink.kept import Kept
from gateway.uplink.lane import QUIET_SECONDS, Hold

NAME = "gat1400"
STREAM: Stream = "perception"
CHUNK_RECORDS, CHUNK_BYTES = 500, 256 * 1024
BODY_BYTES = 1 << 20  # a request takes no more vehicles beyond it, unless it is a single one
PAUSE_SECONDS = 1.0
# A StatusCode that may pass or not is tried so often before the vehicle is parked.
MOST_TRIES = 3
# So many refused one after the other are no bad vehicles but a platform that takes none.
MOST_PARKED_IN_A_ROW = 20

log = logging.getLogger("linli.uplink")


class Shelf(Kept, Protocol):
    """What is needed of the store."""

    def media(self, sha256: str) -> tuple[Path, str] | None:
        """File and content type; None when it is not here."""


@dataclass(slots=True, eq=False)
class Going:
    """A passage that is not settled. ``too_large``: with its picture; ``bare``: it goes without the one it names."""

    passage: Passage
    tries: int = 0
    too_large: bool = False
    bare: bool = False


class Delivery:
    """The cursor passes a record when the platform has it, when it is parked, or when it is nothing for the platform.

    ``taken``, ``parked`` and ``bare`` (sent without the picture that the record names) count since the start.
    """

    def __init__(self, settings: Gat1400Settings, store: Shelf, clock: Clock) -> None:
        self._settings, self._store, self._clock = settings, store, clock
        self._words = codes.ViewWords()
        self._number = str if settings.numbers == "text" else int
        self._going: deque[Going] = deque()
        self._read_to = store.position(NAME, STREAM)
        self._hold: Hold | None = None
        self._paused_until = 0.0
        self._parked_in_a_row = 0
        self._most = self._limit = settings.batch  # vehicles in a request: at most, and for now
        self.taken = self.parked = self.bare = self.in_flight = 0
        self.unreadable = ""

    # ------------------------------------------------------------------------------------------------ outside

    def backlog(self) -> int:
        """Records not yet settled, of any kind."""
        first, last = self._store.bounds(STREAM)
        return max(0, last - max(self._store.position(NAME, STREAM), first - 1))

    def held(self) -> Hold | None:
        """The refusal that everything waits for."""
        return self._hold if self._hold is not None and self._hold.quiet_since is None else None

    def idle(self) -> bool:
        """Whether the platform has everything that it will take now."""
        return self.held() is not None or (not self._going and self._read_to >= self._store.bounds(STREAM)[1])

    def wakes_at(self) -> float | None:
        """Monotonic time at which ``step`` has something to do again; None until there are new records."""
        quiet = None if self._hold is None or self._hold.quiet_since is None else self._hold.quiet_since + QUIET_SECONDS
        waits = max(self._paused_until, 0.0 if (held := self.held()) is None else held.retry_at)
        return waits if self._going or waits > self._clock.monotonic() else quiet

    def awaits(self) -> dict[Stream, int]:
        """Behind which record a new one is to be waited for; nothing while the next ones are known already."""
        return {} if self._going or self._clock.monotonic() < self._paused_until else {STREAM: self._read_to}

    async def step(self, session: Session) -> bool:
        """Read or send what is next; False when there is nothing to do now."""
        await self._end_of_hold()
        held = self.held()
        if self._clock.monotonic() < max(self._paused_until, 0.0 if held is None else held.retry_at):
            return False
        if not self._going:
            return await self._look()
        try:
            await self._forget_erased()
        except CommandError as error:
            self._cannot_read(str(error))
            return False
        if self._going:
            await self._send(session)
        return True

    # ------------------------------------------------------------------------------------------------ reading

    async def _look(self) -> bool:
        last = self._store.bounds(STREAM)[1]
        if last <= self._read_to:
            return False
        try:
            records = await self._store.records(STREAM, self._read_to, CHUNK_RECORDS, CHUNK_BYTES)
        except CommandError as error:
            self._cannot_read(str(error))
            return False
        self.unreadable = ""
        # Without records, everything up to here was evicted: a gap record accounts for it.
        self._read_to = records[-1].sequence if records else last
        untellable: dict[str, list[Record]] = {}
        for record in records:
            if is_passage(record) and (camera := camera_of(record)) in self._settings.camera:
                try:
                    passage = read_passage(record, camera, self._settings.camera[camera].device_id)
                except UnsendableError as error:
                    untellable.setdefault(str(error), []).append(record)
                else:
                    self._going.append(Going(passage))
        for sentence, group in untellable.items():
            told = f"passages cannot go: {sentence}"
            await self._park(group, codes.UNTELLABLE, told, told)
        self._advance()
        return True

    def _cannot_read(self, sentence: str) -> None:
        if sentence != self.unreadable:
            log.warning("%s: %s", NAME, sentence)
        self.unreadable, self._paused_until = sentence, self._clock.monotonic() + PAUSE_SECONDS

    async def _forget_erased(self) -> None:
        """Drop what is no longer in the store: it may wait here for days, and somebody may have had it deleted."""
        for going in list(self._going)[: self._limit]:
            sequence = going.passage.record.sequence
            found = await self._store.records(STREAM, sequence - 1, 1)
            if not found or found[0].sequence != sequence:
                self._going.remove(going)
        self._advance()

    def _advance(self) -> None:
        settled = self._going[0].passage.record.sequence - 1 if self._going else self._read_to
        if settled > self._store.position(NAME, STREAM):
            self._store.confirm(NAME, STREAM, settled)

    # ------------------------------------------------------------------------------------------------ sending

    async def _send(self, session: Session) -> None:
        batch, body = await self._pack()
        self.in_flight = len(batch)
        try:
            answer = await session.post(body)
        finally:
            self.in_flight = 0
        if 200 <= answer.status < 300:
            await self._judge(batch, _by_vehicle(batch, read_statuses(answer.body)))
        else:
            await self._refused(batch, answer)
        self._advance()

    async def _pack(self) -> tuple[list[Going], bytes]:
        """The next vehicles as a request: as many as fit, but at least one."""
        batch: list[Going] = []
        vehicles: list[bytes] = []
        size = 0
        for going in list(self._going)[: self._limit]:
            camera = self._settings.camera[going.passage.camera]
            vehicle = motor_vehicle(going.passage, camera, await self._image(going), self._number)
            vehicles.append(msgspec.json.encode(vehicle))
            size += len(vehicles[-1])
            if batch and size > BODY_BYTES:
                vehicles.pop()
                break
            batch.append(going)
        return batch, b'{"MotorVehicleListObject":{"MotorVehicleObject":[%b]}}' % b",".join(vehicles)

    async def _image(self, going: Going) -> Image | None:
        picture = going.passage.event.data.picture
        if picture is None or not self._settings.pictures:
            return None
        image = None
        file = self._store.media(picture.sha256)
        if file is not None and picture.content_type == JPEG and not going.too_large:
            image = await asyncio.to_thread(load, file[0], self._settings.picture_limit)
        going.bare = image is None
        return image

    # ------------------------------------------------------------------------------------------------ judging

    async def _judge(self, batch: Sequence[Going], found: Mapping[str, Status]) -> None:
        """Settle each vehicle by its own status."""
        if not found and len(batch) > 1:
            self._most = self._limit = 1  # whose status it is, is plain when there is one vehicle only
            return
        wait: Status | None = None
        doomed: dict[int, list[Going]] = {}
        for going in batch:
            status = found.get(going.passage.id)
            if status is None:
                wait = wait or Status("", codes.UNSAID, "")
            elif status.code == codes.OK or codes.had_it(status.text):
                self._taken(going)
            else:
                REFUSED.labels(NAME, STREAM, self._words.name(status.code)).inc()
                going.tries += 1
                if self._is_doomed(status.code, going):
                    doomed.setdefault(status.code, []).append(going)
                else:
                    wait = status
        for code, group in doomed.items():
            await self._give_up(group, code, _discreet(found[group[0].passage.id].text, batch))
        if wait is not None:
            await self._wait(wait.code, _discreet(wait.text, batch))

    def _is_doomed(self, code: int, going: Going) -> bool:
        verdict = codes.verdict(code)
        return verdict is Verdict.AT_FAULT or (verdict is None and going.tries >= MOST_TRIES)

    def _taken(self, going: Going) -> None:
        self._going.remove(going)
        self._parked_in_a_row = 0
        self._limit = min(self._most, self._limit * 2)
        self.taken += 1
        self.bare += going.bare
        DELIVERED.labels(NAME, STREAM).inc()
        self._moves()

    def _moves(self) -> None:
        """Something is settled, so nothing is held; what is refused in the same answer says otherwise afterwards."""
        if self._hold is not None:
            self._hold.accepted(self._clock.monotonic())

    async def _refused(self, batch: Sequence[Going], answer: Answer) -> None:
        """The whole request is refused: smaller ones find out which vehicle is at fault."""
        code, wait = answer.status, acknowledgement(answer, self._clock)
        statuses = read_statuses(answer.body)
        text = _discreet(statuses[0].text if statuses else wait.text, batch)
        verdict = codes.verdict(code)
        if code == codes.CONFLICT and len(batch) == 1 and codes.had_it(text):
            self._taken(batch[0])
            return
        REFUSED.labels(NAME, STREAM, self._words.name(code)).inc()
        if verdict is Verdict.TOO_LARGE and len(batch) > 1:
            self._most = self._limit = len(batch) // 2
        elif len(batch) > 1 and (verdict is Verdict.AT_FAULT or code == codes.CONFLICT):
            self._limit = 1
        elif verdict is Verdict.TOO_LARGE and not batch[0].too_large:
            batch[0].too_large = True
        elif verdict in SPLITS:
            await self._give_up(batch, code, text)
        else:
            await self._wait(code, text, wait.wait)

    async def _give_up(self, group: Sequence[Going], code: int, text: str) -> None:
        """Park vehicles, unless the platform seems to take none at all: then they wait."""
        parked = list(group)[: MOST_PARKED_IN_A_ROW - self._parked_in_a_row]
        if parked:
            records = [going.passage.record for going in parked]
            sentence, discreet = codes.sentence(code, "vehicles", text), codes.sentence(code, "vehicles")
            await self._park(records, code, sentence, discreet)
            for going in parked:
                self._going.remove(going)
            self._parked_in_a_row += len(parked)
            self._moves()
        if len(parked) < len(group):
            await self._wait(code, text, told=True)

    async def _park(self, records: Sequence[Record], code: int, sentence: str, discreet: str) -> None:
        """Name records before the cursor passes them; they stay pullable. ``discreet`` goes to the log."""
        self.parked += len(records)
        log.warning("%s: parked %d of %s: %s", NAME, len(records), STREAM, discreet)
        raw = [record.json for record in records]
        await self._store.put([notices.parked(self._clock, NAME, STREAM, code, sentence, self._words, raw)])

    # ------------------------------------------------------------------------------------------------ waiting

    async def _wait(self, code: int, text: str, asked: float = 0.0, *, told: bool = False) -> None:
        """Hold everything for a while, as long as ``asked`` at least, and say so once."""
        sentence = codes.sentence(code, "vehicles", text)
        if self._hold is None or self._hold.code != code:
            before = self._hold.told if self._hold is not None else frozenset()
            log.warning("%s: %s", NAME, codes.sentence(code, "vehicles"))
            self._hold = Hold(code, sentence, before)
        if (told or codes.verdict(code) is Verdict.HELD) and code not in self._hold.told:
            self._hold.told |= {code}
            draft = notices.refused(self._clock, NAME, STREAM, code, sentence, self._words, effect="held")
            await self._store.put([draft])
        self._hold.refused(self._clock.monotonic(), asked)

    async def _end_of_hold(self) -> None:
        quiet = self._hold.quiet_since if self._hold is not None else None
        if quiet is None or self._hold is None or self._clock.monotonic() < quiet + QUIET_SECONDS:
            return
        told, self._hold = self._hold.told, None
        sentence = self._words.taken_again(STREAM)
        log.info("%s: %s", NAME, sentence)
        if told:
            await self._store.put([notices.accepted(self._clock, NAME, STREAM, sentence)])


def _by_vehicle(batch: Sequence[Going], statuses: Sequence[Status]) -> dict[str, Status]:
    """Which status is whose: by id, or by being the only one, unless it bears another vehicle's id."""
    ids = {going.passage.id for going in batch}
    if len(batch) == len(statuses) == 1 and len(statuses[0].id) != ID_DIGITS:
        return {next(iter(ids)): statuses[0]}
    found: dict[str, Status] = {}
    for status in statuses:
        # Told twice, it is only delivered when both say so.
        if status.id in ids and (status.id not in found or found[status.id].code == codes.OK):
            found[status.id] = status
    return found


def _discreet(text: str, batch: Sequence[Going]) -> str:
    """What the platform says goes into records of ``management``, where no plate may stand."""
    for going in batch:
        plate = going.passage.event.data.plate
        for written in () if plate is None or not plate.text else (plate.text, plate_no(plate)):
            text = text.replace(written, "(plate)")
    return text
