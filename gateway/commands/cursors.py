"""What a cursor that somebody gives stands for in the store."""

from typing import TYPE_CHECKING

from gateway.contract import CommandError, Cursor, Stream

if TYPE_CHECKING:
    from gateway.store import Store


def position(store: "Store", stream: Stream, cursor: Cursor) -> int:
    """The sequence in ``stream`` that a cursor stands for; CommandError 400 or 410 when it is none of this stream."""
    if cursor.stream != stream:
        raise CommandError(f"the cursor belongs to stream {cursor.stream}, not to {stream}: give one of {stream}")
    store.check(cursor)
    last = store.bounds(stream).last
    if cursor.sequence > last:
        raise CommandError(
            f"the cursor is beyond the end of {stream}: its last sequence is {last}; give one that was given out"
        )
    return cursor.sequence
