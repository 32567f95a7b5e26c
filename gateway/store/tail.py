"""The newest records of every stream in memory, so that uplinks that keep up never touch the disk."""

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice

from gateway.contract import STREAMS, Record, Stream

ROOM: Mapping[Stream, int] = {  # bytes of JSON
    "perception": 512 << 10,
    "management": 96 << 10,
    "alarm": 96 << 10,
    "disposal": 96 << 10,
}


class Tail:
    """A contiguous run of records up to each stream's newest."""

    def __init__(self, room: Mapping[Stream, int] = ROOM) -> None:
        self._room = room
        self._records: dict[Stream, deque[Record]] = {stream: deque() for stream in STREAMS}
        self._bytes: dict[Stream, int] = dict.fromkeys(STREAMS, 0)

    def extend(self, stream: Stream, records: Iterable[Record], first: int) -> None:
        """Append what was committed; let go of what is too much, or older than ``first``, the first still stored."""
        kept = self._records[stream]
        for record in records:
            kept.append(record)
            self._bytes[stream] += len(record.json)
        while kept and (self._bytes[stream] > self._room[stream] or kept[0].sequence < first):
            self._bytes[stream] -= len(kept.popleft().json)

    def forget(self, stream: Stream) -> None:
        """Let go of all of a stream: some of it is gone from the disk too."""
        self._records[stream].clear()
        self._bytes[stream] = 0

    def after(self, stream: Stream, sequence: int, limit: int, max_bytes: int | None) -> list[Record] | None:
        """Return what follows, at least one record; None when it is not all here."""
        kept = self._records[stream]
        if not kept or not kept[0].sequence <= sequence + 1 <= kept[-1].sequence:
            return None
        found: list[Record] = []
        size = 0
        start = sequence + 1 - kept[0].sequence
        for record in islice(kept, start, start + limit):
            size += len(record.json)
            if found and max_bytes is not None and size > max_bytes:
                break
            found.append(record)
        return found
