"""What waits for the next commit: bounded, and when the disk is in trouble the least important goes first."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.contract import SEND_ORDER, STREAMS, Kept, Stream
from gateway.store.envelope import Waiting
from gateway.store.erasure import Erasure

ROOM = 4 << 20  # bytes of perception and management that may wait
URGENT_ROOM = 16 << 20  # bytes of alarms and disposals that may wait for a disk that does not write
CursorKey = tuple[str, Stream]


@dataclass(frozen=True, slots=True)
class MediaEntry:
    """One line of the media index; ``recorded`` is a stamp's ``trusted``, ``kept`` how long it stays."""

    sha256: str
    bytes: int
    content_type: str
    suffix: str
    recorded: int
    kept: Kept = ""


@dataclass(slots=True)
class Batch:
    """What one commit writes together, or not at all; ``media_room`` bytes are to be made free for media."""

    drafts: dict[Stream, list[Waiting]] = field(default_factory=dict)
    facts: dict[str, bytes | None] = field(default_factory=dict)
    cursors: dict[CursorKey, int] = field(default_factory=dict)
    media: list[MediaEntry] = field(default_factory=list)
    media_room: int = 0
    erasures: list[Erasure] = field(default_factory=list)


class Queue:
    """Drafts, facts, cursors and media entries that are not on disk yet."""

    def __init__(self, room: int = ROOM, urgent_room: int = URGENT_ROOM) -> None:
        self.facts: dict[str, bytes | None] = {}
        self.cursors: dict[CursorKey, int] = {}
        self.media: list[MediaEntry] = []
        self.media_room = 0
        self.erasures: list[Erasure] = []
        self._room = room
        self._urgent_room = urgent_room
        self._drafts: dict[Stream, deque[Waiting]] = {stream: deque() for stream in STREAMS}
        self._bytes: Counter[Stream] = Counter()

    def add(self, items: Iterable[Waiting], facts: Mapping[str, bytes | None]) -> None:
        """Append; bounds are the caller's to ask for (``full``) or to enforce (``shed``)."""
        for item in items:
            self._drafts[item.draft.stream].append(item)
            self._bytes[item.draft.stream] += item.size
        self.facts.update(facts)

    def waiting(self, stream: Stream) -> int:
        """Count the drafts of a stream."""
        return len(self._drafts[stream])

    def empty(self) -> bool:
        """Tell whether nothing waits but perhaps cursors."""
        return not (any(self._drafts.values()) or self.facts or self.media or self.media_room or self.erasures)

    def has(self, streams: Iterable[Stream]) -> bool:
        """Tell whether a draft of these streams waits."""
        return any(self._drafts[stream] for stream in streams)

    def full(self) -> bool:
        """Tell whether so much perception and management waits that those who bring more have to wait too."""
        return self._bytes["perception"] + self._bytes["management"] >= self._room

    def take(self, limit: int, streams: Iterable[Stream] = SEND_ORDER) -> Batch:
        """Take up to about ``limit`` bytes, the most important first, with all else that waits."""
        batch = Batch()
        for stream in streams:
            queue, taken = self._drafts[stream], []
            while queue and limit > 0:
                item = queue.popleft()
                taken.append(item)
                limit -= item.size
                self._bytes[stream] -= item.size
            if taken:
                batch.drafts[stream] = taken
        if not self.has(set(streams) - {"perception"}):
            # A fact says what a record of the same put has told: it never goes before that record.
            batch.facts, self.facts = self.facts, {}
        batch.cursors, self.cursors = self.cursors, {}
        batch.media, self.media = self.media, []
        batch.media_room, self.media_room = self.media_room, 0
        batch.erasures, self.erasures = self.erasures, []
        return batch

    def restore(self, batch: Batch) -> None:
        """Put a batch that could not be written back to where it was taken from."""
        for stream, items in batch.drafts.items():
            self._drafts[stream].extendleft(reversed(items))
            self._bytes[stream] += sum(item.size for item in items)
        self.facts = {**batch.facts, **self.facts}
        self.cursors = {**batch.cursors, **self.cursors}
        self.media = batch.media + self.media
        self.media_room = max(self.media_room, batch.media_room)
        self.erasures = batch.erasures + self.erasures

    def shed(self) -> Counter[Stream]:
        """Drop the oldest of the least important until all fits; returns how many by stream."""
        lost: Counter[Stream] = Counter()
        classes: tuple[tuple[tuple[Stream, ...], int], ...] = (
            (("perception", "management"), self._room),
            (("disposal", "alarm"), self._urgent_room),
        )
        for streams, room in classes:
            for stream in streams:
                while self._drafts[stream] and sum(self._bytes[each] for each in streams) > room:
                    self._bytes[stream] -= self._drafts[stream].popleft().size
                    lost[stream] += 1
        return lost
