"""What every way out needs of the store."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from gateway.contract import Draft, Record, Stream


class Kept(Protocol):
    """Records, and how far each consumer has confirmed them."""

    async def put(self, drafts: Sequence[Draft], *, urgent: bool = False) -> None:
        """Queue for the next commit."""

    async def records(self, stream: Stream, after: int, limit: int, max_bytes: int | None = None) -> Sequence[Record]:
        """Committed records behind ``after``; at least one, if there is any. CommandError: cannot be read now."""

    async def wait(self, streams: Collection[Stream], after: Mapping[Stream, int], timeout: float) -> bool:
        """Wait for a record behind ``after`` in any of the streams."""

    def bounds(self, stream: Stream) -> tuple[int, int]:
        """First and last kept sequence."""

    def position(self, consumer: str, stream: Stream) -> int:
        """Last sequence the consumer has confirmed; 0 at first."""

    def confirm(self, consumer: str, stream: Stream, sequence: int) -> None:
        """Move the consumer's cursor with the next commit."""
