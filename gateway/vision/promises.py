"""What a camera has announced and not told yet: records of what falls, and clips; what never comes is accounted for."""

from dataclasses import replace
from typing import NamedTuple

from gateway.contract import Clock, Kept, VisionEvent, record_id
from gateway.settings import CameraSettings
from gateway.vision.events import clip_event, fall_event, lost_event
from gateway.vision.messages import Clip, Fall, Fell, Passage

RESTARTED = "restarted", "the gateway was ended hard"

Size = tuple[int, int]


class Owed(NamedTuple):
    """A clip: the record that it belongs to and its subject, the size of the frames then, the plate of a passage.

    ``kept`` is how long it stays, ``id`` is that of the record which says that it never came.
    """

    record: str
    subject: str
    size: Size | None
    plate: str
    kept: Kept
    id: str


class Promises:
    """Of one camera. What is announced names the record that is written should the gateway end before it comes."""

    def __init__(self, camera: CameraSettings, clock: Clock) -> None:
        self._name, self._purpose, self._clock = camera.name, camera.purpose, clock
        self._falls: dict[int, VisionEvent] = {}
        self._clips: dict[str, Owed] = {}
        self._unsaid: list[Owed] = []
        self._forgotten: list[str] = []

    @property
    def open(self) -> bool:
        """Whether anything is to come yet."""
        return bool(self._falls or self._clips)

    def falls(self, fell: Fell, word: VisionEvent) -> VisionEvent:
        """The early ``word`` of a fall, which owes its record."""
        test = "test" in word.event.split()
        known = fall_event(self._name, fell.known, self._clock.rfc3339, word.monotonic, test=test)
        known = replace(known, id=record_id(known.time), purpose=self._purpose)
        self._falls[fell.number] = known
        return replace(word, owes=_cut(known, *RESTARTED))

    def fell(self, fall: Fall, event: VisionEvent) -> VisionEvent:
        """The record of a fall, under the id that its early word has announced."""
        known = self._falls.pop(fall.number, None)
        return event if known is None else replace(event, id=known.id, settles=known.id)

    def clip_of(self, found: Passage | Fall, event: VisionEvent, size: Size | None) -> VisionEvent:
        """The record of what was found, which owes a clip if one was promised."""
        if not found.clip:
            return event
        event = replace(event, id=event.id or record_id(event.time))
        plate = found.text if isinstance(found, Passage) else ""
        owed = self._clips[found.clip] = self._owed(event.id, event.subject, size, plate, event.kept)
        return replace(event, owes=self._lost(owed, *RESTARTED))

    def asked(self, token: str, record: str, size: Size | None) -> None:
        """A clip was asked for, for the record of an alarm."""
        owed = self._clips[token] = self._owed(record, self._name, size)
        self._unsaid.append(owed)

    def unsaid(self) -> list[VisionEvent]:
        """Words that say nothing but that a clip is owed, or no more: of what was asked for or forgotten since."""
        owed, self._unsaid = self._unsaid, []
        open_ = [one for one in owed if one in self._clips.values()]
        return [replace(self._word(), owes=self._lost(one, *RESTARTED)) for one in open_] + self._no_more()

    def made(self, clip: Clip) -> VisionEvent | None:
        """What says that a clip is there, or why there is none; None for a clip that nobody waits for any more."""
        owed = self._clips.pop(clip.token, None)
        if owed is None:
            return None
        if not clip.mp4:
            return self._lost(owed, "not_made", clip.trouble)
        now, wall = self._clock.monotonic(), self._clock.wall()
        stamp = self._clock.rfc3339
        ready = clip_event(self._name, owed.subject, owed.record, clip, wall, now, stamp, owed.size)
        return replace(ready, purpose=self._purpose, settles=owed.id, kept=owed.kept)

    def broken(self, reason: str, sentence: str) -> list[VisionEvent]:
        """Records instead of all that does not come any more: falls as far as they were seen, and what clips are lost.

        ``reason`` is a short code.
        """
        told = [_cut(known, reason, sentence) for known in self._falls.values()]
        told += [self._lost(owed, reason, sentence) for owed in self._clips.values()]
        self._falls.clear()
        self._clips.clear()
        self._unsaid.clear()
        return told + self._no_more()

    def forget(self, plate: str) -> None:
        """Owe nothing of a plate any more: its records are erased, and a clip of it that still comes is nobody's."""
        self._forgotten += [owed.id for owed in self._clips.values() if owed.plate == plate]
        self._clips = {token: owed for token, owed in self._clips.items() if owed.plate != plate}

    def _no_more(self) -> list[VisionEvent]:
        gone, self._forgotten = self._forgotten, []
        return [replace(self._word(), settles=identity) for identity in gone]

    def _word(self) -> VisionEvent:
        return VisionEvent(self._name, self._clock.wall(), self._clock.monotonic(), "", self._name, {})

    def _owed(self, record: str, subject: str, size: Size | None, plate: str = "", kept: Kept = "") -> Owed:
        return Owed(record, subject, size, plate, kept, record_id(self._clock.wall()))

    def _lost(self, owed: Owed, reason: str, sentence: str) -> VisionEvent:
        now, wall = self._clock.monotonic(), self._clock.wall()
        text = sentence if reason == "not_made" else f"the clip was not whole yet: {sentence}"
        lost = lost_event(self._name, owed.subject, owed.record, reason, text, wall, now)
        return replace(lost, id=owed.id, purpose=self._purpose, settles=owed.id)


def _cut(known: VisionEvent, reason: str, sentence: str) -> VisionEvent:
    """The record of a fall of which nobody has seen the end."""
    cut = {"complete": False, "reason": reason, "text": f"what is told is what was seen until then: {sentence}"}
    return replace(known, data={**known.data, **cut}, settles=known.id)
